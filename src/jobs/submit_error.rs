//! Why jobs were not accepted.

use crate::job::{Fault, QueueName, nearest};
use crate::metrics::Rejection;
use crate::store::{InsertError, Limit};

/// Why jobs were not accepted. None of them was.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Something is wrong with them; every fault is named.
    #[error("the job is not valid")]
    Invalid(Vec<Fault>),
    /// A callback leads to where requests must not go; nothing else is wrong.
    #[error("the callback leads to where requests must not go")]
    CallbackForbidden(Vec<Fault>),
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
    /// The queue of the job's kind is not configured.
    pub(super) fn no_line(queue: &QueueName) -> Self {
        let detail = format!("the kind's own queue {queue} is not configured");
        Self::Invalid(vec![Fault::new("/queue", detail)])
    }

    /// By what it is counted.
    pub(super) const fn reason(&self) -> Rejection {
        match self {
            Self::Invalid(_) | Self::CallbackForbidden(_) => Rejection::Invalid,
            Self::UnknownKind(_) => Rejection::UnknownKind,
            Self::PayloadTooLarge { .. } => Rejection::PayloadTooLarge,
            Self::QueueFull { .. } => Rejection::QueueFull,
            Self::MemoryFull { .. } => Rejection::MemoryFull,
            Self::Draining => Rejection::Draining,
            Self::Store(_) => Rejection::Internal,
        }
    }
}

/// Says that a name is not known, which one was perhaps meant, and which there are.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("there is no {what} of this name; did you mean {nearest:?}?"),
        None => format!("there is no {what} of this name; there are: {}", known.join(", ")),
    }
}
