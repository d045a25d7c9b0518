//! A store in the memory of this process.
//!
//! The rows are in a sharded map; beside it stand three indexes, each behind a lock of its own that is held for a few
//! instructions: the order of ids for lists, the due times of each queue, and the order of finishing for retention.
//! Indexes change while their row is held, but are read without it, so whoever takes an id from one looks at the row.
//!
//! Order of locks: a row first, then an index; never the other way round.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;

use super::finished::{Finished, Retention};
use super::{Answer, ApplyError, Counts, Due, Durability, InsertError, ListQuery, Page, Store, StoreError};
use crate::job::{Change, Job, JobId, QueueName, StateName, Timestamp};

/// How many ids a list looks at before it lets others at the index.
const LIST_STEP: usize = 256;

/// A store that lives and dies with the process.
pub struct MemoryStore {
    rows: DashMap<JobId, Arc<Job>, RandomState>,
    order: Mutex<BTreeSet<JobId>>,
    shelves: HashMap<QueueName, Shelf, RandomState>,
    finished: Mutex<Finished>,
    retention: Retention,
}

/// What is counted and awaited in one queue.
#[derive(Default)]
struct Shelf {
    counts: [AtomicU64; StateName::ALL.len()],
    due: Mutex<BTreeSet<(Timestamp, JobId)>>,
}

/// What the indexes know of a row.
#[derive(Clone, Copy)]
struct Keys {
    state: StateName,
    wakes_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl Keys {
    fn of(job: &Job) -> Self {
        Self { state: job.state.name(), wakes_at: job.wakes_at(), finished_at: job.state.finished_at() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks can leave half a change behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStore {
    /// An empty store for the jobs of these queues.
    pub fn new(queues: impl IntoIterator<Item = QueueName>, retention: Retention) -> Self {
        Self {
            rows: DashMap::default(),
            order: Mutex::default(),
            shelves: queues.into_iter().map(|queue| (queue, Shelf::default())).collect(),
            finished: Mutex::default(),
            retention,
        }
    }

    /// How many jobs are held, finished ones included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no job is held.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn shelf(&self, queue: &QueueName) -> Result<&Shelf, StoreError> {
        self.shelves.get(queue).ok_or_else(|| StoreError(anyhow::anyhow!("the store has no queue {queue}")))
    }

    fn insert_now(&self, jobs: &[Arc<Job>]) -> Result<(), InsertError> {
        for job in jobs {
            self.shelf(&job.spec.queue)?;
        }
        for (n, job) in jobs.iter().enumerate() {
            let vacant = match self.rows.entry(job.id()) {
                Entry::Vacant(entry) => {
                    // Indexed while the row is held: nobody can change it before the indexes know of it.
                    let row = entry.insert(Arc::clone(job));
                    self.reindex(&row, None, Some(Keys::of(&row)))?;
                    true
                }
                Entry::Occupied(_) => false,
            };
            // Not inside the match: its guard may hold the very shard that the others are in.
            if !vacant {
                for inserted in &jobs[..n] {
                    self.remove_if(inserted.id(), |_| true);
                }
                return Err(InsertError::Taken(job.id()));
            }
        }
        lock(&self.order).extend(jobs.iter().map(|job| job.id()));
        Ok(())
    }

    fn apply_now(&self, id: JobId, change: Change, at: Timestamp) -> Result<Arc<Job>, ApplyError> {
        let mut row = self.rows.get_mut(&id).ok_or(ApplyError::NotFound)?;
        let before = Keys::of(&row);
        // Copies the job only while a reader holds it.
        Arc::make_mut(&mut row).apply(change, at)?;
        let job = Arc::clone(&row);
        self.reindex(&job, Some(before), Some(Keys::of(&job)))?;
        drop(row);
        if job.state.is_terminal() {
            self.trim();
        }
        Ok(job)
    }

    /// Brings the indexes up to date with a row that has come, changed or gone.
    fn reindex(&self, job: &Job, before: Option<Keys>, after: Option<Keys>) -> Result<(), StoreError> {
        let shelf = self.shelf(&job.spec.queue)?;
        let (old_state, new_state) = (before.map(|keys| keys.state), after.map(|keys| keys.state));
        if old_state != new_state {
            if let Some(new) = new_state {
                shelf.counts[new as usize].fetch_add(1, Ordering::Relaxed);
            }
            if let Some(old) = old_state {
                shelf.counts[old as usize].fetch_sub(1, Ordering::Relaxed);
            }
        }
        let wakes_at = |keys: Option<Keys>| keys.and_then(|keys| keys.wakes_at);
        if wakes_at(before) != wakes_at(after) {
            let mut due = lock(&shelf.due);
            if let Some(old) = wakes_at(before) {
                due.remove(&(old, job.id()));
            }
            if let Some(new) = wakes_at(after) {
                due.insert((new, job.id()));
            }
        }
        let finished = |keys: Option<Keys>| keys.and_then(|keys| Some((keys.state, keys.finished_at?)));
        if finished(before) != finished(after) {
            let mut index = lock(&self.finished);
            if finished(before).is_some() {
                index.leave();
            }
            if let Some((state, at)) = finished(after) {
                index.enter(state, at, job.id());
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

    fn sweep_now(&self, now: Timestamp) -> usize {
        self.drop_stale();
        let mut forgotten = 0;
        loop {
            let past = lock(&self.finished).one_past(&self.retention, now);
            match past {
                Some(entry) => forgotten += usize::from(self.forget(entry)),
                None => return forgotten,
            }
        }
    }

    /// Throws stale entries away when there are many. They are looked up without the lock: a row comes before an index,
    /// always.
    fn drop_stale(&self) {
        for state in [StateName::Completed, StateName::DeadLettered] {
            let entries = lock(&self.finished).take_if_stale(state);
            let Some(entries) = entries else { return };
            let is_live = |(at, id): &(Timestamp, JobId)| {
                self.rows.get(id).is_some_and(|row| row.state.finished_at() == Some(*at))
            };
            let kept = entries.into_iter().filter(is_live).collect();
            lock(&self.finished).put_back(state, kept);
        }
    }

    /// Removes a row, if it is still the one that finished at this time; says whether it was.
    fn forget(&self, (at, id): (Timestamp, JobId)) -> bool {
        self.remove_if(id, |job| job.state.finished_at() == Some(at))
    }

    fn remove_if(&self, id: JobId, really: impl Fn(&Job) -> bool) -> bool {
        match self.rows.entry(id) {
            Entry::Occupied(row) if really(row.get()) => {
                // While the row is held, as always; an unknown queue cannot be: it was looked up when it was inserted.
                let _ = self.reindex(row.get(), Some(Keys::of(row.get())), None);
                row.remove();
            }
            Entry::Occupied(_) | Entry::Vacant(_) => return false,
        }
        lock(&self.order).remove(&id);
        true
    }

    fn due_now(&self, queue: &QueueName, now: Timestamp, limit: usize) -> Result<Due, StoreError> {
        let index = lock(&self.shelf(queue)?.due);
        let mut entries = index.iter();
        let mut due = Due::default();
        for (at, id) in entries.by_ref() {
            if *at > now || due.ids.len() == limit {
                due.next = Some(*at);
                break;
            }
            due.ids.push(*id);
        }
        Ok(due)
    }

    async fn list_now(&self, query: &ListQuery) -> Page {
        let mut page = Page::default();
        let mut before = query.before;
        loop {
            let ids: Vec<JobId> = {
                let order = lock(&self.order);
                match before {
                    Some(id) => order.range(..id).rev().take(LIST_STEP).copied().collect(),
                    None => order.iter().rev().take(LIST_STEP).copied().collect(),
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
            if ids.len() < LIST_STEP {
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
        Answer::now(self.insert_now(&jobs))
    }

    fn get(&self, id: JobId) -> Answer<'_, Result<Option<Arc<Job>>, StoreError>> {
        Answer::now(Ok(self.rows.get(&id).map(|row| Arc::clone(&row))))
    }

    fn apply(&self, id: JobId, change: Change, at: Timestamp) -> Answer<'_, Result<Arc<Job>, ApplyError>> {
        Answer::now(self.apply_now(id, change, at))
    }

    fn remove(&self, id: JobId, state: StateName) -> Answer<'_, Result<bool, StoreError>> {
        Answer::now(Ok(self.remove_if(id, |job| job.state.name() == state)))
    }

    fn due<'a>(
        &'a self,
        queue: &'a QueueName,
        now: Timestamp,
        limit: usize,
    ) -> Answer<'a, Result<Due, StoreError>> {
        Answer::now(self.due_now(queue, now, limit))
    }

    fn list<'a>(&'a self, query: &'a ListQuery) -> Answer<'a, Result<Page, StoreError>> {
        Answer::later(async move { Ok(self.list_now(query).await) })
    }

    fn counts<'a>(&'a self, queue: &'a QueueName) -> Answer<'a, Result<Counts, StoreError>> {
        let counts = self
            .shelf(queue)
            .map(|shelf| Counts(std::array::from_fn(|state| shelf.counts[state].load(Ordering::Relaxed))));
        Answer::now(counts)
    }

    fn oldest_pending<'a>(
        &'a self,
        queue: &'a QueueName,
    ) -> Answer<'a, Result<Option<Timestamp>, StoreError>> {
        let oldest = self.shelf(queue).map(|shelf| {
            if shelf.counts[StateName::Pending as usize].load(Ordering::Relaxed) == 0 {
                return None;
            }
            let pending = |job: &Job| match job.state {
                crate::job::JobState::Pending { since, .. } if job.spec.queue == *queue => Some(since),
                _ => None,
            };
            self.rows.iter().filter_map(|row| pending(&row)).min()
        });
        Answer::now(oldest)
    }

    fn sweep(&self, now: Timestamp) -> Answer<'_, Result<usize, StoreError>> {
        Answer::now(Ok(self.sweep_now(now)))
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
mod tests {
    use super::*;

    #[tokio::test]
    async fn retries_leave_nothing_behind() {
        use crate::job::{Ending, JobLog, JobState, KindName, Spec};
        use std::time::Duration;
        let queue = QueueName::new("default").unwrap();
        let hour = Duration::from_hours(1);
        let retention = Retention { completed: hour, dead_lettered: hour, max_finished: 10 };
        let store = MemoryStore::new([queue.clone()], retention);
        let spec = Spec {
            id: JobId::MIN,
            kind: KindName::new("noop").unwrap(),
            queue,
            payload: serde_json::value::RawValue::from_string("{}".to_owned()).unwrap(),
            created_at: Timestamp::from_millis(0),
            max_attempts: 1,
            timeout: hour,
            tags: Box::default(),
            log: JobLog::default(),
        };
        let state = JobState::Pending { turn: Some(0), since: Timestamp::from_millis(0) };
        store.insert(vec![Arc::new(Job::new(spec, state, None))]).await.unwrap();
        for round in 1..=5_000 {
            let at = Timestamp::from_millis(round);
            let run = store.apply(JobId::MIN, Change::Start, at).await.unwrap().runs;
            store.apply(JobId::MIN, Change::Settle { run, ending: Ending::Canceled }, at).await.unwrap();
            store.sweep(at).await.unwrap();
            store.apply(JobId::MIN, Change::Retry { turn: 0 }, at).await.unwrap();
        }
        let entries = lock(&store.finished).entries();
        assert!(entries <= super::super::finished::STALE_ALLOWED + 1, "{entries} entries");
    }

    #[tokio::test]
    async fn conforms() {
        super::super::conformance::check(|queues, retention| {
            Box::new(MemoryStore::new(queues, retention)) as Box<dyn Store>
        })
        .await;
    }
}
