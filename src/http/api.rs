//! What every handler has at hand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::guard::Guard;
use super::idempotency_memory::Idempotency;
use crate::job::JobId;
use crate::jobs::Jobs;
use crate::mail::Mailer;
use crate::shutdown::Phase;

/// What the routes work on. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    /// The jobs.
    pub jobs: Jobs,
    /// Where the server is in its life.
    pub phase: Phase,
    /// Canceled when connections are about to be closed: whoever waits is answered with what is known.
    pub closing: CancellationToken,
    /// Captured mail is shown from here.
    pub mailer: Mailer,
    /// What goes before every path in answers: empty, or the public URL without a slash at its end.
    pub base_url: String,
    /// Bytes of one request body.
    pub body_limit: usize,
    /// Who may call, under which name, from which pages.
    pub guard: Arc<Guard>,
    /// What was accepted under idempotency keys.
    pub idempotency: Idempotency,
    /// How long one request body may take to arrive.
    pub body_timeout: Duration,
}

/// The URL of a job or of a part of it, as it stands in answers.
pub(super) struct JobUrl<'a> {
    pub(super) base: &'a str,
    pub(super) id: JobId,
    /// Empty, or `/status` and the like.
    pub(super) part: &'static str,
}

impl fmt::Display for JobUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/api/jobs/{}{}", self.base, self.id, self.part)
    }
}

impl serde::Serialize for JobUrl<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Api {
    pub(super) fn job_url(&self, id: JobId, part: &'static str) -> JobUrl<'_> {
        JobUrl { base: &self.base_url, id, part }
    }
}
