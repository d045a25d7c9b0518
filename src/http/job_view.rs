//! Jobs in answers.

use super::api::Api;
use crate::job::{Job, Timestamp, Waiting};
use crate::jobs::Accepted;

impl Api {
    /// Writes a job as JSON. Neither its payload nor its result is in it.
    pub(super) fn write_job(&self, job: &Job, now: Timestamp, into: &mut Vec<u8>) {
        self.view().write(job, self.jobs.waiting(job, now), false, into);
    }

    /// Writes what became of a submission as JSON: the job, why it does not run yet, and whether it was known.
    pub(super) fn write_accepted(&self, accepted: &Accepted, waiting: Option<Waiting>, into: &mut Vec<u8>) {
        self.view().write(accepted.job(), waiting, accepted.is_duplicate(), into);
    }

    /// A job as JSON.
    pub(super) fn job_json(&self, job: &Job, now: Timestamp) -> Vec<u8> {
        self.job_json_of(job, self.jobs.waiting(job, now))
    }

    /// The same by whoever knows already why it does not run yet.
    pub(super) fn job_json_of(&self, job: &Job, waiting: Option<Waiting>) -> Vec<u8> {
        self.shown(job, waiting, false)
    }

    /// What became of a submission as JSON.
    pub(super) fn accepted_json(&self, accepted: &Accepted, waiting: Option<Waiting>) -> Vec<u8> {
        self.shown(accepted.job(), waiting, accepted.is_duplicate())
    }

    fn shown(&self, job: &Job, waiting: Option<Waiting>, deduplicated: bool) -> Vec<u8> {
        let mut body = Vec::with_capacity(1_024);
        self.view().write(job, waiting, deduplicated, &mut body);
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
