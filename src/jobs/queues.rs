//! How the queues stand, and what somebody can change of them while they run.

use std::sync::Arc;

use super::Jobs;
use super::flow::{Configured, Standing};
use super::queue_patch::{Patch, Pause, QueuePatch};
use crate::job::{Fault, QueueName, RateLimit, StateName, Timestamp};
use crate::store::{Durability, StoreError, age_seconds};

/// How a queue stands.
#[derive(Clone, PartialEq, Debug)]
pub struct QueueStatus {
    /// Its name.
    pub name: QueueName,
    /// What a crash would cost its jobs.
    pub durability: Durability,
    /// Its pause, if it is paused.
    pub pause: Option<Pause>,
    /// How many jobs can wait.
    pub capacity: usize,
    /// How many run at once. Right after it was lowered more can still run.
    pub concurrency: usize,
    /// Jobs in each of the states that somebody might have to look at.
    pub pending: u64,
    /// Those that run.
    pub processing: u64,
    /// Those that wait for their time.
    pub scheduled: u64,
    /// Those that wait for another attempt.
    pub failed: u64,
    /// Those that were given up.
    pub dead_lettered: u64,
    /// How long the longest waiting pending job waits, in seconds.
    pub oldest_pending_seconds: f64,
    /// Jobs that came to their end per second, over the last few seconds.
    pub throughput_per_second: f64,
    /// How fast jobs may begin, if that is limited.
    pub rate_limit: Option<RateLimit>,
}

/// Why a queue was not changed.
#[derive(Debug, thiserror::Error)]
pub enum QueuePatchError {
    /// There is none of this name.
    #[error("there is no queue of this name")]
    NotFound,
    /// The change is not valid; every fault is named.
    #[error("the change of the queue is not valid")]
    Invalid(Vec<Fault>),
    /// The server is stopping: what a queue still does is settled.
    #[error("the server is stopping")]
    Draining,
    /// The store does not answer. The queue was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl QueueStatus {
    /// Whether what waits in it is not begun.
    pub fn is_paused(&self) -> bool {
        self.pause.is_some()
    }
}

impl Jobs {
    /// How a queue stands; nothing when there is none of this name.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn queue(&self, name: &str) -> Result<Option<QueueStatus>, StoreError> {
        let Some(line) = self.0.lines.get(name) else {
            return Ok(None);
        };
        let counts = self.0.store.counts(&line.name).await?;
        let oldest = self.0.store.oldest_pending(&line.name).await?;
        let Standing { pause, concurrency, rate_limit } = line.flow.standing();
        Ok(Some(QueueStatus {
            name: line.name.clone(),
            durability: self.durability(),
            pause,
            capacity: line.queue.capacity(),
            concurrency,
            pending: counts.get(StateName::Pending),
            processing: counts.get(StateName::Processing),
            scheduled: counts.get(StateName::Scheduled),
            failed: counts.get(StateName::Failed),
            dead_lettered: counts.get(StateName::DeadLettered),
            oldest_pending_seconds: age_seconds(oldest, self.0.clock.now()),
            throughput_per_second: line.throughput_per_second(),
            rate_limit,
        }))
    }

    /// Changes a queue, at once: what runs goes on, and nothing that is in the line is lost or changes its place.
    ///
    /// A queue that is paused takes jobs in until it is full. With fewer places than jobs that run, the next one begins when
    /// enough of them have ended. What was changed here ends with the process.
    ///
    /// # Errors
    ///
    /// [`QueuePatchError`]. Unless it is of the store, nothing was changed.
    ///
    /// # Cancel safety
    ///
    /// Safe: the change is made whole when this is first polled, or not at all.
    pub async fn patch_queue(&self, name: &str, patch: &QueuePatch) -> Result<QueueStatus, QueuePatchError> {
        {
            let line = self.0.lines.get(name).ok_or(QueuePatchError::NotFound)?;
            let _inside = self.enter().ok_or(QueuePatchError::Draining)?;
            line.flow.patch(patch).map_err(QueuePatchError::Invalid)?;
        }
        let status = self.queue(name).await?.ok_or(QueuePatchError::NotFound)?;
        tracing::info!(
            queue = name,
            paused = status.is_paused(),
            until = status.pause.as_ref().and_then(|pause| pause.until).map(tracing::field::display),
            concurrency = status.concurrency,
            rate_limit = status.rate_limit.map(tracing::field::display),
            "queue changed"
        );
        Ok(status)
    }

    /// Everything that is wrong with a change of a queue, without making it.
    pub(crate) fn queue_patch_faults(&self, name: &str, patch: &QueuePatch) -> Vec<Fault> {
        self.0.lines.get(name).map(|line| line.flow.faults(patch)).unwrap_or_default()
    }

    /// Begins nothing more of a queue, until this time or until it is resumed: see [`Jobs::patch_queue`].
    ///
    /// # Errors
    ///
    /// As [`Jobs::patch_queue`].
    ///
    /// # Cancel safety
    ///
    /// As [`Jobs::patch_queue`].
    pub async fn pause_queue(
        &self,
        name: &str,
        reason: Option<&str>,
        until: Option<Timestamp>,
    ) -> Result<QueueStatus, QueuePatchError> {
        let patch = QueuePatch {
            paused: Patch::To(true),
            pause_reason: reason.map_or(Patch::Reset, |reason| Patch::To(Arc::from(reason))),
            pause_until: until.map_or(Patch::Reset, Patch::To),
            ..QueuePatch::default()
        };
        self.patch_queue(name, &patch).await
    }

    /// Ends the pause of a queue, if it has one.
    ///
    /// # Errors
    ///
    /// As [`Jobs::patch_queue`].
    ///
    /// # Cancel safety
    ///
    /// As [`Jobs::patch_queue`].
    pub async fn resume_queue(&self, name: &str) -> Result<QueueStatus, QueuePatchError> {
        self.patch_queue(name, &QueuePatch { paused: Patch::To(false), ..QueuePatch::default() }).await
    }

    /// Lets so many jobs of a queue run at once: 1 to 10,000.
    ///
    /// # Errors
    ///
    /// As [`Jobs::patch_queue`].
    ///
    /// # Cancel safety
    ///
    /// As [`Jobs::patch_queue`].
    pub async fn set_concurrency(
        &self,
        name: &str,
        concurrency: usize,
    ) -> Result<QueueStatus, QueuePatchError> {
        let patch = QueuePatch { concurrency: Patch::To(concurrency), ..QueuePatch::default() };
        self.patch_queue(name, &patch).await
    }

    /// Lets jobs of a queue begin so fast; `None` is as fast as they can.
    ///
    /// # Errors
    ///
    /// As [`Jobs::patch_queue`].
    ///
    /// # Cancel safety
    ///
    /// As [`Jobs::patch_queue`].
    pub async fn set_rate_limit(
        &self,
        name: &str,
        rate_limit: Option<RateLimit>,
    ) -> Result<QueueStatus, QueuePatchError> {
        self.patch_queue(name, &QueuePatch { rate_limit: Patch::To(rate_limit), ..QueuePatch::default() })
            .await
    }

    /// Takes over what the configuration says of a queue now, where it says something else than before; what was changed
    /// by [`Jobs::patch_queue`] stays where it does not. A queue that there is none of is passed over.
    pub(crate) fn configure_queue(&self, name: &str, concurrency: usize, rate_limit: Option<RateLimit>) {
        if let Some(line) = self.0.lines.get(name) {
            line.flow.configure(Configured { concurrency, rate_limit });
        }
    }
}
