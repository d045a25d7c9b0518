//! What a user's own app is sent and sends: the request of a kind with `run = "push"`, and progress.

use serde_json::{Value, json};

use super::Resource;
use super::operation::{Answer, Operation};
use super::schemas::{and_maybe, closed, example_job_with, flag, named, object, or_null, text, time};
use crate::http::problem_type::ProblemType as T;

pub(super) fn resource() -> Resource {
    let percent =
        json!({"type": "integer", "minimum": 0, "maximum": 100, "description": "How much is done."});
    let report = object("How far an attempt is.", [("percent", percent)]);
    let message = or_null(text("What it is doing; cut at 256 bytes."));
    Resource {
        tag: ("Apps", "What your own app is sent, and what it can say meanwhile."),
        operations: vec![report_progress()],
        schemas: vec![
            ("ProgressReport", closed(and_maybe(report, [("message", message)]))),
            (
                "ProgressNoted",
                object(
                    "What the attempt should know.",
                    [("cancel_requested", flag("Whether it should stop."))],
                ),
            ),
            ("Run", run()),
        ],
    }
}

/// Requests that this server sends by itself.
pub(super) fn webhooks() -> Value {
    let header = |name: &str, description: &str| json!({"name": name, "in": "header", "required": true, "description": description, "schema": {"type": "string"}});
    json!({"job.run": {"post": {
        "operationId": "runJob",
        "tags": ["Apps"],
        "summary": "Run a job in your app",
        "description": "Sent to `kinds.<name>.url` for every attempt of a kind with `run = \"push\"`, signed as Standard Webhooks \
                        1.0.0 says with `webhooks.secret`. The answer is the outcome; no answer within the timeout of the kind \
                        is tried again. A connection that ends means that the attempt is canceled.",
        "parameters": [
            header("webhook-id", "The id of the job, the same in every attempt."),
            header("webhook-timestamp", "Unix time in seconds: when it was sent."),
            header("webhook-signature", "`v1,` and the HMAC-SHA256 of id, timestamp and body; two while a secret is rotated."),
            header("Idempotency-Key", "The id of the job, the same in every attempt."),
        ],
        "requestBody": {"required": true, "content": {"application/json": {"schema": named("Run")}}},
        "security": [],
        "responses": {
            "2XX": {
                "description": "Done; the body is the result, whatever its media type. With `Backroom-Outcome: skipped` no work was due.",
                "headers": {
                    "Backroom-Outcome": {"description": "`skipped`: no work was due.", "schema": {"type": "string", "enum": ["skipped"]}},
                    "Backroom-Reason": {"description": "Why not.", "schema": {"type": "string"}},
                },
                "content": {"*/*": {"schema": {"description": "The result."}}},
            },
            "3XX": {"description": "Failed for good: redirects are not followed."},
            "408": {"description": "Tried again."},
            "425": {"description": "Tried again."},
            "429": {"description": "Tried again, after `Retry-After` if it is there."},
            "4XX": {"description": "Failed for good: a dead letter, whose error quotes the beginning of the body."},
            "5XX": {"description": "Tried again, after `Retry-After` if it is there."},
        },
    }}})
}

fn report_progress() -> Operation {
    Operation::post("/api/jobs/{id}/progress", "reportProgress")
        .says(
            "Tell how far an attempt is",
            "For attempts that run in your own app. The token is the `attempt_token` of the request that began the attempt, \
             good until the attempt is over; tokens of the server are not taken. The answer tells whether the attempt should \
             stop.",
        )
        .security(json!([{"attempt": []}]))
        .body(
            true,
            named("ProgressReport"),
            json!({"half": {"summary": "Half of it", "value": {"percent": 50, "message": "Rendering"}}}),
        )
        .answers(Answer::json(200, "Noted.", "ProgressNoted").example(json!({"cancel_requested": false})))
        .refuses(&[T::Unauthorized, T::JobNotFound, T::ValidationFailed])
}

fn run() -> Value {
    let job = json!({
        "description": "The job, its payload, and the token for its progress.",
        "allOf": [
            named("Job"),
            object("", [
                ("payload", json!({"description": "Its input, as it was submitted."})),
                ("attempt_token", text("For `POST /api/jobs/{id}/progress`, until the attempt is over.")),
            ]),
        ],
    });
    let mut run = object(
        "The request that begins an attempt.",
        [
            ("type", json!({"type": "string", "const": "job.run"})),
            ("timestamp", time("When it was sent.")),
            ("data", job),
        ],
    );
    let data = example_job_with(json!({
        "kind": "text.count", "state": "processing", "attempt": 1, "waiting": null, "queue": "default",
        "payload": {"text": "one two three"}, "attempt_token": "mK2…",
    }));
    run["examples"] = json!([{"type": "job.run", "timestamp": "2026-11-20T16:50:00.130Z", "data": data}]);
    run
}
