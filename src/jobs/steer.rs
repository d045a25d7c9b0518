//! What somebody can do to a job that was accepted: cancel it, or send it round again.

use std::sync::Arc;

use super::Jobs;
use super::submit_error::SubmitError;
use crate::job::{Change, Job, JobId, StateName};
use crate::store::{ApplyError, StoreError};

/// What a cancel came to.
#[derive(Clone, Debug)]
pub enum Canceled {
    /// It will not run.
    Now(Arc<Job>),
    /// It runs, and has been told to stop.
    Requested(Arc<Job>),
}

/// Why a job was not canceled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// There is no such job.
    #[error("there is no such job")]
    NotFound,
    /// It has come to its end.
    #[error("the job is {0}")]
    Terminal(StateName),
    /// The server has stopped all work.
    #[error("the server is draining")]
    Draining,
    /// The backend does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a job was not sent round again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// There is no such job.
    #[error("there is no such job")]
    NotFound,
    /// Its state does not allow it.
    #[error("the job is {0}")]
    NotRetryable(StateName),
    /// Another job is the same work by now.
    #[error("the same work is done by the job {holder}")]
    SameWork {
        /// The state that it is in.
        state: StateName,
        /// The one that holds its unique key.
        holder: JobId,
    },
    /// The queue is full, or the server stops.
    #[error(transparent)]
    Submit(SubmitError),
    /// The backend does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Jobs {
    /// Stops a job: at once when it waits, by telling it to when it runs.
    ///
    /// # Errors
    ///
    /// When there is no such job, or it has come to its end.
    pub async fn cancel(&self, id: JobId) -> Result<Canceled, CancelError> {
        let _inside = self.enter_late().ok_or(CancelError::Draining)?;
        let job = self.change(id, Change::Cancel).await.map_err(|error| match error {
            ApplyError::NotFound => CancelError::NotFound,
            ApplyError::Refused(refused) => CancelError::Terminal(refused.state),
            // Only a retry takes a key; whatever a store means by this, there is nothing to cancel for it.
            ApplyError::KeyHeld(_) => CancelError::NotFound,
            ApplyError::Store(error) => CancelError::Store(error),
        })?;
        if job.state.is_terminal() {
            return Ok(Canceled::Now(job));
        }
        // An attempt that is not noted yet looks at its job once it is.
        if let Some(leash) = self.0.running.get(id) {
            leash.cancel(self.0.clock.elapsed());
        }
        Ok(Canceled::Requested(job))
    }

    /// Sends a job round again: a terminal one with fresh attempts, a waiting one now instead of later.
    ///
    /// # Errors
    ///
    /// When there is no such job, when its state does not allow it, or when its queue has no room.
    pub async fn retry(&self, id: JobId) -> Result<Arc<Job>, RetryError> {
        let _inside = self.enter().ok_or(RetryError::Submit(SubmitError::Draining))?;
        let job = self.get(id).await?.ok_or(RetryError::NotFound)?;
        let state = job.state.name();
        if matches!(state, StateName::Pending | StateName::Processing | StateName::Completed) {
            return Err(RetryError::NotRetryable(state));
        }
        let line = self.line_of(&job).ok_or(RetryError::NotFound)?;
        let mut slot = self.room_for_one(line).await.map_err(RetryError::Submit)?;
        drop(job);
        let job =
            self.change(id, Change::Retry { turn: slot.turn() }).await.map_err(|error| match error {
                ApplyError::NotFound => RetryError::NotFound,
                ApplyError::Refused(refused) => RetryError::NotRetryable(refused.state),
                ApplyError::KeyHeld(holder) => RetryError::SameWork { state, holder },
                ApplyError::Store(error) => RetryError::Store(error),
            })?;
        slot.push(id);
        Ok(job)
    }
}
