//! How much memory the rows take, how many of them are unfinished, and whether there is room for more.
//!
//! The counters change with every row that comes, changes or goes, by the difference of its weights: they never drift
//! from what the rows weigh together.

use super::Limit;
use super::shelf::Keys;
use crate::job::StateName;
use crate::sync::atomic::{AtomicU64, Ordering};

/// How much a store holds at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Bytes that all jobs may take, as [`Job::weight`](crate::job::Job::weight) counts them; most that are done take less.
    pub memory: u64,
    /// Jobs that are not finished.
    pub jobs: u64,
}

impl Bounds {
    /// Whatever comes.
    pub const NONE: Self = Self { memory: u64::MAX, jobs: u64::MAX };
}

pub(super) struct Budget {
    bounds: Bounds,
    /// What all rows weigh.
    held: AtomicU64,
    /// What those of them weigh that can be forgotten when memory is needed, now or once they let go of their unique key:
    /// never less than what can be, so that nobody is refused for whom there would be room.
    spare: AtomicU64,
    /// How many rows are not finished, notices left out.
    unfinished: AtomicU64,
    /// What of the rows is there for the sake of telling others. A receiver that is gone must not take all there is.
    telling: AtomicU64,
}

/// Whether there is room.
#[must_use]
#[derive(Debug)]
pub(super) enum Room {
    /// Yes, and it is taken.
    Taken,
    /// If something is thrown away that can be.
    Crowded,
    /// No.
    Full(Limit),
}

/// What rows weigh together, before they are kept.
#[derive(Clone, Copy, Default)]
pub(super) struct Load {
    held: u64,
    spare: u64,
    unfinished: u64,
    telling: u64,
}

impl Load {
    pub(super) fn of(rows: impl Iterator<Item = Keys>) -> Self {
        rows.fold(Self::default(), |load, keys| Self {
            held: load.held + keys.bytes,
            spare: load.spare + spare(&keys),
            unfinished: load.unfinished + unfinished(&keys),
            telling: load.telling + keys.telling,
        })
    }
}

fn spare(keys: &Keys) -> u64 {
    match keys.state {
        StateName::Completed | StateName::Skipped | StateName::Canceled => keys.bytes,
        _ => 0,
    }
}

fn unfinished(keys: &Keys) -> u64 {
    u64::from(keys.is_unfinished())
}

impl Budget {
    pub(super) const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            held: AtomicU64::new(0),
            spare: AtomicU64::new(0),
            unfinished: AtomicU64::new(0),
            telling: AtomicU64::new(0),
        }
    }

    /// Takes room for rows that are about to come, if there is any.
    pub(super) fn take(&self, load: Load) -> Room {
        let Bounds { memory, jobs } = self.bounds;
        let fits = |limit: u64, more: u64| move |now: u64| now.checked_add(more).filter(|sum| *sum <= limit);
        // Refused before anything is thrown away in vain. A moment's change by others can make the guess wrong, either way
        // for this one job only.
        let least = self.held.load(Ordering::Relaxed).saturating_sub(self.spare.load(Ordering::Relaxed));
        if fits(memory, load.held)(least).is_none() {
            return Room::Full(Limit::Memory(memory));
        }
        let order = Ordering::Relaxed;
        if load.telling > 0 && self.telling.load(order).saturating_add(load.telling) > self.for_telling() {
            return Room::Full(Limit::Telling(self.for_telling()));
        }
        if self.unfinished.fetch_update(order, order, fits(jobs, load.unfinished)).is_err() {
            return Room::Full(Limit::Jobs(jobs));
        }
        if self.held.fetch_update(order, order, fits(memory, load.held)).is_err() {
            self.unfinished.fetch_sub(load.unfinished, order);
            return Room::Crowded;
        }
        self.spare.fetch_add(load.spare, order);
        self.add_telling(load.telling);
        Room::Taken
    }

    /// What to say when nothing is left to throw away.
    pub(super) const fn full(&self) -> Limit {
        Limit::Memory(self.bounds.memory)
    }

    /// Takes room whether there is any or not.
    pub(super) fn take_anyway(&self, load: Load) {
        self.held.fetch_add(load.held, Ordering::Relaxed);
        self.spare.fetch_add(load.spare, Ordering::Relaxed);
        self.unfinished.fetch_add(load.unfinished, Ordering::Relaxed);
        self.add_telling(load.telling);
    }

    /// Gives room back that was taken for rows that did not come.
    pub(super) fn give_back(&self, load: Load) {
        self.held.fetch_sub(load.held, Ordering::Relaxed);
        self.spare.fetch_sub(load.spare, Ordering::Relaxed);
        self.unfinished.fetch_sub(load.unfinished, Ordering::Relaxed);
        self.add_telling(load.telling.wrapping_neg());
    }

    fn add_telling(&self, more: u64) {
        // Most jobs have none.
        if more != 0 {
            self.telling.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// What all that tells others may take: the rest is always there for those of whom nobody is told.
    const fn for_telling(&self) -> u64 {
        self.bounds.memory - self.bounds.memory / 4
    }

    /// Whether there is room for notices that say all they can, or that are not of an end: neither was paid for. Not when
    /// all that tells others takes half of the memory, nor where something that is not finished would have to go.
    pub(super) fn is_ample_for(&self, more: u64) -> bool {
        let taken = self.held().saturating_sub(self.spare.load(Ordering::Relaxed));
        let telling = self.telling.load(Ordering::Relaxed);
        taken.saturating_add(more) <= self.bounds.memory
            && telling.saturating_add(more) <= self.bounds.memory / 2
    }

    /// Whether what tells others takes more than it may.
    pub(super) fn tells_too_much(&self) -> bool {
        self.telling.load(Ordering::Relaxed) > self.for_telling()
    }

    /// Takes note of a row that has changed.
    pub(super) fn change(&self, before: &Keys, after: &Keys) {
        let shift = |counter: &AtomicU64, before: u64, after: u64| {
            // One counter is written by every thread: not without need.
            if before != after {
                counter.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
            }
        };
        shift(&self.held, before.bytes, after.bytes);
        shift(&self.spare, spare(before), spare(after));
        shift(&self.unfinished, unfinished(before), unfinished(after));
        shift(&self.telling, before.telling, after.telling);
    }

    /// Takes note of the bytes by which a log has grown or shrunk.
    pub(super) fn logged(&self, before: usize, after: usize) {
        self.held.fetch_add((after as u64).wrapping_sub(before as u64), Ordering::Relaxed);
    }

    /// Whether the rows weigh more than they may; with so much more.
    pub(super) fn is_over(&self, more: usize) -> bool {
        self.held().saturating_add(more as u64) > self.bounds.memory
    }

    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn telling(&self) -> u64 {
        self.telling.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn counters(&self) -> [u64; 3] {
        [&self.held, &self.spare, &self.unfinished].map(|counter| counter.load(Ordering::Relaxed))
    }
}
