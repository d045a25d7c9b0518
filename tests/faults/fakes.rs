//! A store and a queue that fail as they are told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::anyhow;
use backroom::job::{Change, Job, JobId, KindName, LogLine, QueueName, StateName, Timestamp, UniqueKey};
use backroom::queue::{Closed, Consumer, Delivery, MemoryQueue, Queue, ReserveManyError, Room, Slot};
use backroom::store::{
    Answer, ApplyError, Counts, Due, Duplicate, Durability, Follow, InsertError, ListQuery, MemoryStore,
    Page, Store, StoreError,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

/// A step on the way of a job.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Arrow {
    Insert,
    Push,
    Next,
    Get,
    Start,
    Settle,
    Enqueue,
    Expire,
    Cancel,
    Retry,
    Due,
    Sweep,
}

impl Arrow {
    pub(crate) const ALL: [Self; 12] = [
        Self::Insert,
        Self::Push,
        Self::Next,
        Self::Get,
        Self::Start,
        Self::Settle,
        Self::Enqueue,
        Self::Expire,
        Self::Cancel,
        Self::Retry,
        Self::Due,
        Self::Sweep,
    ];
}

/// What goes wrong at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Nothing is done, and that is said.
    Fails,
    /// Nothing is done, and that is said after a while.
    Hangs(Duration),
    /// It is done after a while, and that is said.
    Late(Duration),
    /// It is done, and the answer is that it is not.
    AnswerLost,
    /// The code behind it panics; a delivery that was received is dropped.
    Panics,
}

/// What is to go wrong.
#[derive(Default)]
pub(crate) struct Plan(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// At this arrow, so many times.
    times: HashMap<Arrow, (Fault, usize)>,
    /// At any of these, by chance.
    chances: HashMap<Arrow, (Fault, f64)>,
    dice: Option<fastrand::Rng>,
    /// How often it did.
    struck: HashMap<Arrow, usize>,
}

impl Plan {
    pub(crate) fn at(&self, arrow: Arrow, fault: Fault, times: usize) {
        self.0.lock().unwrap().times.insert(arrow, (fault, times));
    }

    pub(crate) fn by_chance(&self, seed: u64, chances: HashMap<Arrow, (Fault, f64)>) {
        let mut inner = self.0.lock().unwrap();
        (inner.dice, inner.chances) = (Some(fastrand::Rng::with_seed(seed)), chances);
    }

    /// From now on nothing goes wrong.
    pub(crate) fn heal(&self) {
        let mut inner = self.0.lock().unwrap();
        inner.times.clear();
        inner.chances.clear();
    }

    pub(crate) fn struck(&self, arrow: Arrow) -> usize {
        self.0.lock().unwrap().struck.get(&arrow).copied().unwrap_or(0)
    }

    /// Whether everything that was planned has gone wrong as often as it was to.
    pub(crate) fn has_struck(&self) -> bool {
        let inner = self.0.lock().unwrap();
        inner.times.iter().all(|(arrow, (_, left))| {
            *left == 0 || (*left > usize::MAX / 2 && inner.struck.contains_key(arrow))
        })
    }

    fn strike(&self, arrow: Arrow) -> Option<Fault> {
        let mut inner = self.0.lock().unwrap();
        let inner = &mut *inner;
        let planned = match inner.times.get_mut(&arrow) {
            Some((fault, left)) if *left > 0 => {
                *left -= 1;
                Some(*fault)
            }
            _ => None,
        };
        let by_chance = || {
            let (fault, chance) = inner.chances.get(&arrow)?;
            (inner.dice.as_mut()?.f64() < *chance).then_some(*fault)
        };
        let fault = planned.or_else(by_chance)?;
        *inner.struck.entry(arrow).or_default() += 1;
        Some(fault)
    }
}

pub(crate) struct FaultyStore {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) plan: Arc<Plan>,
}

fn away() -> StoreError {
    StoreError(anyhow!("the store is away"))
}

impl FaultyStore {
    fn through<'a, T: Send + 'a, E: From<StoreError> + Send + 'a>(
        &'a self,
        arrow: Arrow,
        really: impl FnOnce() -> Answer<'a, Result<T, E>> + Send + 'a,
    ) -> Answer<'a, Result<T, E>> {
        match self.plan.strike(arrow) {
            None => really(),
            Some(Fault::Fails) => Answer::now(Err(away().into())),
            Some(Fault::Hangs(while_)) => Answer::later(async move {
                // sleep: paused time; the slowness of a backend.
                tokio::time::sleep(while_).await;
                Err(away().into())
            }),
            Some(Fault::Late(while_)) => Answer::later(async move {
                // sleep: as above.
                tokio::time::sleep(while_).await;
                really().await
            }),
            Some(Fault::AnswerLost) => {
                let answer = really();
                Answer::later(async move {
                    answer.await?;
                    Err(away().into())
                })
            }
            Some(Fault::Panics) => panic!("the store panics at {arrow:?}"),
        }
    }
}

impl Store for FaultyStore {
    fn durability(&self) -> Durability {
        self.inner.durability()
    }
    fn insert(&self, jobs: Vec<Arc<Job>>) -> Answer<'_, Result<Vec<Duplicate>, InsertError>> {
        self.through(Arrow::Insert, move || self.inner.insert(jobs))
    }
    fn restore(&self, jobs: Vec<Arc<Job>>) -> Answer<'_, Result<Vec<Duplicate>, InsertError>> {
        self.inner.restore(jobs)
    }
    fn holder<'a>(
        &'a self,
        kind: &'a KindName,
        key: &'a UniqueKey,
        now: Timestamp,
    ) -> Answer<'a, Result<Option<Arc<Job>>, StoreError>> {
        self.inner.holder(kind, key, now)
    }
    fn remove(&self, id: JobId, state: StateName) -> Answer<'_, Result<bool, StoreError>> {
        self.inner.remove(id, state)
    }
    fn log(&self, id: JobId, run: u32, line: LogLine) -> Answer<'_, Result<(), StoreError>> {
        self.inner.log(id, run, line)
    }
    fn get(&self, id: JobId) -> Answer<'_, Result<Option<Arc<Job>>, StoreError>> {
        self.through(Arrow::Get, move || self.inner.get(id))
    }
    fn apply_with<'a>(
        &'a self,
        id: JobId,
        change: Change,
        at: Timestamp,
        notices: &'a Follow<'a>,
    ) -> Answer<'a, Result<Arc<Job>, ApplyError>> {
        let arrow = match &change {
            Change::Start => Arrow::Start,
            Change::Settle { .. } => Arrow::Settle,
            Change::Enqueue { .. } => Arrow::Enqueue,
            Change::Expire => Arrow::Expire,
            Change::Cancel => Arrow::Cancel,
            Change::Retry { .. } | Change::Redrive { .. } => Arrow::Retry,
            Change::Progress { .. } => return self.inner.apply_with(id, change, at, notices),
        };
        self.through(arrow, move || self.inner.apply_with(id, change, at, notices))
    }
    fn due<'a>(
        &'a self,
        queue: &'a QueueName,
        now: Timestamp,
        limit: usize,
    ) -> Answer<'a, Result<Due, StoreError>> {
        self.through(Arrow::Due, move || self.inner.due(queue, now, limit))
    }
    fn list<'a>(&'a self, query: &'a ListQuery) -> Answer<'a, Result<Page, StoreError>> {
        self.inner.list(query)
    }
    fn counts<'a>(&'a self, queue: &'a QueueName) -> Answer<'a, Result<Counts, StoreError>> {
        self.inner.counts(queue)
    }
    fn oldest_pending<'a>(
        &'a self,
        queue: &'a QueueName,
    ) -> Answer<'a, Result<Option<Timestamp>, StoreError>> {
        self.inner.oldest_pending(queue)
    }
    fn sweep(&self, now: Timestamp) -> Answer<'_, Result<usize, StoreError>> {
        self.through(Arrow::Sweep, move || self.inner.sweep(now))
    }
    fn volatile(&self) -> Vec<Arc<Job>> {
        self.inner.volatile()
    }
}

pub(crate) struct FaultyQueue {
    pub(crate) inner: MemoryQueue,
    pub(crate) plan: Arc<Plan>,
}

struct FaultyRoom {
    slot: Slot,
    plan: Arc<Plan>,
}

struct FaultyConsumer {
    inner: Box<dyn Consumer>,
    plan: Arc<Plan>,
}

impl FaultyQueue {
    fn slot(&self, slot: Slot) -> Slot {
        Slot::new(Box::new(FaultyRoom { slot, plan: Arc::clone(&self.plan) }))
    }
}

impl Room for FaultyRoom {
    fn turn(&mut self) -> u64 {
        self.slot.turn()
    }
    fn push(self: Box<Self>, id: JobId) {
        match self.plan.strike(Arrow::Push) {
            None => self.slot.push(id),
            Some(Fault::Panics) => panic!("the queue panics at Push"),
            // The slot is dropped: the id is on its way to nobody.
            Some(_) => {}
        }
    }
}

impl Queue for FaultyQueue {
    fn reserve(&self) -> BoxFuture<'_, Result<Slot, Closed>> {
        async move { Ok(self.slot(self.inner.reserve().await?)) }.boxed()
    }
    fn reserve_many(&self, count: usize) -> BoxFuture<'_, Result<Vec<Slot>, ReserveManyError>> {
        async move {
            let slots = self.inner.reserve_many(count).await?;
            Ok(slots.into_iter().map(|slot| self.slot(slot)).collect())
        }
        .boxed()
    }
    fn consume(&self) -> Box<dyn Consumer> {
        Box::new(FaultyConsumer { inner: self.inner.consume(), plan: Arc::clone(&self.plan) })
    }
    fn try_next(&self) -> Option<Delivery> {
        let delivery = self.inner.try_next()?;
        match self.plan.strike(Arrow::Next) {
            None | Some(Fault::Late(_)) => Some(delivery),
            Some(Fault::Panics) => panic!("the queue panics at Next"),
            // Given back.
            Some(_) => None,
        }
    }
    fn close(&self) {
        self.inner.close();
    }
    fn capacity(&self) -> usize {
        self.inner.capacity()
    }
    fn depth(&self) -> usize {
        self.inner.depth()
    }
    fn ahead(&self, turn: u64) -> Option<u64> {
        self.inner.ahead(turn)
    }
}

impl Consumer for FaultyConsumer {
    fn next(&mut self) -> BoxFuture<'_, Option<Delivery>> {
        async move {
            loop {
                // Received first: what fails then fails with an id in its hand.
                let delivery = self.inner.next().await?;
                match self.plan.strike(Arrow::Next) {
                    None => return Some(delivery),
                    Some(Fault::Panics) => panic!("the queue panics at Next"),
                    Some(Fault::Hangs(while_)) => {
                        // sleep: paused time; the slowness of a backend.
                        tokio::time::sleep(while_).await;
                    }
                    Some(Fault::Late(while_)) => {
                        // sleep: as above.
                        tokio::time::sleep(while_).await;
                        return Some(delivery);
                    }
                    Some(Fault::Fails | Fault::AnswerLost) => {}
                }
            }
        }
        .boxed()
    }
}
