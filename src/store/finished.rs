//! Which finished jobs are forgotten next: by number and by age.

use std::collections::{BTreeSet, VecDeque};
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
    /// How many of all of them at most. The oldest leave first, then dead letters, and last those that still hold their
    /// unique key.
    pub max_finished: usize,
}

/// How a job ended, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) state: StateName,
    pub(super) at: Timestamp,
    /// Until when it holds its unique key, if it does.
    pub(super) holds: Option<Timestamp>,
}

impl End {
    /// Its place among those that hold their key: they go when they have let go and their retention is over.
    fn place(self, id: JobId, retention: &Retention) -> Option<(Timestamp, Timestamp, JobId)> {
        self.holds.map(|until| (until.max(self.at.after(retention.completed)), self.at, id))
    }
}

/// Finished jobs in the order in which they finished. A job that was retried meanwhile leaves a stale entry behind, so
/// that whoever takes an entry looks whether its row still finished at that time.
#[derive(Default)]
pub(super) struct Finished {
    done: VecDeque<(Timestamp, JobId)>,
    dead: VecDeque<(Timestamp, JobId)>,
    /// Those that keep their unique key for a while after their end, by the time at which they may go. Without stale
    /// entries.
    holding: BTreeSet<(Timestamp, Timestamp, JobId)>,
    /// How many entries are not stale.
    live: usize,
}

impl Finished {
    /// A job has finished.
    pub(super) fn enter(&mut self, end: End, id: JobId, retention: &Retention) {
        self.live += 1;
        match end.place(id, retention) {
            Some(place) => {
                self.holding.insert(place);
            }
            None => self.of(end.state).push_back((end.at, id)),
        }
    }

    /// A finished job was retried or forgotten. Its entry stays, stale.
    pub(super) fn leave(&mut self, end: End, id: JobId, retention: &Retention) {
        self.live -= 1;
        if let Some(place) = end.place(id, retention) {
            self.holding.remove(&place);
        }
    }

    /// The oldest entry, if there are more jobs than are kept; dead letters late, and those that hold a key last.
    pub(super) fn one_too_many(&mut self, retention: &Retention) -> Option<(Timestamp, JobId)> {
        if self.live <= retention.max_finished {
            return None;
        }
        let first = self.done.pop_front().or_else(|| self.dead.pop_front());
        first.or_else(|| self.holding.pop_first().map(|(_, at, id)| (at, id)))
    }

    /// An entry whose time is up.
    pub(super) fn one_past(&mut self, retention: &Retention, now: Timestamp) -> Option<(Timestamp, JobId)> {
        let past = |entry: &mut (Timestamp, JobId), keep: Duration| entry.0.after(keep) <= now;
        let done = self.done.pop_front_if(|entry| past(entry, retention.completed));
        let dead = |dead: &mut VecDeque<_>| dead.pop_front_if(|entry| past(entry, retention.dead_lettered));
        let first = done.or_else(|| dead(&mut self.dead));
        first.or_else(|| {
            let over = self.holding.first().is_some_and(|(until, ..)| *until <= now);
            over.then(|| self.holding.pop_first()).flatten().map(|(_, at, id)| (at, id))
        })
    }

    /// The entries of jobs that ended like this, when so many of all are stale that they should be looked through.
    pub(super) fn take_if_stale(&mut self, state: StateName) -> Option<VecDeque<(Timestamp, JobId)>> {
        let stale = self.entries().saturating_sub(self.live);
        (stale > self.live + STALE_ALLOWED).then(|| std::mem::take(self.of(state)))
    }

    /// Entries that were taken come before those that have come meanwhile.
    pub(super) fn put_back(&mut self, state: StateName, mut entries: VecDeque<(Timestamp, JobId)>) {
        entries.append(self.of(state));
        *self.of(state) = entries;
    }

    /// How many entries there are, stale ones included.
    pub(super) fn entries(&self) -> usize {
        self.done.len() + self.dead.len() + self.holding.len()
    }

    fn of(&mut self, state: StateName) -> &mut VecDeque<(Timestamp, JobId)> {
        if state == StateName::DeadLettered { &mut self.dead } else { &mut self.done }
    }
}
