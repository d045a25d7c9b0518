//! How the world asks: one file for each resource of the contract.
//!
//! Handlers return a response or a [`Problem`]; the middleware in `envelope` turns problems into their JSON form and
//! gives every response its request id, so that nothing leaves without one.

mod api;
mod auth;
mod batch;
mod body;
mod caller;
mod conditional;
mod connection;
mod cors;
mod dead_letters;
mod deliveries;
mod envelope;
mod events;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod host;
mod hub;
mod idempotency;
mod idempotency_key;
mod idempotency_memory;
mod job;
mod job_view;
mod jobs;
mod kinds;
mod list;
mod listen;
mod mail;
mod merge_patch;
mod metrics;
mod openapi;
mod origin;
mod path;
mod prefer;
mod probes;
mod problem;
mod problem_from;
mod problem_pages;
mod problem_type;
mod progress;
mod queue_patch;
mod queues;
mod request;
mod routes;
mod schedules;
mod sse;
#[cfg(test)]
mod sse_tests;
mod tls;
mod watch;

pub use api::Api;
pub use auth::{Role, Tokens};
pub use guard::{Guard, GuardSettings};
pub use hub::{Hub, Transport};
pub use idempotency_key::{IdempotencyKey, KeyFault};
pub use idempotency_memory::Idempotency;
pub(crate) use listen::{CLOSING, Threads, http_server, listener, write_address};
pub use openapi::openapi;
pub use problem::Problem;
pub use problem_type::ProblemType;
pub use routes::routes;
pub(crate) use tls::Tls;
