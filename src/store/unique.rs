//! Which job holds which unique key.
//!
//! An index and nothing more: every entry follows from a row, changes while that row is held, and goes with it. So no key
//! can stay taken by a job that is gone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::shelf::lock;
use super::{Duplicate, MemoryStore};
use crate::job::{Hold, Job, JobId, KindName, Timestamp, UniqueKey};

/// Callers choose the keys, so that the map hashes with the slower function that they cannot play with.
#[derive(Default)]
pub(super) struct Holders(HashMap<(KindName, UniqueKey), Holder>);

struct Holder {
    id: JobId,
    hold: Hold,
}

impl Holders {
    /// Takes the key of a job for it, unless it has none or needs none as it stands.
    ///
    /// # Errors
    ///
    /// The job that holds it.
    pub(super) fn claim(&mut self, job: &Job, hold: Hold, now: Timestamp) -> Result<(), JobId> {
        let (Some(unique), Hold::Kept | Hold::Until(_)) = (&job.spec.unique, hold) else {
            return Ok(());
        };
        let holder = Holder { id: job.id(), hold };
        match self.0.entry((job.spec.kind.clone(), unique.key.clone())) {
            Entry::Occupied(entry) if entry.get().id != holder.id && entry.get().hold.at(now) => {
                return Err(entry.get().id);
            }
            Entry::Occupied(mut entry) => {
                entry.insert(holder);
            }
            Entry::Vacant(entry) => {
                entry.insert(holder);
            }
        }
        Ok(())
    }

    /// Follows a row that has changed, or gone when `hold` is free.
    pub(super) fn follow(&mut self, job: &Job, hold: Hold) {
        let Some(unique) = &job.spec.unique else { return };
        let Entry::Occupied(mut entry) = self.0.entry((job.spec.kind.clone(), unique.key.clone())) else {
            return;
        };
        // One that has let go may have a successor, which is none of its business.
        if entry.get().id != job.id() {
            return;
        }
        if hold == Hold::Free {
            entry.remove();
        } else {
            entry.get_mut().hold = hold;
        }
    }

    /// The job that holds a key at this time.
    pub(super) fn of(&self, kind: &KindName, key: &UniqueKey, now: Timestamp) -> Option<JobId> {
        let holder = self.0.get(&(kind.clone(), key.clone()))?;
        holder.hold.at(now).then_some(holder.id)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl MemoryStore {
    /// Takes the key of a job for it, if it has one: see [`Holders::claim`]. To be called while its row is held.
    pub(super) fn claim(&self, job: &Job, hold: Hold, now: Timestamp) -> Result<(), JobId> {
        if job.spec.unique.is_none() { Ok(()) } else { lock(&self.holders).claim(job, hold, now) }
    }

    /// The job of this id, if it holds its unique key at this time.
    pub(super) fn holding(&self, id: JobId, now: Timestamp) -> Option<Arc<Job>> {
        // One that is done without a word has no key.
        let job = self.rows.get(&id)?.as_open().map(Arc::clone)?;
        job.hold().at(now).then_some(job)
    }

    pub(super) fn holder_now(&self, kind: &KindName, key: &UniqueKey, now: Timestamp) -> Option<Arc<Job>> {
        loop {
            // Not in one expression: the lock would be held while the row is looked at.
            let id = lock(&self.holders).of(kind, key, now);
            if let Some(job) = self.holding(id?, now) {
                return Some(job);
            }
        }
    }
}

/// What became of a row that was to be inserted.
pub(super) enum Inserted {
    Kept,
    Taken,
    HeldBy(Arc<Job>),
}

/// The jobs that are no duplicates; these are in the order of the jobs.
pub(super) fn without<'a>(
    duplicates: &'a [Duplicate],
    jobs: &'a [Arc<Job>],
) -> impl Iterator<Item = (usize, &'a Arc<Job>)> {
    let is_kept =
        |index: &usize| duplicates.binary_search_by_key(index, |duplicate| duplicate.index).is_err();
    jobs.iter().enumerate().filter(move |(index, _)| is_kept(index))
}
