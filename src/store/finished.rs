//! Which finished jobs are forgotten next: by number and by age.

use std::collections::VecDeque;
use std::time::Duration;

use crate::job::{JobId, StateName, Timestamp};

/// How many stale entries are not worth the work of throwing them away.
pub(super) const STALE_ALLOWED: usize = 1_024;

/// How long finished jobs are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Completed, skipped and canceled ones.
    pub completed: Duration,
    /// Dead letters.
    pub dead_lettered: Duration,
    /// How many of all of them at most. The oldest leave first, dead letters last.
    pub max_finished: usize,
}

/// Finished jobs in the order in which they finished. A job that was retried meanwhile leaves a stale entry behind, so
/// that whoever takes an entry looks whether its row still finished at that time.
#[derive(Default)]
pub(super) struct Finished {
    done: VecDeque<(Timestamp, JobId)>,
    dead: VecDeque<(Timestamp, JobId)>,
    /// How many entries are not stale.
    live: usize,
    /// Whether entries are away to be looked through. What is the oldest cannot be said meanwhile.
    looked_through: bool,
}

impl Finished {
    /// A job has finished.
    pub(super) fn enter(&mut self, state: StateName, at: Timestamp, id: JobId) {
        self.live += 1;
        self.of(state).push_back((at, id));
    }

    /// A finished job was retried or forgotten. Its entry stays, stale.
    pub(super) fn leave(&mut self) {
        self.live -= 1;
    }

    /// The oldest entry, if there are more jobs than are kept; dead letters last.
    pub(super) fn one_too_many(&mut self, retention: &Retention) -> Option<(Timestamp, JobId)> {
        if self.looked_through || self.live <= retention.max_finished {
            return None;
        }
        self.done.pop_front().or_else(|| self.dead.pop_front())
    }

    /// An entry whose time is up.
    pub(super) fn one_past(&mut self, retention: &Retention, now: Timestamp) -> Option<(Timestamp, JobId)> {
        let past = |entry: &mut (Timestamp, JobId), keep: Duration| entry.0.after(keep) <= now;
        let done = self.done.pop_front_if(|entry| past(entry, retention.completed));
        done.or_else(|| self.dead.pop_front_if(|entry| past(entry, retention.dead_lettered)))
    }

    /// The entries of jobs that ended like this, when so many of all are stale that they should be looked through.
    pub(super) fn take_if_stale(&mut self, state: StateName) -> Option<VecDeque<(Timestamp, JobId)>> {
        let stale = self.entries().saturating_sub(self.live);
        self.looked_through = stale > self.live + STALE_ALLOWED;
        self.looked_through.then(|| std::mem::take(self.of(state)))
    }

    /// Entries that were taken come before those that have come meanwhile. Those that are too many leave only now.
    pub(super) fn put_back(&mut self, state: StateName, mut entries: VecDeque<(Timestamp, JobId)>) {
        entries.append(self.of(state));
        *self.of(state) = entries;
        self.looked_through = false;
    }

    /// How many entries there are, stale ones included.
    pub(super) fn entries(&self) -> usize {
        self.done.len() + self.dead.len()
    }

    fn of(&mut self, state: StateName) -> &mut VecDeque<(Timestamp, JobId)> {
        if state == StateName::DeadLettered { &mut self.dead } else { &mut self.done }
    }
}
