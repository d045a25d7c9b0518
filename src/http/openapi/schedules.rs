//! `/api/schedules`.

use serde_json::{Value, json};

use super::headers::{IDEMPOTENT_REPLAYED, LOCATION, PREFERENCE_APPLIED, sent};
use super::operation::{Answer, Operation};
use super::schemas::{
    ID, and_maybe, closed, flag, items_of, job_id, kind_name, list, named, object, or_null, queue_name, text,
    time, words,
};
use super::{Resource, jobs};
use crate::http::problem_type::ProblemType as T;

pub(super) fn resource() -> Resource {
    Resource {
        tag: ("Schedules", "Recurring jobs, as the configuration says."),
        operations: vec![all(), show(), change(), run()],
        schemas: vec![
            ("Schedule", schedule()),
            ("Schedules", items_of("Every schedule, by name.", "Schedule")),
            ("SchedulePatch", patch()),
            ("LastRun", last_run()),
        ],
    }
}

fn all() -> Operation {
    Operation::get("/api/schedules", "listSchedules")
        .says("List schedules", "With their next five runs and the last one.")
        .answers(Answer::json(200, "Every schedule.", "Schedules").example(json!({"items": [example()]})))
}

fn show() -> Operation {
    Operation::get("/api/schedules/{name}", "getSchedule")
        .says("Show a schedule", "With its next five runs and the last one.")
        .answers(Answer::json(200, "The schedule.", "Schedule").example(example()))
        .refuses(&[T::ScheduleNotFound])
}

fn change() -> Operation {
    Operation::patch("/api/schedules/{name}", "changeSchedule")
        .says("Pause or resume a schedule", "A merge patch (RFC 7396); null is what the configuration says.")
        .body_as(
            &["application/merge-patch+json", "application/json"],
            true,
            named("SchedulePatch"),
            json!({"pause": {"summary": "Pause it", "value": {"paused": true}}}),
        )
        .answers(Answer::json(200, "The schedule as it is now.", "Schedule").example(example()))
        .refuses(&[T::ScheduleNotFound, T::ValidationFailed])
}

fn run() -> Operation {
    Operation::post("/api/schedules/{name}/run", "runSchedule")
        .says("Run a schedule now", "A job of it, answered as one that was submitted. A body is not needed.")
        .takes([sent("Prefer"), sent("Idempotency-Key"), sent("traceparent")])
        .body(false, json!({"description": "Nothing is needed."}), json!({"none": {"value": {}}}))
        .answers(jobs::accepted("Accepted."))
        .answers(
            Answer::json(303, "Completed within the wait; the result is at `Location`.", "Job")
                .with(&LOCATION)
                .with(&PREFERENCE_APPLIED)
                .may(&IDEMPOTENT_REPLAYED),
        )
        .refuses(&[
            T::ScheduleNotFound,
            T::IdempotencyKeyInvalid,
            T::IdempotencyInProgress,
            T::IdempotencyKeyReused,
            T::QueueFull,
            T::MemoryFull,
            T::Draining,
        ])
}

fn schedule() -> Value {
    object(
        "A recurring job.",
        [
            ("name", text("What it is called.")),
            ("cron", text("When, as cron has it.")),
            ("time_zone", text("By whose clock: an IANA name.")),
            ("kind", kind_name("What its jobs do.")),
            ("queue", or_null(queue_name("Where they wait."))),
            (
                "overlap",
                words("What happens when the job before has not ended.", &["skip", "queue", "allow"]),
            ),
            ("catch_up", words("What happens to runs that were missed.", &["skip", "once"])),
            ("paused", flag("Whether it makes no jobs.")),
            ("next_runs", list(time("A run."))),
            ("waiting_since", or_null(time("Since when a run waits for the job before."))),
            ("last_run", or_null(named("LastRun"))),
        ],
    )
}

fn last_run() -> Value {
    object(
        "The last run of a schedule.",
        [
            ("due_at", time("When it was due.")),
            ("at", time("When it was made.")),
            ("trigger", text("Who wanted it.")),
            ("outcome", text("What came of it.")),
            ("job", or_null(job_id("Its job."))),
            ("job_state", or_null(named("JobState"))),
        ],
    )
}

fn patch() -> Value {
    closed(and_maybe(
        object("What is to be changed.", []),
        [("paused", or_null(flag("Whether it makes no jobs.")))],
    ))
}

fn example() -> Value {
    json!({
        "name": "nightly-report", "cron": "0 3 * * *", "time_zone": "Europe/Berlin", "kind": "report", "queue": "default",
        "overlap": "skip", "catch_up": "once", "paused": false, "next_runs": ["2026-11-21T02:00:00.000Z"],
        "waiting_since": null,
        "last_run": {
            "due_at": "2026-11-20T02:00:00.000Z", "at": "2026-11-20T02:00:00.004Z", "trigger": "schedule",
            "outcome": "submitted", "job": ID, "job_state": "completed",
        },
    })
}
