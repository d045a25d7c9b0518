//! How the world asks: one file for each resource of the contract.
//!
//! Handlers return a response or a [`Problem`]; the middleware in `envelope` turns problems into their JSON form and
//! gives every response its request id, so that nothing leaves without one.

mod api;
mod batch;
mod body;
mod conditional;
mod dead_letters;
mod envelope;
mod job;
mod job_view;
mod jobs;
mod kinds;
mod list;
mod listen;
mod mail;
mod prefer;
mod probes;
mod problem;
mod problem_from;
mod problem_pages;
mod problem_type;
mod progress;
mod queues;
mod request;
mod routes;

pub use api::Api;
pub(crate) use listen::{CLOSING, Threads, http_server, listener, write_address};
pub use problem::Problem;
pub use problem_type::ProblemType;
pub use routes::routes;
