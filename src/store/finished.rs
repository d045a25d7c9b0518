//! Which finished jobs are forgotten next, by number and by age; and which results are let go when memory is needed.

use std::time::Duration;

use super::ascending::Ascending;
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
    /// Its place among those that hold their key, by the time at which they let go.
    fn place(self, id: JobId) -> Option<(Timestamp, Entry)> {
        // One that keeps it for no time at all has let go at once.
        self.holds.filter(|until| *until > self.at).map(|until| (until, (self.at, id)))
    }
}

/// Finished jobs in the order in which they finished. Whoever takes an entry looks whether its row still finished at that
/// time: the index is read without the row.
#[derive(Default)]
pub(super) struct Finished {
    /// Those that are done, and whose result is kept.
    results: Ascending<Entry>,
    /// Those that are done without one.
    bare: Ascending<Entry>,
    dead: Ascending<Entry>,
    /// Those that keep their unique key for a while after their end, by the time at which they let go; then they are done
    /// like the others.
    holding: Ascending<(Timestamp, Entry)>,
    /// Those of them whose result is kept.
    held_results: Ascending<Entry>,
}

impl Finished {
    /// A job has finished.
    pub(super) fn enter(&mut self, end: End, id: JobId) {
        let entry = (end.at, id);
        let Some(place) = end.place(id) else {
            self.of(end).insert(entry);
            return;
        };
        self.holding.insert(place);
        if end.has_result {
            self.held_results.insert(entry);
        }
    }

    /// A finished job was retried or forgotten, or has let go of its result and will enter again.
    pub(super) fn leave(&mut self, end: End, id: JobId) {
        let entry = (end.at, id);
        // Whoever had a place among those that hold their key may have let go of it since.
        if !end.place(id).is_some_and(|place| self.holding.remove(&place)) {
            self.of(end).remove(&entry);
        } else if end.has_result {
            self.held_results.remove(&entry);
        }
    }

    /// Takes those that have let go of their key by now among the others that are done, at most `limit` of them; says
    /// whether there may be more.
    pub(super) fn let_go(&mut self, now: Timestamp, limit: usize) -> bool {
        for _ in 0..limit {
            match self.holding.first() {
                Some(&(until, entry)) if until <= now => {
                    self.holding.pop_first();
                    let has_result = self.held_results.remove(&entry);
                    if has_result { &mut self.results } else { &mut self.bare }.insert(entry);
                }
                _ => return false,
            }
        }
        true
    }

    /// The oldest entry, if there are more jobs than are kept; dead letters late, and those that hold a key last.
    pub(super) fn one_too_many(&self, retention: &Retention) -> Option<Entry> {
        if self.len() <= retention.max_finished {
            return None;
        }
        let first = self.oldest_done().or_else(|| self.dead.first().copied());
        first.or_else(|| self.holding.first().map(|(_, entry)| *entry))
    }

    /// An entry whose time is up; never one that holds its key.
    pub(super) fn one_past(&self, retention: &Retention, now: Timestamp) -> Option<Entry> {
        let past = |entry: &Entry, keep: Duration| entry.0.after(keep) <= now;
        let done = self.oldest_done().filter(|entry| past(entry, retention.completed));
        done.or_else(|| self.dead.first().copied().filter(|entry| past(entry, retention.dead_lettered)))
    }

    /// The job whose result is let go next.
    pub(super) fn oldest_result(&self) -> Option<Entry> {
        older(&self.results, &self.held_results)
    }

    /// The job that is forgotten next when memory is needed; never a dead letter, nor one that holds its unique key: what
    /// it did would be done twice.
    pub(super) fn oldest_done(&self) -> Option<Entry> {
        older(&self.results, &self.bare)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.results.len() + self.bare.len() + self.dead.len() + self.holding.len()
    }

    /// Among which it is, when it does not hold its unique key.
    fn of(&mut self, end: End) -> &mut Ascending<Entry> {
        match (end.state, end.has_result) {
            (StateName::DeadLettered, _) => &mut self.dead,
            (_, true) => &mut self.results,
            (_, false) => &mut self.bare,
        }
    }
}

/// The first entry of both.
fn older(one: &Ascending<Entry>, other: &Ascending<Entry>) -> Option<Entry> {
    match (one.first(), other.first()) {
        (Some(one), Some(other)) => Some(*one.min(other)),
        (one, other) => one.or(other).copied(),
    }
}
