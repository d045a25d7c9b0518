//! What happened to a job, told to whoever watches. Lossy on purpose: work is never triggered by an event.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::job::{Job, StateName, Timestamp};

/// How many events a watcher may lag behind before it loses the oldest.
const BACKLOG: usize = 1_024;

/// Something happened to a job.
#[derive(Clone, Debug)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
    /// The job as it then stood.
    pub job: Arc<Job>,
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// It entered this state.
    State(StateName),
    /// It said how far it is, or was asked to stop.
    Progress,
}

/// Tells every watcher; never waits for one.
#[derive(Clone, Debug)]
pub struct Events {
    sender: broadcast::Sender<Event>,
    /// How many watch. The channel knows it too, but behind a lock.
    watchers: Arc<AtomicUsize>,
}

/// Receives what happens, from the moment it was made on.
#[derive(Debug)]
pub struct Watcher {
    receiver: broadcast::Receiver<Event>,
    watchers: Arc<AtomicUsize>,
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(BACKLOG), watchers: Arc::default() }
    }
}

impl Events {
    /// Everything that happens from now on. Who lags more than 1,024 events behind loses the oldest.
    pub fn watch(&self) -> Watcher {
        let receiver = self.sender.subscribe();
        self.watchers.fetch_add(1, Ordering::SeqCst);
        Watcher { receiver, watchers: Arc::clone(&self.watchers) }
    }

    /// Tells what happened. Costs next to nothing while nobody watches.
    pub(crate) fn tell(&self, kind: EventKind, at: Timestamp, job: &Arc<Job>) {
        if self.watchers.load(Ordering::SeqCst) > 0 {
            // An error means that the last watcher has just left.
            let _ = self.sender.send(Event { kind, at, job: Arc::clone(job) });
        }
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
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}
