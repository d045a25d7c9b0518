//! `/metrics`.

use super::Resource;
use super::operation::{Answer, Operation};
use super::schemas::text;
use crate::http::problem_type::ProblemType as T;

pub(super) fn resource() -> Resource {
    Resource {
        tag: ("Metrics", "What Prometheus asks for."),
        operations: vec![
            Operation::get("/metrics", "getMetrics")
                .says(
                    "Read the metrics",
                    "As Prometheus text, or as OpenMetrics to those who ask for it by `Accept`.",
                )
                .answers(
                    Answer::of(200, "Every metric.", "text/plain", text("Prometheus text."))
                        .or("application/openmetrics-text", text("OpenMetrics.")),
                )
                .refuses(&[T::NotFound]),
        ],
        schemas: vec![],
    }
}
