//! What one server counts.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;

use super::instruments::{Counter, Histogram, OF_JOBS};
use super::labels::{Delivery, Rejection, Transport};
use super::route::RouteMeter;
use crate::job::{AttemptOutcome, KindName, QueueName, StateName};

/// What one server counts, or nothing when it counts nothing. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(pub(super) Option<Arc<Inner>>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) queues: BTreeMap<QueueName, QueueMeter>,
    /// What belongs to no queue: refused jobs whose queue is not known, and parts of the pool that serve all queues.
    pub(super) no_queue: QueueMeter,
    pub(super) abandoned: BTreeMap<KindName, Counter>,
    pub(super) deliveries: [Counter; Delivery::ALL.len()],
    pub(super) connections: [AtomicU64; Transport::ALL.len()],
    /// Written when routes are mounted, read when somebody asks.
    pub(super) routes: Mutex<BTreeMap<&'static str, RouteMeter>>,
}

impl Metrics {
    /// Counts for these queues and kinds; beside each kind stands the queue that its jobs go to by themselves.
    pub fn new<'a>(
        queues: impl IntoIterator<Item = &'a QueueName>,
        kinds: impl IntoIterator<Item = (&'a KindName, &'a QueueName)>,
    ) -> Self {
        let kinds: Vec<_> = kinds.into_iter().collect();
        let meter = |queue: &QueueName| {
            let kinds = kinds.iter().map(|(kind, home)| ((*kind).clone(), KindMeter::new(*home == queue)));
            (queue.clone(), QueueMeter::of(kinds.collect()))
        };
        Self(Some(Arc::new(Inner {
            queues: queues.into_iter().map(meter).collect(),
            no_queue: QueueMeter::of(HashMap::default()),
            abandoned: kinds.iter().map(|(kind, _)| ((*kind).clone(), Counter::default())).collect(),
            deliveries: Default::default(),
            connections: Default::default(),
            routes: Mutex::default(),
        })))
    }

    /// Counts nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Whether anything is counted.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What is counted of a queue; to be asked once and kept.
    pub fn queue(&self, name: &QueueName) -> QueueMeter {
        let meter = self.0.as_ref().and_then(|inner| inner.queues.get(name));
        meter.cloned().unwrap_or(QueueMeter(None))
    }

    /// What is counted of a route; to be asked once and kept.
    pub fn route(&self, pattern: &'static str) -> RouteMeter {
        let Some(inner) = &self.0 else { return RouteMeter::off() };
        let mut routes = inner.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.entry(pattern).or_insert_with(RouteMeter::new).clone()
    }

    /// A submission was refused before it was known which queue it was for.
    pub fn rejected(&self, reason: Rejection) {
        if let Some(inner) = &self.0 {
            inner.no_queue.rejected(reason);
        }
    }

    /// A part of the pool died and is replaced; one that serves all queues has no queue of its own.
    pub fn restarted(&self, queue: Option<&QueueName>) {
        let Some(inner) = &self.0 else { return };
        let meter = queue.and_then(|queue| inner.queues.get(queue)).unwrap_or(&inner.no_queue);
        if let Some(counts) = &meter.0 {
            counts.restarts.add_one();
        }
    }

    /// A handler ignored its cancellation.
    pub fn abandoned(&self, kind: &KindName) {
        if let Some(counter) = self.0.as_ref().and_then(|inner| inner.abandoned.get(kind)) {
            counter.add_one();
        }
    }

    /// An attempt to deliver a webhook has ended.
    pub fn webhook(&self, outcome: Delivery) {
        if let Some(inner) = &self.0 {
            inner.deliveries[outcome as usize].add_one();
        }
    }

    /// Somebody who watches jobs has connected; for as long as what is returned lives.
    pub fn connected(&self, transport: Transport) -> Connected {
        if let Some(inner) = &self.0 {
            inner.connections[transport as usize].fetch_add(1, Ordering::Relaxed);
        }
        Connected { metrics: self.clone(), transport }
    }
}

/// Counts a connection for as long as it lives.
#[must_use]
#[derive(Debug)]
pub struct Connected {
    metrics: Metrics,
    transport: Transport,
}

impl Drop for Connected {
    fn drop(&mut self) {
        if let Some(inner) = &self.metrics.0 {
            inner.connections[self.transport as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What is counted of one queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct QueueMeter(pub(super) Option<Arc<QueueCounts>>);

#[derive(Debug)]
pub(super) struct QueueCounts {
    /// Every kind, because a job can name a queue that is not its kind's own.
    pub(super) kinds: HashMap<KindName, KindMeter, RandomState>,
    pub(super) rejected: [Counter; Rejection::ALL.len()],
    pub(super) restarts: Counter,
}

/// What is counted of one kind in one queue.
#[derive(Debug)]
pub(super) struct KindMeter {
    /// Whether jobs of this kind go to this queue by themselves: then it is told of before there are any.
    pub(super) at_home: bool,
    pub(super) enqueued: Counter,
    pub(super) finished: [Counter; StateName::ALL.len()],
    pub(super) attempts: [Counter; AttemptOutcome::ALL.len()],
    pub(super) retries: Counter,
    pub(super) wait: Histogram,
    pub(super) run: Histogram,
}

impl QueueMeter {
    fn of(kinds: HashMap<KindName, KindMeter, RandomState>) -> Self {
        let counts = QueueCounts { kinds, rejected: Default::default(), restarts: Counter::default() };
        Self(Some(Arc::new(counts)))
    }

    fn kind(&self, kind: &KindName) -> Option<&KindMeter> {
        self.0.as_ref()?.kinds.get(kind)
    }

    /// A job was accepted.
    pub fn enqueued(&self, kind: &KindName) {
        if let Some(meter) = self.kind(kind) {
            meter.enqueued.add_one();
        }
    }

    /// A job was refused.
    pub fn rejected(&self, reason: Rejection) {
        if let Some(counts) = &self.0 {
            counts.rejected[reason as usize].add_one();
        }
    }

    /// A job was started for the first time, so long after it was first due.
    pub fn waited(&self, kind: &KindName, wait: Duration) {
        if let Some(meter) = self.kind(kind) {
            meter.wait.observe(wait);
        }
    }

    /// An attempt has ended, and its job has come to this state by it.
    pub fn settled(&self, kind: &KindName, outcome: AttemptOutcome, run: Duration, state: StateName) {
        if let Some(meter) = self.kind(kind) {
            meter.attempts[outcome as usize].add_one();
            meter.run.observe(run);
            match state {
                StateName::Failed => meter.retries.add_one(),
                state if state.is_terminal() => meter.finished[state as usize].add_one(),
                _ => {}
            }
        }
    }

    /// A job has come to its end without an attempt: it was canceled, or came too late.
    pub fn finished(&self, kind: &KindName, state: StateName) {
        if let Some(meter) = self.kind(kind) {
            meter.finished[state as usize].add_one();
        }
    }
}

impl KindMeter {
    fn new(at_home: bool) -> Self {
        Self {
            at_home,
            enqueued: Counter::default(),
            finished: Default::default(),
            attempts: Default::default(),
            retries: Counter::default(),
            wait: Histogram::new(OF_JOBS),
            run: Histogram::new(OF_JOBS),
        }
    }

    /// Whether there is anything to tell.
    pub(super) fn is_told(&self) -> bool {
        self.at_home || self.enqueued.get() > 0 || !self.wait.is_empty() || !self.run.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> (Metrics, QueueName, KindName) {
        let (queue, kind) = (QueueName::new("default").unwrap(), KindName::new("noop").unwrap());
        (Metrics::new([&queue], [(&kind, &queue)]), queue, kind)
    }

    #[test]
    fn an_unknown_name_is_counted_nowhere() {
        let (metrics, queue, _) = metrics();
        let meter = metrics.queue(&queue);
        meter.enqueued(&KindName::new("other").unwrap());
        assert_eq!(meter.0.as_ref().unwrap().kinds.len(), 1);
        let other = metrics.queue(&QueueName::new("other").unwrap());
        other.rejected(Rejection::QueueFull);
        assert!(other.0.is_none());
        metrics.abandoned(&KindName::new("other").unwrap());
        assert_eq!(metrics.0.unwrap().abandoned.len(), 1);
    }

    #[test]
    fn a_connection_counts_while_it_lives() {
        let (metrics, ..) = metrics();
        let count =
            || metrics.0.as_ref().unwrap().connections[Transport::WebSocket as usize].load(Ordering::Relaxed);
        let (first, second) =
            (metrics.connected(Transport::WebSocket), metrics.connected(Transport::WebSocket));
        assert_eq!(count(), 2);
        drop(first);
        assert_eq!(count(), 1);
        drop(second);
        assert_eq!(count(), 0);
        drop(Metrics::off().connected(Transport::WebSocket));
    }

    #[test]
    fn each_of_two_servers_has_its_own() {
        let ((one, queue, kind), (two, ..)) = (metrics(), metrics());
        one.queue(&queue).enqueued(&kind);
        let enqueued = |metrics: &Metrics| metrics.queue(&queue).kind(&kind).unwrap().enqueued.get();
        assert_eq!((enqueued(&one), enqueued(&two)), (1, 0));
    }
}
