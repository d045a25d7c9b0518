//! What happened to a job, told to whoever watches. Lossy on purpose: work is never triggered by an event.

use std::sync::Arc;

use tokio::sync::broadcast;

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
pub struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Events {
    /// Everything that happens from now on. Who lags more than 1,024 events behind loses the oldest.
    pub fn watch(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    /// Tells what happened. Costs next to nothing while nobody watches.
    pub(crate) fn tell(&self, kind: EventKind, at: Timestamp, job: &Arc<Job>) {
        if self.0.receiver_count() > 0 {
            // An error means that the last watcher has just left.
            let _ = self.0.send(Event {
                kind,
                at,
                job: Arc::clone(job),
            });
        }
    }
}
