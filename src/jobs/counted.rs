//! What the service counts for Prometheus, and what it tells beside that.

use std::sync::Arc;

use super::Jobs;
use super::line::{Line, QueueSettings};
use super::submit_error::SubmitError;
use crate::handler::Registry;
use crate::job::QueueName;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::store::{Counts, StoreError};

impl Jobs {
    /// What is counted for Prometheus.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// How many jobs of a queue are in which state.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn counts(&self, queue: &QueueName) -> Result<Counts, StoreError> {
        self.0.store.counts(queue).await
    }

    /// How many bytes all jobs take, if the store can say so.
    pub fn held_bytes(&self) -> Option<u64> {
        self.0.store.held_bytes()
    }

    pub(super) fn note_refused(&self, line: Option<&Arc<Line>>, error: &SubmitError) {
        match line {
            Some(line) => line.meter.rejected(error.reason()),
            None => self.metrics().rejected(error.reason()),
        }
    }
}

/// Counts for these kinds and queues.
pub(super) fn counting(
    registry: &Registry,
    queues: &[(QueueName, Arc<dyn Queue>, QueueSettings)],
) -> Metrics {
    let kinds = registry.iter().map(|registered| (&registered.kind, &registered.settings.queue));
    Metrics::new(queues.iter().map(|(name, ..)| name), kinds)
}
