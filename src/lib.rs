//! wip
pub mod cli;
pub mod clock;
pub mod config;
pub mod event;
pub mod handler;
pub mod job;
pub mod jobs;
pub mod queue;
pub mod shutdown;
pub mod spill;
pub mod store;
pub mod worker;
