//! The service and what can be asked of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::counted::counting;
use super::line::{Line, QueueSettings};
use super::notices::Herald;
use super::running::Running;
use super::waiters::Waiters;
use crate::clock::Clock;
use crate::event::Events;
use crate::handler::Registry;
use crate::job::{Job, JobId, NewJob, QueueName};
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::redact::Redactor;
use crate::store::{Durability, ListQuery, Page, Store, StoreError};
use crate::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

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
    pub(super) metrics: Metrics,
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

impl Jobs {
    /// A service over these queues and this store.
    pub fn new(
        clock: Clock,
        registry: Arc<Registry>,
        store: Arc<dyn Store>,
        queues: impl IntoIterator<Item = (QueueName, Arc<dyn Queue>, QueueSettings)>,
        limits: Limits,
    ) -> Self {
        Self::telling(None, clock, registry, store, queues, limits, true)
    }

    /// As [`Self::new`], with one who knows how to tell of jobs: the queue [`NOTICES`](crate::job::NOTICES) has to be among
    /// them. With `metrics` off nothing is counted for Prometheus.
    pub fn telling(
        herald: Option<Arc<dyn Herald>>,
        clock: Clock,
        registry: Arc<Registry>,
        store: Arc<dyn Store>,
        queues: impl IntoIterator<Item = (QueueName, Arc<dyn Queue>, QueueSettings)>,
        limits: Limits,
        metrics: bool,
    ) -> Self {
        let queues: Vec<_> = queues.into_iter().collect();
        let metrics = if metrics { counting(&registry, &queues) } else { Metrics::off() };
        let line = |(name, queue, settings): (QueueName, _, _)| {
            let meter = metrics.queue(&name);
            (name.clone(), Arc::new(Line::new(name, queue, &settings, &clock, meter)))
        };
        let lines = queues.into_iter().map(line).collect();
        Self(Arc::new(Inner {
            redactor: Redactor::new(&clock.secret()),
            events: Events::new(clock.now()),
            clock,
            registry,
            store,
            herald,
            lines,
            waiters: Waiters::default(),
            running: Running::default(),
            limits,
            metrics,
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

    pub(super) fn line_of(&self, job: &Job) -> Option<&Arc<Line>> {
        self.0.lines.get(&job.spec.queue)
    }

    /// The queue that a job is for, if there is one.
    pub(super) fn line_for(&self, new: &NewJob) -> Option<&Arc<Line>> {
        let of_kind = || Some(&self.0.registry.get(new.kind.as_str())?.settings.queue);
        self.0.lines.get(new.queue.as_ref().or_else(of_kind)?)
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
