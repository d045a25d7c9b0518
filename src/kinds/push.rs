//! Runs a job in the user's own app: a signed request, whose answer is the outcome.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::http::{trace, unexpected, whole};
use super::raw::Raw;
use crate::clock::Clock;
use crate::egress::{Client, Received};
use crate::handler::{About, Context, Failure, Handler, Outcome};
use crate::job::{JobResult, LogLevel, is_media_type};
use crate::sign::{AttemptTokens, Signer};
use crate::store::Durability;
use crate::view::View;

/// By which an answer says that no work was due, with [`REASON`]; any other value is not known and not obeyed.
const OUTCOME: &str = "backroom-outcome";
const REASON: &str = "backroom-reason";
/// The reason of a skip that gives none.
const NO_REASON: &str = "the app skipped it";
/// The media type of a result whose own is missing or none.
const UNKNOWN_TYPE: &str = "application/octet-stream";
const ADVICE: &str = "; redirects are not followed: give the address that it leads to";

/// Runs the jobs of one kind with `run = "push"`.
///
/// The request is a `POST` of `{"type":"job.run","timestamp","data":{Job, "payload", "attempt_token"}}`, signed as
/// Standard Webhooks says. `webhook-id` and `Idempotency-Key` are the id of the job, the same in every attempt. 2xx
/// completes, with the body as the result, whatever its media type; `Backroom-Outcome: skipped` skips.
pub struct PushHandler {
    /// Where the app listens.
    pub url: Url,
    /// Sends the requests.
    pub client: Client,
    /// Signs them.
    pub signer: Arc<Signer>,
    /// Makes the token by which the app reports progress.
    pub tokens: AttemptTokens,
    /// What goes before the paths in the job.
    pub base_url: Arc<str>,
    /// What a crash would cost.
    pub durability: Durability,
    /// Tells the time.
    pub clock: Clock,
    /// Bytes of one result.
    pub result_limit: usize,
    /// What is told about the kind.
    pub about: About,
}

impl Handler for PushHandler {
    type Input = Raw;

    fn about(&self) -> About {
        self.about.clone()
    }

    async fn run(&self, input: Raw, cx: &Context) -> Result<Outcome, Failure> {
        let now = self.clock.now();
        let body = self.envelope(&input, cx);
        let id = cx.once_id();
        let signed = self.signer.sign(&id, now.as_millis().div_euclid(1_000), &body);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [
            ("idempotency-key", id),
            ("webhook-id", signed.id),
            ("webhook-timestamp", signed.timestamp),
            ("webhook-signature", signed.signature),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value)?);
        }
        trace(cx, &self.clock, &mut headers);
        let sending =
            self.client.send(Method::POST, self.url.clone(), headers, Some(body), self.result_limit, false);
        let received = tokio::select! {
            biased;
            received = sending => whole(received, |status| status.is_success())?,
            // The app sees that the connection ends.
            () = cx.canceled() => return Err(Failure::transient("canceled", "canceled before an answer came")),
        };
        cx.log(LogLevel::Info, &format!("the app answered {}", received.status)).await;
        if !received.status.is_success() {
            return Err(unexpected(&received, self.clock.now(), ADVICE));
        }
        Ok(outcome(received))
    }
}

impl PushHandler {
    fn envelope(&self, input: &Raw, cx: &Context) -> Bytes {
        let token = self.tokens.issue(cx.job_id(), cx.job().runs);
        let view = View { base_url: &self.base_url, durability: self.durability };
        let mut body =
            format!("{{\"type\":\"job.run\",\"timestamp\":\"{}\",\"data\":", self.clock.now()).into_bytes();
        view.write(cx.job(), None, false, &mut body);
        // The job is an object: its last brace makes way for two more members.
        body.pop();
        body.extend_from_slice(b",\"payload\":");
        body.extend_from_slice(input.get().as_bytes());
        body.extend_from_slice(format!(",\"attempt_token\":\"{token}\"}}}}").as_bytes());
        body.into()
    }
}

fn outcome(received: Received) -> Outcome {
    let text = |name: &str| {
        let value = received.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned()).filter(|text| !text.is_empty())
    };
    if text(OUTCOME).is_some_and(|outcome| outcome.eq_ignore_ascii_case("skipped")) {
        return Outcome::skip(text(REASON).as_deref().unwrap_or(NO_REASON));
    }
    if received.body.is_empty() {
        return Outcome::done();
    }
    // It becomes a header of our own answer: one that is none is not passed on.
    let media_type = text(CONTENT_TYPE.as_str()).filter(|text| is_media_type(text));
    let media_type = media_type.map_or(UNKNOWN_TYPE.into(), Into::into);
    Outcome::Completed(JobResult { media_type, bytes: received.body.into() })
}
