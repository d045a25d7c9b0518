//! Runs `http` jobs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::payload::Http;
use super::retry_after::retry_after;
use crate::clock::Clock;
use crate::egress::{Client, Error, Received};
use crate::handler::{About, Context, Failure, Handler, Outcome};
use crate::job::{Fault, JobResult, LogLevel, Timestamp};
use crate::kinds::about;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// How much of the body of an answer that is a failure its error quotes, in bytes.
const QUOTED: usize = 500;
const ADVICE: &str = "; redirects are not followed unless follow_redirects is true";

/// Runs `http` jobs. The result is `{"status", "headers", "body"}`: the body as JSON where the far side says that it is,
/// else as a text, or in base64 as `body_base64` where it is not UTF-8.
pub struct HttpHandler {
    /// Sends the requests.
    pub client: Client,
    /// Tells the time, for dates in `Retry-After`.
    pub clock: Clock,
    /// Bytes of one body, decoded.
    pub body_limit: usize,
}

impl Handler for HttpHandler {
    type Input = Http;

    fn about(&self) -> About {
        about::http()
    }

    fn check(&self, input: &Http) -> Vec<Fault> {
        input.parse(self.client.policy()).err().unwrap_or_default()
    }

    async fn run(&self, input: Http, cx: &Context) -> Result<Outcome, Failure> {
        // It was checked when it was submitted; what is allowed can have changed since.
        let mut call =
            input.parse(self.client.policy()).map_err(|faults| Failure::invalid_payload(&faults))?;
        if let Ok(id) = HeaderValue::try_from(cx.once_id()) {
            call.headers.entry(IDEMPOTENCY_KEY).or_insert(id);
        }
        if !call.headers.contains_key(TRACEPARENT) {
            trace(cx, &self.clock, &mut call.headers);
        }
        let host = call.url.host_str().unwrap_or_default().to_owned();
        cx.log(LogLevel::Info, &format!("{} to {host}", call.method)).await;
        let expect = call.expect;
        let expected = |status: StatusCode| {
            if expect.is_empty() { status.is_success() } else { expect.contains(&status.as_u16()) }
        };
        let sending =
            self.client.send(call.method, call.url, call.headers, call.body, self.body_limit, call.follow);
        let received = tokio::select! {
            biased;
            received = sending => whole(received, expected)?,
            () = cx.canceled() => return Err(Failure::transient("canceled", "canceled before an answer came")),
        };
        let status = received.status;
        cx.log(LogLevel::Info, &format!("answered {status}")).await;
        if !expected(status) {
            return Err(unexpected(&received, self.clock.now(), ADVICE));
        }
        Ok(Outcome::Completed(result(received)))
    }
}

/// Tells the far side of the trace that the job belongs to, as a span of its own.
pub(in crate::kinds) fn trace(cx: &Context, clock: &Clock, headers: &mut HeaderMap) {
    let Some(trace) = &cx.job().spec.trace else { return };
    headers.extend(HeaderValue::try_from(trace.parent(clock.dice())).ok().map(|value| (TRACEPARENT, value)));
    let state = trace.state().and_then(|state| HeaderValue::from_str(state).ok());
    headers.extend(state.map(|value| (TRACESTATE, value)));
}

fn result(received: Received) -> JobResult {
    let Received { status, headers, body } = received;
    let mut result = json!({"status": status.as_u16(), "headers": shown(&headers)});
    match String::from_utf8(body) {
        Ok(text) => {
            let value = is_json(&headers).then(|| serde_json::from_str(&text).ok()).flatten();
            result["body"] = value.unwrap_or(Value::String(text));
        }
        Err(bytes) => {
            result["body"] = Value::Null;
            result["body_base64"] = STANDARD.encode(bytes.as_bytes()).into();
        }
    }
    // A value is always JSON.
    let bytes = serde_json::to_vec(&result).unwrap_or_default().into();
    JobResult { media_type: "application/json".into(), bytes }
}

/// Headers as an object; what stands several times is joined as RFC 9110 §5.3 allows.
fn shown(headers: &HeaderMap) -> Map<String, Value> {
    let text = |name: &HeaderName| {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        Value::String(values.join(", "))
    };
    headers.keys().map(|name| (name.as_str().to_owned(), text(name))).collect()
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// What an answer means that is not the one that was wanted (contract, section 7).
/// `of_redirects` is said where it is a redirect.
pub(in crate::kinds) fn unexpected(received: &Received, now: Timestamp, of_redirects: &str) -> Failure {
    let status = received.status;
    let quoted = quote(&received.body);
    let advice = if status.is_redirection() { of_redirects } else { "" };
    let message = format!("the far side answered {status}{advice}{quoted}");
    let code = format!("http-{}", status.as_u16());
    let transient = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        );
    let failure =
        if transient { Failure::transient(code, message) } else { Failure::permanent(code, message) };
    match retry_after(&received.headers, now) {
        Some(delay) if transient => failure.retry_after(delay),
        _ => failure,
    }
}

/// The beginning of a body, if it can be read by people.
fn quote(body: &[u8]) -> String {
    let body = &body[..body.len().min(QUOTED)];
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        // Cut within a character, perhaps.
        Err(error) if body.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(&body[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return String::new(),
    };
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// An answer, or why there was none. Of one that is not `expected` the beginning is enough: what its status says holds,
/// however large its body is.
pub(in crate::kinds) fn whole(
    received: Result<Received, Error>,
    expected: impl Fn(StatusCode) -> bool,
) -> Result<Received, Failure> {
    match received {
        Err(Error::TooLarge { received, .. }) if !expected(received.status) => Ok(*received),
        received => received.map_err(|error| failed(&error)),
    }
}

/// Why there was no answer.
fn failed(error: &Error) -> Failure {
    let (code, transient) = match error {
        Error::Refused(_) => ("target-forbidden", false),
        Error::TooLarge { .. } => ("result-too-large", false),
        Error::TooManyRedirects | Error::BadRedirect | Error::Downgrade => ("bad-redirect", false),
        Error::Connect(_) => ("connect", true),
        Error::Broken(_) => ("connection-broken", true),
    };
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    if transient { Failure::transient(code, message) } else { Failure::permanent(code, message) }
}
