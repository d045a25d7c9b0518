//! Server-sent events.

use serde_json::{Value, json};

use super::Resource;
use super::headers::{ACCEL_BUFFERING, CONTENT_ENCODING, query, repeated, sent};
use super::operation::{Answer, Operation};
use super::schemas::{count, example_job, job_id, kind_name, named, object, queue_name, time, words};
use crate::event::EventKind;
use crate::http::problem_type::ProblemType as T;
use crate::job::StateName;

pub(super) fn resource() -> Resource {
    Resource {
        tag: ("Events", "What happens, as it happens: server-sent events (WHATWG)."),
        operations: vec![of_job(), of_all()],
        schemas: vec![("Event", event())],
    }
}

const STREAM: &str = "text/event-stream";

fn of_job() -> Operation {
    Operation::get("/api/jobs/{id}/events", "watchJob")
        .says(
            "Watch a job",
            "A `job.snapshot` first, then an event for every state that the job enters and for its progress, and the end of the \
             stream after its last one. `id` is the number of the event in the life of the job; who reconnects with \
             `Last-Event-ID` goes on where it stopped, or is given a snapshot. A comment is sent every 15 s. A slow reader loses \
             progress first, then the connection.",
        )
        .takes([sent("Last-Event-ID"), access_token()])
        .security(either())
        .answers(stream("job.snapshot", 1))
        .answers(Answer::empty(204, "The last event that you have seen was the last: do not come again."))
        .refuses(&[T::JobNotFound])
}

fn of_all() -> Operation {
    Operation::get("/api/events", "watchJobs")
        .says(
            "Watch many jobs",
            "Everything that happens from now on to the jobs that meet the filters; no snapshot, and no end before the server \
             stops. `id` counts over all jobs.",
        )
        .takes([
            repeated("queue", "Only jobs of one of these queues.", queue_name("A queue.")),
            repeated("kind", "Only jobs of one of these kinds.", kind_name("A kind.")),
            repeated("job", "Only these jobs.", job_id("A job.")),
            sent("Last-Event-ID"),
            access_token(),
        ])
        .security(either())
        .answers(stream("job.pending", 118))
        .refuses(&[T::ValidationFailed])
}

/// Only these paths take it: an `EventSource` of a browser cannot send a header.
fn access_token() -> Value {
    query(
        "access_token",
        "The token, for clients that cannot send `Authorization`.",
        json!({"type": "string"}),
    )
}

fn either() -> Value {
    json!([{"token": []}, {"access_token": []}])
}

fn stream(first: &str, id: u64) -> Answer {
    let schema = json!({
        "type": "string",
        "description": "Each event has the fields `id`, `event` (its type) and `data`: an `Event` as JSON, in one line.",
        "contentMediaType": "application/json",
        "contentSchema": named("Event"),
    });
    let data =
        json!({"type": first, "timestamp": "2026-11-20T16:50:00.123Z", "sequence": 1, "data": example_job()});
    Answer::of(200, "The stream.", STREAM, schema)
        .with(&CONTENT_ENCODING)
        .with(&ACCEL_BUFFERING)
        .example(format!("retry: 3000\n\nid: {id}\nevent: {first}\ndata: {data}\n\n").into())
}

fn event() -> Value {
    let states = StateName::ALL.map(|state| EventKind::State(state).to_string());
    let others = [EventKind::Progress.to_string(), "job.snapshot".to_owned()];
    let types: Vec<&str> = states.iter().chain(&others).map(String::as_str).collect();
    object(
        "Something that happened to a job.",
        [
            ("type", words("What: the state that it entered, its progress, or how it stands.", &types)),
            ("timestamp", time("When.")),
            ("sequence", count("Grows by one with every event of the job; a snapshot uses none up.")),
            ("data", named("Job")),
        ],
    )
}
