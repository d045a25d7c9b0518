//! Who watches one job.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::{DashMap, Entry};
use foldhash::fast::RandomState;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::order::Order;
use super::{Event, EventKind, Events};
use crate::job::JobId;

/// How many states a job may enter before a watcher that does not look has lost one.
const STATES: usize = 16;

/// The same for progress, which may be lost.
const PROGRESS: usize = 4;

/// How long is waited for an event when a later one has come before it. Two who change a job in the same moment can tell
/// of it in the other order; what is not there after this was lost.
const OVERTAKEN: Duration = Duration::from_millis(50);

/// The jobs that are watched.
#[derive(Debug, Default)]
pub(super) struct Ones {
    watchers: AtomicUsize,
    by_job: DashMap<JobId, Rings, RandomState>,
}

/// Progress has a ring of its own, so that it cannot push out a state.
#[derive(Debug)]
struct Rings {
    watchers: usize,
    states: broadcast::Sender<Event>,
    progress: broadcast::Sender<Event>,
}

impl Ones {
    pub(super) fn watchers(&self) -> usize {
        self.watchers.load(Ordering::SeqCst)
    }

    pub(super) fn tell(&self, event: Event) {
        if self.watchers() == 0 {
            return;
        }
        if let Some(rings) = self.by_job.get(&event.job.id()) {
            let ring = if event.kind == EventKind::Progress { &rings.progress } else { &rings.states };
            // There is a watcher as long as there are rings.
            let _ = ring.send(event);
        }
    }
}

/// States of the job were lost, because its watcher did not look in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the watcher is too slow and has lost events")]
pub struct TooSlow;

/// Receives what happens to one job, in the order in which it happened.
#[derive(Debug)]
pub struct JobWatcher {
    states: broadcast::Receiver<Event>,
    progress: broadcast::Receiver<Event>,
    order: Order<Event>,
    events: Events,
    id: JobId,
}

impl JobWatcher {
    pub(super) fn new(events: Events, id: JobId) -> Self {
        let ones = &events.0.ones;
        ones.watchers.fetch_add(1, Ordering::SeqCst);
        let (states, progress) = {
            let mut rings = ones.by_job.entry(id).or_insert_with(|| Rings {
                watchers: 0,
                states: broadcast::Sender::new(STATES),
                progress: broadcast::Sender::new(PROGRESS),
            });
            rings.watchers += 1;
            (rings.states.subscribe(), rings.progress.subscribe())
        };
        Self { states, progress, order: Order::default(), events, id }
    }

    /// Leaves out what happened up to this [`sequence`](crate::job::Course::sequence), which is known from the job itself.
    pub fn begin_after(&mut self, sequence: u64) {
        self.order.begin_after(sequence);
    }

    /// Waits for the next event. Progress can be missing when this watcher is slow, states never.
    ///
    /// # Errors
    ///
    /// When states were lost because this watcher is too slow: ask for the job itself and begin again.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn recv(&mut self) -> Result<Event, TooSlow> {
        loop {
            if let Some(event) = self.order.next() {
                return Ok(event);
            }
            tokio::select! {
                biased;
                state = self.states.recv() => self.keep(state.map_err(|_| TooSlow)?),
                progress = self.progress.recv() => match progress {
                    Ok(progress) => self.keep(progress),
                    Err(RecvError::Lagged(_)) => {}
                    // Not before this watcher is dropped.
                    Err(RecvError::Closed) => return Err(TooSlow),
                },
                () = tokio::time::sleep(OVERTAKEN), if self.order.waits() => self.order.go_on(),
            }
        }
    }

    /// The next event, if it has happened already, without waiting for one that it has overtaken.
    pub fn try_recv(&mut self) -> Option<Event> {
        while let Ok(event) = self.states.try_recv() {
            self.keep(event);
        }
        while let Ok(event) = self.progress.try_recv() {
            self.keep(event);
        }
        self.order.next().or_else(|| {
            self.order.go_on();
            self.order.next()
        })
    }

    fn keep(&mut self, event: Event) {
        self.order.put(event.job.sequence, event);
    }
}

impl Drop for JobWatcher {
    fn drop(&mut self) {
        let ones = &self.events.0.ones;
        if let Entry::Occupied(mut rings) = ones.by_job.entry(self.id) {
            rings.get_mut().watchers -= 1;
            if rings.get().watchers == 0 {
                rings.remove();
            }
        }
        ones.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}
