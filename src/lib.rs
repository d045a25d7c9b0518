//! wip
pub mod clock;
pub mod handler;
pub mod job;
pub mod queue;
pub mod store;
