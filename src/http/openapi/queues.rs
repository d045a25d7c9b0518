//! `/api/queues`.

use serde_json::{Value, json};

use super::Resource;
use super::operation::{Answer, Operation};
use super::schemas::{
    and_maybe, closed, count, flag, items_of, named, object, or_null, queue_name, text, time, words,
};
use crate::http::problem_type::ProblemType as T;
use crate::job::CONCURRENCY;

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
            patch(),
        ],
        schemas: vec![
            ("Queue", queue()),
            ("QueuePatch", queue_patch()),
            ("Queues", items_of("Every queue.", "Queue")),
        ],
    }
}

fn patch() -> Operation {
    Operation::patch("/api/queues/{name}", "changeQueue")
        .says(
            "Change a queue while it runs",
            "A merge patch (RFC 7396): what is not named stays, null is what the configuration says. It takes effect at once and until \
             the server stops. A paused queue accepts jobs until it is full; what runs goes on.",
        )
        .body_as(
            &["application/merge-patch+json", "application/json"],
            true,
            named("QueuePatch"),
            json!({
                "pause": {"summary": "Pause it", "value": {"paused": true, "pause_reason": "the mail server moves"}},
                "slow": {"summary": "Slow it down", "value": {"concurrency": 2, "rate_limit": "10/m"}},
            }),
        )
        .answers(Answer::json(200, "The queue as it is now.", "Queue").example(example()))
        .refuses(&[T::QueueNotFound, T::ValidationFailed, T::Draining])
}

fn queue_patch() -> Value {
    let (least, most) = (CONCURRENCY.start(), CONCURRENCY.end());
    let concurrency = json!({
        "type": "integer", "minimum": least, "maximum": most, "description": "How many of its jobs run at a time.",
    });
    let reason =
        json!({"type": "string", "minLength": 1, "maxLength": 200, "description": "Why it is paused."});
    closed(and_maybe(
        object("What is to be changed.", []),
        [
            ("paused", or_null(flag("Whether it begins no jobs."))),
            ("pause_reason", or_null(reason)),
            ("pause_until", or_null(time("When it goes on by itself, at most 366 days ahead."))),
            ("concurrency", or_null(concurrency)),
            ("rate_limit", or_null(rate_limit("How many jobs may begin; an empty text takes a limit away."))),
        ],
    ))
}

fn rate_limit(description: &str) -> Value {
    json!({"type": "string", "description": description, "pattern": "^([0-9]+/[smh])?$", "examples": ["10/m"]})
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
            ("rate_limit", or_null(rate_limit("How many jobs may begin in a second, minute or hour."))),
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
