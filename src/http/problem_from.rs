//! What the errors of the service are to the caller.

use super::problem::Problem;
use super::problem_type::ProblemType as T;
use crate::jobs::{CancelError, DeadLettersError, QueuePatchError, RetryError, SubmitError};
use crate::store::{Limit, StoreError};

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let problem = match error {
            SubmitError::Invalid(faults) => Self::faults(T::ValidationFailed, faults),
            SubmitError::CallbackForbidden(faults) => Self::faults(T::CallbackUrlForbidden, faults),
            SubmitError::UnknownKind(faults) => Self::faults(T::UnknownKind, faults),
            SubmitError::PayloadTooLarge { pointer, limit } => {
                let detail =
                    format!("{pointer} is larger than {limit} bytes. Pass a reference instead of the data.");
                Self::new(T::PayloadTooLarge, detail).with("limit", limit)
            }
            SubmitError::QueueFull { queue, capacity, retry_after } => {
                // Whoever is full refuses as fast as it accepts: put together without the formatter, which takes twice as long.
                let (name, jobs) = (queue.as_str(), capacity.to_string());
                let after = " jobs and had no room in time. Nothing was kept.";
                let detail = ["The queue ", name, " holds ", &jobs, after].concat();
                Self::new(T::QueueFull, detail)
                    .with("queue", queue.as_str())
                    .with("capacity", capacity)
                    .retry_after(retry_after)
            }
            SubmitError::MemoryFull { limit, retry_after } => {
                let detail = match limit {
                    Limit::Memory(bytes) => format!(
                        "The jobs that are held take up {} ({bytes} bytes), and none of them may be forgotten: they are not \
                         finished, dead letters, or hold a unique key. Nothing was kept.",
                        limit.option()
                    ),
                    Limit::Telling(bytes) => format!(
                        "Webhooks and mails that are not delivered, and what is held for those of the jobs that are not \
                         finished, take up their part of {} ({bytes} bytes). Nothing was kept. A job of which nobody is to \
                         be told is still accepted.",
                        limit.option()
                    ),
                    Limit::Jobs(jobs) => {
                        format!(
                            "{jobs} jobs are not finished, the most that {} allows. Nothing was kept.",
                            limit.option()
                        )
                    }
                };
                Self::new(T::MemoryFull, detail)
                    .with("limit", limit.amount())
                    .with("option", limit.option())
                    .retry_after(retry_after)
            }
            SubmitError::Draining => {
                Self::new(T::Draining, "Jobs are not accepted any more. Try again when it has restarted.")
                    .retry_after(5)
            }
            SubmitError::Store(error) => Self::internal(&error),
        };
        problem.counted()
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::NotFound => Self::job_not_found(),
            CancelError::Terminal(state) => Self::wrong_state(
                T::JobNotCancelable,
                state,
                format!("The job is {state}: there is nothing left to cancel."),
            ),
            CancelError::Draining => SubmitError::Draining.into(),
            CancelError::Store(error) => error.into(),
        }
    }
}

impl From<DeadLettersError> for Problem {
    fn from(error: DeadLettersError) -> Self {
        match error {
            DeadLettersError::Invalid(faults) => Self::faults(T::ValidationFailed, faults),
            DeadLettersError::Draining => SubmitError::Draining.into(),
            DeadLettersError::Store(error) => error.into(),
        }
    }
}

impl From<QueuePatchError> for Problem {
    fn from(error: QueuePatchError) -> Self {
        match error {
            QueuePatchError::NotFound => Self::new(T::QueueNotFound, "No queue has this name."),
            QueuePatchError::Invalid(faults) => Self::faults(T::ValidationFailed, faults),
            QueuePatchError::Draining => {
                let detail = "The server is stopping: what its queues still do is settled.";
                Self::new(T::Draining, detail).retry_after(5)
            }
            QueuePatchError::Store(error) => error.into(),
        }
    }
}

impl From<RetryError> for Problem {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::NotFound => Self::job_not_found(),
            RetryError::NotRetryable(state) => {
                let detail = format!(
                    "The job is {state}: a completed job is done, a pending or processing one is under way."
                );
                Self::wrong_state(T::JobNotRetryable, state, detail)
            }
            RetryError::SameWork { state, holder } => {
                let detail = format!(
                    "The job {holder} has the same unique key and was made after this one had let go of it. \
                     Look at that one; when it has come to its end and its time is over, this one can be retried."
                );
                Self::wrong_state(T::JobNotRetryable, state, detail).with("job", holder.to_string())
            }
            RetryError::Submit(error) => error.into(),
            RetryError::Store(error) => error.into(),
        }
    }
}
