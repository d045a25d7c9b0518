//! `/api/dead-letters`.

use serde_json::{Value, json};

use super::Resource;
use super::headers::repeated;
use super::operation::{Answer, Operation};
use super::schemas::{
    ID, and_maybe, closed, count, flag, job_id, kind_name, named, object, or_null, queue_name,
};
use crate::http::problem_type::ProblemType as T;
use crate::jobs::{LARGEST_REDRIVE, MAX_IDS};

pub(super) fn resource() -> Resource {
    Resource {
        tag: ("Dead letters", "Jobs that were given up, as a group."),
        operations: vec![redrive(), delete()],
        schemas: vec![
            ("Redrive", order()),
            (
                "Redriven",
                object(
                    "What it came to.",
                    [
                        ("matched", count("Dead letters that were meant.")),
                        ("redriven", count("Those that wait in their queues now, or would.")),
                        (
                            "left",
                            count(
                                "Those that are dead letters still: beyond the limit, or there was no room.",
                            ),
                        ),
                    ],
                ),
            ),
            ("Deleted", object("What it came to.", [("deleted", count("How many there were."))])),
        ],
    }
}

fn redrive() -> Operation {
    Operation::post("/api/dead-letters/redrive", "redriveDeadLetters")
        .says(
            "Send dead letters round again",
            "Those that meet every member, all when there is none, with fresh attempts; those first that were given up first. A \
             fifth of each queue is left to new jobs.",
        )
        .body(
            false,
            named("Redrive"),
            json!({
                "all": {"summary": "All for which there is room", "value": {}},
                "count": {"summary": "Count the mails", "value": {"kind": "email", "limit": 100, "dry_run": true}},
            }),
        )
        .answers(
            Answer::json(200, "Done, or with `dry_run` counted.", "Redriven")
                .example(json!({"matched": 120, "redriven": 100, "left": 20})),
        )
        .refuses(&[T::ValidationFailed, T::Draining])
}

fn delete() -> Operation {
    Operation::delete("/api/dead-letters", "deleteDeadLetters")
        .says("Throw dead letters away", "Those that meet every filter; all when there is none.")
        .takes([
            repeated("id", "Only these, 1,000 at most.", job_id("A job.")),
            repeated("queue", "Only those of these queues.", queue_name("A queue.")),
            repeated("kind", "Only those of these kinds.", kind_name("A kind.")),
        ])
        .answers(Answer::json(200, "They are gone.", "Deleted").example(json!({"deleted": 3})))
        .refuses(&[T::ValidationFailed, T::Draining])
}

fn order() -> Value {
    let ids = json!({
        "type": "array", "minItems": 1, "maxItems": MAX_IDS, "items": job_id("A job."), "examples": [[ID]],
        "description": "Only these.",
    });
    let limit = json!({
        "type": "integer", "minimum": 1, "maximum": LARGEST_REDRIVE,
        "description": "How many at most. Default: as many as there is room for.",
    });
    closed(and_maybe(
        object("Which dead letters, and how many of them.", []),
        [
            ("ids", or_null(ids)),
            ("queue", or_null(queue_name("Only those of this queue."))),
            ("kind", or_null(kind_name("Only those of this kind."))),
            ("limit", or_null(limit)),
            ("dry_run", or_null(flag("Only count. Default: false."))),
        ],
    ))
}
