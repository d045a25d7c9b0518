//! wip
pub mod cli;
pub mod clock;
pub mod config;
pub mod handler;
pub mod job;
