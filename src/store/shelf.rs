//! What is counted and awaited in one queue, and what the indexes know of a row.

use std::collections::BTreeMap;

use super::ascending::Ascending;
use super::finished::End;
use super::{Counts, Due};
use crate::job::{Done, Hold, Job, JobId, JobState, StateName, Timestamp};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// What is counted and awaited in one queue.
#[derive(Default)]
pub(super) struct Shelf {
    counts: [AtomicU64; StateName::ALL.len()],
    due: Mutex<Ascending<(Timestamp, JobId)>>,
    /// Since when pending jobs wait, and how many since then. Of a queue that is long, many wait since the same
    /// millisecond, so that this is much shorter than the queue.
    waiting: Mutex<BTreeMap<Timestamp, usize>>,
}

/// What the indexes know of a row.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub(super) state: StateName,
    wakes_at: Option<Timestamp>,
    pending_since: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    pub(super) has_result: bool,
    pub(super) hold: Hold,
    /// What it takes in memory.
    pub(super) bytes: u64,
    /// How much of it is there for the sake of telling others.
    pub(super) telling: u64,
    /// Whether it is a notice.
    is_notice: bool,
}

impl Keys {
    pub(super) fn of(job: &Job) -> Self {
        let weight = job.weight();
        Self {
            state: job.state.name(),
            wakes_at: job.wakes_at(),
            pending_since: match job.state {
                JobState::Pending { since, .. } => Some(since),
                _ => None,
            },
            finished_at: job.state.finished_at(),
            has_result: job.has_result(),
            hold: job.hold(),
            bytes: weight as u64,
            telling: job.telling(weight) as u64,
            is_notice: job.notice().is_some(),
        }
    }

    pub(super) fn of_done(done: &Done) -> Self {
        Self {
            state: StateName::Completed,
            wakes_at: None,
            pending_since: None,
            finished_at: Some(done.finished_at()),
            has_result: done.has_result(),
            hold: Hold::Free,
            bytes: done.weight() as u64,
            telling: 0,
            is_notice: false,
        }
    }

    /// Whether it counts among the jobs that are not finished. Notices do not: their memory is bounded.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.is_notice && !self.state.is_terminal()
    }

    /// How the index of finished jobs knows the row.
    pub(super) fn end(&self) -> Option<End> {
        let holds = match self.hold {
            Hold::Until(until) => Some(until),
            Hold::Free | Hold::Kept => None,
        };
        Some(End { state: self.state, at: self.finished_at?, has_result: self.has_result, holds })
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks can leave half a change behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    /// Takes note of a row that has come, changed or gone.
    pub(super) fn note(&self, id: JobId, before: Option<Keys>, after: Option<Keys>) {
        let (old_state, new_state) = (before.map(|keys| keys.state), after.map(|keys| keys.state));
        if old_state != new_state {
            if let Some(new) = new_state {
                self.counts[new as usize].fetch_add(1, Ordering::Relaxed);
            }
            if let Some(old) = old_state {
                self.counts[old as usize].fetch_sub(1, Ordering::Relaxed);
            }
        }
        let wakes_at = |keys: Option<Keys>| keys.and_then(|keys| keys.wakes_at);
        if wakes_at(before) != wakes_at(after) {
            let mut due = lock(&self.due);
            if let Some(old) = wakes_at(before) {
                due.remove(&(old, id));
            }
            if let Some(new) = wakes_at(after) {
                due.insert((new, id));
            }
        }
        let since = |keys: Option<Keys>| keys.and_then(|keys| keys.pending_since);
        if since(before) != since(after) {
            let mut waiting = lock(&self.waiting);
            if let Some(old) = since(before)
                && let Some(count) = waiting.get_mut(&old)
            {
                *count -= 1;
                if *count == 0 {
                    waiting.remove(&old);
                }
            }
            if let Some(new) = since(after) {
                *waiting.entry(new).or_default() += 1;
            }
        }
    }

    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Due {
        let index = lock(&self.due);
        let mut due = Due::default();
        for (at, id) in index.iter() {
            if *at > now || due.ids.len() == limit {
                due.next = Some(*at);
                break;
            }
            due.ids.push(*id);
        }
        due
    }

    pub(super) fn counts(&self) -> Counts {
        Counts(std::array::from_fn(|state| self.counts[state].load(Ordering::Relaxed)))
    }

    pub(super) fn oldest_pending(&self) -> Option<Timestamp> {
        lock(&self.waiting).first_key_value().map(|(since, _)| *since)
    }
}
