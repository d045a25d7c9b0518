//! What is known of every job: the second of the two seams behind which a backend can be exchanged.
//!
//! After [`Store::insert`], [`Store::apply`] is the only write that changes a job, and [`Store::remove`] the only one that
//! takes one away on request. Both are conditional: they find the job as they expect it, or write nothing.

mod answer;
mod ascending;
mod budget;
mod finished;
mod forget_conformance;
mod memory;
mod notices;
mod notices_conformance;
mod pressure;
mod query;
mod row;
mod shelf;
mod unique;
mod unique_conformance;
#[cfg(test)]
mod unique_tests;

pub mod conformance;

pub use answer::Answer;
pub use budget::Bounds;
pub use finished::Retention;
pub use memory::MemoryStore;
pub use query::{Filter, ListQuery, Page};

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::job::{
    Change, Job, JobId, KindName, LogLine, QueueName, Refused, StateName, Timestamp, UniqueKey,
};

/// Keeps jobs.
pub trait Store: Send + Sync + 'static {
    /// What a crash would cost the jobs that are kept here.
    fn durability(&self) -> Durability;

    /// Keeps new jobs: all or none.
    ///
    /// But for those whose unique key another job holds when they were made: they are not kept, and given back with the
    /// one that is the same work. Of many that come at once with one key, exactly one is kept; a key is taken and its row
    /// kept in one step, as with a unique index. See [`Job::hold`] for how long a job holds its key.
    ///
    /// # Errors
    ///
    /// [`InsertError::Taken`] when there is a job of one of these ids, or two of them have the same;
    /// [`InsertError::Full`] when there is no room for all of them.
    ///
    /// Notices come behind the jobs that they tell of. Those of a job that is given back are not kept either.
    fn insert(&self, jobs: Vec<Arc<Job>>) -> Answer<'_, Result<Vec<Duplicate>, InsertError>>;

    /// The job that holds a unique key at this time, if one does.
    ///
    /// # Errors
    ///
    /// When the backend does not answer.
    fn holder<'a>(
        &'a self,
        kind: &'a KindName,
        key: &'a UniqueKey,
        now: Timestamp,
    ) -> Answer<'a, Result<Option<Arc<Job>>, StoreError>>;

    /// Keeps jobs that were accepted before, all or none, however full the store is: what was accepted is not refused
    /// a second time.
    ///
    /// # Errors
    ///
    /// As [`Store::insert`], but never [`InsertError::Full`].
    fn restore(&self, jobs: Vec<Arc<Job>>) -> Answer<'_, Result<Vec<Duplicate>, InsertError>>;

    /// The job as it stands.
    ///
    /// # Errors
    ///
    /// When the backend does not answer.
    fn get(&self, id: JobId) -> Answer<'_, Result<Option<Arc<Job>>, StoreError>>;

    /// Changes a job, and gives it back as it then stands.
    ///
    /// A retry of a job that has let go of its unique key takes it again, or is refused when another job holds it.
    ///
    /// # Errors
    ///
    /// When there is no such job, when its state or the holder of its key does not allow the change, or when the backend
    /// does not answer.
    fn apply(&self, id: JobId, change: Change, at: Timestamp) -> Answer<'_, Result<Arc<Job>, ApplyError>> {
        self.apply_with(id, change, at, &|_, _| Vec::new())
    }

    /// As [`Self::apply`], and keeps in the same step what follows from the change: `notices` is given the job as it then
    /// stands, if [somebody wants to be told of it](Job::wanted), and makes rows of it. They are kept whatever room there
    /// is, because what was accepted is never refused an end, and the job [remembers](crate::job::Told) them. When there is
    /// little room it is asked once more, for [what was paid for](Space::Scarce). When the change is refused there are none.
    ///
    /// A change of a row that is a notice is noted in the same step with the job that it tells of, as long as there is
    /// one; that job does not change otherwise.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`].
    fn apply_with<'a>(
        &'a self,
        id: JobId,
        change: Change,
        at: Timestamp,
        notices: &'a Follow<'a>,
    ) -> Answer<'a, Result<Arc<Job>, ApplyError>>;

    /// Forgets a job on request, if it is in this state at that very moment; says whether it was. Of several who ask at
    /// once, one is told so. Meant for terminal states: of the others somebody still holds the id.
    ///
    /// # Errors
    ///
    /// When the backend does not answer.
    fn remove(&self, id: JobId, state: StateName) -> Answer<'_, Result<bool, StoreError>>;

    /// Adds a line to the log of a job, if this run of it is under way; else the line is dropped. When memory is full the
    /// oldest lines of the same job make room for it.
    ///
    /// # Errors
    ///
    /// When the backend does not answer.
    fn log(&self, id: JobId, run: u32, line: LogLine) -> Answer<'_, Result<(), StoreError>>;

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

    /// Forgets the finished jobs whose time is up; says how many. A job that holds its unique key is not forgotten before
    /// it lets go, however short the retention is; for want of room it is the last to go.
    ///
    /// # Errors
    ///
    /// When the backend does not answer.
    fn sweep(&self, now: Timestamp) -> Answer<'_, Result<usize, StoreError>>;

    /// How many bytes the jobs take, where that is known.
    fn held_bytes(&self) -> Option<u64> {
        None
    }

    /// The jobs that would be gone with the process and still matter: everything that is not terminal, the dead letters,
    /// and those that keep their unique key for a while after their end, in the order of their ids. A store that outlives the process has none.
    fn volatile(&self) -> Vec<Arc<Job>>;
}

/// Makes the notices of a job that has changed; see [`Store::apply_with`].
pub type Follow<'a> = dyn Fn(&Job, Space) -> Vec<Arc<Job>> + Send + Sync + 'a;

/// How much room there is for notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Space {
    /// For all of them, and for all that they have to say.
    Ample,
    /// Only for what was paid for when the job was accepted: those of its end, and short ones.
    Scarce,
}

/// A job that [`Store::insert`] did not keep, because another one is the same work. They come in the order of the jobs.
#[derive(Clone, Debug)]
pub struct Duplicate {
    /// Which of the jobs that were to be inserted.
    pub index: usize,
    /// The one that holds its unique key.
    pub holder: Arc<Job>,
}

/// What a crash would cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Every job that is not finished. A drain saves them to the spill file.
    Memory,
}

impl Durability {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
        }
    }
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
    /// There is no room, and nothing left that could be thrown away.
    #[error("{0} is reached")]
    Full(Limit),
    /// The backend does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a store that is full is full by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// So many bytes are taken by jobs that cannot be thrown away.
    Memory(u64),
    /// So many jobs are not finished.
    Jobs(u64),
    /// So many bytes of it are taken by notices that are not delivered, and by what is held for those to come.
    Telling(u64),
}

impl Limit {
    /// The option that sets it.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Memory(_) | Self::Telling(_) => "limits.memory",
            Self::Jobs(_) => "limits.jobs",
        }
    }

    /// How much that is, in bytes or jobs.
    pub const fn amount(self) -> u64 {
        match self {
            Self::Memory(amount) | Self::Jobs(amount) | Self::Telling(amount) => amount,
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.option())
    }
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
    /// Its unique key belongs to another job by now.
    #[error("its unique key belongs to the job {0}")]
    KeyHeld(JobId),
    /// The backend does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long `since` is ago, in seconds; used where an age is told.
pub(crate) fn age_seconds(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(Duration::ZERO, |since| now.since(since)).as_secs_f64()
}
