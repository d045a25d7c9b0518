//! A store in the memory of this process.
//!
//! The rows are in a sharded map; beside it stand four indexes, each behind a lock of its own that is held for a few
//! instructions: the order of ids for lists, the due times and the ages of each queue, and the order of finishing for
//! retention. Indexes change while their row is held, but are read without it, so whoever takes an id from one looks at
//! the row.
//!
//! Order of locks: a row first, then an index; never the other way round.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;

use super::budget::{Bounds, Budget, Load, Room};
use super::finished::{self, Finished, Retention};
use super::shelf::{Keys, Shelf, lock};
use super::{Answer, ApplyError, Counts, Due, Durability, InsertError, ListQuery, Page, Store, StoreError};
use crate::job::{Change, Job, JobId, LogLine, QueueName, StateName, Timestamp};

/// How many ids a list looks at, and how many jobs a sweep forgets, before it lets others at the index and the thread.
const STEP: usize = 256;

/// By how much a line can lengthen a log, at most: its text, and the room for twice as many lines.
const LOG_GROWTH: usize = 8 << 10;

/// A store that lives and dies with the process.
pub struct MemoryStore {
    rows: DashMap<JobId, Arc<Job>, RandomState>,
    order: Mutex<BTreeSet<JobId>>,
    shelves: HashMap<QueueName, Shelf, RandomState>,
    finished: Mutex<Finished>,
    retention: Retention,
    budget: Budget,
}

impl MemoryStore {
    /// An empty store for the jobs of these queues. It takes whatever comes until it is told its bounds.
    pub fn new(queues: impl IntoIterator<Item = QueueName>, retention: Retention) -> Self {
        Self {
            rows: DashMap::default(),
            order: Mutex::default(),
            shelves: queues.into_iter().map(|queue| (queue, Shelf::default())).collect(),
            finished: Mutex::default(),
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

    /// The bytes that all jobs take together, as [`Job::weight`] counts them.
    pub fn memory(&self) -> u64 {
        self.budget.held()
    }

    fn shelf(&self, queue: &QueueName) -> Result<&Shelf, StoreError> {
        self.shelves.get(queue).ok_or_else(|| StoreError(anyhow::anyhow!("the store has no queue {queue}")))
    }

    fn insert_now(&self, jobs: &[Arc<Job>], anyway: bool) -> Result<(), InsertError> {
        for job in jobs {
            self.shelf(&job.spec.queue)?;
        }
        let load = |jobs: &[Arc<Job>]| Load::of(jobs.iter().map(|job| Keys::of(job)));
        if anyway {
            self.budget.take_anyway(load(jobs));
        } else {
            self.make_room(load(jobs))?;
        }
        for (n, job) in jobs.iter().enumerate() {
            let vacant = match self.rows.entry(job.id()) {
                Entry::Vacant(entry) => {
                    // Indexed while the row is held: nobody can change it before the indexes know of it.
                    let row = entry.insert(Arc::clone(job));
                    self.index(&row, None, Some(Keys::of(&row)))?;
                    true
                }
                Entry::Occupied(_) => false,
            };
            // Not inside the match: its guard may hold the very shard that the others are in.
            if !vacant {
                self.budget.give_back(load(&jobs[n..]));
                for inserted in &jobs[..n] {
                    self.remove_if(inserted.id(), |_| true);
                }
                return Err(InsertError::Taken(job.id()));
            }
        }
        lock(&self.order).extend(jobs.iter().map(|job| job.id()));
        Ok(())
    }

    /// Takes room for rows that are about to come; what is finished makes way for them.
    fn make_room(&self, load: Load) -> Result<(), InsertError> {
        loop {
            match self.budget.take(load) {
                Room::Taken => return Ok(()),
                Room::Full(limit) => return Err(InsertError::Full(limit)),
                Room::Crowded if self.throw_one_away() => {}
                Room::Crowded => return Err(InsertError::Full(self.budget.full())),
            }
        }
    }

    /// Lets go of the oldest result, or, when there is none, forgets the oldest finished job that is no dead letter. Says
    /// whether there is anything left to throw away. Not to be called while a row is held.
    fn throw_one_away(&self) -> bool {
        // Not in the conditions: the lock would be held while the row is looked at.
        let result = lock(&self.finished).oldest_result();
        if let Some((at, id)) = result {
            if let Some(mut row) = self.rows.get_mut(&id)
                && row.state.finished_at() == Some(at)
            {
                let before = Keys::of(&row);
                Arc::make_mut(&mut row).expire_result();
                // An unknown queue it cannot have: that was looked up when it was inserted.
                let _ = self.reindex(&row, before, Keys::of(&row));
            }
            return true;
        }
        let oldest = lock(&self.finished).oldest_done();
        oldest.is_some_and(|oldest| {
            self.forget(oldest);
            true
        })
    }

    fn apply_now(&self, id: JobId, change: Change, at: Timestamp) -> Result<Arc<Job>, ApplyError> {
        let mut row = self.rows.get_mut(&id).ok_or(ApplyError::NotFound)?;
        let before = Keys::of(&row);
        // Copies the job only while a reader holds it.
        Arc::make_mut(&mut row).apply(change, at)?;
        let job = Arc::clone(&row);
        let after = Keys::of(&job);
        self.reindex(&job, before, after)?;
        drop(row);
        if job.state.is_terminal() {
            self.trim();
        }
        if (after.bytes > before.bytes || job.state.is_terminal()) && self.budget.is_over(0) {
            self.relieve(id);
        }
        Ok(job)
    }

    /// A job has grown or can make way, and memory is full: others make way for it, and at last it is made thin itself. No change is
    /// refused for want of memory.
    fn relieve(&self, grown: JobId) {
        while self.budget.is_over(0) {
            if self.throw_one_away() {
                continue;
            }
            if let Some(mut row) = self.rows.get_mut(&grown) {
                let before = Keys::of(&row);
                Arc::make_mut(&mut row).thin();
                let _ = self.reindex(&row, before, Keys::of(&row));
            }
            return;
        }
    }

    fn log_now(&self, id: JobId, run: u32, line: LogLine) {
        while self.budget.is_over(LOG_GROWTH) && self.throw_one_away() {}
        // The row is held while its log grows: nobody can weigh it in between.
        let Some(row) = self.rows.get(&id).filter(|row| row.is_in_run(run)) else {
            return;
        };
        let log = &row.spec.log;
        let (before, after) =
            if self.budget.is_over(LOG_GROWTH) { log.append_in_place(line) } else { log.append(line) };
        self.budget.logged(before, after);
    }

    /// Brings everything up to date with a row that has changed.
    fn reindex(&self, job: &Job, before: Keys, after: Keys) -> Result<(), StoreError> {
        self.budget.change(&before, &after);
        self.index(job, Some(before), Some(after))
    }

    /// Brings the indexes up to date with a row that has come, changed or gone.
    fn index(&self, job: &Job, before: Option<Keys>, after: Option<Keys>) -> Result<(), StoreError> {
        let id = job.id();
        self.shelf(&job.spec.queue)?.note(id, before, after);
        let finished = |keys: Option<Keys>| keys.and_then(|keys| keys.finished(id));
        if finished(before) != finished(after) {
            let mut index = lock(&self.finished);
            if let Some((state, entry, has_result)) = finished(before) {
                index.leave(state, entry, has_result);
            }
            if let Some((state, entry, has_result)) = finished(after) {
                index.enter(state, entry, has_result);
            }
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
    fn forget(&self, (at, id): finished::Entry) -> bool {
        self.remove_if(id, |job| job.state.finished_at() == Some(at))
    }

    fn remove_if(&self, id: JobId, really: impl Fn(&Job) -> bool) -> bool {
        match self.rows.entry(id) {
            Entry::Occupied(row) if really(row.get()) => {
                let keys = Keys::of(row.get());
                // While the row is held, as always; an unknown queue cannot be: it was looked up when it was inserted.
                let _ = self.index(row.get(), Some(keys), None);
                self.budget.give_back(Load::of(std::iter::once(keys)));
                row.remove();
            }
            Entry::Occupied(_) | Entry::Vacant(_) => return false,
        }
        lock(&self.order).remove(&id);
        true
    }

    async fn list_now(&self, query: &ListQuery) -> Page {
        let mut page = Page::default();
        let mut before = query.before;
        loop {
            let ids: Vec<JobId> = {
                let order = lock(&self.order);
                match before {
                    Some(id) => order.range(..id).rev().take(STEP).copied().collect(),
                    None => order.iter().rev().take(STEP).copied().collect(),
                }
            };
            for id in &ids {
                let Some(job) = self.rows.get(id).map(|row| Arc::clone(&row)) else {
                    continue;
                };
                if query.filter.matches(&job) {
                    if page.jobs.len() == query.limit {
                        page.next = page.jobs.last().map(|job| job.id());
                        return page;
                    }
                    page.jobs.push(job);
                }
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

    fn insert(&self, jobs: Vec<Arc<Job>>) -> Answer<'_, Result<(), InsertError>> {
        Answer::now(self.insert_now(&jobs, false))
    }

    fn restore(&self, jobs: Vec<Arc<Job>>) -> Answer<'_, Result<(), InsertError>> {
        Answer::now(self.insert_now(&jobs, true))
    }

    fn log(&self, id: JobId, run: u32, line: LogLine) -> Answer<'_, Result<(), StoreError>> {
        self.log_now(id, run, line);
        Answer::now(Ok(()))
    }

    fn get(&self, id: JobId) -> Answer<'_, Result<Option<Arc<Job>>, StoreError>> {
        Answer::now(Ok(self.rows.get(&id).map(|row| Arc::clone(&row))))
    }

    fn apply(&self, id: JobId, change: Change, at: Timestamp) -> Answer<'_, Result<Arc<Job>, ApplyError>> {
        Answer::now(self.apply_now(id, change, at))
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

    fn volatile(&self) -> Vec<Arc<Job>> {
        let ids: Vec<JobId> = lock(&self.order).iter().copied().collect();
        let matters = |job: &Job| !job.state.is_terminal() || job.state.name() == StateName::DeadLettered;
        ids.iter()
            .filter_map(|id| self.rows.get(id).map(|row| Arc::clone(&row)))
            .filter(|job| matters(job))
            .collect()
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
