//! One attempt, from its start to its settling.
//!
//! Whatever ends the attempt (a return, an error, a timeout, a panic, a cancel, the end of the server), it leaves here
//! as one [`Ending`] and is settled once.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::pool::Desk;
use crate::handler::{Context, Failure, KindSettings, Outcome, Registered};
use crate::job::{AttemptOutcome, Ending, Job, JobError, JobId, KeptSpec, KindName, ResultSlot, truncate};
use crate::jobs::{Leash, Place};
use crate::store::ApplyError;
use crate::telemetry::spans;

/// The longest that a handler can snooze.
const LONGEST_SNOOZE: Duration = Duration::from_hours(366 * 24);

/// How long the reason of a skip may be, in bytes; the rest is cut.
const REASON_BYTES: usize = 1_024;

/// How long the end of an attempt rests before the store is asked again to keep it. Without the last of them it stays as
/// running until the drain, and is then run again.
const SETTLE_RESTS: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1_600),
    Duration::from_millis(6_400),
];

type Returned = std::thread::Result<Result<Outcome, Failure>>;

/// Waits, unless everything is to stop.
pub(super) async fn rest(desk: &Desk, rest: Duration) {
    tokio::select! {
        () = desk.stop.hard.cancelled() => {}
        () = tokio::time::sleep(rest) => {}
    }
}

/// Runs a job that was started, and gives back the place, unless somebody has let go of it meanwhile.
pub(super) async fn run(desk: &Desk, job: Arc<Job>, place: Place) -> Option<Place> {
    let registered = desk.jobs.registry().get(job.spec.kind.as_str());
    let cancel_grace = registered.map_or(Duration::ZERO, |registered| registered.settings.cancel_grace);
    let running = desk.jobs.running();
    let elapsed = desk.jobs.clock().elapsed();
    let leash = running.begin(&job, cancel_grace, elapsed, place);
    let kind = registered.map(|registered| &registered.kind);
    let _noted = Noted { desk, id: job.id(), kind, leash: &leash };
    // A cancel, or the hard stop, that came between the start and the note found nobody to tell.
    let known = desk.jobs.get(job.id()).await.ok().flatten();
    if desk.stop.hard.is_cancelled() || known.is_some_and(|known| known.state.is_cancel_requested()) {
        leash.cancel(desk.jobs.clock().elapsed());
    }
    // A second net: a panic of our own here must not leave the job behind as running.
    let span = spans::attempt(&job);
    let work = attempt(desk, &job, registered, &leash).instrument(span.clone());
    let ending = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(ending) => ending,
        Err(panic) => desk.failed(&job, AttemptOutcome::Panicked, panicked(&*panic)),
    };
    leash.ended();
    if !span.is_disabled() {
        let code = match &ending {
            Ending::Failed { error, .. } => Some(desk.jobs.redactor().line(&error.code)),
            _ => None,
        };
        spans::ended(&span, ending.outcome(), code.as_deref());
    }
    let run = Run::of(&job);
    // Let go of the row first: it is then changed where it is, and not in a copy.
    drop(job);
    settle(desk, &run, ending).await;
    leash.take_place()
}

/// Forgets an attempt, and gives its place back, however it is left.
struct Noted<'a> {
    desk: &'a Desk,
    id: JobId,
    /// If it is one that is registered: only such a one can be abandoned.
    kind: Option<&'a KindName>,
    leash: &'a Arc<Leash>,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.desk.jobs.running().end(self.id, self.leash);
        if let Some(kind) = self.kind {
            self.desk.abandoned.over(kind, self.leash);
        }
        self.leash.let_go();
    }
}

/// Which run of which job, for its settling and the line that it may write.
struct Run {
    spec: Arc<KeptSpec>,
    number: u32,
    attempt: u32,
}

impl Run {
    fn of(job: &Job) -> Self {
        Self { spec: Arc::clone(&job.spec), number: job.runs, attempt: job.attempt }
    }
}

/// Why an attempt was told to stop before it had ended by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    TimedOut,
    Canceled,
    Interrupted,
}

async fn attempt(desk: &Desk, job: &Arc<Job>, registered: Option<&Arc<Registered>>, leash: &Leash) -> Ending {
    let Some(registered) = registered else {
        let failure = Failure::permanent("unknown-kind", "no handler is registered for this kind");
        return desk.failed(job, AttemptOutcome::Failed, failure);
    };
    let settings = &registered.settings;
    let cx = Context::new(Arc::clone(job), leash.canceled().clone(), Arc::clone(&desk.reporter));
    // The handler itself is called when this is first polled: inside the net, for it may panic before its first await.
    let mut work = AssertUnwindSafe(registered.run(&job.spec.payload, &cx)).catch_unwind();

    let by_token = || {
        if desk.stop.hard.is_cancelled() { Told::Interrupted } else { Told::Canceled }
    };
    // A handler that obeys at once returns in the same moment in which it is told.
    let ending = |returned| {
        let told = leash.canceled().is_cancelled().then(by_token);
        desk.ending(job, settings, told, Some(returned))
    };
    // From before it is asked for the first time: that alone can take long.
    let began = desk.jobs.clock().elapsed();
    // A quick one is done before it waits for anything, and needs no timer.
    if let Poll::Ready(returned) = futures_util::poll!(&mut work) {
        return ending(returned);
    }
    let left = job.spec.timeout().saturating_sub(desk.jobs.clock().elapsed().saturating_sub(began));
    let told = tokio::select! {
        biased;
        returned = &mut work => return ending(returned),
        () = leash.canceled().cancelled() => by_token(),
        () = tokio::time::sleep(left) => Told::TimedOut,
    };
    leash.cancel(desk.jobs.clock().elapsed());
    let returned = tokio::select! {
        biased;
        returned = &mut work => Some(returned),
        () = desk.stop.now.cancelled() => None,
        () = tokio::time::sleep(settings.cancel_grace) => {
            desk.abandon(job, leash);
            None
        }
    };
    // What a handler holds may panic when it is dropped, and that is its own affair.
    let _ = std::panic::catch_unwind(AssertUnwindSafe(move || drop(work)));
    desk.ending(job, settings, Some(told), returned)
}

impl Desk {
    /// What an attempt came to: what the handler returned, if it did, and why it was told to stop, if it was.
    fn ending(
        &self,
        job: &Job,
        settings: &KindSettings,
        told: Option<Told>,
        returned: Option<Returned>,
    ) -> Ending {
        let now = self.jobs.clock().now();
        match (told, returned) {
            // Work that is done is done, even if it was done late.
            (_, Some(Ok(Ok(Outcome::Completed(result))))) => {
                let limit = self.jobs.limits().result;
                if result.bytes.len() > limit {
                    let message = format!("the result is larger than {limit} bytes");
                    let failure = Failure::permanent("result-too-large", message);
                    return self.failed_under(job, settings, AttemptOutcome::Failed, failure);
                }
                Ending::Completed(ResultSlot::from(result))
            }
            (_, Some(Ok(Ok(Outcome::Skipped(reason))))) => {
                let reason = self.jobs.hide(job, &reason);
                Ending::Skipped { reason: truncate(&reason, REASON_BYTES).into() }
            }
            (Some(Told::Canceled), _) => Ending::Canceled,
            (None | Some(Told::TimedOut), Some(Ok(Ok(Outcome::Snoozed(duration))))) => {
                Ending::Snoozed { until: now.after(duration.min(LONGEST_SNOOZE)) }
            }
            (Some(Told::Interrupted), _) => Ending::Interrupted,
            (Some(Told::TimedOut), _) => {
                let timeout = crate::job::format_duration(job.spec.timeout());
                let failure =
                    Failure::transient("timeout", format!("the attempt took longer than {timeout}"));
                self.failed_under(job, settings, AttemptOutcome::TimedOut, failure)
            }
            (None, Some(Ok(Err(failure)))) => {
                self.failed_under(job, settings, AttemptOutcome::Failed, failure)
            }
            (None, Some(Err(panic))) => {
                self.failed_under(job, settings, AttemptOutcome::Panicked, panicked(&*panic))
            }
            // Not told to stop and not returned: there is no such attempt.
            (None, None) => Ending::Interrupted,
        }
    }

    fn failed(&self, job: &Job, outcome: AttemptOutcome, failure: Failure) -> Ending {
        match self.jobs.registry().get(job.spec.kind.as_str()) {
            Some(registered) => self.failed_under(job, &registered.settings, outcome, failure),
            None => {
                let now = self.jobs.clock().now();
                Ending::Failed { outcome, error: self.error(job, failure), retry_at: now }
            }
        }
    }

    fn failed_under(
        &self,
        job: &Job,
        settings: &KindSettings,
        outcome: AttemptOutcome,
        failure: Failure,
    ) -> Ending {
        let clock = self.jobs.clock();
        let delay = failure.rest(&settings.retry, job.attempt, clock.chance());
        Ending::Failed { outcome, error: self.error(job, failure), retry_at: clock.now().after(delay) }
    }

    /// The error as the job keeps it: errors like to quote what they failed at.
    fn error(&self, job: &Job, failure: Failure) -> Arc<JobError> {
        Arc::new(JobError::from(failure.hidden(|text| self.jobs.hide(job, text))))
    }

    /// An error of our own with its causes, as it may stand in the log.
    pub(super) fn chain(&self, error: &dyn std::error::Error) -> String {
        self.jobs.redactor().line(&chain(error))
    }

    /// Settles, from outside, an attempt that blocks its thread: it can neither be told nor dropped.
    pub(super) async fn let_go(&self, job: &Job, leash: &Leash) {
        // Not by the token: a timeout cancels it too.
        let told = match (self.stop.hard.is_cancelled(), job.state.is_cancel_requested()) {
            (true, _) => Told::Interrupted,
            (false, true) => Told::Canceled,
            (false, false) => Told::TimedOut,
        };
        let Some(registered) = self.jobs.registry().get(job.spec.kind.as_str()) else {
            return;
        };
        leash.canceled().cancel();
        let ending = self.ending(job, &registered.settings, Some(told), None);
        // Not if it has ended just now.
        if settle(self, &Run::of(job), ending).await {
            self.abandon(job, leash);
        }
        leash.let_go();
    }
}

/// Settles an attempt; says whether it was this that settled it.
async fn settle(desk: &Desk, run: &Run, ending: Ending) -> bool {
    let spec = &*run.spec;
    let failure = match &ending {
        Ending::Failed { outcome, error, .. } => Some((*outcome, Arc::clone(error))),
        _ => None,
    };
    let mut rests = SETTLE_RESTS.into_iter();
    let settled = loop {
        match (desk.jobs.settle(spec.id, run.number, ending.clone()).await, rests.next()) {
            (Err(ApplyError::Store(error)), Some(pause)) if !desk.stop.hard.is_cancelled() => {
                tracing::warn!(job = %spec.id, error = desk.chain(&error), "attempt could not be settled, trying again");
                rest(desk, pause).await;
            }
            (settled, _) => break settled,
        }
    };
    match settled {
        Ok(settled) => {
            // A healthy job writes no line. The message of an error can quote a payload, so that it stays in the job.
            if let Some((outcome, error)) = failure {
                tracing::warn!(
                    job = %spec.id, kind = %spec.kind, queue = %spec.queue, attempt = run.attempt,
                    max_attempts = spec.max_attempts, outcome = outcome.as_str(), code = desk.jobs.redactor().line(&error.code),
                    state = settled.state.name().as_str(), "attempt failed"
                );
            }
            true
        }
        // It was settled from outside, because it had not stopped in time.
        Err(ApplyError::Refused(_) | ApplyError::NotFound | ApplyError::KeyHeld(_)) => {
            tracing::warn!(
                job = %spec.id, kind = %spec.kind, attempt = run.attempt,
                "late end of an abandoned attempt ignored"
            );
            false
        }
        Err(ApplyError::Store(error)) => {
            tracing::error!(job = %spec.id, error = desk.chain(&error), "attempt could not be settled");
            false
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    Failure::transient("panic", format!("the handler panicked: {}", panic_message(panic)))
}

/// What a panic said.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it did not say why")
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
