//! How the server stops: in a fixed order, within bounds, and with an account of every job.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use crate::job::{AttemptOutcome, Job, JobId, StateName, Timestamp};
use crate::jobs::Jobs;
use crate::schedule::Kept;
use crate::spill::SpillFile;
use crate::worker::{Pool, Stop};

/// How much longer than the longest `cancel_grace` the drain waits for attempts that were told to stop.
const SLACK: Duration = Duration::from_millis(500);

/// How long the drain waits for submissions that are half way in.
const ENTERING: Duration = Duration::from_secs(1);

/// Where the server is in its life. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Phase(Arc<AtomicU8>);

const READY: u8 = 1;
const STOPPING: u8 = 2;

impl Phase {
    /// It answers and takes work in.
    pub fn ready(&self) {
        self.0.fetch_max(READY, Ordering::SeqCst);
    }

    /// It has begun to stop.
    pub fn stopping(&self) {
        self.0.store(STOPPING, Ordering::SeqCst);
    }

    /// Whether a load balancer should send requests.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::SeqCst) == READY
    }

    /// Whether it has begun to stop.
    pub fn is_stopping(&self) -> bool {
        self.0.load(Ordering::SeqCst) == STOPPING
    }
}

/// How long each step of a drain may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// Between "not ready" and the refusal of jobs, so that a load balancer can take note.
    pub ready_delay: Duration,
    /// For what runs and what waits to be finished.
    pub grace: Duration,
}

/// What became of every job that was held when the drain began. Jobs that had finished before do not count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DrainReport {
    /// Came to their end during the drain.
    pub finished: u64,
    /// Were running and had to be stopped; they are among the spilled or the lost.
    pub interrupted: u64,
    /// Are in the spill file and will be taken up by the next start.
    pub spilled: u64,
    /// Dead letters that are in the spill file too, so that they can still be looked at and sent round again.
    pub dead_letters_kept: u64,
    /// Are gone: unfinished ones, and dead letters when there is a spill file that could not be written.
    pub lost: Vec<JobId>,
    /// Handlers that had not stopped `cancel_grace` after they were told to; their jobs are among the interrupted, or
    /// were settled otherwise.
    pub abandoned: u64,
    /// How long it took.
    pub duration: Duration,
}

impl DrainReport {
    /// Writes it as the one log line that the contract promises.
    pub fn log(&self) {
        let lost = self.lost.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let duration_ms = u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX);
        let Self { finished, interrupted, spilled, dead_letters_kept, .. } = *self;
        // Told only when there is something to look into.
        let abandoned = (self.abandoned > 0).then_some(self.abandoned);
        // Under a target of its own, which `telemetry` lets through whatever the level: it is always told.
        if self.lost.is_empty() {
            tracing::info!(
                target: "backroom_report",
                finished, interrupted, spilled, dead_letters_kept, abandoned, lost, duration_ms, "drain report"
            );
        } else {
            tracing::error!(
                target: "backroom_report",
                finished, interrupted, spilled, dead_letters_kept, abandoned, lost, duration_ms, "drain report"
            );
        }
    }
}

/// Stops the work: not ready, intake refused, what runs and waits is finished within the grace, the rest is told to
/// stop, and what is left is spilled. HTTP goes on answering; whoever calls this closes it afterwards.
///
/// `hurry` skips the waiting.
///
/// # Cancel safety
///
/// Not safe: when the future is dropped, intake stays refused and nothing is spilled or reported.
pub async fn drain(
    jobs: &Jobs,
    pool: &Pool,
    stop: &Stop,
    phase: &Phase,
    patience: Patience,
    spill: Option<&SpillFile>,
    hurry: &CancellationToken,
) -> DrainReport {
    let (began, elapsed_before) = (jobs.clock().now(), jobs.clock().elapsed());
    let (finished_before, abandoned_before) = (jobs.finished(), pool.abandoned());
    phase.stopping();
    within(patience.ready_delay, hurry, std::future::pending()).await;

    stop.soft.cancel();
    // Who is just being accepted is done in no time; who does not get on is refused at the last moment.
    within(ENTERING, hurry, jobs.close_intake()).await;
    tracing::info!(
        running = pool.running(),
        grace_ms = u64::try_from(patience.grace.as_millis()).unwrap_or(u64::MAX),
        "draining"
    );
    if !within(patience.grace, hurry, pool.finished()).await {
        stop.hard.cancel();
        let longest = jobs.registry().iter().map(|kind| kind.settings.cancel_grace).max().unwrap_or_default();
        if !within(longest + SLACK, hurry, pool.finished()).await {
            stop.now.cancel();
            // What can be dropped is dropped at once. What is left blocks its thread.
            within(SLACK, &CancellationToken::new(), pool.finished()).await;
        }
    }
    // Not even in a hurry without it: whoever is just being accepted would be told so, and be in no account.
    within(ENTERING, &CancellationToken::new(), jobs.seal()).await;
    // A store that hangs must not keep the rest from being spilled.
    within(ENTERING, &CancellationToken::new(), pool.abandon_all().map(drop)).await;
    let mut report = account(jobs, &pool.schedules().kept(), began, finished_before, spill);
    report.abandoned = pool.abandoned() - abandoned_before;
    report.duration = jobs.clock().elapsed().saturating_sub(elapsed_before);
    report
}

/// Waits for a future, but not longer than `patience` and not after `hurry`; says whether it completed.
async fn within(patience: Duration, hurry: &CancellationToken, future: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        () = future => true,
        () = hurry.cancelled() => false,
        () = tokio::time::sleep(patience) => false,
    }
}

/// Spills what is left, and counts.
fn account(
    jobs: &Jobs,
    schedules: &[Kept],
    began: Timestamp,
    finished_before: u64,
    spill: Option<&SpillFile>,
) -> DrainReport {
    let now = jobs.clock().now();
    let mut left = jobs.store().volatile();
    // Those that are done are only kept for the sake of their unique key, as long as they hold it.
    let is_done = |job: &Job| matches!(job.state.name(), StateName::Completed | StateName::Skipped);
    left.retain(|job| !is_done(job) || job.hold().at(now));
    let written = match spill {
        None => false,
        Some(spill) => match spill.write_with(&left, schedules, now) {
            Ok(()) => true,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(error = %error, cause, "spill file could not be written");
                false
            }
        },
    };
    // Not lost if they are: their work was done.
    left.retain(|job| !is_done(job));
    let (dead, unfinished): (Vec<_>, Vec<_>) =
        left.iter().partition(|job| job.state.name() == StateName::DeadLettered);
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    DrainReport {
        finished: jobs.finished() - finished_before,
        interrupted: count(unfinished.iter().filter(|job| was_interrupted(job, began)).count()),
        spilled: if written { count(unfinished.len()) } else { 0 },
        dead_letters_kept: if written { count(dead.len()) } else { 0 },
        lost: match spill {
            Some(_) if written => Vec::new(),
            // Whoever named a file was promised that the dead letters are kept too.
            Some(_) => left.iter().map(|job| job.id()).collect(),
            None => unfinished.iter().map(|job| job.id()).collect(),
        },
        abandoned: 0,
        duration: Duration::ZERO,
    }
}

fn was_interrupted(job: &Job, began: Timestamp) -> bool {
    let last = job.attempts.last();
    last.is_some_and(|last| last.outcome == AttemptOutcome::Interrupted && last.finished_at >= began)
}

/// What a start found in the spill file.
#[derive(Debug, Default)]
pub struct TakenUp {
    /// How many jobs are in the store again.
    pub jobs: usize,
    /// How the schedules stood.
    pub schedules: Vec<Kept>,
}

/// Puts what the last drain left into the store. Nothing is removed yet: see [`SpillFile::clear`].
///
/// # Errors
///
/// When the file is not ours or cannot be read, or lines of it cannot be kept aside.
pub async fn take_up(jobs: &Jobs, spill: &SpillFile) -> anyhow::Result<TakenUp> {
    let mut found = spill.read()?;
    let fits = |job: &Job| -> Result<(), String> {
        if jobs.registry().get(job.spec.kind.as_str()).is_none() {
            return Err(format!("job {}: there is no kind {} any more", job.id(), job.spec.kind));
        }
        if !jobs.has_queue(job.spec.queue.as_str()) {
            return Err(format!("job {}: there is no queue {} any more", job.id(), job.spec.queue));
        }
        Ok(())
    };
    found.turn_away(fits);
    let mut fitting: Vec<_> = found.jobs.iter().cloned().map(Arc::new).collect();
    // The store forgets dead letters in the order in which it got them.
    fitting.sort_by_key(|job| job.state.finished_at());
    // Even beyond the limits: they were accepted once.
    let duplicates = jobs.store().restore(fitting.clone()).await?;
    // Two that are the same work cannot come from one server; somebody has put files together.
    let holders: HashMap<JobId, JobId> =
        duplicates.iter().map(|duplicate| (fitting[duplicate.index].id(), duplicate.holder.id())).collect();
    found.turn_away(|job| match holders.get(&job.id()) {
        Some(holder) => Err(format!("job {}: its unique key belongs to the job {holder}", job.id())),
        None => Ok(()),
    });
    let taken = found.jobs.len();
    spill.keep_rejected(&found.rejected, jobs.clock().now())?;
    if taken > 0 {
        let file = spill.path().display();
        tracing::info!(jobs = taken, rejected = found.rejected.len(), file = %file, "spilled jobs taken up");
    }
    Ok(TakenUp { jobs: taken, schedules: found.schedules })
}
