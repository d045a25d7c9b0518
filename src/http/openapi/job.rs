//! `/api/jobs/{id}` and its parts.

use serde_json::{Value, json};

use super::Resource;
use super::headers::{ETAG, LOCATION, NOSNIFF, PREFERENCE_APPLIED, RETRY_AFTER, SECURITY_POLICY, sent};
use super::operation::{Answer, Operation};
use super::schemas::{
    and_maybe, count, example_job, example_job_with, flag, job_id, kind_name, list, named, object, or_null,
    queue_name, state, tag, text, time, words,
};
use crate::http::problem_type::ProblemType as T;
use crate::job::AttemptOutcome as O;

pub(super) fn resource() -> Resource {
    Resource {
        tag: ("Job", "One job: how it stands, what came of it; cancel it, send it round again."),
        operations: vec![show(), status(), result(), payload(), log(), cancel(), retry()],
        schemas: vec![
            ("Job", job()),
            ("JobState", state()),
            ("JobError", error()),
            ("Attempt", attempt()),
            ("Progress", progress()),
            ("Waiting", waiting()),
            ("Log", object("What the attempts wrote, oldest first.", [("lines", list(named("LogLine")))])),
            ("LogLine", log_line()),
        ],
    }
}

/// What can be asked about the job in an answer.
pub(super) fn links() -> Value {
    let by_id = |operation: &str, description: &str| json!({"operationId": operation, "parameters": {"id": "$response.body#/id"}, "description": description});
    json!({
        "job": by_id("getJob", "The job, whatever its state."),
        "status": by_id("getJobStatus", "The monitor to poll."),
        "result": by_id("getJobResult", "What it returned, once it has completed."),
        "events": by_id("watchJob", "What happens to it, as it happens."),
        "cancel": by_id("cancelJob", "Cancel it."),
    })
}

fn show() -> Operation {
    Operation::get("/api/jobs/{id}", "getJob")
        .says(
            "Show a job",
            "200 whatever its state, so that a client which follows redirects by itself can read it. `Prefer: wait` holds the \
             answer until the job has come to its end.",
        )
        .takes([sent("Prefer"), sent("If-None-Match")])
        .answers(
            Answer::json(200, "The job.", "Job")
                .with(&ETAG)
                .may(&PREFERENCE_APPLIED)
                .example(failed())
                .links(links()),
        )
        .answers(Answer::empty(304, "It is as you have it.").with(&ETAG).may(&PREFERENCE_APPLIED))
        .refuses(&[T::JobNotFound])
}

fn status() -> Operation {
    Operation::get("/api/jobs/{id}/status", "getJobStatus")
        .says(
            "Ask how a job stands",
            "The monitor to poll: 200 with `Retry-After` while it goes on, 303 to the result when it has completed, 200 when it has \
             come to another end. `Prefer: wait` saves polling.",
        )
        .takes([sent("Prefer")])
        .answers(
            Answer::json(200, "Not completed; with `Retry-After`, not at its end.", "Job")
                .may(&RETRY_AFTER)
                .may(&PREFERENCE_APPLIED)
                .example(example_job()),
        )
        .answers(
            Answer::json(303, "Completed; the result is at `Location`.", "Job")
                .with(&LOCATION)
                .may(&PREFERENCE_APPLIED)
                .links(links()),
        )
        .refuses(&[T::JobNotFound])
}

fn result() -> Operation {
    Operation::get("/api/jobs/{id}/result", "getJobResult")
        .says(
            "Read the result of a job",
            "What the handler returned, with its own media type: JSON (`null` where it returned nothing) unless it said otherwise.",
        )
        .takes([sent("If-None-Match")])
        .answers(
            Answer::of(200, "The result.", "application/json", json!({"description": "Any JSON."}))
                .or("*/*", json!({"description": "Whatever the handler returned."}))
                .with(&ETAG)
                .with(&NOSNIFF)
                .with(&SECURITY_POLICY),
        )
        .answers(Answer::empty(304, "It is as you have it.").with(&ETAG))
        .refuses(&[
            T::JobNotFound,
            T::ResultNotReady,
            T::JobDeadLettered,
            T::JobSkipped,
            T::JobCanceled,
            T::ResultExpired,
        ])
}

fn payload() -> Operation {
    Operation::get("/api/jobs/{id}/payload", "getJobPayload")
        .says("Read the payload of a job", "What is secret in it is shown as `[redacted 1a2b3c4d]`.")
        .answers(
            Answer::of(200, "The payload.", "application/json", json!({"description": "Any JSON."}))
                .example(json!({"to": "ada@example.com", "template": "welcome", "data": {"name": "Ada"}})),
        )
        .refuses(&[T::JobNotFound])
}

fn log() -> Operation {
    Operation::get("/api/jobs/{id}/log", "getJobLog")
        .says("Read the log of a job", "The last 100 lines that its attempts wrote.")
        .answers(Answer::json(200, "The lines.", "Log").example(json!({"lines": [
            {"at": "2026-11-20T16:50:00.140Z", "attempt": 1, "level": "info", "message": "connected"},
        ]})))
        .refuses(&[T::JobNotFound])
}

fn cancel() -> Operation {
    Operation::delete("/api/jobs/{id}", "cancelJob")
        .says("Cancel a job", "One that waits is canceled at once, one that runs is told to stop.")
        .answers(Answer::json(200, "It waited, and is canceled.", "Job"))
        .answers(Answer::json(202, "It runs, and is told to stop: `cancel_requested`.", "Job").links(links()))
        .refuses(&[T::JobNotFound, T::JobNotCancelable, T::Draining])
}

fn retry() -> Operation {
    Operation::post("/api/jobs/{id}/retry", "retryJob")
        .says(
            "Send a job round again",
            "Dead-lettered, canceled and skipped jobs become pending with fresh attempts; one that waits for its time or its next \
             attempt runs now instead of later. A body is not needed, and not looked at.",
        )
        .body(false, json!({"description": "Nothing is needed."}), json!({"none": {"value": {}}}))
        .answers(
            Answer::json(202, "It is pending.", "Job").with(&LOCATION).with(&RETRY_AFTER).links(links()),
        )
        .refuses(&[T::JobNotFound, T::JobNotRetryable, T::QueueFull, T::Draining])
}

fn job() -> Value {
    let links = object(
        "Where the rest is: absolute when `server.public_url` is set, else paths.",
        ["self", "status", "result", "events"]
            .map(|name| (name, json!({"type": "string", "format": "uri-reference"}))),
    );
    let job = object(
        "A job as it stands. Neither its payload nor its result is in it.",
        [
            ("id", job_id("Its name in the world: a UUIDv7.")),
            ("kind", kind_name("The handler that runs it.")),
            ("queue", queue_name("Where it waits.")),
            ("state", named("JobState")),
            ("durability", words("What a crash would cost.", &["memory"])),
            ("attempt", count("Attempts used, the running one included.")),
            ("max_attempts", count("Attempts, the first run included.")),
            ("tags", list(tag("A tag."))),
            ("created_at", time("When it was accepted.")),
            ("run_at", time("When it was first due.")),
            ("started_at", or_null(time("When the latest attempt began."))),
            ("finished_at", or_null(time("When it came to its end."))),
            ("next_attempt_at", or_null(time("When it is tried again, if it failed."))),
            ("expires_at", or_null(time("When it stops being worth running."))),
            ("progress", named("Progress")),
            ("cancel_requested", flag("Whether it runs and has been told to stop.")),
            ("skip_reason", or_null(text("Why no work was due."))),
            ("waiting", or_null(named("Waiting"))),
            ("error", or_null(named("JobError"))),
            ("attempts", list(named("Attempt"))),
            ("callback", or_null(named("Callback"))),
            ("links", links),
        ],
    );
    and_maybe(
        job,
        [(
            "deduplicated",
            json!({
                "type": "boolean", "const": true,
                "description": "In the answer to a submission: this job was there already and is the same work.",
            }),
        )],
    )
}

fn error() -> Value {
    object(
        "Why an attempt failed.",
        [
            ("code", text("A short word for programs: `smtp-451`, `timeout`, `panic`.")),
            ("message", text("A sentence for people.")),
            ("retryable", flag("Whether a repeat could succeed.")),
        ],
    )
}

fn attempt() -> Value {
    let outcomes = [
        O::Completed,
        O::Skipped,
        O::Failed,
        O::TimedOut,
        O::Panicked,
        O::Canceled,
        O::Interrupted,
        O::Snoozed,
    ];
    object(
        "An attempt that has ended. The first and the last nine are kept.",
        [
            ("number", count("1 for the first.")),
            ("outcome", words("How it ended.", &outcomes.map(O::as_str))),
            ("started_at", time("When it began.")),
            ("finished_at", time("When it ended.")),
            ("error", or_null(named("JobError"))),
        ],
    )
}

pub(super) fn progress() -> Value {
    let percent = json!({"type": "integer", "minimum": 0, "maximum": 100});
    object("How far it is.", [("percent", percent), ("message", or_null(text("What it is doing.")))])
}

fn waiting() -> Value {
    object(
        "Why it does not run yet; null for one that runs or has come to its end.",
        [
            (
                "for",
                words("What it waits for.", &["turn", "schedule", "retry", "pause", "rate_limit", "room"]),
            ),
            ("until", or_null(time("Until when, where that is known."))),
            ("ahead", count("How many jobs are in front of it.")),
        ],
    )
}

fn log_line() -> Value {
    object(
        "A line that an attempt wrote.",
        [
            ("at", time("When.")),
            ("attempt", count("Which attempt.")),
            ("level", words("How much it matters.", &["debug", "info", "warn", "error"])),
            ("message", text("At most 1 KiB.")),
        ],
    )
}

fn failed() -> Value {
    let error = json!({"code": "smtp-451", "message": "451 4.3.0 try again later", "retryable": true});
    example_job_with(json!({
        "state": "failed", "attempt": 1, "started_at": "2026-11-20T16:50:00.130Z", "error": error,
        "next_attempt_at": "2026-11-20T16:50:01.071Z",
        "waiting": {"for": "retry", "until": "2026-11-20T16:50:01.071Z", "ahead": 0},
        "attempts": [{
            "number": 1, "outcome": "failed", "error": error,
            "started_at": "2026-11-20T16:50:00.130Z", "finished_at": "2026-11-20T16:50:00.412Z",
        }],
    }))
}
