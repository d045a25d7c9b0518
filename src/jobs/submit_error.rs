//! Why jobs were not accepted.

use crate::job::{Fault, QueueName};
use crate::metrics::Rejection;
use crate::store::{InsertError, Limit};

/// Why jobs were not accepted. None of them was.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Something is wrong with them; every fault is named.
    #[error("the job is not valid")]
    Invalid(Vec<Fault>),
    /// There is no such kind.
    #[error("there is no kind of this name")]
    UnknownKind(Vec<Fault>),
    /// A payload is too large.
    #[error("the payload is larger than {limit} bytes")]
    PayloadTooLarge {
        /// Where.
        pointer: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// There was no room within the queue's `enqueue_wait`.
    #[error("the queue {queue} is full")]
    QueueFull {
        /// Which queue.
        queue: QueueName,
        /// How many jobs it holds.
        capacity: usize,
        /// When to come again, in whole seconds.
        retry_after: u64,
    },
    /// The store has no room, and nothing finished is left that could make some.
    #[error("the store is full: {limit} is reached")]
    MemoryFull {
        /// What it is full by.
        limit: Limit,
        /// When to come again, in whole seconds.
        retry_after: u64,
    },
    /// The server stops.
    #[error("the server is draining")]
    Draining,
    /// The store did not keep them.
    #[error("the store did not keep the job")]
    Store(#[source] InsertError),
}

impl SubmitError {
    /// By what it is counted.
    pub(super) const fn reason(&self) -> Rejection {
        match self {
            Self::Invalid(_) => Rejection::Invalid,
            Self::UnknownKind(_) => Rejection::UnknownKind,
            Self::PayloadTooLarge { .. } => Rejection::PayloadTooLarge,
            Self::QueueFull { .. } => Rejection::QueueFull,
            Self::MemoryFull { .. } => Rejection::MemoryFull,
            Self::Draining => Rejection::Draining,
            Self::Store(_) => Rejection::Internal,
        }
    }
}
