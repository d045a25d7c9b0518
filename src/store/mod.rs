//! What is known of every job: the second of the two seams behind which a backend can be exchanged.
//!
//! After [`Store::insert`], [`Store::apply`] is the only write that changes a job, and [`Store::remove`] the only one that
//! takes one away on request. Both are conditional: they find the job as they expect it, or write nothing.

mod answer;
mod finished;
mod memory;
mod query;

pub mod conformance;

pub use answer::Answer;
pub use finished::Retention;
pub use memory::MemoryStore;
pub use query::{Filter, ListQuery, Page};

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::job::{Change, Job, JobId, QueueName, Refused, StateName, Timestamp};

/// Keeps jobs.
pub trait Store: Send + Sync + 'static {
    /// What a crash would cost the jobs that are kept here.
    fn durability(&self) -> Durability;

    /// Keeps new jobs: all or none.
    ///
    /// # Errors
    ///
    /// [`InsertError::Taken`] when there is a job of one of these ids, or two of them have the same.
    fn insert(&self, jobs: Vec<Arc<Job>>) -> Answer<'_, Result<(), InsertError>>;

    /// The job as it stands.
    ///
    /// # Errors
    ///
    /// When the backend does not answer.
    fn get(&self, id: JobId) -> Answer<'_, Result<Option<Arc<Job>>, StoreError>>;

    /// Changes a job, and gives it back as it then stands.
    ///
    /// # Errors
    ///
    /// When there is no such job, when its state does not allow the change, or when the backend does not answer.
    fn apply(&self, id: JobId, change: Change, at: Timestamp) -> Answer<'_, Result<Arc<Job>, ApplyError>>;

    /// Forgets a job on request, if it is in this state at that very moment; says whether it was. Of several who ask at
    /// once, one is told so. Meant for terminal states: of the others somebody still holds the id.
    ///
    /// # Errors
    ///
    /// When the backend does not answer.
    fn remove(&self, id: JobId, state: StateName) -> Answer<'_, Result<bool, StoreError>>;

    /// The waiting jobs of a queue that are due, the longest overdue first, at most `limit`; and when the next one is.
    ///
    /// # Errors
    ///
    /// When the backend does not answer.
    fn due<'a>(
        &'a self,
        queue: &'a QueueName,
        now: Timestamp,
        limit: usize,
    ) -> Answer<'a, Result<Due, StoreError>>;

    /// Jobs that fit a filter, newest first.
    ///
    /// # Errors
    ///
    /// When the backend does not answer.
    fn list<'a>(&'a self, query: &'a ListQuery) -> Answer<'a, Result<Page, StoreError>>;

    /// How the jobs of a queue stand.
    ///
    /// # Errors
    ///
    /// When the backend does not answer.
    fn counts<'a>(&'a self, queue: &'a QueueName) -> Answer<'a, Result<Counts, StoreError>>;

    /// Since when the longest waiting pending job of a queue waits.
    ///
    /// # Errors
    ///
    /// When the backend does not answer.
    fn oldest_pending<'a>(
        &'a self,
        queue: &'a QueueName,
    ) -> Answer<'a, Result<Option<Timestamp>, StoreError>>;

    /// Forgets the finished jobs whose time is up; says how many.
    ///
    /// # Errors
    ///
    /// When the backend does not answer.
    fn sweep(&self, now: Timestamp) -> Answer<'_, Result<usize, StoreError>>;

    /// The jobs that would be gone with the process and still matter: everything that is not terminal, and the dead
    /// letters, in the order of their ids. A store that outlives the process has none.
    fn volatile(&self) -> Vec<Arc<Job>>;
}

/// What a crash would cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Every job that is not finished. A drain saves them to the spill file.
    Memory,
}

/// What [`Store::due`] found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Due {
    /// The jobs that are due.
    pub ids: Vec<JobId>,
    /// When the first job that is not among them is due.
    pub next: Option<Timestamp>,
}

/// How many jobs of a queue are in each state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts([u64; StateName::ALL.len()]);

impl Counts {
    /// The number of jobs in this state.
    pub fn get(&self, state: StateName) -> u64 {
        self.0[state as usize]
    }
}

/// The backend does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the store does not answer")]
pub struct StoreError(#[source] pub anyhow::Error);

/// Why jobs were not kept.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// There is a job of this id already.
    #[error("there is a job {0} already")]
    Taken(JobId),
    /// The backend does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a job was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// There is no such job.
    #[error("there is no such job")]
    NotFound,
    /// Its state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The backend does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long `since` is ago, in seconds; used where an age is told.
pub(crate) fn age_seconds(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(Duration::ZERO, |since| now.since(since)).as_secs_f64()
}
