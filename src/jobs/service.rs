//! The service and what can be asked of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::line::{Line, QueueSettings};
use super::notices::Herald;
use super::running::Running;
use super::waiters::Waiters;
use crate::clock::Clock;
use crate::event::Events;
use crate::handler::Registry;
use crate::job::{Job, JobId, JobState, QueueName, StateName, Timestamp, Waiting, WaitingFor};
use crate::queue::Queue;
use crate::redact::Redactor;
use crate::store::{Durability, ListQuery, Page, Store, StoreError, age_seconds};
use crate::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

/// The longest `Retry-After` of a job that waits, and of a queue that is full, in seconds (contract, section 3).
const LONGEST_POLL_PAUSE: u64 = 30;
const LONGEST_FULL_PAUSE: u64 = 300;

/// Accepts, shows and changes jobs. Cheap to clone.
#[derive(Clone)]
pub struct Jobs(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) clock: Clock,
    pub(super) registry: Arc<Registry>,
    pub(super) store: Arc<dyn Store>,
    pub(super) lines: HashMap<QueueName, Arc<Line>, RandomState>,
    pub(super) events: Events,
    pub(super) waiters: Waiters,
    pub(super) running: Running,
    pub(super) limits: Limits,
    /// Without one nobody can be told of a job.
    pub(super) herald: Option<Arc<dyn Herald>>,
    redactor: Redactor,
    gate: Gate,
    /// Jobs that came to their end since the start.
    pub(super) finished: AtomicU64,
}

/// The bounds of what a submission may bring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of one payload.
    pub payload: usize,
    /// Bytes of one result.
    pub result: usize,
    /// Jobs in one batch.
    pub batch: usize,
}

/// Whether changes from outside are let in, and how many are inside.
#[derive(Default)]
struct Gate {
    stage: AtomicU8,
    inside: TaskTracker,
}

/// Stages of the gate; before the first it is open.
const DRAINING: u8 = 1;
const SEALED: u8 = 2;

/// How a queue stands.
#[derive(Clone, PartialEq, Debug)]
pub struct QueueStatus {
    /// Its name.
    pub name: QueueName,
    /// What a crash would cost its jobs.
    pub durability: Durability,
    /// How many jobs can wait.
    pub capacity: usize,
    /// How many run at once.
    pub concurrency: usize,
    /// Jobs in each of the states that somebody might have to look at.
    pub pending: u64,
    /// Those that run.
    pub processing: u64,
    /// Those that wait for their time.
    pub scheduled: u64,
    /// Those that wait for another attempt.
    pub failed: u64,
    /// Those that were given up.
    pub dead_lettered: u64,
    /// How long the longest waiting pending job waits, in seconds.
    pub oldest_pending_seconds: f64,
    /// Jobs that came to their end per second, over the last few seconds.
    pub throughput_per_second: f64,
}

impl Jobs {
    /// A service over these queues and this store.
    pub fn new(
        clock: Clock,
        registry: Arc<Registry>,
        store: Arc<dyn Store>,
        queues: impl IntoIterator<Item = (QueueName, Arc<dyn Queue>, QueueSettings)>,
        limits: Limits,
    ) -> Self {
        Self::telling(None, clock, registry, store, queues, limits)
    }

    /// The same, with one who knows how to tell of jobs. The queue [`NOTICES`](crate::job::NOTICES) has to be among them.
    pub fn telling(
        herald: Option<Arc<dyn Herald>>,
        clock: Clock,
        registry: Arc<Registry>,
        store: Arc<dyn Store>,
        queues: impl IntoIterator<Item = (QueueName, Arc<dyn Queue>, QueueSettings)>,
        limits: Limits,
    ) -> Self {
        let line = |(name, queue, settings): (QueueName, _, _)| {
            (name.clone(), Arc::new(Line::new(name, queue, settings)))
        };
        Self(Arc::new(Inner {
            redactor: Redactor::new(&clock.secret()),
            events: Events::new(clock.now()),
            clock,
            registry,
            store,
            herald,
            lines: queues.into_iter().map(line).collect(),
            waiters: Waiters::default(),
            running: Running::default(),
            limits,
            gate: Gate::default(),
            finished: AtomicU64::new(0),
        }))
    }

    /// The clock of the service.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The kinds that it runs.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    /// The bounds of what a submission may bring.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Hides what must not be shown. Its key is as old as this service.
    pub fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }

    /// What happens to jobs.
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// What a crash would cost.
    pub fn durability(&self) -> Durability {
        self.0.store.durability()
    }

    /// The job as it stands.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn get(&self, id: JobId) -> Result<Option<Arc<Job>>, StoreError> {
        self.0.store.get(id).await
    }

    /// The job when it has come to its end, or as it stands when `patience` is over or `give_up` completes.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn wait(
        &self,
        id: JobId,
        patience: Duration,
        give_up: impl Future<Output = ()>,
    ) -> Result<Option<Arc<Job>>, StoreError> {
        let over = async {
            tokio::select! {
                () = tokio::time::sleep(patience) => {}
                () = give_up => {}
            }
        };
        self.wait_until(id, over).await
    }

    /// As [`Self::wait`], until `over` completes.
    pub(crate) async fn wait_until(
        &self,
        id: JobId,
        over: impl Future<Output = ()>,
    ) -> Result<Option<Arc<Job>>, StoreError> {
        let place = self.0.waiters.join(id);
        let mut over = std::pin::pin!(over);
        loop {
            let notified = place.notify.notified();
            let mut notified = std::pin::pin!(notified);
            notified.as_mut().enable();
            match self.get(id).await? {
                Some(job) if !job.state.is_terminal() => {
                    tokio::select! {
                        biased;
                        () = notified => {}
                        () = &mut over => return self.get(id).await,
                    }
                }
                ended_or_gone => return Ok(ended_or_gone),
            }
        }
    }

    /// Jobs that fit a filter, newest first.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn list(&self, query: &ListQuery) -> Result<Page, StoreError> {
        self.0.store.list(query).await
    }

    /// The names of the queues, sorted.
    pub fn queue_names(&self) -> Vec<&QueueName> {
        let mut names: Vec<_> = self.0.lines.keys().collect();
        names.sort();
        names
    }

    /// Whether there is such a queue.
    pub fn has_queue(&self, name: &str) -> bool {
        self.0.lines.contains_key(name)
    }

    /// How a queue stands; nothing when there is none of this name.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn queue(&self, name: &str) -> Result<Option<QueueStatus>, StoreError> {
        let Some(line) = self.0.lines.get(name) else {
            return Ok(None);
        };
        let counts = self.0.store.counts(&line.name).await?;
        let oldest = self.0.store.oldest_pending(&line.name).await?;
        Ok(Some(QueueStatus {
            name: line.name.clone(),
            durability: self.durability(),
            capacity: line.queue.capacity(),
            concurrency: line.settings.concurrency,
            pending: counts.get(StateName::Pending),
            processing: counts.get(StateName::Processing),
            scheduled: counts.get(StateName::Scheduled),
            failed: counts.get(StateName::Failed),
            dead_lettered: counts.get(StateName::DeadLettered),
            oldest_pending_seconds: age_seconds(oldest, self.0.clock.now()),
            throughput_per_second: line.throughput_per_second(),
        }))
    }

    /// Why a job does not run yet; nothing when it runs or has come to its end.
    pub fn waiting(&self, job: &Job, now: Timestamp) -> Option<Waiting> {
        let room = Waiting { reason: WaitingFor::Room, until: None, ahead: 0 };
        let until = |reason, due| {
            if due > now { Waiting { reason, until: Some(due), ahead: 0 } } else { room }
        };
        match job.state {
            JobState::Scheduled { due } => Some(until(WaitingFor::Schedule, due)),
            JobState::Failed { due } => Some(until(WaitingFor::Retry, due)),
            JobState::Pending { turn: None, .. } => Some(room),
            JobState::Pending { turn: Some(turn), .. } => {
                let ahead = self.line_of(job).and_then(|line| line.queue.ahead(turn)).unwrap_or(0);
                Some(Waiting { reason: WaitingFor::Turn, until: None, ahead })
            }
            _ => None,
        }
    }

    /// When to ask for a job again, in whole seconds: 1 to 30.
    pub fn poll_pause(&self, job: &Job, now: Timestamp) -> u64 {
        let seconds = match (self.waiting(job, now), self.line_of(job)) {
            (Some(Waiting { until: Some(until), .. }), _) => until.since(now).as_secs_f64().ceil() as u64,
            (Some(Waiting { ahead, .. }), Some(line)) => line.seconds_for(ahead + 1).unwrap_or(1),
            _ => 1,
        };
        seconds.clamp(1, LONGEST_POLL_PAUSE)
    }

    /// When to offer a job to a full queue again, in whole seconds: 1 to 300.
    pub(super) fn full_pause(line: &Line) -> u64 {
        let depth = u64::try_from(line.queue.depth()).unwrap_or(u64::MAX);
        line.seconds_for(depth).unwrap_or(LONGEST_POLL_PAUSE).clamp(1, LONGEST_FULL_PAUSE)
    }

    /// When to offer a job again while the store is full, in whole seconds: 1 to 300. The first job that finishes, in
    /// whichever queue, makes room.
    pub(super) fn full_pause_of_all(&self) -> u64 {
        let first = self.0.lines.values().filter_map(|line| line.seconds_for(1)).min();
        first.unwrap_or(LONGEST_POLL_PAUSE).clamp(1, LONGEST_FULL_PAUSE)
    }

    pub(super) fn line_of(&self, job: &Job) -> Option<&Arc<Line>> {
        self.0.lines.get(&job.spec.queue)
    }

    /// Lets a change from outside in, unless the drain has begun; the token keeps the drain waiting.
    pub(super) fn enter(&self) -> Option<TaskTrackerToken> {
        self.enter_before(DRAINING)
    }

    /// Lets a change from outside in until the last moment.
    pub(super) fn enter_late(&self) -> Option<TaskTrackerToken> {
        self.enter_before(SEALED)
    }

    fn enter_before(&self, stage: u8) -> Option<TaskTrackerToken> {
        // Enter first and look then: the drain closes first and waits then. The fences keep it so on every machine,
        // as the tracker itself counts without an order.
        let token = self.0.gate.inside.token();
        fence(Ordering::SeqCst);
        (self.0.gate.stage.load(Ordering::SeqCst) < stage).then_some(token)
    }

    /// Refuses further jobs, waits for those who are just being accepted, and closes the queues; but not that of the
    /// notices: those of the last jobs are still to come.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was closed stays closed.
    pub async fn close_intake(&self) {
        self.0.gate.stage.fetch_max(DRAINING, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        // Who waits for room is refused now and leaves at once.
        for line in self.0.lines.values().filter(|line| !line.is_of_notices()) {
            line.queue.close();
        }
        self.0.gate.inside.close();
        self.0.gate.inside.wait().await;
    }

    /// Refuses every change from outside, and waits for those that are just being made.
    pub(crate) async fn seal(&self) {
        self.0.gate.stage.fetch_max(SEALED, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.0.gate.inside.wait().await;
    }

    /// Whether further jobs are refused.
    pub fn is_draining(&self) -> bool {
        self.0.gate.stage.load(Ordering::SeqCst) >= DRAINING
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.0.gate.stage.load(Ordering::SeqCst) >= SEALED
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &Arc<Line>> {
        self.0.lines.values()
    }

    pub(crate) fn running(&self) -> &Running {
        &self.0.running
    }

    /// The jobs that would be gone with the process: see `Store::volatile`.
    pub(crate) fn volatile(&self) -> Vec<Arc<Job>> {
        self.0.store.volatile()
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// How many jobs came to their end since the start.
    pub fn finished(&self) -> u64 {
        self.0.finished.load(Ordering::Relaxed)
    }
}
