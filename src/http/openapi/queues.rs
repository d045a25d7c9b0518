//! `/api/queues`.

use serde_json::{Value, json};

use super::Resource;
use super::operation::{Answer, Operation};
use super::schemas::{count, flag, items_of, object, or_null, queue_name, text, time, words};
use crate::http::problem_type::ProblemType as T;

pub(super) fn resource() -> Resource {
    Resource {
        tag: ("Queues", "Waiting lines, each with its own capacity and concurrency."),
        operations: vec![
            Operation::get("/api/queues", "listQueues")
                .says("List queues", "How every queue stands.")
                .answers(Answer::json(200, "Every queue.", "Queues").example(json!({"items": [example()]}))),
            Operation::get("/api/queues/{name}", "getQueue")
                .says("Show a queue", "How it stands: what waits, what runs, how fast it goes.")
                .answers(Answer::json(200, "The queue.", "Queue").example(example()))
                .refuses(&[T::QueueNotFound]),
        ],
        schemas: vec![("Queue", queue()), ("Queues", items_of("Every queue.", "Queue"))],
    }
}

fn queue() -> Value {
    let number = |description: &str| json!({"type": "number", "minimum": 0, "description": description});
    object(
        "How a queue stands.",
        [
            ("name", queue_name("What it is called.")),
            ("durability", words("What a crash would cost.", &["memory"])),
            ("paused", flag("Whether it hands out no jobs.")),
            ("pause_reason", or_null(text("Why it is paused."))),
            ("pause_until", or_null(time("Until when it is paused."))),
            ("capacity", count("How many jobs it holds.")),
            ("concurrency", count("How many of its jobs run at a time.")),
            ("pending", count("Jobs that wait for a worker.")),
            ("processing", count("Jobs that run.")),
            ("scheduled", count("Jobs that wait for their time.")),
            ("failed", count("Jobs that wait for their next attempt.")),
            ("dead_lettered", count("Jobs that were given up.")),
            ("oldest_pending_seconds", number("How long the first in line has waited.")),
            ("throughput_per_second", number("Jobs that come to their end, measured.")),
            ("rate_limit", or_null(text("How many may start in a time."))),
        ],
    )
}

fn example() -> Value {
    json!({
        "name": "mail", "durability": "memory", "paused": false, "pause_reason": null, "pause_until": null,
        "capacity": 1000, "concurrency": 8, "pending": 3, "processing": 8, "scheduled": 0, "failed": 1,
        "dead_lettered": 0, "oldest_pending_seconds": 0.412, "throughput_per_second": 6.25, "rate_limit": null,
    })
}
