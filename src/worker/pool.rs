//! The pool: everything that runs in the background, and how it is stopped.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::abandoned::{Abandoned, Counts};
use super::supervisor::{Of, supervise};
use super::{dispatcher, due, pulse, recurring};
use crate::handler::Reporter;
use crate::job::{Ending, Job, JobState, LogLevel, Progress};
use crate::jobs::{Jobs, Leash};
use crate::schedules::Schedules;

/// How the pool is told to stop, in three steps. Each includes those before it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Take no new work in; finish what waits.
    pub soft: CancellationToken,
    /// Start nothing more, and tell what runs to stop.
    pub hard: CancellationToken,
    /// Wait for nothing.
    pub now: CancellationToken,
}

/// The background tasks of one server.
pub struct Pool {
    desk: Arc<Desk>,
    dispatchers: TaskTracker,
    of_notices: TaskTracker,
    helpers: TaskTracker,
}

/// What the tasks of the pool share.
pub(super) struct Desk {
    pub(super) jobs: Jobs,
    pub(super) schedules: Schedules,
    pub(super) stop: Stop,
    pub(super) attempts: TaskTracker,
    /// Those of notices, which go on for a while when the others are over.
    pub(super) notices: TaskTracker,
    /// Canceled when nothing is left of which notices could still be made.
    pub(super) last_call: CancellationToken,
    /// Canceled when no attempt is left and none will follow.
    pub(super) ended: CancellationToken,
    pub(super) reporter: Arc<dyn Reporter>,
    /// Canceled when a part of the pool keeps dying.
    pub(super) failed: CancellationToken,
    pub(super) abandoned: Counts,
    pub(super) restarts: AtomicU64,
}

impl Pool {
    /// Starts a pool without schedules: see [`Self::start_with`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(jobs: Jobs, stop: Stop) -> Self {
        let none = Schedules::new(jobs.clone(), []);
        Self::start_with(jobs, none, stop)
    }

    /// Starts a dispatcher and a due loop for every queue, and a loop for every schedule, on the runtime that this is called
    /// on.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start_with(jobs: Jobs, schedules: Schedules, stop: Stop) -> Self {
        let desk = Arc::new(Desk {
            reporter: Arc::new(ToJobs(jobs.clone())),
            abandoned: Counts::new(jobs.registry()),
            jobs,
            schedules,
            stop,
            attempts: TaskTracker::new(),
            notices: TaskTracker::new(),
            last_call: CancellationToken::new(),
            ended: CancellationToken::new(),
            failed: CancellationToken::new(),
            restarts: AtomicU64::new(0),
        });
        let (dispatchers, of_notices) = (TaskTracker::new(), TaskTracker::new());
        let helpers = TaskTracker::new();
        for line in desk.jobs.lines() {
            let of = Of::Queue(line.name.clone());
            let for_it = (Arc::clone(&desk), Arc::clone(line));
            let dispatching = if line.is_of_notices() { &of_notices } else { &dispatchers };
            dispatching.spawn(supervise(Arc::clone(&desk), "dispatcher", of.clone(), move || {
                dispatcher::run(Arc::clone(&for_it.0), Arc::clone(&for_it.1))
            }));
            let for_it = (Arc::clone(&desk), Arc::clone(line));
            helpers.spawn(supervise(Arc::clone(&desk), "due loop", of, move || {
                due::run(Arc::clone(&for_it.0), Arc::clone(&for_it.1))
            }));
        }
        for schedule in desk.schedules.iter() {
            let of = Of::Schedule(schedule.schedule().name.to_string());
            let for_it = (Arc::clone(&desk), Arc::clone(schedule));
            helpers.spawn(supervise(Arc::clone(&desk), "schedule", of, move || {
                recurring::run(Arc::clone(&for_it.0), Arc::clone(&for_it.1))
            }));
        }
        helpers.spawn(pass_on_hard_stop(Arc::clone(&desk)));
        let for_it = Arc::clone(&desk);
        let pulse = move || pulse::run(Arc::clone(&for_it));
        helpers.spawn(supervise(Arc::clone(&desk), "pulse", Of::Pool, pulse));
        pulse::keep_awake(&desk);
        for tasks in [&dispatchers, &of_notices, &helpers] {
            tasks.close();
        }
        Self { desk, dispatchers, of_notices, helpers }
    }

    /// Completes when a part of the pool has died too often to be replaced.
    pub async fn failed(&self) {
        self.desk.failed.cancelled().await;
    }

    /// Whether a part of the pool has died too often to be replaced.
    pub fn has_failed(&self) -> bool {
        self.desk.failed.is_cancelled()
    }

    /// How many handlers had to be abandoned because they ignored their cancellation, since the start.
    pub fn abandoned(&self) -> u64 {
        self.desk.abandoned.total()
    }

    /// The same for every kind, sorted by name, with those that have not returned yet.
    pub fn abandoned_by_kind(&self) -> Vec<Abandoned> {
        self.desk.abandoned.view()
    }

    /// How many parts of the pool died and were replaced.
    pub fn restarts(&self) -> u64 {
        self.desk.restarts.load(Ordering::Relaxed)
    }

    /// The schedules whose jobs are run.
    pub fn schedules(&self) -> &Schedules {
        &self.desk.schedules
    }

    /// How many attempts are under way.
    pub fn running(&self) -> usize {
        self.desk.jobs.running().len()
    }

    /// Completes when no dispatcher and no attempt is left: after [`Stop::soft`] and [`Jobs::close_intake`] when everything
    /// that waits has been run, the notices of it included, or after [`Stop::hard`] when everything that runs has stopped.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn finished(&self) {
        self.dispatchers.wait().await;
        self.desk.attempts.close();
        self.desk.attempts.wait().await;
        // The notices of the last jobs are rows by now, and leave before anybody closes their queue.
        self.desk.last_call.cancel();
        self.of_notices.wait().await;
        self.desk.notices.close();
        self.desk.notices.wait().await;
        self.desk.ended.cancel();
        self.helpers.wait().await;
    }

    /// Gives up on what still runs after everybody was told to stop: their jobs count as interrupted. Says how many.
    pub(crate) async fn abandon_all(&self) -> usize {
        let mut abandoned = 0;
        for job in self.desk.jobs.store().volatile() {
            let JobState::Processing { run, .. } = job.state else { continue };
            let settling = self.desk.jobs.settle(job.id(), run, Ending::Interrupted);
            // Whatever this one does to the store, the others must still be spilled.
            if let Ok(Ok(_)) = AssertUnwindSafe(settling).catch_unwind().await {
                if let Some(leash) = self.desk.jobs.running().get(job.id()).filter(|leash| leash.run() == run)
                {
                    self.desk.abandon(&job, &leash);
                }
                abandoned += 1;
            }
        }
        abandoned
    }
}

/// Tells every attempt when all of them are to stop. A token of each that hangs from the hard one would do the same, and
/// make all attempts of all queues pass through one lock.
async fn pass_on_hard_stop(desk: Arc<Desk>) {
    tokio::select! {
        // Whoever drops the pool cancels both at once, and the attempts must be told.
        biased;
        () = desk.stop.hard.cancelled() => desk.jobs.running().cancel_all(desk.jobs.clock().elapsed()),
        () = desk.ended.cancelled() => {}
    }
}

impl Drop for Pool {
    /// Without a pool nobody would ever stop what it has started.
    fn drop(&mut self) {
        let Desk { stop, ended, last_call, .. } = &*self.desk;
        for token in [&stop.soft, &stop.hard, &stop.now, ended, last_call] {
            token.cancel();
        }
    }
}

impl Desk {
    /// Counts and names an attempt that ignored its cancellation; once, whoever finds it.
    pub(super) fn abandon(&self, job: &Job, leash: &Leash) {
        let Some(Abandoned { total, running, .. }) = self.abandoned.note(&job.spec.kind, leash) else {
            return;
        };
        self.jobs.metrics().abandoned(&job.spec.kind);
        let cancel_grace_ms = u64::try_from(leash.cancel_grace().as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(
            job = %job.id(), kind = %job.spec.kind, queue = %job.spec.queue, attempt = job.attempt,
            cancel_grace_ms, abandoned_total = total, abandoned_running = running, "handler abandoned"
        );
    }
}

/// Passes on what attempts say.
struct ToJobs(Jobs);

impl Reporter for ToJobs {
    fn progress<'a>(&'a self, job: &'a Job, progress: Progress) -> BoxFuture<'a, ()> {
        self.0.progress(job, progress).boxed()
    }

    fn log<'a>(&'a self, job: &'a Job, level: LogLevel, message: &'a str) -> BoxFuture<'a, ()> {
        self.0.log(job, level, message).boxed()
    }
}
