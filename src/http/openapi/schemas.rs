//! The words that schemas are made of, and the schemas that several resources share.

#![expect(clippy::needless_pass_by_value, reason = "schemas are made where they are passed")]

use serde_json::{Map, Value, json};

use crate::job::{JobId, StateName};

/// A reference to a schema that has a name.
pub(super) fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An object whose members are all there, always. What may be missing is added by [`and_maybe`].
pub(super) fn object<const N: usize>(description: &str, members: [(&str, Value); N]) -> Value {
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let mut schema = json!({"type": "object", "description": description, "required": required});
    schema["properties"] =
        members.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect::<Map<_, _>>().into();
    schema
}

/// Adds members that may be missing.
pub(super) fn and_maybe<const N: usize>(mut object: Value, members: [(&str, Value); N]) -> Value {
    for (name, schema) in members {
        object["properties"][name] = schema;
    }
    object
}

/// Refuses members that are not named, as requests do.
pub(super) fn closed(mut object: Value) -> Value {
    object["additionalProperties"] = false.into();
    object
}

/// Takes null for a member that is not given, as requests do, and answers for one that is not known.
pub(super) fn or_null(mut schema: Value) -> Value {
    if schema.get("$ref").is_some() {
        return json!({"oneOf": [schema, {"type": "null"}]});
    }
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
    let kind = schema["type"].take();
    schema["type"] = json!([kind, "null"]);
    schema
}

/// A list, as all of ours are.
pub(super) fn items_of(description: &str, schema: &str) -> Value {
    object(description, [("items", list(named(schema)))])
}

pub(super) fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

pub(super) fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

pub(super) fn count(description: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": description})
}

pub(super) fn flag(description: &str) -> Value {
    json!({"type": "boolean", "description": description})
}

pub(super) fn words(description: &str, words: &[&str]) -> Value {
    json!({"type": "string", "description": description, "enum": words})
}

pub(super) fn time(description: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": description})
}

pub(super) fn duration(description: &str, example: &str) -> Value {
    json!({
        "type": "string",
        "description": description,
        // A bare number is refused: nobody can see whether it means seconds or milliseconds.
        "pattern": "^[0-9]+ ?[A-Za-zµ]+( ?[0-9]+ ?[A-Za-zµ]+)*$",
        "examples": [example],
    })
}

pub(super) fn job_id(description: &str) -> Value {
    json!({"type": "string", "format": "uuid", "description": description, "examples": [ID]})
}

pub(super) fn kind_name(description: &str) -> Value {
    json!({"type": "string", "description": description, "pattern": "^[a-z0-9][a-z0-9_.-]{0,63}$", "examples": ["email"]})
}

pub(super) fn queue_name(description: &str) -> Value {
    json!({"type": "string", "description": description, "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$", "examples": ["default"]})
}

pub(super) fn tag(description: &str) -> Value {
    json!({
        "type": "string",
        "description": description,
        "minLength": 1,
        "maxLength": 64,
        "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$",
        "examples": ["signup"],
    })
}

pub(super) fn state() -> Value {
    words("The states of a job.", &StateName::ALL.map(StateName::as_str))
}

/// The id of the job in all examples.
pub(super) const ID: &str = "019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a55";

/// The job in all examples.
pub(super) fn example_job() -> Value {
    debug_assert!(ID.parse::<JobId>().is_ok());
    let url = |part: &str| format!("/api/jobs/{ID}{part}");
    json!({
        "id": ID, "kind": "email", "queue": "mail", "state": "pending", "durability": "memory",
        "attempt": 0, "max_attempts": 6, "tags": ["signup"],
        "created_at": "2026-11-20T16:50:00.123Z", "run_at": "2026-11-20T16:50:00.123Z", "started_at": null,
        "finished_at": null, "next_attempt_at": null, "expires_at": null,
        "progress": {"percent": 0, "message": null}, "cancel_requested": false, "skip_reason": null,
        "waiting": {"for": "turn", "until": null, "ahead": 3}, "error": null, "attempts": [], "callback": null,
        "links": {"self": url(""), "status": url("/status"), "result": url("/result"), "events": url("/events")},
    })
}

/// The same job with other members.
pub(super) fn example_job_with(members: Value) -> Value {
    let mut job = example_job();
    if let Value::Object(members) = members {
        for (name, value) in members {
            job[name] = value;
        }
    }
    job
}
