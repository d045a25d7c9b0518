//! The same request twice: what `Idempotency-Key` makes of a `POST`.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

use super::api::Api;
use super::caller::Caller;
use super::idempotency_key::IdempotencyKey;
use super::idempotency_memory::{Answer, Digest, Known, UnderWay};
use super::problem::Problem;
use super::problem_type::ProblemType;
use crate::job::canonical;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What comes next for a request.
pub(super) enum Turn {
    /// It has no key. Go on.
    Plain,
    /// Nobody has used its key. Go on, and remember what was accepted.
    First(UnderWay),
    /// It was accepted before. Answer the same.
    Again(Arc<Answer>),
}

/// Looks at the key of a request whose body was read, if it has one. `path` is that of its route: what a client wrote can
/// be the same path written in another way (`/api/%6aobs`). To be asked before a drain is: what was accepted once
/// is no new work.
///
/// # Errors
///
/// When the key is none, when it belongs to another body, when its first request is still under way, and when there is no
/// room for one more.
pub(super) fn turn(
    request: &HttpRequest,
    path: &'static str,
    body: &[u8],
    api: &Api,
) -> Result<Turn, Problem> {
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else {
        return Ok(Turn::Plain);
    };
    if values.next().is_some() {
        return Err(invalid("is there more than once"));
    }
    let key = IdempotencyKey::parse(value.as_bytes()).map_err(|fault| invalid(&fault.to_string()))?;
    let id = id(&Caller::of(request), path, &key);
    match api.idempotency.look_up(id, digest_of(body), api.jobs.clock().elapsed()) {
        Known::No(under_way) => Ok(Turn::First(under_way)),
        Known::Answered(answer) => Ok(Turn::Again(answer)),
        Known::UnderWay => {
            let detail =
                "The first request with this Idempotency-Key has not been answered yet. Try again soon.";
            Err(Problem::new(ProblemType::IdempotencyInProgress, detail).retry_after(1))
        }
        Known::OtherBody => {
            let detail = "This Idempotency-Key was used with another body. Take a new key for new work.";
            Err(Problem::new(ProblemType::IdempotencyKeyReused, detail))
        }
        Known::Full(pause, option) => {
            let detail = format!(
                "There is no room for another Idempotency-Key, and none may be forgotten before its time: see {option}. \
                 Nothing was kept."
            );
            Err(Problem::new(ProblemType::MemoryFull, detail).with("option", option).retry_after(pause))
        }
    }
}

/// Marks an answer as one that was given before.
pub(super) fn replayed(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    response
}

fn invalid(fault: &str) -> Problem {
    let detail = format!("The Idempotency-Key {fault}. Send one value of 1 to 255 visible ASCII characters.");
    Problem::new(ProblemType::IdempotencyKeyInvalid, detail)
}

/// Whose key it is, and for what.
fn id(caller: &Caller, path: &str, key: &IdempotencyKey) -> Digest {
    let mut hash = Sha256::new();
    for part in [caller.as_str().as_bytes(), path.as_bytes()] {
        // Its length first, so that no two of them can be taken for two others.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.update(key.as_bytes());
    hash.finalize().into()
}

/// Of what a body means, not of how it is written. What is not JSON is only the same as itself; it is refused later.
fn digest_of(body: &[u8]) -> Digest {
    match std::str::from_utf8(body).ok().and_then(canonical) {
        Some(canonical) => Sha256::digest(canonical).into(),
        None => Sha256::new().chain_update(b"raw:").chain_update(body).finalize().into(),
    }
}
