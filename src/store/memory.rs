//! A store in the memory of this process.
//!
//! The rows are in a sharded map; beside it stand four indexes, each behind a lock of its own that is held for a few
//! instructions: the order of ids for lists, the due times and the ages of each queue, the order of finishing for
//! retention, and the holders of unique keys. Indexes change while their row is held, but are read without it, so whoever
//! takes an id from one looks at the row.
//!
//! Order of locks: a row first, then an index; never the other way round.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::ascending::Ascending;
use super::budget::{Bounds, Budget, Load};
use super::finished::{self, Finished, Retention};
use super::notices::is_of_none;
use super::row::Row;
use super::shelf::{Keys, Shelf, lock};
use super::unique::{Holders, Inserted, without};
use super::{
    Answer, ApplyError, Counts, Due, Duplicate, Durability, Follow, InsertError, ListQuery, Page, Store,
    StoreError,
};
use crate::job::{
    Change, Hold, Job, JobId, KindName, LogLine, QueueName, Refused, StateName, Timestamp, UniqueKey,
};
use crate::sync::{DashMap, Entry, Mutex};

/// How many ids a list looks at, and how many jobs a sweep forgets, before it lets others at the index and the thread.
const STEP: usize = 256;

/// A store that lives and dies with the process. How it keeps unique keys stands in `unique.rs`.
pub struct MemoryStore {
    pub(super) rows: DashMap<JobId, Row, RandomState>,
    pub(super) order: Mutex<Ascending<JobId>>,
    shelves: HashMap<QueueName, Shelf, RandomState>,
    pub(super) finished: Mutex<Finished>,
    pub(super) holders: Mutex<Holders>,
    retention: Retention,
    pub(super) budget: Budget,
}

impl MemoryStore {
    /// An empty store for the jobs of these queues. It takes whatever comes until it is told its bounds.
    pub fn new(queues: impl IntoIterator<Item = QueueName>, retention: Retention) -> Self {
        Self {
            rows: DashMap::default(),
            order: Mutex::default(),
            shelves: queues.into_iter().map(|queue| (queue, Shelf::default())).collect(),
            finished: Mutex::default(),
            holders: Mutex::default(),
            retention,
            budget: Budget::new(Bounds::NONE),
        }
    }

    /// Sets how much it holds; to be called while it is empty.
    #[must_use]
    pub fn bounded_by(self, bounds: Bounds) -> Self {
        Self { budget: Budget::new(bounds), ..self }
    }

    /// How many jobs are held, finished ones included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no job is held.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The bytes that all jobs take together, as [`Job::weight`] counts them; most that are done take less.
    pub fn memory(&self) -> u64 {
        self.budget.held()
    }

    pub(super) fn shelf(&self, queue: &QueueName) -> Result<&Shelf, StoreError> {
        self.shelves.get(queue).ok_or_else(|| StoreError(anyhow::anyhow!("the store has no queue {queue}")))
    }

    pub(super) fn insert_now(&self, jobs: &[Arc<Job>], anyway: bool) -> Result<Vec<Duplicate>, InsertError> {
        for job in jobs {
            self.shelf(&job.spec.queue)?;
        }
        // Mostly there is but one, which is weighed once. Of many the keys together would take more memory than time.
        let only = if let [job] = jobs { Some(Keys::of(job)) } else { None };
        let keys_of = |job: &Arc<Job>| only.unwrap_or_else(|| Keys::of(job));
        let load = |jobs: &[Arc<Job>]| Load::of(jobs.iter().map(keys_of));
        if anyway {
            self.budget.take_anyway(load(jobs));
        } else {
            self.make_room(load(jobs))?;
        }
        // Of jobs without a unique key there is none, and then this costs nothing.
        let mut duplicates: Vec<Duplicate> = Vec::new();
        for (index, job) in jobs.iter().enumerate() {
            // What was accepted before is not dropped: such a notice tells of a job of which it is all that is left.
            if !anyway && is_of_none(job, jobs, &duplicates) {
                self.budget.give_back(load(&jobs[index..=index]));
                continue;
            }
            match self.insert_row(job, keys_of(job))? {
                Inserted::Kept => {}
                Inserted::HeldBy(holder) => {
                    self.budget.give_back(load(&jobs[index..=index]));
                    duplicates.push(Duplicate { index, holder });
                }
                Inserted::Taken => {
                    self.budget.give_back(load(&jobs[index..]));
                    for (_, inserted) in without(&duplicates, &jobs[..index]) {
                        self.remove_if(inserted.id(), |_| true);
                    }
                    return Err(InsertError::Taken(job.id()));
                }
            }
        }
        Ok(duplicates)
    }

    pub(super) fn insert_row(&self, job: &Arc<Job>, keys: Keys) -> Result<Inserted, StoreError> {
        let now = job.spec.created_at;
        loop {
            let held_by = match self.rows.entry(job.id()) {
                Entry::Occupied(_) => return Ok(Inserted::Taken),
                // Claimed and indexed while the row is held: who finds it by its key waits until it is there, and nobody
                // can change it before the indexes know of it.
                Entry::Vacant(entry) => match self.claim(job, keys.hold, now) {
                    Ok(()) => {
                        let row = entry.insert(Row::Open(Arc::clone(job)));
                        lock(&self.order).insert(job.id());
                        self.index(job.id(), &row, None, Some(keys))?;
                        return Ok(Inserted::Kept);
                    }
                    Err(holder) => holder,
                },
            };
            // Not inside the match: its guard may hold the very shard that the holder is in. Whoever has let go of the
            // key in between leaves it to the next round.
            if let Some(holder) = self.holding(held_by, now) {
                return Ok(Inserted::HeldBy(holder));
            }
        }
    }

    pub(super) fn apply_following(
        &self,
        id: JobId,
        change: Change,
        at: Timestamp,
        notices: &Follow<'_>,
    ) -> Result<Arc<Job>, ApplyError> {
        let mut row = self.rows.get_mut(&id).ok_or(ApplyError::NotFound)?;
        // Nothing leads on from there.
        let Some(job) = row.as_open_mut() else {
            return Err(Refused { state: StateName::Completed, change: change.name() }.into());
        };
        let before = Keys::of(job);
        let retried = matches!(change, Change::Retry { .. } | Change::Redrive { .. });
        if retried {
            self.claim(job, Hold::Kept, at).map_err(ApplyError::KeyHeld)?;
        }
        // Copies the job only while a reader holds it.
        if let Err(refused) = Arc::make_mut(job).apply(change, at) {
            if retried {
                lock(&self.holders).follow(job, before.hold);
            }
            return Err(refused.into());
        }
        // Most jobs have nothing to do with notices, and pay for no more than this look.
        let noticed = job.spec.notices.is_some();
        let made = if noticed { self.follow(job, notices) } else { Vec::new() };
        let job = Arc::clone(job);
        row.close();
        let after = row.keys();
        self.reindex(id, &row, before, after)?;
        drop(row);
        if noticed {
            self.keep_notices(&made);
            self.note_with_its_job(&job, retried);
        }
        if job.state.is_terminal() {
            self.trim();
        }
        let grown = after.bytes > before.bytes || !made.is_empty();
        if (grown || job.state.is_terminal()) && self.budget.is_over(0) {
            self.relieve(id);
        }
        if grown && job.notice().is_some() && self.budget.tells_too_much() {
            self.thin(id);
        }
        Ok(job)
    }

    /// Brings everything up to date with a row that has changed.
    pub(super) fn reindex(&self, id: JobId, row: &Row, before: Keys, after: Keys) -> Result<(), StoreError> {
        self.budget.change(&before, &after);
        self.index(id, row, Some(before), Some(after))
    }

    /// Brings the indexes up to date with a row that has come, changed or gone.
    fn index(
        &self,
        id: JobId,
        row: &Row,
        before: Option<Keys>,
        after: Option<Keys>,
    ) -> Result<(), StoreError> {
        self.shelf(row.queue())?.note(id, before, after);
        let end = |keys: Option<Keys>| keys.and_then(|keys| keys.end());
        if end(before) != end(after) {
            let mut index = lock(&self.finished);
            if let Some(end) = end(before) {
                index.leave(end, id);
            }
            if let Some(end) = end(after) {
                index.enter(end, id);
            }
        }
        let hold = |keys: Option<Keys>| keys.map_or(Hold::Free, |keys| keys.hold);
        if before.is_some() && hold(before) != hold(after) {
            // What is done has none, and had none.
            row.as_open().inspect(|job| lock(&self.holders).follow(job, hold(after)));
        }
        Ok(())
    }

    /// Forgets the oldest finished jobs that are too many.
    fn trim(&self) {
        loop {
            // Not in the condition of the loop: the lock would be held while the row is looked at.
            let oldest = lock(&self.finished).one_too_many(&self.retention);
            let Some(oldest) = oldest else { return };
            self.forget(oldest);
        }
    }

    async fn sweep_now(&self, now: Timestamp) -> usize {
        let mut forgotten = 0;
        while lock(&self.finished).let_go(now, STEP) {
            tokio::task::yield_now().await;
        }
        loop {
            for _ in 0..STEP {
                let past = lock(&self.finished).one_past(&self.retention, now);
                match past {
                    Some(entry) => forgotten += usize::from(self.forget(entry)),
                    None => return forgotten,
                }
            }
            // A hundred thousand can be past at once.
            tokio::task::yield_now().await;
        }
    }

    /// Removes a row, if it is still the one that finished at this time; says whether it was.
    pub(super) fn forget(&self, (at, id): finished::Entry) -> bool {
        self.remove_if(id, |row| row.finished_at() == Some(at))
    }

    fn remove_if(&self, id: JobId, really: impl Fn(&Row) -> bool) -> bool {
        match self.rows.entry(id) {
            Entry::Occupied(entry) if really(entry.get()) => {
                let (row, keys) = (entry.get(), entry.get().keys());
                // While the row is held, as always; an unknown queue cannot be: it was looked up when it was inserted.
                let _ = self.index(id, row, Some(keys), None);
                self.budget.give_back(Load::of(std::iter::once(keys)));
                lock(&self.order).remove(&id);
                entry.remove();
                true
            }
            Entry::Occupied(_) | Entry::Vacant(_) => false,
        }
    }

    async fn list_now(&self, query: &ListQuery) -> Page {
        let mut page = Page::default();
        let mut before = query.before;
        loop {
            let ids: Vec<JobId> = lock(&self.order).before(before).take(STEP).copied().collect();
            for id in &ids {
                let Some(row) = self.rows.get(id).filter(|row| row.fits(*id, &query.filter)) else {
                    continue;
                };
                if page.jobs.len() == query.limit {
                    page.next = page.jobs.last().map(|job| job.id());
                    return page;
                }
                page.jobs.push(row.job(*id));
            }
            if ids.len() < STEP {
                return page;
            }
            before = ids.last().copied();
            // A long search must not keep a thread from its other requests.
            tokio::task::yield_now().await;
        }
    }
}

impl Store for MemoryStore {
    fn durability(&self) -> Durability {
        Durability::Memory
    }

    fn insert(&self, jobs: Vec<Arc<Job>>) -> Answer<'_, Result<Vec<Duplicate>, InsertError>> {
        Answer::now(self.insert_now(&jobs, false))
    }

    fn restore(&self, jobs: Vec<Arc<Job>>) -> Answer<'_, Result<Vec<Duplicate>, InsertError>> {
        Answer::now(self.insert_now(&jobs, true))
    }

    fn log(&self, id: JobId, run: u32, line: LogLine) -> Answer<'_, Result<(), StoreError>> {
        self.log_now(id, run, line);
        Answer::now(Ok(()))
    }

    fn holder<'a>(
        &'a self,
        kind: &'a KindName,
        key: &'a UniqueKey,
        now: Timestamp,
    ) -> Answer<'a, Result<Option<Arc<Job>>, StoreError>> {
        Answer::now(Ok(self.holder_now(kind, key, now)))
    }

    fn get(&self, id: JobId) -> Answer<'_, Result<Option<Arc<Job>>, StoreError>> {
        Answer::now(Ok(self.rows.get(&id).map(|row| row.job(id))))
    }

    fn apply_with<'a>(
        &'a self,
        id: JobId,
        change: Change,
        at: Timestamp,
        notices: &'a Follow<'a>,
    ) -> Answer<'a, Result<Arc<Job>, ApplyError>> {
        Answer::now(self.apply_following(id, change, at, notices))
    }

    fn remove(&self, id: JobId, state: StateName) -> Answer<'_, Result<bool, StoreError>> {
        Answer::now(Ok(self.remove_if(id, |row| row.state() == state)))
    }

    fn due<'a>(
        &'a self,
        queue: &'a QueueName,
        now: Timestamp,
        limit: usize,
    ) -> Answer<'a, Result<Due, StoreError>> {
        Answer::now(self.shelf(queue).map(|shelf| shelf.due(now, limit)))
    }

    fn list<'a>(&'a self, query: &'a ListQuery) -> Answer<'a, Result<Page, StoreError>> {
        Answer::later(async move { Ok(self.list_now(query).await) })
    }

    fn counts<'a>(&'a self, queue: &'a QueueName) -> Answer<'a, Result<Counts, StoreError>> {
        Answer::now(self.shelf(queue).map(Shelf::counts))
    }

    fn oldest_pending<'a>(
        &'a self,
        queue: &'a QueueName,
    ) -> Answer<'a, Result<Option<Timestamp>, StoreError>> {
        Answer::now(self.shelf(queue).map(Shelf::oldest_pending))
    }

    fn sweep(&self, now: Timestamp) -> Answer<'_, Result<usize, StoreError>> {
        Answer::later(async move { Ok(self.sweep_now(now).await) })
    }

    fn held_bytes(&self) -> Option<u64> {
        Some(self.memory())
    }

    fn volatile(&self) -> Vec<Arc<Job>> {
        let ids: Vec<JobId> = lock(&self.order).iter().copied().collect();
        let matters = |job: &Job| {
            let is_dead = job.state.name() == StateName::DeadLettered;
            !job.state.is_terminal() || is_dead || job.hold() != Hold::Free
        };
        ids.iter()
            // What is done matters to nobody.
            .filter_map(|id| self.rows.get(id)?.as_open().map(Arc::clone))
            .filter(|job| matters(job))
            .collect()
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
