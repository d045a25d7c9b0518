//! Reading a request body, within its bounds of size and time.

use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue,
    TRANSFER_ENCODING, UPGRADE,
};
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpMessage as _, HttpRequest};
use futures_util::{Stream, StreamExt as _};

use super::api::Api;
use super::connection::Traffic;
use super::problem::Problem;
use super::problem_type::ProblemType;
use crate::again::ask_again;
use crate::job::format_duration;
use crate::jobs::SubmitError;
use crate::metrics::Rejection;

/// Reads the whole body. Always call this before anything else is decided: an answer that is sent before the body was
/// read costs the client its connection.
///
/// # Errors
///
/// A body above the limit or too slow, which ends the connection, and a connection that breaks off.
pub(super) async fn read(
    request: &HttpRequest,
    payload: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    api: &Api,
) -> Result<Bytes, Problem> {
    let read = in_time(whole(request, payload, api.body_limit), api.body_timeout).await;
    if let Some(traffic) = request.conn_data::<Rc<Traffic>>() {
        traffic.body_read();
    }
    match read {
        Some(body) => body,
        None => {
            let allowed = format_duration(api.body_timeout);
            let detail =
                format!("The body did not arrive within {allowed}. Nothing was accepted: send it again.");
            // RFC 9110 §15.5.9: the connection ends, because what is left of the body would be taken for a request.
            Err(Problem::new(ProblemType::RequestTimeout, detail).close())
        }
    }
}

/// What comes of this, if it comes within the time.
async fn in_time<T>(reading: impl Future<Output = T>, time: Duration) -> Option<T> {
    let mut reading = std::pin::pin!(reading);
    // Most bodies have come together with their head, and are handed on once they have been asked for: for those no timer is
    // made, which costs more than to read them.
    if let Poll::Ready(read) = futures_util::poll!(reading.as_mut()) {
        return Some(read);
    }
    ask_again().await;
    if let Poll::Ready(read) = futures_util::poll!(reading.as_mut()) {
        return Some(read);
    }
    // Apart, so that those who need no timer do not carry it.
    Box::pin(tokio::time::timeout(time, reading)).await.ok()
}

async fn whole(
    request: &HttpRequest,
    mut payload: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    limit: usize,
) -> Result<Bytes, Problem> {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > limit) {
        return Err(too_large(limit));
    }
    let mut body: Option<BytesMut> = None;
    let mut first = Bytes::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| {
            Problem::new(ProblemType::MalformedRequest, "The body ended before it was complete.").close()
        })?;
        let so_far = body.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + chunk.len() > limit {
            return Err(too_large(limit));
        }
        // Most bodies come in one piece, which then needs no copy.
        match &mut body {
            Some(body) => body.extend_from_slice(&chunk),
            None if first.is_empty() => first = chunk,
            None => {
                let mut both = BytesMut::with_capacity(announced.unwrap_or(2 * (first.len() + chunk.len())));
                both.extend_from_slice(&first);
                both.extend_from_slice(&chunk);
                body = Some(both);
            }
        }
    }
    Ok(body.map_or(first, BytesMut::freeze))
}

/// Reads the body of a submission: read whole, then refused if it is not JSON.
///
/// # Errors
///
/// As [`read`] and [`require_json`].
pub(super) async fn submission(request: &HttpRequest, payload: Payload, api: &Api) -> Result<Bytes, Problem> {
    let body = read(request, payload, api).await?;
    require_json(request)?;
    Ok(body)
}

/// Refuses a submission without a look at what was sent, if nothing is accepted any more.
///
/// # Errors
///
/// When the server is draining.
pub(super) fn refuse_when_draining(api: &Api) -> Result<(), Problem> {
    if api.jobs.is_draining() {
        api.jobs.metrics().rejected(Rejection::Draining);
        return Err(SubmitError::Draining.into());
    }
    Ok(())
}

/// Counts a job that was refused before the service heard of it.
pub(super) fn count_refused(problem: &Problem, api: &Api) {
    if let Some(reason) = problem.rejection() {
        api.jobs.metrics().rejected(reason);
    }
}

/// Reads a body that is not wanted, so that the connection can be used again.
///
/// # Errors
///
/// As [`read`].
pub(super) async fn discard(
    request: &HttpRequest,
    payload: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    api: &Api,
) -> Result<(), Problem> {
    if is_endless(request) {
        return Ok(());
    }
    read(request, payload, api).await.map(drop)
}

/// Whether what follows the head is no body but whatever the client says next: it has no end that could be waited for.
pub(super) fn is_endless(request: &HttpRequest) -> bool {
    let headers = request.headers();
    // As actix reads it: this upgrade wins over a length, and chunks win over both.
    let is_websocket = || {
        let upgrades =
            headers.get_all(UPGRADE).any(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"));
        upgrades && !headers.contains_key(TRANSFER_ENCODING)
    };
    *request.method() == Method::CONNECT || is_websocket()
}

/// Reads the body of a write that needs none. What a web form could send is refused all the same: a browser asks before
/// it sends JSON to a server of another origin, and does not ask before it sends a form.
///
/// # Errors
///
/// As [`read`]; and, where there is a body, as [`require_json`].
pub(super) async fn unneeded(request: &HttpRequest, payload: Payload, api: &Api) -> Result<(), Problem> {
    let body = read(request, payload, api).await?;
    if body.is_empty() { Ok(()) } else { require_json(request) }
}

/// Refuses a body that is compressed.
///
/// # Errors
///
/// When it is not, or is.
pub(super) fn require_json(request: &HttpRequest) -> Result<(), Problem> {
    require_plain(request)?;
    require_media(request, &["application/json"])
}

/// Refuses a body that is declared neither as a merge patch nor as JSON, or is compressed.
///
/// # Errors
///
/// When it is not, or is.
pub(super) fn require_merge_patch(request: &HttpRequest) -> Result<(), Problem> {
    require_plain(request)?;
    require_media(request, &["application/merge-patch+json", "application/json"]).map_err(|problem| {
        // RFC 5789 §2.2: says what would have been understood.
        let media = HeaderValue::from_static("application/merge-patch+json, application/json");
        problem.header(HeaderName::from_static("accept-patch"), media)
    })
}

fn require_plain(request: &HttpRequest) -> Result<(), Problem> {
    let codings = request.headers().get_all(CONTENT_ENCODING);
    if codings.into_iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let detail = "The body is compressed, which is not understood here. Send it as it is.";
        return Err(Problem::new(ProblemType::UnsupportedMediaType, detail)
            // RFC 9110 §12.5.3: says what would have been understood.
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    Ok(())
}

/// The first one is what is asked for.
fn require_media(request: &HttpRequest, known: &[&str]) -> Result<(), Problem> {
    // Most clients write it as it stands here, and then no parameters need be looked for.
    let sent = request.headers().get(CONTENT_TYPE);
    let is_plain = sent.is_some_and(|sent| known.iter().any(|known| sent.as_bytes() == known.as_bytes()));
    if is_plain || known.iter().any(|known| request.content_type().eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let has = if request.headers().contains_key(CONTENT_TYPE) { "another" } else { "no" };
    let detail = format!("The body has {has} media type. Send Content-Type: {}.", known[0]);
    Err(Problem::new(ProblemType::UnsupportedMediaType, detail))
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("The body is larger than {limit} bytes.");
    Problem::new(ProblemType::PayloadTooLarge, detail).with("limit", limit).close()
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    /// As the body of a request whose head has just been read.
    async fn second_time() -> u8 {
        ask_again().await;
        7
    }

    #[test]
    fn what_has_come_with_the_head_needs_no_timer() {
        let without_time = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read =
            async { (in_time(ready(6), Duration::MAX).await, in_time(second_time(), Duration::MAX).await) };
        assert_eq!(without_time.block_on(read), (Some(6), Some(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_later_has_its_time_and_no_more() {
        let time = Duration::from_secs(30);
        let began = tokio::time::Instant::now();
        let late = |seconds| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            seconds
        };
        assert_eq!(in_time(late(29), time).await, Some(29));
        assert_eq!(in_time(late(31), time).await, None);
        assert_eq!(in_time(pending::<()>(), time).await, None);
        assert_eq!(began.elapsed().as_secs(), 29 + 30 + 30);
    }
}
