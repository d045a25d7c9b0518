//! wip
pub mod clock;
pub mod handler;
pub mod job;
