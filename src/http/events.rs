//! `GET /api/jobs/{id}/events` and `GET /api/events`: what happens, as it happens.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{Stream, StreamExt as _};

use super::api::Api;
use super::job::id;
use super::list::{Faults, pairs};
use super::problem::Problem;
use super::sse::{self, HELLO, Render};
use crate::event::{Event, EventKind};
use crate::job::{Job, JobId, JobState, KindName, QueueName, Timestamp};
use crate::metrics::{Connected, Transport};

const LAST_EVENT_ID: &str = "last-event-id";
pub(super) const KNOWN: [&str; 4] = ["queue", "kind", "job", "access_token"];

/// `GET /api/jobs/{id}/events`: how the job stands, then everything that happens to it, up to its end.
///
/// What can be replayed truly is what the row knows: nothing, when the client has seen the last event; or the last event,
/// when it has seen the one before that and the job has entered its state by it. Everything else is a snapshot, because
/// the row does not remember how the job stood at each number in between.
pub(super) async fn of_job(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let id = id(&request)?;
    // Watch first, then look: nothing that happens in between is missed.
    let mut watcher = api.jobs.events().watch_job(id);
    let job = api.jobs.get(id).await?.ok_or_else(Problem::job_not_found)?;
    let now = api.jobs.clock().now();
    let mut first = HELLO.as_bytes().to_vec();
    match Opening::of(&job, last_event_id(&request)) {
        Opening::NothingMore => return Ok(HttpResponse::NoContent().finish()),
        Opening::GoOn => {}
        Opening::Replay(kind, at) => {
            sse::write(job.sequence, kind, &api.envelope(kind, at, &job), &mut first);
        }
        Opening::Snapshot => {
            sse::write(job.sequence, SNAPSHOT, &api.envelope(SNAPSHOT, now, &job), &mut first);
        }
    }
    watcher.begin_after(job.sequence);
    let (ended, closing) = (job.state.is_terminal(), api.closing.clone());
    let connected = api.jobs.metrics().connected(Transport::ServerSentEvents);
    let events = sse::of_job(first, ended, watcher, closing, render(api));
    Ok(sse::response(&request, while_open(connected, events)))
}

/// `GET /api/events`: everything that happens to the jobs that are asked for, from now on.
pub(super) async fn of_all(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let wanted = Wanted::read(&pairs(&request)?)?;
    let (watcher, closing) = (api.jobs.events().watch(), api.closing.clone());
    let wants = move |event: &Event| wanted.wants(&event.job);
    let first = HELLO.as_bytes().to_vec();
    let connected = api.jobs.metrics().connected(Transport::ServerSentEvents);
    let events = sse::of_all(first, watcher, wants, closing, render(api));
    Ok(sse::response(&request, while_open(connected, events)))
}

/// Counts a connection for as long as its stream lives.
fn while_open<T>(connected: Connected, events: impl Stream<Item = T>) -> impl Stream<Item = T> {
    events.inspect(move |_| {
        let _ = &connected;
    })
}

/// The type of an envelope that says how a job stands.
pub(super) const SNAPSHOT: &str = "job.snapshot";

fn render(api: Data<Api>) -> Render {
    Box::new(move |event| api.envelope(event.kind, event.at, &event.job))
}

impl Api {
    /// What is told of an event, everywhere.
    pub(super) fn envelope(&self, what: impl std::fmt::Display, at: Timestamp, job: &Job) -> Vec<u8> {
        self.view().envelope(what, at, job, self.jobs.waiting(job, at))
    }
}

/// The number of the last event that the client has seen. What is not one of ours says nothing.
fn last_event_id(request: &HttpRequest) -> Option<u64> {
    request.headers().get(LAST_EVENT_ID)?.to_str().ok()?.trim().parse().ok()
}

/// What the stream of one job begins with.
#[derive(PartialEq, Eq, Debug)]
enum Opening {
    /// The client has seen the end.
    NothingMore,
    /// It has seen everything, and more will come.
    GoOn,
    /// It has not seen the last event, and nothing else.
    Replay(EventKind, Timestamp),
    /// How the job stands.
    Snapshot,
}

impl Opening {
    fn of(job: &Job, seen: Option<u64>) -> Self {
        match seen {
            Some(seen) if seen >= job.sequence && job.state.is_terminal() => Self::NothingMore,
            Some(seen) if seen == job.sequence => Self::GoOn,
            Some(seen) if seen.checked_add(1) == Some(job.sequence) => match entered(job) {
                Some(at) => Self::Replay(EventKind::State(job.state.name()), at),
                None => Self::Snapshot,
            },
            _ => Self::Snapshot,
        }
    }
}

/// When the job entered its state, if it did so by its last event: only to one that runs can anything else happen.
fn entered(job: &Job) -> Option<Timestamp> {
    let last_ended = || job.attempts.last().map(|attempt| attempt.finished_at);
    match job.state {
        JobState::Processing { .. } => None,
        JobState::Pending { since, .. } => Some(since),
        JobState::Failed { .. } => last_ended(),
        JobState::Scheduled { .. } => Some(last_ended().unwrap_or(job.spec.created_at)),
        _ => job.state.finished_at(),
    }
}

/// Which jobs somebody watches: of each member one must fit, if there are any.
#[derive(Default)]
struct Wanted {
    queues: Vec<QueueName>,
    kinds: Vec<KindName>,
    jobs: Vec<JobId>,
}

impl Wanted {
    fn read(pairs: &[(String, String)]) -> Result<Self, Problem> {
        let (mut wanted, mut faults) = (Self::default(), Faults::default());
        for (name, value) in pairs {
            match name.as_str() {
                "queue" => faults.take(name, value.parse(), |queue| wanted.queues.push(queue)),
                "kind" => faults.take(name, value.parse(), |kind| wanted.kinds.push(kind)),
                "job" => faults.take(name, value.parse(), |job| wanted.jobs.push(job)),
                "access_token" => {}
                unknown => {
                    faults.invalid(unknown, &format!("is not known here; known are: {}", KNOWN.join(", ")));
                }
            }
        }
        faults.none()?;
        Ok(wanted)
    }

    fn wants(&self, job: &Job) -> bool {
        let Self { queues, kinds, jobs } = self;
        let spec = &job.spec;
        (queues.is_empty() || queues.contains(&spec.queue))
            && (kinds.is_empty() || kinds.contains(&spec.kind))
            && (jobs.is_empty() || jobs.contains(&spec.id))
    }
}
