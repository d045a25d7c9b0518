//! A job as it is shown: in answers, in events, in what is sent to other programs. Neither its payload nor its result is
//! in it.

use std::fmt;
use std::io::Write as _;
use std::ops::Range;

use serde::Serialize;
use uuid::fmt::Hyphenated;

use crate::job::{Delivery, Job, JobId, JobState, Timestamp, Waiting};
use crate::store::Durability;

/// What a server adds to each job that it shows.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What goes before every path: empty, or the public URL without a slash at its end. Written as it is sent, so that
    /// neither JSON nor a header has anything to escape in it.
    pub base_url: &'a str,
    /// What a crash would cost.
    pub durability: Durability,
}

/// The URL of a job or of a part of it.
#[derive(Clone, Copy, Debug)]
pub struct JobUrl<'a> {
    base: &'a str,
    id: JobId,
    part: &'static str,
}

impl View<'_> {
    /// Writes a job as JSON. `waiting` says why it does not run yet, `deduplicated` that it is the answer to a submission of
    /// the same work.
    pub fn write(&self, job: &Job, waiting: Option<Waiting>, deduplicated: bool, into: &mut Vec<u8>) {
        let spec = &*job.spec;
        let next_attempt_at = match job.state {
            JobState::Failed { due } => Some(due),
            _ => None,
        };
        let skip_reason = match &job.state {
            JobState::Skipped { reason, .. } => Some(&**reason),
            _ => None,
        };
        let mut buffer = [0; Hyphenated::LENGTH];
        let id: &str = spec.id.as_uuid().hyphenated().encode_lower(&mut buffer);
        let mut json = Json(into);
        // In none of these is anything that JSON escapes: names have only letters, digits and a few signs.
        json.texts(&["{\"id\":\"", id, "\",\"kind\":\"", spec.kind.as_str()]);
        json.texts(&["\",\"queue\":\"", spec.queue.as_str(), "\",\"state\":\"", job.state.name().as_str()]);
        json.texts(&["\",\"durability\":\"", self.durability.as_str()]);
        json.value("\",\"attempt\":", &job.attempt);
        json.value(",\"max_attempts\":", &spec.max_attempts);
        json.value(",\"tags\":", &spec.tags);
        let created_at = spec.created_at.digits();
        json.digits(",\"created_at\":", &created_at);
        // Most jobs are due at once.
        let run_at = if job.run_at == spec.created_at { created_at } else { job.run_at.digits() };
        json.digits(",\"run_at\":", &run_at);
        json.time(",\"started_at\":", job.started_at);
        json.time(",\"finished_at\":", job.state.finished_at());
        json.time(",\"next_attempt_at\":", next_attempt_at);
        json.time(",\"expires_at\":", job.expires_at);
        json.value(",\"progress\":{\"percent\":", &job.progress.percent);
        json.value(",\"message\":", &job.progress.message);
        json.value("},\"cancel_requested\":", &job.state.is_cancel_requested());
        json.value(",\"skip_reason\":", &skip_reason);
        match waiting {
            Some(Waiting { reason, until, ahead }) => {
                json.texts(&[",\"waiting\":{\"for\":\"", reason.as_str()]);
                json.time("\",\"until\":", until);
                json.value(",\"ahead\":", &ahead);
                json.text("}");
            }
            None => json.text(",\"waiting\":null"),
        }
        json.value(",\"error\":", &job.error.as_deref());
        json.value(",\"attempts\":", &job.attempts);
        let callback = job.wanted().and_then(|wanted| wanted.callback.as_ref());
        let callback =
            callback.map(|callback| CallbackView { url: callback.shown(), state: job.callback_state() });
        json.value(",\"callback\":", &callback);
        // A URL has nothing that JSON escapes. That of the job is in all of them, and is copied.
        json.text(",\"links\":{\"self\":\"");
        let begin = json.0.len();
        json.texts(&url(self.base_url, id, ""));
        let url = begin..json.0.len();
        json.again("\",\"status\":\"", url.clone(), "/status");
        json.again("\",\"result\":\"", url.clone(), "/result");
        json.again("\",\"events\":\"", url, "/events\"");
        json.text(if deduplicated { "},\"deduplicated\":true}" } else { "}}" });
    }

    /// A job within what tells of it (contract, section 8): what happened, when, and the number of it in the life of the job.
    pub fn envelope(
        &self,
        what: impl fmt::Display,
        at: Timestamp,
        job: &Job,
        waiting: Option<Waiting>,
    ) -> Vec<u8> {
        let mut envelope = Vec::with_capacity(1_280);
        // Writing into memory cannot fail, and a timestamp has nothing that JSON escapes.
        let _ = write!(
            envelope,
            "{{\"type\":\"{what}\",\"timestamp\":\"{at}\",\"sequence\":{},\"data\":",
            job.sequence
        );
        self.write(job, waiting, false, &mut envelope);
        envelope.push(b'}');
        envelope
    }
}

impl<'a> JobUrl<'a> {
    /// The URL of a job under a base, or of a part of it: empty, or `/status` and the like.
    pub const fn new(base: &'a str, id: JobId, part: &'static str) -> Self {
        Self { base, id, part }
    }

    /// The same as bytes, all of them visible ASCII as long as the base is.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut buffer = [0; Hyphenated::LENGTH];
        let id: &str = self.id.as_uuid().hyphenated().encode_lower(&mut buffer);
        url(self.base, id, self.part).concat().into_bytes()
    }
}

/// The URL of a job or of a part of it, in pieces.
const fn url<'t>(base: &'t str, id: &'t str, part: &'t str) -> [&'t str; 4] {
    [base, "/api/jobs/", id, part]
}

impl fmt::Display for JobUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; Hyphenated::LENGTH];
        let id: &str = self.id.as_uuid().hyphenated().encode_lower(&mut buffer);
        url(self.base, id, self.part).into_iter().try_for_each(|text| f.write_str(text))
    }
}

/// Writes JSON, member by member. A job is in every answer and in every event: serde looks through the name of each member
/// and through each URL for what must be escaped, letter by letter, which takes ten times as long as to copy them.
pub(crate) struct Json<'a>(pub(crate) &'a mut Vec<u8>);

impl Json<'_> {
    /// What is JSON already.
    pub(crate) fn text(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// The same in pieces.
    pub(crate) fn texts(&mut self, texts: &[&str]) {
        for text in texts {
            self.text(text);
        }
    }

    /// What stands here already, between two texts.
    fn again(&mut self, before: &str, there: Range<usize>, after: &str) {
        self.text(before);
        self.0.extend_from_within(there);
        self.text(after);
    }

    fn time(&mut self, member: &str, time: Option<Timestamp>) {
        match time {
            Some(time) => self.digits(member, &time.digits()),
            None => self.texts(&[member, "null"]),
        }
    }

    fn digits(&mut self, member: &str, time: &[u8]) {
        for part in [member.as_bytes(), b"\"", time, b"\""] {
            self.0.extend_from_slice(part);
        }
    }

    /// A member with any text. In most there is nothing to escape, which is found out sooner for all letters at once.
    pub(crate) fn string(&mut self, member: &str, text: &str) {
        let escaped = |byte| u8::from(matches!(byte, 0..b' ' | b'"' | b'\\'));
        if text.bytes().fold(0, |found, byte| found | escaped(byte)) == 0 {
            self.texts(&[member, "\"", text, "\""]);
        } else {
            self.value(member, &text);
        }
    }

    /// A member with any value.
    pub(crate) fn value(&mut self, member: &str, value: &impl Serialize) {
        self.text(member);
        // Writing plain data into memory cannot fail.
        let _ = serde_json::to_writer(&mut *self.0, value);
    }
}

#[derive(Serialize)]
struct CallbackView {
    /// Without what may be secret in it.
    url: String,
    state: Delivery,
}

#[cfg(test)]
mod tests;
