//! An example of each type of problem.

use serde_json::{Value, json};

use super::schemas::ID;
use crate::http::problem_type::ProblemType;

/// What a program may get to read.
pub(super) fn example(kind: ProblemType) -> Value {
    let (instance, detail, more) = of(kind);
    let path = match kind {
        ProblemType::NotFound | ProblemType::Conflict | ProblemType::Unavailable => "about:blank".to_owned(),
        kind => format!("/problems/{}", kind.slug()),
    };
    let mut problem = json!({
        "type": path,
        "title": kind.title(),
        "status": kind.status().as_u16(),
        "detail": detail,
        "instance": instance.replace("{id}", ID),
        "request_id": "9f86d081884c7d65",
    });
    if let Value::Object(more) = more {
        for (member, value) in more {
            problem[member] = value;
        }
    }
    problem
}

const JOBS: &str = "/api/jobs";
const JOB: &str = "/api/jobs/{id}";
const HUB: &str = "/hubs/jobs";
const RESULT: &str = "/api/jobs/{id}/result";

/// The path that was asked, the detail, and the members of its own.
#[expect(clippy::too_many_lines, reason = "a line or two for each type")]
fn of(kind: ProblemType) -> (&'static str, &'static str, Value) {
    use ProblemType as T;
    let none = Value::Null;
    match kind {
        T::MalformedRequest => (JOBS, "The body is not JSON: expected value at line 1 column 2.", none),
        T::IdempotencyKeyInvalid => {
            (JOBS, "The Idempotency-Key is empty. Send one value of 1 to 255 visible ASCII characters.", none)
        }
        T::InvalidCursor => (JOBS, "Take next_cursor of the page before, unchanged.", none),
        T::Unauthorized => (JOBS, "Send Authorization: Bearer with a token of this server.", none),
        T::Forbidden => (JOBS, "The token has not the role read.", json!({"role": "read"})),
        T::OriginForbidden => (
            JOBS,
            "A web page of another origin may not change anything here. If the page is yours, add its origin to \
             server.cors_origins.",
            none,
        ),
        T::JobNotFound => (
            JOB,
            "No job has this id. Finished jobs are forgotten after a while (see retention), and when the server stops.",
            none,
        ),
        T::QueueNotFound => ("/api/queues/mial", "No queue has this name. There are: default, mail.", none),
        T::ScheduleNotFound => {
            ("/api/schedules/nihgtly", "No schedule has this name. Did you mean \"nightly\"?", none)
        }
        T::MailNotFound => {
            ("/api/mail/{id}", "No captured mail has this id; only the latest are kept.", none)
        }
        T::ResultNotReady => (
            RESULT,
            "The job is processing. Ask again after Retry-After.",
            json!({"state": "processing", "retry_after_seconds": 1}),
        ),
        T::JobDeadLettered => (
            RESULT,
            "The job failed for good and has no result.",
            json!({"state": "dead_lettered", "error": {"code": "smtp-550", "message": "550 5.1.1 no such user"}}),
        ),
        T::JobSkipped => (
            RESULT,
            "No work was due, so that there is no result.",
            json!({"state": "skipped", "skip_reason": "expired"}),
        ),
        T::JobCanceled => (RESULT, "The job was canceled and has no result.", json!({"state": "canceled"})),
        T::MethodNotAllowed => (
            JOBS,
            "PUT is not among the methods of this path: GET, HEAD, POST.",
            json!({"allow": "GET, HEAD, POST"}),
        ),
        T::RequestTimeout => {
            (JOBS, "The body did not arrive within 30s. Nothing was accepted: send it again.", none)
        }
        T::IdempotencyInProgress => (
            JOBS,
            "The first request with this Idempotency-Key has not been answered yet. Try again soon.",
            json!({"retry_after_seconds": 1}),
        ),
        T::JobNotCancelable => {
            (JOB, "The job is completed: there is nothing left to cancel.", json!({"state": "completed"}))
        }
        T::JobNotRetryable => (
            "/api/jobs/{id}/retry",
            "The job is completed: a completed job is done, a pending or processing one is under way.",
            json!({"state": "completed"}),
        ),
        T::ResultExpired => (
            RESULT,
            "The job completed, but its result was let go to make room for other jobs.",
            json!({"state": "completed"}),
        ),
        T::PayloadTooLarge => (
            JOBS,
            "/payload is larger than 262144 bytes. Pass a reference instead of the data.",
            json!({"limit": 262_144}),
        ),
        T::UnsupportedMediaType => {
            (JOBS, "The body has another media type. Send Content-Type: application/json.", none)
        }
        T::HostNotAllowed => (
            JOBS,
            "This server does not go by the name in Host. Use a local one (localhost, 127.0.0.1), or add the name to \
             server.allowed_hosts.",
            none,
        ),
        T::ValidationFailed => (
            JOBS,
            "2 members are not valid; each is named in errors.",
            json!({"errors": [
                {"pointer": "/max_attempts", "detail": "must be 1 to 100"},
                {"pointer": "/payload/to", "detail": "is required"},
            ]}),
        ),
        T::UnknownKind => (
            JOBS,
            "/kind: there is no kind \"emial\"; did you mean \"email\"?",
            json!({"errors": [{"pointer": "/kind", "detail": "there is no kind \"emial\"; did you mean \"email\"?"}]}),
        ),
        T::IdempotencyKeyReused => {
            (JOBS, "This Idempotency-Key was used with another body. Take a new key for new work.", none)
        }
        T::CallbackUrlForbidden => (
            JOBS,
            "/callback_url: leads to an address inside of a private network, where webhooks must not go.",
            json!({"errors": [{
                "pointer": "/callback_url",
                "detail": "leads to an address inside of a private network, where webhooks must not go",
            }]}),
        ),
        T::Internal => (JOB, "The log of the server has the causes under this request id.", none),
        T::QueueFull => (
            JOBS,
            "The queue mail holds 1000 jobs and had no room in time. Nothing was kept.",
            json!({"queue": "mail", "capacity": 1_000, "retry_after_seconds": 12}),
        ),
        T::MemoryFull => (
            JOBS,
            "500000 jobs are not finished, the most that limits.jobs allows. Nothing was kept.",
            json!({"limit": 500_000, "option": "limits.jobs", "retry_after_seconds": 30}),
        ),
        T::Draining => (
            JOBS,
            "Jobs are not accepted any more. Try again when it has restarted.",
            json!({"retry_after_seconds": 5}),
        ),
        T::Conflict => (HUB, "The connection is open already. Negotiate a new one.", none),
        T::Unavailable => (
            HUB,
            "The server has as many connections as it may have (server.max_hub_connections); try again later.",
            json!({"retry_after_seconds": 5}),
        ),
        T::NotFound => ("/problems/nope", "There is no problem type of this name.", none),
    }
}
