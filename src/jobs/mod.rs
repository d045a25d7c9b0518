//! The service that alone knows the order of writes: reserve, insert, push; apply, acknowledge, tell.
//!
//! Everything that reaches a job from outside or from a worker goes through [`Jobs`].

mod counted;
mod flow;
mod life;
mod line;
mod notices;
mod pace;
mod patience;
pub(crate) mod places;
mod queue_patch;
mod queues;
mod redrive;
mod room;
mod running;
mod service;
mod steer;
mod submit;
mod submit_error;
mod throttle;
mod unique;
mod waiters;

pub(crate) use flow::{Flow, Step};
pub(crate) use life::Started;
pub(crate) use line::Line;
pub use line::QueueSettings;
pub use notices::{BadUrl, Herald};
pub(crate) use places::Place;
pub use queue_patch::{Patch, Pause, QueuePatch};
pub(crate) use queue_patch::{concurrency_rule, reason_rule};
pub use queues::{QueuePatchError, QueueStatus};
pub use redrive::{DeadLetters, DeadLettersError, Redrive, Redriven};
pub(crate) use redrive::{LARGEST_REDRIVE, MAX_IDS, ids_rule, limit_rule};
pub(crate) use running::{Abandoning, Leash};
pub use service::{Jobs, Limits};
pub use steer::{CancelError, Canceled, RetryError};
pub(crate) use submit::{MAX_FAULTS, MAX_TAGS};
pub use submit_error::SubmitError;
pub use unique::Accepted;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod model_world_tests;
