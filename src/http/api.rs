//! What every handler has at hand.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::guard::Guard;
use super::hub::Hub;
use super::idempotency_memory::Idempotency;
use crate::job::JobId;
use crate::jobs::Jobs;
use crate::mail::Mailer;
use crate::schedules::Schedules;
use crate::shutdown::Phase;
use crate::sign::AttemptTokens;
use crate::view::{JobUrl, View};

/// What the routes work on. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    /// The jobs.
    pub jobs: Jobs,
    /// What makes jobs by itself.
    pub schedules: Schedules,
    /// Where the server is in its life.
    pub phase: Phase,
    /// Canceled when connections are about to be closed: whoever waits is answered with what is known.
    pub closing: CancellationToken,
    /// Captured mail is shown from here.
    pub mailer: Mailer,
    /// What goes before every path in answers: empty, or the public URL without a slash at its end. Written as it is sent:
    /// see [`View::base_url`].
    pub base_url: String,
    /// Checks the tokens by which attempts that run in a user's app report their progress.
    pub attempt_tokens: AttemptTokens,
    /// Bytes of one request body.
    pub body_limit: usize,
    /// Who may call, under which name, from which pages.
    pub guard: Arc<Guard>,
    /// What was accepted under idempotency keys.
    pub idempotency: Idempotency,
    /// The connections of the SignalR hub.
    pub hub: Hub,
    /// How long one request body may take to arrive.
    pub body_timeout: Duration,
    /// Bytes that all jobs may take, for those who watch how near they are.
    pub memory_limit: u64,
    /// Whether every request is logged.
    pub access_log: bool,
}

impl Api {
    pub(super) fn view(&self) -> View<'_> {
        View { base_url: &self.base_url, durability: self.jobs.durability() }
    }

    pub(super) fn job_url(&self, id: JobId, part: &'static str) -> JobUrl<'_> {
        JobUrl::new(&self.base_url, id, part)
    }
}
