//! `/api/jobs` and `/api/jobs/batch`.

use serde_json::{Value, json};

use super::headers::{
    IDEMPOTENT_REPLAYED, LINK, LOCATION, PREFERENCE_APPLIED, RETRY_AFTER, query, repeated, sent,
};
use super::operation::{Answer, Operation};
use super::schemas::{
    ID, and_maybe, closed, duration, example_job, example_job_with, kind_name, list, named, object, or_null,
    queue_name, tag, text, time,
};
use super::{Resource, job, notices};
use crate::http::list::{DEFAULT_LIMIT, LARGEST_LIMIT, LONGEST_TEXT};
use crate::http::problem_type::ProblemType as T;
use crate::jobs::MAX_TAGS;

pub(super) fn resource() -> Resource {
    Resource {
        tag: ("Jobs", "Submit work, and find it again."),
        operations: vec![submit(), batch(), all()],
        schemas: vec![
            ("NewJob", new_job()),
            ("Unique", unique()),
            ("NewJobs", new_jobs()),
            (
                "AcceptedJobs",
                object("The jobs, in the order of the request.", [("jobs", list(named("Job")))]),
            ),
            ("JobPage", page()),
        ],
    }
}

/// The 202 of whatever makes one job.
pub(super) fn accepted(says: &'static str) -> Answer {
    Answer::json(202, says, "Job")
        .with(&LOCATION)
        .with(&RETRY_AFTER)
        .may(&PREFERENCE_APPLIED)
        .may(&IDEMPOTENT_REPLAYED)
        .example(example_job())
        .links(job::links())
}

fn submit() -> Operation {
    Operation::post("/api/jobs", "submitJob")
        .says(
            "Submit a job",
            "The answer comes at once: 202 with the job and, in `Location`, where to ask how it stands. With `Prefer: wait` it is \
             held until the job has completed, and then is a 303 to the result; a client that follows redirects reads \
             the result as if the work had been done within the request. A full queue slows the request down \
             (`enqueue_wait`), then refuses it with 503. Every fault of a body is named at once.",
        )
        .takes([sent("Prefer"), sent("Idempotency-Key"), sent("traceparent")])
        .body(true, named("NewJob"), examples())
        .answers(accepted("Accepted, or known already as the same work (`deduplicated`)."))
        .answers(
            Answer::json(303, "Completed within the wait; the result is at `Location`.", "Job")
                .with(&LOCATION)
                .with(&PREFERENCE_APPLIED)
                .may(&IDEMPOTENT_REPLAYED)
                .example(completed())
                .links(job::links()),
        )
        .refuses(&REFUSALS)
        .callbacks(notices::callbacks())
}

const REFUSALS: [T; 9] = [
    T::IdempotencyKeyInvalid,
    T::IdempotencyInProgress,
    T::ValidationFailed,
    T::UnknownKind,
    T::IdempotencyKeyReused,
    T::CallbackUrlForbidden,
    T::QueueFull,
    T::MemoryFull,
    T::Draining,
];

fn batch() -> Operation {
    Operation::post("/api/jobs/batch", "submitJobs")
        .says(
            "Submit many jobs, all or none",
            "1 to `limits.batch` jobs (1,000 unless configured). If one of them is not valid none is accepted, and the pointers begin at \
             the array (`/jobs/3/kind`); 503 if they do not all fit.",
        )
        .takes([sent("Idempotency-Key"), sent("traceparent")])
        .body(
            true,
            named("NewJobs"),
            json!({"two": {"summary": "Two jobs", "value": {"jobs": [
                {"kind": "noop", "payload": {"sleep": "1s"}, "tags": ["first"]},
                {"kind": "noop", "delay": "10m"},
            ]}}}),
        )
        .answers(
            Answer::json(202, "All of them are accepted.", "AcceptedJobs")
                .may(&IDEMPOTENT_REPLAYED)
                .example(json!({"jobs": [example_job()]})),
        )
        .refuses(&REFUSALS)
}

fn all() -> Operation {
    let limit = json!({"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT});
    Operation::get("/api/jobs", "listJobs")
        .says(
            "List jobs",
            "Newest first. Filters of different names must all be met; of one that is repeated, one value. `next` leads to the \
             next page with the same filters, and so does `Link`.",
        )
        .takes([
            repeated("state", "Only jobs in one of these states.", named("JobState")),
            repeated("queue", "Only jobs of one of these queues.", queue_name("A queue.")),
            repeated("kind", "Only jobs of one of these kinds.", kind_name("A kind.")),
            repeated("tag", "Only jobs with one of these tags.", tag("A tag.")),
            query(
                "q",
                "The beginning of an id, or a text in error, tag or kind.",
                json!({"type": "string", "maxLength": LONGEST_TEXT}),
            ),
            query("created_after", "Only jobs accepted later.", time("A time.")),
            query("created_before", "Only jobs accepted earlier.", time("A time.")),
            query("limit", "How many jobs a page has at most.", limit),
            query("cursor", "`next_cursor` of the page before, unchanged.", json!({"type": "string"})),
        ])
        .answers(
            Answer::json(200, "One page.", "JobPage")
                .may(&LINK)
                .example(json!({"items": [example_job()], "next_cursor": null, "next": null})),
        )
        .refuses(&[T::InvalidCursor, T::ValidationFailed])
}

fn examples() -> Value {
    json!({
        "email": {"summary": "A mail from a template", "value": {
            "kind": "email",
            "payload": {"to": "ada@example.com", "template": "welcome", "data": {"name": "Ada"}},
            "tags": ["signup"],
            "unique": {"key": "welcome:42", "for": "30m"},
            "callback_url": "https://app.example/hooks",
            "callback_events": ["job.completed", "job.dead_lettered"],
            "notify_email": "ops@example.com",
        }},
        "http": {"summary": "A call of an API, within the next hour", "value": {
            "kind": "http",
            "payload": {"method": "POST", "url": "https://api.example.com/orders/42/ship", "body": {"carrier": "post"}},
            "expires_in": "1h",
            "max_attempts": 5,
            "timeout": "10s",
        }},
        "noop": {"summary": "Nothing, for two seconds", "value": {
            "kind": "noop",
            "payload": {"sleep": "2s", "steps": 4},
            "queue": "default",
            "delay": "250ms",
        }},
    })
}

fn new_job() -> Value {
    let kind = kind_name("The handler that runs it; `GET /api/kinds` lists them.");
    let job = object("A job to be accepted. Members that are not known are refused.", [("kind", kind)]);
    let attempts = json!({
        "type": "integer", "minimum": 1, "maximum": 100,
        "description": "Attempts, the first run included. Default: those of the kind.",
    });
    let tags = json!({
        "type": "array", "maxItems": MAX_TAGS, "items": tag("A tag."), "description": "Words to find it by.",
    });
    let job = and_maybe(job, notices::members());
    closed(and_maybe(
        job,
        [
            (
                "payload",
                json!({
                    "description": "Its input: whatever the kind takes, which `GET /api/kinds` shows as a JSON Schema. Null or missing is \
                                    the same as an empty object.",
                }),
            ),
            ("queue", or_null(queue_name("Where it waits. Default: the queue of the kind."))),
            (
                "delay",
                or_null(duration(
                    "How long it waits before it may run: at most 366 days. Excludes run_at.",
                    "30s",
                )),
            ),
            (
                "run_at",
                or_null(time("When it may run, at most 366 days ahead; past means now. Excludes delay.")),
            ),
            ("max_attempts", or_null(attempts)),
            (
                "timeout",
                or_null(duration(
                    "How long one attempt may take: 1ms to 24h. Default: that of the kind.",
                    "60s",
                )),
            ),
            (
                "expires_in",
                or_null(duration(
                    "If it was not started by then it is skipped: 1ms to 366d. Default: never.",
                    "30m",
                )),
            ),
            ("tags", or_null(tags)),
            ("unique", or_null(named("Unique"))),
        ],
    ))
}

fn unique() -> Value {
    let key = json!({"type": "string", "minLength": 1, "maxLength": 255, "description": "Names the work among the jobs of the kind."});
    let unique = object(
        "While a job with this key has not ended, or ended well less than `for` ago, no second one is made: the answer is the known \
         job, with `deduplicated`.",
        [("key", key)],
    );
    let window = duration("How long after its end it keeps the key: at most 30d. Default: 30m.", "30m");
    closed(and_maybe(unique, [("for", or_null(window))]))
}

fn new_jobs() -> Value {
    let jobs = json!({"type": "array", "minItems": 1, "items": named("NewJob")});
    closed(object("Jobs to be accepted, all or none.", [("jobs", jobs)]))
}

fn page() -> Value {
    object(
        "One page of jobs, newest first.",
        [
            ("items", list(named("Job"))),
            ("next_cursor", or_null(text("For `cursor`; null on the last page."))),
            ("next", or_null(text("The URL of the next page; null on the last."))),
        ],
    )
}

fn completed() -> Value {
    let attempt = json!({
        "number": 1, "outcome": "completed", "error": null,
        "started_at": "2026-11-20T16:50:00.130Z", "finished_at": "2026-11-20T16:50:00.871Z",
    });
    example_job_with(json!({
        "id": ID, "state": "completed", "attempt": 1, "started_at": "2026-11-20T16:50:00.130Z",
        "finished_at": "2026-11-20T16:50:00.871Z", "waiting": null, "attempts": [attempt],
        "progress": {"percent": 100, "message": null},
    }))
}
