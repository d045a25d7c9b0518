//! The gate that a drain closes.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shuttle::future::{block_on, spawn};

use crate::check;
use crate::clock::Clock;
use crate::handler::{Context, Failure, Handler, KindSettings, Outcome, Payload, Registry};
use crate::job::{Backoff, Delay, NewJob, QueueName, RetryPolicy, StateName};
use crate::jobs::{Canceled, Jobs, Limits, QueueSettings, Started};
use crate::queue::{MemoryQueue, Queue};
use crate::store::{MemoryStore, Retention};

#[derive(Serialize, Deserialize)]
struct Nothing {}

impl Payload for Nothing {
    const KIND: &'static str = "act";
}

struct Act;

impl Handler for Act {
    type Input = Nothing;

    async fn run(&self, _: Nothing, _: &Context) -> Result<Outcome, Failure> {
        Ok(Outcome::done())
    }
}

pub(crate) fn job() -> NewJob {
    NewJob::new("act", &Nothing {}).unwrap()
}

/// A service without workers.
pub(crate) fn service(capacity: usize) -> Jobs {
    let name = QueueName::new("default").unwrap();
    let mut registry = Registry::new();
    let settings = KindSettings {
        queue: name.clone(),
        timeout: Duration::from_mins(1),
        retry: RetryPolicy { max_attempts: 3, backoff: Backoff::Delays(vec![Duration::from_secs(1)]) },
        cancel_grace: Duration::from_secs(1),
        sensitive: Vec::new(),
        unique_by: crate::handler::UniqueBy::default(),
        retry_profile: "test".into(),
    };
    registry.register(Act, settings).unwrap();
    let hour = Duration::from_hours(1);
    let retention = Retention { completed: hour, dead_lettered: hour, max_finished: 10 };
    let store = Arc::new(MemoryStore::new([name.clone()], retention));
    let queue: Arc<dyn Queue> = Arc::new(MemoryQueue::new(capacity));
    let settings = QueueSettings { capacity, concurrency: 1, enqueue_wait: Duration::ZERO, rate_limit: None };
    let limits = Limits { payload: 1_000, result: 1_000, batch: 10 };
    Jobs::new(Clock::system(), Arc::new(registry), store, [(name, queue, settings)], limits)
}

pub(crate) fn nothing_is_accepted_behind_a_closed_gate() {
    check(|| {
        block_on(async {
            let jobs = service(10);
            let producers: Vec<_> = (0..3)
                .map(|n| {
                    let jobs = jobs.clone();
                    spawn(async move {
                        {
                            // One of them waits for its time, and passes by the queue.
                            let delay = Delay::For(Duration::from_secs(if n == 0 { 60 } else { 0 }));
                            usize::from(jobs.submit(job().delay(delay)).await.is_ok())
                        }
                    })
                })
                .collect();
            let drain = spawn({
                let jobs = jobs.clone();
                async move {
                    jobs.close_intake().await;
                    // This is what a drain would account for.
                    jobs.volatile().len()
                }
            });
            let mut accepted = 0;
            for producer in producers {
                accepted += producer.await.unwrap();
            }
            assert_eq!(drain.await.unwrap(), accepted, "accepted, and not accounted for");
        });
    });
}

pub(crate) fn nothing_changes_behind_the_seal() {
    check(|| {
        block_on(async {
            let jobs = service(10);
            let (one, two) = (jobs.submit(job()).await.unwrap().id(), jobs.submit(job()).await.unwrap().id());
            let canceler = spawn({
                let jobs = jobs.clone();
                async move { matches!(jobs.cancel(one).await, Ok(Canceled::Now(_))) }
            });
            let worker = spawn({
                let jobs = jobs.clone();
                async move { matches!(jobs.start(two).await, Ok(Started::Run(_))) }
            });
            let drain = spawn({
                let jobs = jobs.clone();
                async move {
                    jobs.close_intake().await;
                    jobs.seal().await;
                    let left = jobs.volatile();
                    let started = left.iter().any(|job| job.state.name() == StateName::Processing);
                    (left.iter().all(|job| job.id() != one), started)
                }
            });
            let changed = (canceler.await.unwrap(), worker.await.unwrap());
            assert_eq!(
                drain.await.unwrap(),
                changed,
                "what was told to somebody and what was spilled differ"
            );
        });
    });
}
