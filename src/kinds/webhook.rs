//! Sends webhooks: tells a user's app of a job, signed as Standard Webhooks says.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::Url;

use super::http::{trace, unexpected, whole};
use crate::clock::Clock;
use crate::egress::{Client, Error, Policy, Received, Refused};
use crate::handler::{About, Context, Failure, Handler, Outcome, Payload};
use crate::job::{CALLBACK_DISABLED, DISABLES, JobResult, LogLevel};
use crate::sign::Signer;

/// With the value `disable` an answer says that no more webhooks of this job are wanted.
const DELIVERY: &str = "webhook-delivery";
/// How much of an answer is read, in bytes.
const READ: usize = 16 << 10;
/// How long a receiver that has too much to do is left alone at least, if it does not say how long.
const LEAST_REST: Duration = Duration::from_mins(1);
const ADVICE: &str = "; redirects are not followed: give the address that it leads to";

/// The payload of a webhook, which only the server makes.
#[derive(Serialize, Deserialize, Debug)]
pub struct Webhook {
    /// Where it goes. What is secret in it is part of it.
    pub url: String,
    /// What is said: the same bytes in every attempt.
    pub body: Box<RawValue>,
}

impl Payload for Webhook {
    const KIND: &'static str = "webhook";
}

/// Sends webhooks.
///
/// The request is a `POST` of what the payload says, signed as Standard Webhooks says: `webhook-id` is the id of the notice,
/// the same in every attempt; `webhook-timestamp` and `webhook-signature` are those of the attempt.
pub struct WebhookHandler {
    /// Sends the requests.
    pub client: Client,
    /// Signs them.
    pub signer: Arc<Signer>,
    /// Tells the time.
    pub clock: Clock,
    /// How long a receiver may take for its whole answer. Shorter than the timeout of the attempt.
    pub timeout: Duration,
}

impl Handler for WebhookHandler {
    type Input = Webhook;

    fn about(&self) -> About {
        About { description: Some("Tells a user's app of a job.".to_owned()), ..About::default() }
    }

    async fn run(&self, input: Webhook, cx: &Context) -> Result<Outcome, Failure> {
        // It was checked when the job was submitted; what is allowed can have changed since.
        let (url, credentials) = target(&input.url, self.client.policy())
            .map_err(|refused| Failure::permanent("target-forbidden", refused.to_string()))?;
        let body = Bytes::from(String::from(Box::<str>::from(input.body)));
        let mut headers = self.signed(&cx.once_id(), &body)?;
        headers.extend(credentials.map(|credentials| (AUTHORIZATION, credentials)));
        trace(cx, &self.clock, &mut headers);
        let sending = self.client.send(Method::POST, url, headers, Some(body), READ, false);
        let received = tokio::select! {
            biased;
            // Whatever its status says holds, however large its body is.
            received = sending => {
                // The client has a time of its own for the connection, which is shorter.
                let is_late = received.as_ref().is_err_and(Error::is_timeout);
                let rested = |failure: Failure| if is_late { failure.rest_at_least(LEAST_REST) } else { failure };
                whole(received, |_| false).map_err(rested)?
            }
            () = cx.canceled() => return Err(Failure::transient("canceled", "canceled before an answer came")),
            () = tokio::time::sleep(self.timeout) => {
                let timeout = crate::job::format_duration(self.timeout);
                let failure = Failure::transient("timeout", format!("no whole answer within {timeout}"));
                return Err(failure.rest_at_least(LEAST_REST));
            }
        };
        cx.log(LogLevel::Info, &format!("the receiver answered {}", received.status)).await;
        self.outcome(&received)
    }
}

impl WebhookHandler {
    fn signed(&self, id: &str, body: &[u8]) -> Result<HeaderMap, Failure> {
        let signed = self.signer.sign(id, self.clock.now().as_millis().div_euclid(1_000), body);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [
            ("webhook-id", signed.id),
            ("webhook-timestamp", signed.timestamp),
            ("webhook-signature", signed.signature),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value)?);
        }
        Ok(headers)
    }

    fn outcome(&self, received: &Received) -> Result<Outcome, Failure> {
        let status = received.status;
        let asked = received.headers.get(DELIVERY).is_some_and(|value| {
            value.to_str().is_ok_and(|value| value.trim().eq_ignore_ascii_case("disable"))
        });
        if status.is_success() {
            let end = if asked { DISABLES } else { "\"disabled\":false}" };
            let bytes = format!("{{\"status\":{},{end}", status.as_u16()).into();
            return Ok(Outcome::Completed(JobResult { media_type: "application/json".into(), bytes }));
        }
        if asked || status == StatusCode::GONE {
            let message = format!("the receiver wants no more webhooks of this job: it answered {status}");
            return Err(Failure::permanent(CALLBACK_DISABLED, message));
        }
        let failure = unexpected(received, self.clock.now(), ADVICE);
        let is_busy = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
        );
        Err(if is_busy { failure.rest_at_least(LEAST_REST) } else { failure })
    }
}

/// Where a request for this URL goes, and what its user and password become: they have no place in the URL of a request.
///
/// # Errors
///
/// Why it must not go there.
pub(super) fn target(text: &str, policy: &Policy) -> Result<(Url, Option<HeaderValue>), Refused> {
    let mut url = Url::parse(text).map_err(|_| Refused::NotAUrl)?;
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let credentials = (!url.username().is_empty() || url.password().is_some()).then(|| {
        let pair = [decoded(url.username()), decoded(url.password().unwrap_or_default())].join(&b':');
        let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok();
        if let Some(value) = &mut value {
            value.set_sensitive(true);
        }
        value
    });
    // These fail for URLs that can have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    policy.check_parsed(&url)?;
    Ok((url, credentials.flatten()))
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
