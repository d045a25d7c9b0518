//! wip
pub mod clock;
pub mod handler;
pub mod job;
pub mod kinds;
pub mod mail;
