//! Dispatchers that die.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backroom::handler::Outcome;
use backroom::job::StateName;
use backroom::queue::{Closed, Consumer, Delivery, MemoryQueue, Queue, ReserveManyError, Slot};
use backroom::shutdown::{Patience, Phase, drain};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::rig::{Rig, Setup, job};

/// A queue whose consumers panic so many times, each after a rest.
struct Deadly {
    inner: MemoryQueue,
    deaths: Arc<AtomicUsize>,
    rest: Duration,
}

struct DeadlyConsumer {
    inner: Box<dyn Consumer>,
    deaths: Arc<AtomicUsize>,
    rest: Duration,
}

impl Queue for Deadly {
    fn reserve(&self) -> BoxFuture<'_, Result<Slot, Closed>> {
        self.inner.reserve()
    }
    fn reserve_many(&self, count: usize) -> BoxFuture<'_, Result<Vec<Slot>, ReserveManyError>> {
        self.inner.reserve_many(count)
    }
    fn consume(&self) -> Box<dyn Consumer> {
        Box::new(DeadlyConsumer {
            inner: self.inner.consume(),
            deaths: Arc::clone(&self.deaths),
            rest: self.rest,
        })
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

impl Consumer for DeadlyConsumer {
    fn next(&mut self) -> BoxFuture<'_, Option<Delivery>> {
        async move {
            let dies = |left: usize| left.checked_sub(1);
            if self.deaths.fetch_update(Ordering::SeqCst, Ordering::SeqCst, dies).is_ok() {
                // sleep: paused time.
                tokio::time::sleep(self.rest).await;
                panic!("the broker is gone");
            }
            self.inner.next().await
        }
        .boxed()
    }
}

fn rig(deaths: usize, rest: Duration) -> (Rig, Arc<AtomicUsize>) {
    let deaths = Arc::new(AtomicUsize::new(deaths));
    let queue = Deadly { inner: MemoryQueue::new(10), deaths: Arc::clone(&deaths), rest };
    let setup = Setup { queues: vec![("default", Arc::new(queue), 2)], ..Setup::default() };
    let rig = setup.start(|input, _| {
        Box::pin(async move {
            if input == "slow" {
                // sleep: paused time; the work of a handler.
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            Ok(Outcome::done())
        })
    });
    (rig, deaths)
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_that_dies_is_replaced_after_a_rest() {
    let (rig, _) = rig(4, Duration::ZERO);
    let done = rig.run(job("x")).await;
    assert_eq!(done.state.name(), StateName::Completed);
    assert_eq!((rig.pool.restarts(), rig.pool.has_failed()), (4, false));
    let began = done.started_at.unwrap().since(crate::rig::EPOCH).as_millis();
    assert_eq!(began, 50 + 100 + 200 + 400, "each rest is twice the one before");
}

#[tokio::test(start_paused = true)]
async fn what_runs_survives_its_dispatcher_and_keeps_its_place() {
    let (rig, deaths) = rig(0, Duration::ZERO);
    let slow = [rig.submit(job("slow")).await, rig.submit(job("slow")).await];
    rig.idle().await;
    deaths.store(1, Ordering::SeqCst);
    // The dispatcher has no permit, so that it asks for no delivery and lives until one of the two has ended.
    let next = rig.submit(job("x")).await;
    rig.idle().await;
    assert_eq!(rig.count(StateName::Processing).await, 2);
    for id in slow.into_iter().chain([next]) {
        assert_eq!(rig.end(id).await.state.name(), StateName::Completed);
    }
    assert_eq!(rig.pool.restarts(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_keeps_dying_is_given_up_and_its_jobs_are_accounted_for() {
    let (rig, _) = rig(5, Duration::ZERO);
    let id = rig.submit(job("x")).await;
    rig.pool.failed().await;
    assert!(rig.pool.has_failed());
    assert_eq!(rig.pool.restarts(), 5);
    let patience = Patience { ready_delay: Duration::ZERO, grace: Duration::from_secs(5) };
    let hurry = CancellationToken::new();
    let report = drain(&rig.jobs, &rig.pool, &rig.stop, &Phase::default(), patience, None, &hurry).await;
    assert_eq!((report.finished, report.interrupted, report.spilled), (0, 0, 0));
    assert_eq!(report.lost, [id]);
}

#[tokio::test(start_paused = true)]
async fn one_that_dies_now_and_then_is_always_replaced() {
    let (rig, _) = rig(20, Duration::from_secs(16));
    assert_eq!(rig.run(job("x")).await.state.name(), StateName::Completed);
    assert_eq!((rig.pool.restarts(), rig.pool.has_failed()), (20, false), "four within a minute");
}
