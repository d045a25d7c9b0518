//! What happened to a job, told to whoever watches. Lossy on purpose: work is never triggered by an event.
//!
//! Who watches all jobs reads one ring that everybody shares; who watches one job reads two small ones that are there
//! only while that job is watched. A watcher holds no more than its place in a ring, so that one which never looks costs
//! nothing that grows.

mod one;
mod order;

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::job::{Job, JobId, StateName, Timestamp};
use one::Ones;
pub use one::{JobWatcher, TooSlow};

/// How many events a watcher may lag behind before it loses the oldest.
pub(crate) const BACKLOG: usize = 1_024;

/// How much room there is in a millisecond for the numbers of events, so that they go on growing after a restart, and
/// are exact in the numbers of JavaScript.
const NUMBERS_PER_MILLISECOND: u64 = 1_024;

/// Something happened to a job.
#[derive(Clone, Debug)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
    /// The job as it then stood.
    pub job: Arc<Job>,
    /// Grows with every event of the process, and from one start to the next.
    pub number: u64,
    rendered: Arc<OnceLock<Box<[u8]>>>,
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// It entered this state.
    State(StateName),
    /// It said how far it is, or was asked to stop.
    Progress,
}

impl EventKind {
    /// Whether nothing follows, but for a retry.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::State(state) if state.is_terminal())
    }
}

/// The `type` of the contract, section 8.
impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => write!(f, "job.{state}"),
            Self::Progress => f.write_str("job.progress"),
        }
    }
}

impl Event {
    fn new(kind: EventKind, at: Timestamp, job: &Arc<Job>, number: u64) -> Self {
        Self { kind, at, job: Arc::clone(job), number, rendered: Arc::default() }
    }

    /// The event as it is sent: the first watcher that needs it has it made, all others find it.
    pub fn rendered(&self, render: impl FnOnce(&Self) -> Vec<u8>) -> &[u8] {
        self.rendered.get_or_init(|| render(self).into())
    }
}

/// Tells every watcher; never waits for one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// How many watch all jobs. The channel knows it too, but behind a lock.
    watchers: AtomicUsize,
    /// The last number that was given to an event.
    number: AtomicU64,
    all: broadcast::Sender<Event>,
    /// Held while an event gets its number and its place, so that both have the same order.
    telling: Mutex<()>,
    ones: Ones,
}

/// Receives what happens, from the moment it was made on.
#[derive(Debug)]
pub struct Watcher {
    receiver: broadcast::Receiver<Event>,
    events: Events,
}

impl Events {
    /// Nobody watches yet. The numbers of events grow from the time of the start.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(Inner {
            watchers: AtomicUsize::new(0),
            number: AtomicU64::new(now.as_millis().unsigned_abs() * NUMBERS_PER_MILLISECOND),
            all: broadcast::Sender::new(BACKLOG),
            telling: Mutex::new(()),
            ones: Ones::default(),
        }))
    }

    /// Everything that happens from now on. Who lags more than 1,024 events behind loses the oldest.
    pub fn watch(&self) -> Watcher {
        let receiver = self.0.all.subscribe();
        self.0.watchers.fetch_add(1, Ordering::SeqCst);
        Watcher { receiver, events: self.clone() }
    }

    /// Everything that happens to one job from now on. Look at the job only after that, tell the watcher of it by
    /// [`JobWatcher::begin_after`], and nothing is missed.
    pub fn watch_job(&self, id: JobId) -> JobWatcher {
        JobWatcher::new(self.clone(), id)
    }

    /// How many watch, all jobs or one.
    pub fn watchers(&self) -> usize {
        self.0.watchers.load(Ordering::SeqCst) + self.0.ones.watchers()
    }

    /// Tells what happened. Costs next to nothing while nobody watches.
    ///
    /// A watcher counts itself before it looks at the row, and whoever tells has changed the row before: as the lock of
    /// the row orders the two looks, either the watcher is counted here or it has seen the change.
    pub(crate) fn tell(&self, kind: EventKind, at: Timestamp, job: &Arc<Job>) {
        let Inner { watchers, number, all, telling, ones } = &*self.0;
        let next = || number.fetch_add(1, Ordering::Relaxed) + 1;
        let event = if watchers.load(Ordering::SeqCst) > 0 {
            let _telling = telling.lock().unwrap_or_else(PoisonError::into_inner);
            let event = Event::new(kind, at, job, next());
            // An error means that the last watcher has just left.
            let _ = all.send(event.clone());
            event
        } else if ones.watchers() > 0 {
            Event::new(kind, at, job, next())
        } else {
            next();
            return;
        };
        ones.tell(event);
    }
}

impl Watcher {
    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// When events were lost because this watcher is too slow, after which the next call goes on with the oldest that
    /// is left; or when there will be none any more.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn recv(&mut self) -> Result<Event, RecvError> {
        self.receiver.recv().await
    }

    /// The next event, if it has happened already.
    ///
    /// # Errors
    ///
    /// As [`Self::recv`], or when nothing more has happened.
    pub fn try_recv(&mut self) -> Result<Event, TryRecvError> {
        self.receiver.try_recv()
    }

    /// Whether so much waits for this watcher that it should do without what matters less.
    pub fn is_slow(&self) -> bool {
        self.receiver.len() > BACKLOG / 2
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.events.0.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}
