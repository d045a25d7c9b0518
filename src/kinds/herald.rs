//! What notices say, and whom they may be sent to.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::webhook::target;
use super::{Email, Webhook};
use crate::egress::{Policy, Refused};
use crate::job::{Callback, Job, JobState, KeptResult, ResultSlot, Timestamp, Waiting};
use crate::mail::{mask, parse_mailbox};
use crate::store::Durability;
use crate::view::{JobUrl, View};

/// How large a result may be to stand in a webhook, in bytes of its JSON: quotes, breaks and the like take more than they
/// do in a text.
const INLINE: usize = 16 << 10;
/// The template of the mail that tells of the end of a job.
const TEMPLATE: &str = "job_finished";

/// Writes the notices of jobs.
#[derive(Clone, Debug)]
pub struct Herald {
    /// Where webhooks may go.
    pub policy: Policy,
    /// What goes before the paths in jobs: empty, or the public URL.
    pub base_url: Arc<str>,
    /// What a crash would cost.
    pub durability: Durability,
}

impl Herald {
    /// Looks at the URL of a callback, which may have a user and a password in it.
    ///
    /// # Errors
    ///
    /// Why nothing may be sent there.
    pub fn check_url(&self, url: &str) -> Result<(), Refused> {
        target(url, &self.policy).map(drop)
    }

    /// Looks at an address of mail, as strictly as those of a mail.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without repeating it.
    pub fn check_address(&self, address: &str) -> Result<(), &'static str> {
        parse_mailbox(address).map(drop)
    }

    /// An address of mail with who it belongs to hidden.
    pub fn shown_address(&self, address: &str) -> String {
        parse_mailbox(address).map(|mailbox| mask(mailbox.email.as_ref())).unwrap_or_default()
    }

    /// The payload of a webhook: the envelope of the job as it stands, with its result once it is completed.
    pub fn webhook(
        &self,
        job: &Job,
        at: Timestamp,
        waiting: Option<Waiting>,
        callback: &Callback,
    ) -> Box<RawValue> {
        let view = View { base_url: &self.base_url, durability: self.durability };
        let what = format_args!("job.{}", job.state.name());
        let mut body = view.envelope(what, at, job, waiting);
        if let JobState::Completed { result, .. } = &job.state {
            // The last braces are those of the job and of the envelope.
            body.truncate(body.len() - 2);
            body.extend_from_slice(self.result(job, result).as_bytes());
            body.extend_from_slice(b"}}");
        }
        let body = String::from_utf8(body).ok().and_then(|body| RawValue::from_string(body).ok());
        raw(&Webhook { url: callback.url.to_string(), body: body.unwrap_or_default() })
    }

    /// A member with the result, or with where it is.
    fn result(&self, job: &Job, slot: &ResultSlot) -> String {
        let inline = match slot {
            ResultSlot::Null => Some("null".to_owned()),
            ResultSlot::Kept(result) => inline(result),
            ResultSlot::Expired => None,
        };
        match inline {
            Some(result) => format!(",\"result\":{result}"),
            None => format!(",\"result_url\":\"{}\"", JobUrl::new(&self.base_url, job.id(), "/result")),
        }
    }

    /// The payload of a mail that tells of a job that has come to its end.
    pub fn email(&self, job: &Job, address: &str) -> Box<RawValue> {
        let mut shown = json!({
            "id": job.id(),
            "kind": job.spec.kind,
            "queue": job.spec.queue,
            "state": job.state.name(),
            "attempt": job.attempt,
            "max_attempts": job.spec.max_attempts,
        });
        // Templates ask whether a member is there, so that none may be null.
        if let Some(at) = job.state.finished_at() {
            shown["finished_at"] = at.to_string().into();
        }
        if let Some(error) = &job.error {
            shown["error"] = json!(error);
        }
        if let JobState::Skipped { reason, .. } = &job.state {
            shown["skip_reason"] = Value::from(&**reason);
        }
        let mut data = json!({ "job": shown });
        // A link in a mail leads nowhere without a host.
        if !self.base_url.is_empty() {
            data["job_url"] = JobUrl::new(&self.base_url, job.id(), "").to_string().into();
        }
        raw(&Email::from_template(address, TEMPLATE, &data))
    }
}

/// A result as a JSON value, if it is small and a text: JSON as it is, any other text as a string.
fn inline(result: &KeptResult) -> Option<String> {
    let text = std::str::from_utf8(result.bytes()).ok().filter(|text| text.len() <= INLINE)?;
    let essence = result.media_type().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        // An app can say that something is JSON which is none.
        serde_json::from_str::<&RawValue>(text).ok()?;
        // Outside of strings, where no line can break, a break means nothing; and a notice is one line when it is spilled.
        return Some(text.replace(['\n', '\r'], " "));
    }
    let json = essence.starts_with("text/").then(|| Value::from(text).to_string());
    json.filter(|json| json.len() <= INLINE)
}

fn raw(payload: &impl serde::Serialize) -> Box<RawValue> {
    // Texts and JSON always have a JSON form.
    serde_json::value::to_raw_value(payload).unwrap_or_default()
}

#[cfg(test)]
#[path = "herald_tests.rs"]
mod tests;
