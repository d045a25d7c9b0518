//! `/api/kinds`.

use serde_json::{Value, json};

use super::Resource;
use super::operation::{Answer, Operation};
use super::schemas::{
    and_maybe, count, duration, items_of, kind_name, list, named, object, or_null, queue_name, text, words,
};

pub(super) fn resource() -> Resource {
    Resource {
        tag: ("Kinds", "What jobs can do here, and what they take."),
        operations: vec![
            Operation::get("/api/kinds", "listKinds")
                .says(
                    "List kinds",
                    "Every kind with its settings, the JSON Schema of its payload and an example.",
                )
                .answers(
                    Answer::json(200, "Every kind, by name.", "Kinds").example(json!({"items": [example()]})),
                ),
        ],
        schemas: vec![
            ("Kind", kind()),
            ("Kinds", items_of("Every kind, by name.", "Kind")),
            ("RetryProfile", profile()),
        ],
    }
}

fn kind() -> Value {
    let schema = json!({"type": ["object", "boolean", "null"], "description": "What a payload must be, as JSON Schema."});
    object(
        "A kind of job.",
        [
            ("name", kind_name("What jobs name.")),
            ("description", or_null(text("What it does."))),
            ("queue", queue_name("Where its jobs wait.")),
            ("timeout", duration("How long one attempt may take.", "1m")),
            ("cancel_grace", duration("How long an attempt may go on when it should stop.", "5s")),
            ("max_attempts", count("Attempts, the first run included.")),
            ("retry", named("RetryProfile")),
            ("sensitive", list(text("A member that is hidden."))),
            ("unique_by", list(text("A pointer into the payload."))),
            ("unique_for", duration("How long a key is kept after the end.", "30m")),
            ("schema", schema),
            ("example", json!({"description": "A payload that it takes; null where there is none."})),
        ],
    )
}

fn profile() -> Value {
    let profile =
        object("When a failed job is tried again.", [("profile", text("The name of the profile."))]);
    let mut profile = and_maybe(
        profile,
        [
            ("initial", duration("Before the second attempt.", "1s")),
            (
                "factor",
                json!({"type": "number", "minimum": 1, "description": "How much longer each is than the one before."}),
            ),
            ("max", duration("The longest.", "5m")),
            ("jitter", words("`full`: anything from nothing to that.", &["full", "none"])),
            ("delays", list(duration("Before the next attempt.", "5s"))),
        ],
    );
    profile["oneOf"] =
        json!([{"required": ["initial", "factor", "max", "jitter"]}, {"required": ["delays"]}]);
    profile
}

fn example() -> Value {
    json!({
        "name": "noop", "description": "Does nothing.", "queue": "default", "timeout": "1m", "cancel_grace": "5s",
        "max_attempts": 8, "sensitive": [], "unique_by": [], "unique_for": "30m",
        "retry": {"profile": "standard", "initial": "5s", "factor": 3.0, "max": "15m", "jitter": "full"},
        "schema": {"type": "object"}, "example": {"sleep": "2s", "steps": 4},
    })
}
