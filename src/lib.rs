//! Takes slow work out of the request.
//!
//! An app submits a job and goes on at once; a bounded queue holds it, a supervised pool of workers runs it, and whoever
//! asks learns how it ended. When the server stops, it drains and accounts for every job that it ever accepted.
//!
//! ```text
//!  POST - http - jobs.submit - [reserve a slot -> insert the row -> push the id] - queue
//!                                                                                    |
//!  GET  - http - jobs.get - store <- [apply the change -> ack] <- jobs.settle <- attempt <- dispatcher
//! ```
//!
//! To run jobs of your own, implement [`handler::Handler`] and give it to [`server::Backroom::builder`]; to serve the
//! HTTP API from your own actix-web application, mount [`server::Backroom::routes`]. What lives in memory is gone after a
//! crash; a drain saves it to the [spill file](spill).
//!
//! # Examples
//!
//! ```no_run
//! use backroom::config::Config;
//! use backroom::server::{Backroom, Server};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::start(Backroom::builder(Config::default())).await?;
//! println!("listening on {}", server.address());
//! # Ok(()) }
//! ```

mod again;
pub mod cli;
pub mod clock;
pub mod config;
pub mod egress;
pub mod event;
pub mod handler;
pub mod http;
pub mod job;
pub mod jobs;
pub mod kinds;
pub mod mail;
pub mod metrics;
pub mod queue;
pub mod redact;
pub mod schedule;
pub mod schedules;
pub mod server;
pub mod shutdown;
pub mod sign;
pub mod spill;
pub mod store;
mod sync;
pub mod telemetry;
pub mod view;
pub mod worker;

/// Compiles what README.md shows of the crate.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
