//! Which finished jobs are forgotten next, by number and by age; and which results are let go when memory is needed.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::job::{JobId, StateName, Timestamp};

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

/// A finished job. In the order of the time at which it finished, whatever the machine's clock did meanwhile.
pub(super) type Entry = (Timestamp, JobId);

/// How a job ended, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) state: StateName,
    pub(super) at: Timestamp,
    /// Whether its result is kept.
    pub(super) has_result: bool,
    /// Until when it holds its unique key, if it does.
    pub(super) holds: Option<Timestamp>,
}

impl End {
    /// Its place among those that hold their key: they go when they have let go and their retention is over.
    fn place(self, id: JobId, retention: &Retention) -> Option<(Timestamp, Entry)> {
        self.holds.map(|until| (until.max(self.at.after(retention.completed)), (self.at, id)))
    }
}

/// Finished jobs in the order in which they finished. Whoever takes an entry looks whether its row still finished at that
/// time: the index is read without the row.
#[derive(Default)]
pub(super) struct Finished {
    done: BTreeSet<Entry>,
    dead: BTreeSet<Entry>,
    /// Those that keep their unique key for a while after their end, by the time at which they may go.
    holding: BTreeSet<(Timestamp, Entry)>,
    /// Those whose result is kept.
    results: BTreeSet<Entry>,
}

impl Finished {
    /// A job has finished.
    pub(super) fn enter(&mut self, end: End, id: JobId, retention: &Retention) {
        match end.place(id, retention) {
            Some(place) => self.holding.insert(place),
            None => self.of(end.state).insert((end.at, id)),
        };
        if end.has_result {
            self.results.insert((end.at, id));
        }
    }

    /// A finished job was retried or forgotten, or has let go of its result and will enter again.
    pub(super) fn leave(&mut self, end: End, id: JobId, retention: &Retention) {
        match end.place(id, retention) {
            Some(place) => self.holding.remove(&place),
            None => self.of(end.state).remove(&(end.at, id)),
        };
        if end.has_result {
            self.results.remove(&(end.at, id));
        }
    }

    /// The oldest entry, if there are more jobs than are kept; dead letters late, and those that hold a key last.
    pub(super) fn one_too_many(&self, retention: &Retention) -> Option<Entry> {
        if self.len() <= retention.max_finished {
            return None;
        }
        let first = self.done.first().or_else(|| self.dead.first());
        first.or_else(|| self.holding.first().map(|(_, entry)| entry)).copied()
    }

    /// An entry whose time is up.
    pub(super) fn one_past(&self, retention: &Retention, now: Timestamp) -> Option<Entry> {
        let past = |entry: &&Entry, keep: Duration| entry.0.after(keep) <= now;
        let done = self.done.first().filter(|entry| past(entry, retention.completed));
        let first = done.or_else(|| self.dead.first().filter(|entry| past(entry, retention.dead_lettered)));
        let holding = || self.holding.first().filter(|(until, _)| *until <= now).map(|(_, entry)| entry);
        first.or_else(holding).copied()
    }

    /// The job whose result is let go next.
    pub(super) fn oldest_result(&self) -> Option<Entry> {
        self.results.first().copied()
    }

    /// The job that is forgotten next when memory is needed; never a dead letter, nor one that holds its unique key: what
    /// it did would be done twice.
    pub(super) fn oldest_done(&self) -> Option<Entry> {
        self.done.first().copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.done.len() + self.dead.len() + self.holding.len()
    }

    fn of(&mut self, state: StateName) -> &mut BTreeSet<Entry> {
        if state == StateName::DeadLettered { &mut self.dead } else { &mut self.done }
    }
}
