//! A pool over a store and a queue that fail, on paused time.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backroom::clock::Clock;
use backroom::handler::{Context, Failure, Handler, KindSettings, Outcome, Payload, Registry};
use backroom::job::{Backoff, Jitter, Job, JobId, NewJob, QueueName, RetryPolicy, Timestamp};
use backroom::jobs::{Jobs, Limits, QueueSettings, SubmitError};
use backroom::queue::{MemoryQueue, Queue};
use backroom::spill::SpillFile;
use backroom::store::{MemoryStore, Retention};
use backroom::worker::{Pool, Stop};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::fakes::{FaultyQueue, FaultyStore, Plan};

pub(crate) const EPOCH: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(crate) const CAPACITY: usize = 8;
pub(crate) const CONCURRENCY: usize = 2;
pub(crate) const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// What a handler is told to do.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    Work,
    /// Works for a second.
    Slow,
    Fail,
    GiveUp,
    Panic,
    /// Waits until it is told to stop.
    Hang,
    /// Does not even then.
    Ignore,
    /// Waits for the test.
    Gate,
}

impl Order {
    pub(crate) const ALL: [Self; 7] =
        [Self::Work, Self::Slow, Self::Fail, Self::GiveUp, Self::Panic, Self::Hang, Self::Ignore];
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Input(Order);

impl Payload for Input {
    const KIND: &'static str = "act";
}

struct Act {
    runs: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Handler for Act {
    type Input = Input;

    async fn run(&self, input: Input, cx: &Context) -> Result<Outcome, Failure> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        // sleep: paused time; the work of handlers.
        match input.0 {
            Order::Work => {}
            Order::Slow => tokio::time::sleep(Duration::from_secs(1)).await, // sleep: as above
            Order::Fail => return Err(Failure::transient("again", "not yet")),
            Order::GiveUp => return Err(Failure::permanent("never", "never")),
            Order::Panic => panic!("the handler panics"),
            Order::Hang => cx.canceled().await,
            Order::Ignore => std::future::pending().await,
            Order::Gate => self.gate.acquire().await.unwrap().forget(),
        }
        Ok(Outcome::done())
    }
}

/// A pool that runs, and everything that is known to have been accepted.
pub(crate) struct Rig {
    pub(crate) jobs: Jobs,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) queue: Arc<FaultyQueue>,
    pub(crate) pool: Pool,
    pub(crate) stop: Stop,
    pub(crate) plan: Arc<Plan>,
    /// How often a handler was called.
    pub(crate) runs: Arc<AtomicUsize>,
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) accepted: Mutex<BTreeSet<JobId>>,
    pub(crate) spill: SpillFile,
    pub(crate) _folder: TempDir,
}

pub(crate) fn name() -> QueueName {
    QueueName::new("default").unwrap()
}

/// A service without workers.
pub(crate) fn service(plan: &Arc<Plan>, runs: &Arc<AtomicUsize>, gate: &Arc<Semaphore>) -> Parts {
    let mut registry = Registry::new();
    let settings = KindSettings {
        queue: name(),
        timeout: Duration::from_secs(10),
        retry: RetryPolicy {
            max_attempts: 3,
            backoff: Backoff::Exponential {
                initial: Duration::from_secs(1),
                factor: 1.0,
                max: Duration::from_secs(1),
                jitter: Jitter::None,
            },
        },
        cancel_grace: CANCEL_GRACE,
        sensitive: Vec::new(),
        unique_by: backroom::handler::UniqueBy::default(),
        retry_profile: "test".into(),
    };
    registry.register(Act { runs: Arc::clone(runs), gate: Arc::clone(gate) }, settings).unwrap();
    let day = Duration::from_hours(24);
    let retention = Retention { completed: day, dead_lettered: day, max_finished: 100_000 };
    let store = Arc::new(MemoryStore::new([name()], retention));
    let queue = Arc::new(FaultyQueue { inner: MemoryQueue::new(CAPACITY), plan: Arc::clone(plan) });
    let settings = QueueSettings {
        capacity: CAPACITY,
        concurrency: CONCURRENCY,
        enqueue_wait: Duration::from_secs(5),
        rate_limit: None,
    };
    let faulty = FaultyStore { inner: Arc::clone(&store), plan: Arc::clone(plan) };
    let jobs = Jobs::new(
        Clock::following_tokio(EPOCH),
        Arc::new(registry),
        Arc::new(faulty),
        [(name(), Arc::clone(&queue) as Arc<dyn Queue>, settings)],
        Limits { payload: 1_000, result: 1_000, batch: 100 },
    );
    Parts { jobs, store, queue }
}

pub(crate) struct Parts {
    pub(crate) jobs: Jobs,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) queue: Arc<FaultyQueue>,
}

pub(crate) fn order(order: Order) -> NewJob {
    NewJob::new("act", &order).unwrap()
}

impl Rig {
    pub(crate) fn start() -> Self {
        let (plan, runs, gate) = (Arc::default(), Arc::default(), Arc::new(Semaphore::new(0)));
        let Parts { jobs, store, queue } = service(&plan, &runs, &gate);
        let folder = TempDir::new().unwrap();
        let spill = SpillFile::open(&folder.path().join("spill.jsonl")).unwrap();
        let stop = Stop::default();
        let pool = Pool::start(jobs.clone(), stop.clone());
        let accepted = Mutex::default();
        Self { jobs, store, queue, pool, stop, plan, runs, gate, accepted, spill, _folder: folder }
    }

    pub(crate) async fn submit(&self, new: NewJob) -> Result<JobId, SubmitError> {
        let id = self.jobs.submit(new).await?.id();
        self.accepted.lock().unwrap().insert(id);
        Ok(id)
    }

    /// Submits what must be accepted.
    pub(crate) async fn accept(&self, new: NewJob) -> JobId {
        self.submit(new).await.unwrap()
    }

    /// The job as it really stands, whatever the store says of it.
    pub(crate) async fn get(&self, id: JobId) -> Arc<Job> {
        use backroom::store::Store as _;
        self.store.get(id).await.unwrap().unwrap()
    }

    pub(crate) async fn state(&self, id: JobId) -> &'static str {
        self.get(id).await.state.name().as_str()
    }

    /// Lets time pass, and everything happen that then happens.
    pub(crate) async fn pass(&self, duration: Duration) {
        // sleep: paused time.
        tokio::time::sleep(duration).await;
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}
