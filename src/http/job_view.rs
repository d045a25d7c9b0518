//! A job as it is shown.

use serde::Serialize;

use super::api::{Api, JobUrl};
use crate::job::{
    Attempt, Job, JobError, JobId, JobState, KindName, Progress, QueueName, StateName, Tag, Timestamp,
};
use crate::jobs::{Accepted, Waiting, WaitingFor};
use crate::store::Durability;

#[derive(Serialize)]
struct View<'a> {
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
    waiting: Option<WaitingView>,
    error: Option<&'a JobError>,
    attempts: &'a [Attempt],
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
struct WaitingView {
    r#for: &'static str,
    until: Option<Timestamp>,
    ahead: u64,
}

#[derive(Serialize)]
struct Links<'a> {
    #[serde(rename = "self")]
    job: JobUrl<'a>,
    status: JobUrl<'a>,
    result: JobUrl<'a>,
}

impl Api {
    /// Writes a job as JSON. Neither its payload nor its result is in it.
    pub(super) fn write_job(&self, job: &Job, now: Timestamp, into: &mut Vec<u8>) {
        self.write(job, false, now, into);
    }

    /// Writes what became of a submission as JSON: the job, and whether it was known.
    pub(super) fn write_accepted(&self, accepted: &Accepted, now: Timestamp, into: &mut Vec<u8>) {
        self.write(accepted.job(), accepted.is_duplicate(), now, into);
    }

    fn write(&self, job: &Job, deduplicated: bool, now: Timestamp, into: &mut Vec<u8>) {
        let spec = &*job.spec;
        let id = spec.id;
        let view = View {
            id,
            kind: &spec.kind,
            queue: &spec.queue,
            state: job.state.name(),
            durability: self.jobs.durability(),
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
            waiting: self.jobs.waiting(job, now).map(WaitingView::from),
            error: job.error.as_deref(),
            attempts: &job.attempts,
            links: Links {
                job: self.job_url(id, ""),
                status: self.job_url(id, "/status"),
                result: self.job_url(id, "/result"),
            },
            deduplicated,
        };
        // Writing plain data into memory cannot fail.
        let _ = serde_json::to_writer(into, &view);
    }

    /// A job as JSON.
    pub(super) fn job_json(&self, job: &Job, now: Timestamp) -> Vec<u8> {
        let mut body = Vec::with_capacity(1_024);
        self.write_job(job, now, &mut body);
        body
    }

    /// What became of a submission as JSON.
    pub(super) fn accepted_json(&self, accepted: &Accepted, now: Timestamp) -> Vec<u8> {
        let mut body = Vec::with_capacity(1_024);
        self.write_accepted(accepted, now, &mut body);
        body
    }

    /// Jobs as the items of a JSON array under a member name, without the closing brace.
    pub(super) fn jobs_json<'a>(
        &self,
        member: &str,
        jobs: impl Iterator<Item = &'a std::sync::Arc<Job>>,
        now: Timestamp,
    ) -> Vec<u8> {
        let mut body = format!("{{\"{member}\":[").into_bytes();
        for (n, job) in jobs.enumerate() {
            if n > 0 {
                body.push(b',');
            }
            self.write_job(job, now, &mut body);
        }
        body.push(b']');
        body
    }
}

impl From<Waiting> for WaitingView {
    fn from(waiting: Waiting) -> Self {
        let reason = match waiting.reason {
            WaitingFor::Turn => "turn",
            WaitingFor::Schedule => "schedule",
            WaitingFor::Retry => "retry",
            WaitingFor::Room => "room",
        };
        Self { r#for: reason, until: waiting.until, ahead: waiting.ahead }
    }
}
