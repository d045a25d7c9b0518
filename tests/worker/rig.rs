//! A pool with a handler that does what a test tells it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use backroom::clock::Clock;
use backroom::event::{EventKind, Watcher};
use backroom::handler::{Context, Failure, Handler, KindSettings, Outcome, Payload, Registry};
use backroom::job::{Backoff, Jitter, Job, JobId, NewJob, QueueName, RetryPolicy, StateName, Timestamp};
use backroom::jobs::{Jobs, Limits, QueueSettings};
use backroom::queue::{MemoryQueue, Queue};
use backroom::schedule::Schedule;
use backroom::schedules::Schedules;
use backroom::store::{MemoryStore, Retention, Store as _};
use backroom::worker::{Pool, Stop};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// When paused time begins.
pub(crate) const EPOCH: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// How long a test in real time waits before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) type Ran = BoxFuture<'static, Result<Outcome, Failure>>;

/// The payload: whatever the test wants.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Input(pub(crate) Value);

impl Payload for Input {
    const KIND: &'static str = "act";
}

struct Act<F>(F);

impl<F: Fn(Value, Context) -> Ran + Send + Sync + 'static> Handler for Act<F> {
    type Input = Input;

    fn run(&self, input: Input, cx: &Context) -> impl Future<Output = Result<Outcome, Failure>> + Send {
        (self.0)(input.0, cx.clone())
    }
}

/// What a pool is made of.
pub(crate) struct Setup {
    pub(crate) queues: Vec<(&'static str, Arc<dyn Queue>, usize)>,
    pub(crate) timeout: Duration,
    pub(crate) cancel_grace: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) result_limit: usize,
    pub(crate) schedules: Vec<Schedule>,
}

impl Default for Setup {
    /// One queue `default` for 100 jobs, two at a time; three attempts, 10 s apart.
    fn default() -> Self {
        Self {
            queues: vec![queue("default", 100, 2)],
            timeout: Duration::from_mins(1),
            cancel_grace: Duration::from_secs(5),
            retry: retry(3, Duration::from_secs(10), 1.0),
            result_limit: 1_000,
            schedules: Vec::new(),
        }
    }
}

pub(crate) fn queue(
    name: &'static str,
    capacity: usize,
    concurrency: usize,
) -> (&'static str, Arc<dyn Queue>, usize) {
    (name, Arc::new(MemoryQueue::new(capacity)), concurrency)
}

/// Without chance, so that delays are exact.
pub(crate) fn retry(max_attempts: u32, initial: Duration, factor: f64) -> RetryPolicy {
    RetryPolicy {
        max_attempts,
        backoff: Backoff::Exponential { initial, factor, max: Duration::from_hours(1), jitter: Jitter::None },
    }
}

/// A pool that runs.
pub(crate) struct Rig {
    pub(crate) jobs: Jobs,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) pool: Pool,
    pub(crate) stop: Stop,
}

impl Setup {
    /// Starts it on tokio's clock.
    pub(crate) fn start(self, act: impl Fn(Value, Context) -> Ran + Send + Sync + 'static) -> Rig {
        let mut registry = Registry::new();
        let settings = KindSettings {
            queue: QueueName::new(self.queues[0].0).unwrap(),
            timeout: self.timeout,
            retry: self.retry,
            cancel_grace: self.cancel_grace,
            sensitive: Vec::new(),
            retry_profile: "test".into(),
            unique_by: backroom::handler::UniqueBy::default(),
        };
        registry.register(Act(act), settings).unwrap();
        let retention = Retention {
            completed: Duration::from_hours(24),
            dead_lettered: Duration::from_hours(24),
            max_finished: 100_000,
        };
        let names = self.queues.iter().map(|(name, ..)| QueueName::new(name).unwrap());
        let store = Arc::new(MemoryStore::new(names, retention));
        let queues = self.queues.into_iter().map(|(name, queue, concurrency)| {
            let settings = QueueSettings {
                capacity: queue.capacity(),
                concurrency,
                enqueue_wait: Duration::from_mins(1),
                rate_limit: None,
            };
            (QueueName::new(name).unwrap(), queue, settings)
        });
        let limits = Limits { payload: 10_000, result: self.result_limit, batch: 1_000 };
        let jobs =
            Jobs::new(Clock::following_tokio(EPOCH), Arc::new(registry), store.clone(), queues, limits);
        let stop = Stop::default();
        let schedules = Schedules::new(jobs.clone(), self.schedules);
        let pool = Pool::start_with(jobs.clone(), schedules, stop.clone());
        Rig { jobs, store, pool, stop }
    }
}

pub(crate) fn job(payload: impl Into<Value>) -> NewJob {
    NewJob::new("act", &payload.into()).unwrap()
}

impl Rig {
    pub(crate) async fn submit(&self, new: NewJob) -> JobId {
        self.jobs.submit(new).await.unwrap().id()
    }

    /// Submits a job and waits for its end.
    pub(crate) async fn run(&self, new: NewJob) -> Arc<Job> {
        let id = self.submit(new).await;
        self.end(id).await
    }

    /// The job when it has come to its end.
    pub(crate) async fn end(&self, id: JobId) -> Arc<Job> {
        let job = self.jobs.wait(id, Duration::from_hours(48), std::future::pending()).await;
        let job = job.unwrap().unwrap();
        assert!(job.state.is_terminal(), "{:?}", job.state);
        job
    }

    pub(crate) async fn get(&self, id: JobId) -> Arc<Job> {
        self.jobs.get(id).await.unwrap().unwrap()
    }

    /// When to ask for a job again.
    pub(crate) async fn poll_pause(&self, id: JobId) -> u64 {
        let (job, now) = (self.get(id).await, self.jobs.clock().now());
        self.jobs.poll_pause(&job, self.jobs.waiting(&job, now), now)
    }

    /// How many jobs of the queue `default` are in this state.
    pub(crate) async fn count(&self, state: StateName) -> u64 {
        let name = QueueName::new("default").unwrap();
        self.store.counts(&name).await.unwrap().get(state)
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.jobs.clock().now().since(EPOCH).as_secs_f64()
    }

    /// Lets everything that can be done be done: paused time moves on only then.
    pub(crate) async fn idle(&self) {
        // sleep: paused time, and this is how it is known that nothing is left to do.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until jobs have entered this state so many times, whichever they are.
pub(crate) async fn entered(watch: &mut Watcher, state: StateName, times: usize) {
    for _ in 0..times {
        while watch.recv().await.unwrap().kind != EventKind::State(state) {}
    }
}

/// The states and times of the attempts that ended, in words.
pub(crate) fn attempts(job: &Job) -> Vec<(&'static str, f64, f64)> {
    let seconds = |at: Timestamp| at.since(EPOCH).as_secs_f64();
    job.attempts
        .iter()
        .map(|attempt| (attempt.outcome.as_str(), seconds(attempt.started_at), seconds(attempt.finished_at)))
        .collect()
}

/// Waits, in real time, until something that no event tells has become true.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let waiting = async {
        while !is() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "not in time: {what}");
}
