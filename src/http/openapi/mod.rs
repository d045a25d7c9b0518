//! The description of the API (OpenAPI 3.1.1): a file for each resource, put together from the table of routes.
//!
//! Paths, methods and roles come from `routes.rs`; words and schemas come from the files here. What is mounted and not
//! described, or described and not mounted, fails a test. `tests/api/conform.rs` holds every answer that the tests see
//! against this description.

mod dead_letters;
mod document;
mod events;
mod headers;
mod hub;
mod job;
mod jobs;
mod kinds;
mod mail;
mod metrics;
mod notices;
mod operation;
mod page;
mod page_parts;
mod problem_examples;
mod problems;
mod progress;
mod queues;
mod schedules;
mod schemas;
mod serve;
mod server;
#[cfg(test)]
mod tests;

pub use document::openapi;
pub(super) use serve::{Texts, page, show};

use serde_json::Value;

use self::operation::Operation;

/// A resource: what can be done with it, and what its bodies look like.
struct Resource {
    /// Its heading, and what stands below it.
    tag: (&'static str, &'static str),
    operations: Vec<Operation>,
    /// By the name under which they are referred to.
    schemas: Vec<(&'static str, Value)>,
}

/// Every resource, in the order in which they are read. A new one gets a file and a line here.
fn resources() -> Vec<Resource> {
    vec![
        jobs::resource(),
        job::resource(),
        progress::resource(),
        events::resource(),
        hub::resource(),
        notices::resource(),
        queues::resource(),
        schedules::resource(),
        dead_letters::resource(),
        kinds::resource(),
        mail::resource(),
        metrics::resource(),
        server::resource(),
    ]
}
