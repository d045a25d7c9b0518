//! The same job told a second time, by serde; both must write the same, byte for byte.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::*;
use crate::job::{
    Attempt, AttemptOutcome, Callback, JobError, JobLog, KindName, Notices, Progress, QueueName, ResultSlot,
    Spec, StateName, States, Tag, WaitingFor, Wanted,
};

#[derive(Serialize)]
struct Shown<'a> {
    id: JobId,
    kind: &'a KindName,
    queue: &'a QueueName,
    state: StateName,
    durability: Durability,
    attempt: u32,
    max_attempts: u32,
    tags: &'a [Tag],
    created_at: Timestamp,
    run_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    next_attempt_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    progress: &'a Progress,
    cancel_requested: bool,
    skip_reason: Option<&'a str>,
    waiting: Option<Waiting>,
    error: Option<&'a JobError>,
    attempts: &'a [Attempt],
    callback: Option<CallbackView>,
    links: Links,
    #[serde(skip_serializing_if = "Option::is_none")]
    deduplicated: Option<bool>,
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    job: String,
    status: String,
    result: String,
    events: String,
}

fn shown(view: &View<'_>, job: &Job, waiting: Option<Waiting>, deduplicated: bool) -> Vec<u8> {
    let url = |part| JobUrl::new(view.base_url, job.id(), part).to_string();
    let (next_attempt_at, skip_reason) = match &job.state {
        JobState::Failed { due } => (Some(*due), None),
        JobState::Skipped { reason, .. } => (None, Some(&**reason)),
        _ => (None, None),
    };
    let callback = job.wanted().and_then(|wanted| wanted.callback.as_ref());
    let shown = Shown {
        id: job.id(),
        kind: &job.spec.kind,
        queue: &job.spec.queue,
        state: job.state.name(),
        durability: view.durability,
        attempt: job.attempt,
        max_attempts: job.spec.max_attempts,
        tags: &job.spec.tags,
        created_at: job.spec.created_at,
        run_at: job.run_at,
        started_at: job.started_at,
        finished_at: job.state.finished_at(),
        next_attempt_at,
        expires_at: job.expires_at,
        progress: &job.progress,
        cancel_requested: job.state.is_cancel_requested(),
        skip_reason,
        waiting,
        error: job.error.as_deref(),
        attempts: &job.attempts,
        callback: callback
            .map(|callback| CallbackView { url: callback.shown(), state: job.callback_state() }),
        links: Links { job: url(""), status: url("/status"), result: url("/result"), events: url("/events") },
        deduplicated: deduplicated.then_some(true),
    };
    serde_json::to_vec(&shown).unwrap()
}

const AWKWARD: &str = "\"quoted\" \\ \n \u{1} é 🚀";

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_763_657_400_007 + millis)
}

fn job(state: JobState, with_everything: bool) -> Job {
    let callback =
        Callback { url: "https://user:pass@app.example/hook?token=1".into(), events: States::TERMINAL };
    let wanted = Wanted { callback: Some(callback), email: None };
    let tags =
        if with_everything { vec!["sign-up".parse().unwrap(), "vip".parse().unwrap()] } else { vec![] };
    let spec = Spec {
        id: JobId::from_uuid(uuid::Uuid::from_u128(0x019a_9f2e_7c3b_7d10_9c1f_0d6f_0b0e_4a55)),
        kind: KindName::new("invoice.render-2").unwrap(),
        queue: QueueName::new("my_queue").unwrap(),
        payload: RawValue::from_string("{}".into()).unwrap(),
        created_at: at(0),
        max_attempts: 100,
        timeout: Duration::from_mins(1),
        tags: tags.into(),
        unique: None,
        trace: None,
        notices: with_everything.then(|| Box::new(Notices::Wanted(wanted))),
        log: JobLog::default(),
    };
    let mut job = Job::new(spec, state, with_everything.then(|| at(9)));
    if with_everything {
        let error = Arc::new(JobError { code: "smtp-451".into(), message: AWKWARD.into(), retryable: true });
        job.attempts.push(Attempt {
            number: 1,
            outcome: AttemptOutcome::Failed,
            started_at: at(1),
            finished_at: at(2),
            error: Some(Arc::clone(&error)),
        });
        job.error = Some(error);
        job.started_at = Some(at(1));
        job.progress = Progress::new(45, Some(AWKWARD));
        job.attempt = 12;
    }
    job
}

#[test]
fn a_job_is_written_as_serde_would() {
    let states = [
        JobState::Scheduled { due: at(5) },
        JobState::Pending { turn: Some(3), since: at(0) },
        JobState::Processing { run: 1, since: at(1), cancel_requested: false },
        JobState::Processing { run: 1, since: at(1), cancel_requested: true },
        JobState::Failed { due: at(6) },
        JobState::Completed { at: at(7), result: ResultSlot::Null },
        JobState::Skipped { at: at(7), reason: AWKWARD.into() },
        JobState::DeadLettered { at: at(7) },
        JobState::Canceled { at: at(7) },
    ];
    let waiting = |reason, until, ahead| Some(Waiting { reason, until, ahead });
    let waits = [
        None,
        waiting(WaitingFor::Turn, None, u64::MAX),
        waiting(WaitingFor::RateLimit, Some(at(8)), 0),
        waiting(WaitingFor::Schedule, Some(at(8)), 0),
        waiting(WaitingFor::Retry, Some(at(8)), 0),
        waiting(WaitingFor::Pause, None, 1),
        waiting(WaitingFor::Room, None, 0),
    ];
    for base_url in ["", "https://jobs.example.com/under"] {
        let view = View { base_url, durability: Durability::Memory };
        for (n, state) in states.iter().enumerate() {
            for (with_everything, waiting) in [(false, waits[n % 7]), (true, waits[(n + 1) % 7])] {
                let job = job(state.clone(), with_everything);
                let mut written = Vec::new();
                view.write(&job, waiting, with_everything, &mut written);
                let told = shown(&view, &job, waiting, with_everything);
                assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8(told).unwrap());
            }
        }
    }
}
