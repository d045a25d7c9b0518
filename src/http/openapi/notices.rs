//! Notices: webhooks and mails that tell of a job, and what became of them.

use serde_json::{Value, json};

use super::Resource;
use super::operation::{Answer, Operation};
use super::schemas::{
    ID, and_maybe, count, example_job_with, items_of, job_id, named, object, or_null, text, time, words,
};
use crate::http::problem_type::ProblemType as T;
use crate::job::{LONGEST_URL, StateName};

pub(super) fn resource() -> Resource {
    Resource {
        tag: ("Notices", "Webhooks and mails that tell of a job."),
        operations: vec![
            Operation::get("/api/jobs/{id}/deliveries", "listDeliveries")
                .says("List the notices of a job", "Oldest first. Each of them is a job of its own.")
                .answers(
                    Answer::json(200, "The notices.", "Deliveries").example(json!({"items": [delivered()]})),
                )
                .refuses(&[T::JobNotFound]),
        ],
        schemas: vec![
            ("Delivery", delivery()),
            ("Deliveries", items_of("Notices, oldest first.", "Delivery")),
            ("Callback", callback()),
            ("Webhook", webhook()),
        ],
    }
}

/// Members of a job to be submitted.
pub(super) fn members() -> [(&'static str, Value); 3] {
    let url = json!({
        "type": "string", "format": "uri", "maxLength": LONGEST_URL,
        "description": "Where webhooks about the job go, signed as Standard Webhooks says. `http` or `https`, and no address \
                        inside of a private network unless `webhooks.allow` names it.",
    });
    let events = json!({
        "type": "array", "minItems": 1, "uniqueItems": true, "items": {"type": "string", "enum": events()},
        "description": "Of what they tell; goes with `callback_url` only. Default: of the end, whichever it is.",
    });
    [
        ("callback_url", or_null(url)),
        ("callback_events", or_null(events)),
        ("notify_email", or_null(text("Who gets a mail when the job has come to its end."))),
    ]
}

/// For operations that take such a job: what its webhooks are.
pub(super) fn callbacks() -> Value {
    let header = |name: &str, description: &str| json!({"name": name, "in": "header", "required": true, "description": description, "schema": {"type": "string"}});
    let signature = "`v1,` and the HMAC-SHA256 of id, timestamp and body; two while a secret is rotated.";
    json!({"jobEvent": {"{$request.body#/callback_url}": {"post": {
        "operationId": "tellOfJob",
        "tags": ["Notices"],
        "summary": "Tell of a job",
        "description": "Standard Webhooks 1.0.0, signed with `webhooks.secret`. A redirect is a failure, and whatever is no success is \
                        tried again as the retry profile `patient` says. It never changes the state of the job.",
        "parameters": [
            header("webhook-id", "The id of the notice, the same in every attempt to tell."),
            header("webhook-timestamp", "Unix time in seconds: when it was sent."),
            header("webhook-signature", signature),
        ],
        "requestBody": {"required": true, "content": {"application/json": {"schema": named("Webhook")}}},
        "security": [],
        "responses": {
            "2XX": {"description": "Told."},
            "410": {"description": "No more of this job: its callback is disabled."},
            "default": {"description": "Tried again, after `Retry-After` if it is there."},
        },
    }}}})
}

const STATES: [&str; 5] = ["pending", "retrying", "delivered", "exhausted", "disabled"];

fn events() -> [String; StateName::ALL.len()] {
    StateName::ALL.map(|state| format!("job.{state}"))
}

/// For a job: null when nobody is told.
fn callback() -> Value {
    object(
        "Where webhooks about the job go.",
        [
            ("url", text("Without what may be secret in it: user, password, query.")),
            ("state", words("How telling stands.", &STATES)),
        ],
    )
}

fn webhook() -> Value {
    let events = events();
    let more = and_maybe(
        object("", []),
        [
            (
                "result",
                json!({"description": "Of a completed job: its result, if that is JSON or text of up to 16 KiB."}),
            ),
            (
                "result_url",
                json!({
                    "type": "string", "format": "uri-reference",
                    "description": "Of a completed job: where its result is, if it is not here.",
                }),
            ),
        ],
    );
    let data = json!({"description": "The job as it was then.", "allOf": [named("Job"), more]});
    let mut webhook = object(
        "What a webhook tells.",
        [
            ("type", words("The state that the job entered.", &events.each_ref().map(String::as_str))),
            ("timestamp", time("When.")),
            ("sequence", count("The number of this event in the life of the job.")),
            ("data", data),
        ],
    );
    let data = example_job_with(json!({
        "state": "completed", "attempt": 1, "waiting": null, "progress": {"percent": 100, "message": null},
        "started_at": "2026-11-20T16:50:00.130Z", "finished_at": "2026-11-20T16:50:00.871Z",
        "callback": {"url": "https://app.example/hooks", "state": "pending"},
        "result": {"accepted": ["ada@example.com"]},
    }));
    webhook["examples"] = json!([
        {"type": "job.completed", "timestamp": "2026-11-20T16:50:00.871Z", "sequence": 3, "data": data},
    ]);
    webhook
}

fn delivery() -> Value {
    object(
        "A notice.",
        [
            ("id", job_id("Its own job.")),
            ("channel", words("How somebody is told.", &["webhook", "email"])),
            ("event", text("What is told: `job.completed` and the like.")),
            ("target", text("Who is told, without what may be secret in it.")),
            ("state", words("How it stands.", &STATES)),
            ("attempts", count("Attempts used.")),
            ("max_attempts", count("Attempts, the first included.")),
            ("last_error", or_null(named("JobError"))),
            ("next_attempt_at", or_null(time("When it is tried again."))),
            ("created_at", time("When it was made.")),
            ("finished_at", or_null(time("When it came to its end."))),
        ],
    )
}

fn delivered() -> Value {
    json!({
        "id": ID, "channel": "webhook", "event": "job.completed", "target": "https://app.example/hooks", "state": "delivered",
        "attempts": 1, "max_attempts": 10, "last_error": null, "next_attempt_at": null,
        "created_at": "2026-11-20T16:50:00.871Z", "finished_at": "2026-11-20T16:50:01.014Z",
    })
}
