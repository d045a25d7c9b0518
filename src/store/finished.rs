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
    /// How many of all of them at most. The oldest leave first, dead letters last.
    pub max_finished: usize,
}

/// A finished job. In the order of the time at which it finished, whatever the machine's clock did meanwhile.
pub(super) type Entry = (Timestamp, JobId);

/// Finished jobs in the order in which they finished. Whoever takes an entry looks whether its row still finished at that
/// time: the index is read without the row.
#[derive(Default)]
pub(super) struct Finished {
    done: BTreeSet<Entry>,
    dead: BTreeSet<Entry>,
    /// Those of `done` whose result is kept.
    results: BTreeSet<Entry>,
}

impl Finished {
    /// A job has finished.
    pub(super) fn enter(&mut self, state: StateName, entry: Entry, has_result: bool) {
        self.of(state).insert(entry);
        if has_result {
            self.results.insert(entry);
        }
    }

    /// A finished job was retried or forgotten, or has let go of its result and will enter again.
    pub(super) fn leave(&mut self, state: StateName, entry: Entry, had_result: bool) {
        self.of(state).remove(&entry);
        if had_result {
            self.results.remove(&entry);
        }
    }

    /// The oldest entry, if there are more jobs than are kept; dead letters last.
    pub(super) fn one_too_many(&self, retention: &Retention) -> Option<Entry> {
        if self.len() <= retention.max_finished {
            return None;
        }
        self.done.first().or_else(|| self.dead.first()).copied()
    }

    /// An entry whose time is up.
    pub(super) fn one_past(&self, retention: &Retention, now: Timestamp) -> Option<Entry> {
        let past = |entry: &&Entry, keep: Duration| entry.0.after(keep) <= now;
        let done = self.done.first().filter(|entry| past(entry, retention.completed));
        done.or_else(|| self.dead.first().filter(|entry| past(entry, retention.dead_lettered))).copied()
    }

    /// The job whose result is let go next.
    pub(super) fn oldest_result(&self) -> Option<Entry> {
        self.results.first().copied()
    }

    /// The job that is forgotten next when memory is needed; never a dead letter.
    pub(super) fn oldest_done(&self) -> Option<Entry> {
        self.done.first().copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.done.len() + self.dead.len()
    }

    fn of(&mut self, state: StateName) -> &mut BTreeSet<Entry> {
        if state == StateName::DeadLettered { &mut self.dead } else { &mut self.done }
    }
}
