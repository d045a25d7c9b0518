//! `POST /api/jobs/{id}/progress`: how far an attempt is that runs in a user's own app.

use actix_web::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::api::Api;
use super::auth::bearer;
use super::body;
use super::job::id;
use super::problem::Problem;
use super::problem_type::ProblemType;
use crate::job::{Fault, Progress};

pub(super) const MEMBERS: [&str; 2] = ["percent", "message"];

/// Notes how far the attempt is, and tells whether it should stop.
///
/// The token is the `attempt_token` of the request that began the attempt, and good until the attempt is over.
pub(super) async fn report(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let body = body::read(&request, payload, &api).await?;
    let id = id(&request)?;
    let run =
        token(&request).and_then(|token| api.attempt_tokens.run_of(id, token)).ok_or_else(unauthorized)?;
    body::require_json(&request)?;
    let progress = parse(&body)?;
    let job = api.jobs.get(id).await?.filter(|job| job.is_in_run(run)).ok_or_else(unauthorized)?;
    api.jobs.progress(&job, progress).await;
    let job = api.jobs.get(id).await?.ok_or_else(Problem::job_not_found)?;
    Ok(HttpResponse::Ok().json(json!({ "cancel_requested": job.state.is_cancel_requested() })))
}

/// The token of `Authorization`, as text.
fn token(request: &HttpRequest) -> Option<&str> {
    let token = bearer(request.headers().get(AUTHORIZATION)?.as_bytes())?;
    std::str::from_utf8(token).ok()
}

fn unauthorized() -> Problem {
    let detail = "Progress is reported with the attempt_token of the request that began the attempt, until it is over.";
    Problem::new(ProblemType::Unauthorized, detail)
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""))
}

fn parse(body: &[u8]) -> Result<Progress, Problem> {
    let malformed = |_| Problem::new(ProblemType::MalformedRequest, "The body is not JSON.");
    let invalid = |faults| Err(Problem::faults(ProblemType::ValidationFailed, faults));
    let Value::Object(members) = serde_json::from_slice(body).map_err(malformed)? else {
        return invalid(vec![Fault::new("", "must be an object")]);
    };
    let mut faults: Vec<Fault> = members
        .keys()
        .filter(|name| !MEMBERS.contains(&name.as_str()))
        .map(|name| Fault::new(format!("/{}", Fault::escape(name)), "is not a member that is known here"))
        .collect();
    let percent = match members.get("percent") {
        None | Some(Value::Null) => {
            faults.push(Fault::new("/percent", "is required"));
            0
        }
        Some(percent) => percent.as_u64().filter(|percent| *percent <= 100).unwrap_or_else(|| {
            faults.push(Fault::new("/percent", "must be a whole number from 0 to 100"));
            0
        }),
    };
    let message = match members.get("message") {
        None | Some(Value::Null) => None,
        Some(Value::String(message)) => Some(message.as_str()),
        Some(_) => {
            faults.push(Fault::new("/message", "must be a text"));
            None
        }
    };
    if faults.is_empty() { Ok(Progress::new(percent as u8, message)) } else { invalid(faults) }
}
