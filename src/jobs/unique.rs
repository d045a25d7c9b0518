//! The same work twice: what a submission comes to, and which jobs of a batch are which.

use std::collections::HashMap;
use std::sync::Arc;

use super::Jobs;
use crate::job::{Job, KindName, Timestamp, Unique, UniqueKey};
use crate::store::StoreError;

/// What became of a job that was submitted.
#[derive(Clone, Debug)]
pub enum Accepted {
    /// It was made.
    New(Arc<Job>),
    /// It was not, because this one is the same work: see [`Unique`](crate::job::Unique).
    Duplicate(Arc<Job>),
}

impl Accepted {
    /// The job that stands for the work.
    pub fn job(&self) -> &Arc<Job> {
        match self {
            Self::New(job) | Self::Duplicate(job) => job,
        }
    }

    /// The job that stands for the work.
    pub fn into_job(self) -> Arc<Job> {
        match self {
            Self::New(job) | Self::Duplicate(job) => job,
        }
    }

    /// Whether none was made.
    pub const fn is_duplicate(&self) -> bool {
        matches!(self, Self::Duplicate(_))
    }
}

/// Which jobs of a batch are to be made, and what the others are the same as.
pub(super) struct Sorted {
    /// Those to be made, in their order.
    pub(super) jobs: Vec<Job>,
    /// Where each job of the batch is found afterwards; nothing when all of them are to be made.
    places: Option<Vec<Place>>,
}

enum Place {
    /// It is to be made, or is the same as one before it that is.
    Made { index: usize, again: bool },
    /// It is the same as one that is known.
    Known(Arc<Job>),
}

impl Jobs {
    /// The job that is the same work as a new one of this kind with this unique key, if there is one. Looked at before room
    /// is asked for, so that a duplicate needs none; the store looks again when it inserts.
    pub(super) async fn known(
        &self,
        kind: &KindName,
        unique: Option<&Unique>,
        now: Timestamp,
    ) -> Result<Option<Arc<Job>>, StoreError> {
        match unique {
            Some(unique) => self.0.store.holder(kind, &unique.key, now).await,
            None => Ok(None),
        }
    }

    /// Sorts out the jobs of a batch that are the same as a known one, or as one that comes before them.
    pub(super) async fn sort_out(&self, batch: Vec<Job>) -> Result<Sorted, StoreError> {
        if batch.iter().all(|job| job.spec.unique.is_none()) {
            return Ok(Sorted { jobs: batch, places: None });
        }
        let mut jobs = Vec::with_capacity(batch.len());
        let mut places = Vec::with_capacity(batch.len());
        let mut first: HashMap<(KindName, UniqueKey), usize> = HashMap::new();
        for job in batch {
            let spec = &*job.spec;
            let name = spec.unique.as_ref().map(|unique| (spec.kind.clone(), unique.key.clone()));
            if let Some(index) = name.as_ref().and_then(|name| first.get(name)) {
                places.push(Place::Made { index: *index, again: true });
            } else if let Some(known) =
                self.known(&spec.kind, spec.unique.as_deref(), spec.created_at).await?
            {
                places.push(Place::Known(known));
            } else {
                first.extend(name.map(|name| (name, jobs.len())));
                places.push(Place::Made { index: jobs.len(), again: false });
                jobs.push(job);
            }
        }
        Ok(Sorted { jobs, places: Some(places) })
    }
}

impl Sorted {
    /// Takes the jobs out, to be made.
    pub(super) fn take_jobs(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.jobs)
    }

    /// The whole batch again, in its order, from what the taken jobs have become.
    pub(super) fn join(self, made: Vec<Accepted>) -> Vec<Accepted> {
        let Some(places) = self.places else { return made };
        let places = places.into_iter().map(|place| match place {
            Place::Known(known) => Accepted::Duplicate(known),
            Place::Made { index, again: true } => Accepted::Duplicate(Arc::clone(made[index].job())),
            Place::Made { index, again: false } => made[index].clone(),
        });
        places.collect()
    }
}
