//! A job as it is shown: in answers, in events, in what is sent to other programs. Neither its payload nor its result is
//! in it.

use std::fmt;
use std::io::Write as _;

use serde::Serialize;

use crate::job::{
    Attempt, Delivery, Job, JobError, JobId, JobState, KindName, Progress, QueueName, StateName, Tag,
    Timestamp, Waiting,
};
use crate::store::Durability;

/// What a server adds to each job that it shows.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What goes before every path: empty, or the public URL without a slash at its end.
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
        let id = spec.id;
        let view = Shown {
            id,
            kind: &spec.kind,
            queue: &spec.queue,
            state: job.state.name(),
            durability: self.durability,
            attempt: job.attempt,
            max_attempts: spec.max_attempts,
            tags: &spec.tags,
            created_at: spec.created_at,
            run_at: job.run_at,
            started_at: job.started_at,
            finished_at: job.state.finished_at(),
            next_attempt_at: match job.state {
                JobState::Failed { due } => Some(due),
                _ => None,
            },
            expires_at: job.expires_at,
            progress: &job.progress,
            cancel_requested: matches!(job.state, JobState::Processing { cancel_requested: true, .. }),
            skip_reason: match &job.state {
                JobState::Skipped { reason, .. } => Some(reason),
                _ => None,
            },
            waiting,
            error: job.error.as_deref(),
            attempts: &job.attempts,
            callback: job
                .wanted()
                .and_then(|wanted| wanted.callback.as_ref())
                .map(|callback| CallbackView { url: callback.shown(), state: job.callback_state() }),
            links: Links {
                job: self.url(id, ""),
                status: self.url(id, "/status"),
                result: self.url(id, "/result"),
                events: self.url(id, "/events"),
            },
            deduplicated,
        };
        // Writing plain data into memory cannot fail.
        let _ = serde_json::to_writer(into, &view);
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

    fn url(&self, id: JobId, part: &'static str) -> JobUrl<'_> {
        JobUrl::new(self.base_url, id, part)
    }
}

impl<'a> JobUrl<'a> {
    /// The URL of a job under a base, or of a part of it: empty, or `/status` and the like.
    pub const fn new(base: &'a str, id: JobId, part: &'static str) -> Self {
        Self { base, id, part }
    }
}

impl fmt::Display for JobUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/api/jobs/{}{}", self.base, self.id, self.part)
    }
}

impl Serialize for JobUrl<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    id: JobId,
    kind: &'a KindName,
    queue: &'a QueueName,
    state: StateName,
    durability: Durability,
    attempt: u32,
    max_attempts: u32,
    tags: &'a [Tag],
    created_at: Timestamp,
    run_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    next_attempt_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    progress: &'a Progress,
    cancel_requested: bool,
    skip_reason: Option<&'a str>,
    waiting: Option<Waiting>,
    error: Option<&'a JobError>,
    attempts: &'a [Attempt],
    callback: Option<CallbackView>,
    links: Links<'a>,
    /// Only in the answer to a submission, and only when it was the same work as this job.
    #[serde(skip_serializing_if = "is_false")]
    deduplicated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[derive(Serialize)]
struct CallbackView {
    /// Without what may be secret in it.
    url: String,
    state: Delivery,
}

#[derive(Serialize)]
struct Links<'a> {
    #[serde(rename = "self")]
    job: JobUrl<'a>,
    status: JobUrl<'a>,
    result: JobUrl<'a>,
    events: JobUrl<'a>,
}
