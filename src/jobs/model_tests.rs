//! The service over its memory backends against a model of all jobs: random things are done to it, and after each of them
//! every row, count, index and queue must stand as plain lists say.

use std::time::Duration;

use proptest::prelude::*;

use super::model_world_tests::{KEEP, Nothing, World, name};
use super::*;
use crate::job::model_tests::{End, Model, Step, end};
use crate::job::{Delay, JobId, NewJob, Progress, StateName, Timestamp};
use crate::queue::{Delivery, Queue as _};
use crate::store::{ApplyError, Store as _};

/// What is done. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Act {
    Submit {
        queue: usize,
        delay: u64,
        expires_in: Option<u64>,
        max_attempts: u32,
    },
    Batch {
        queues: Vec<usize>,
    },
    Cancel(usize),
    Retry(usize),
    /// What the due loop of a queue does for the first job that is due.
    Due(usize),
    Take(usize),
    /// A worker that dies before it has begun.
    TakeAndDrop(usize),
    Settle(usize, End),
    SettleAgain(usize),
    Progress(usize, u8),
    Expire(usize),
    Sweep,
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let queue = || 0_usize..2;
    let one = || 0_usize..32;
    let wait = prop_oneof![2 => Just(0), 1 => 1_u64..30_000];
    prop_oneof![
        6 => (queue(), wait, prop::option::weighted(0.3, 1_u64..40_000), 1_u32..3).prop_map(
            |(queue, delay, expires_in, max_attempts)| Act::Submit { queue, delay, expires_in, max_attempts }),
        1 => prop::collection::vec(queue(), 1..5).prop_map(|queues| Act::Batch { queues }),
        2 => one().prop_map(Act::Cancel),
        2 => one().prop_map(Act::Retry),
        4 => queue().prop_map(Act::Due),
        8 => queue().prop_map(Act::Take),
        1 => queue().prop_map(Act::TakeAndDrop),
        8 => (one(), end()).prop_map(|(n, end)| Act::Settle(n, end)),
        1 => one().prop_map(Act::SettleAgain),
        1 => (one(), any::<u8>()).prop_map(|(n, percent)| Act::Progress(n, percent)),
        1 => one().prop_map(Act::Expire),
        2 => Just(Act::Sweep),
        3 => (1_u64..20_000).prop_map(Act::Pass),
    ]
}

impl World {
    #[expect(clippy::too_many_lines, reason = "one arm for each act, side by side")]
    async fn act(&mut self, act: Act) {
        // Every millisecond is used once, so that what finished first is known.
        tokio::time::advance(Duration::from_millis(1)).await;
        match act {
            Act::Submit { queue, delay, expires_in, max_attempts } => {
                let now = self.now();
                let mut new = NewJob::new("act", &Nothing {}).unwrap().queue(name(queue));
                new = new.delay(Delay::For(Duration::from_millis(delay))).max_attempts(max_attempts);
                new.expires_in = expires_in.map(Duration::from_millis);
                let expires_at = expires_in.map(|after| now + i64::try_from(after).unwrap());
                let (state, when) = match delay {
                    0 => (StateName::Pending, now),
                    _ => (StateName::Scheduled, now + i64::try_from(delay).unwrap()),
                };
                let fits = delay > 0 || self.has_room(queue, 1);
                match self.jobs.submit(new).await {
                    Ok(job) => {
                        assert!(fits, "accepted beyond the capacity");
                        self.learn(&job, Model::new(state, when, max_attempts, expires_at));
                    }
                    Err(SubmitError::QueueFull { .. }) => assert!(!fits, "refused although there is room"),
                    Err(other) => panic!("{other}"),
                }
            }
            Act::Batch { queues } => {
                let now = self.now();
                let fits = (0..2).all(|n| self.has_room(n, queues.iter().filter(|q| **q == n).count()));
                let new = |queue: &usize| NewJob::new("act", &Nothing {}).unwrap().queue(name(*queue));
                match self.jobs.submit_all(queues.iter().map(new).collect()).await {
                    Ok(all) => {
                        assert!(fits, "a batch was accepted beyond the capacity");
                        assert_eq!(all.len(), queues.len());
                        for job in all {
                            self.learn(&job, Model::new(StateName::Pending, now, 3, None));
                        }
                    }
                    Err(SubmitError::QueueFull { .. }) => assert!(!fits, "a batch that fits was refused"),
                    Err(other) => panic!("{other}"),
                }
            }
            Act::Cancel(n) => {
                let Some(id) = self.pick(n) else { return };
                let got = self.jobs.cancel(id).await;
                let was_running = self.model[&id].1.state == StateName::Processing;
                match (self.step(id, &Step::Cancel), got) {
                    (true, Ok(Canceled::Requested(_))) => assert!(was_running),
                    (true, Ok(Canceled::Now(_))) => assert!(!was_running),
                    (false, Err(CancelError::Terminal(_))) => {}
                    (allowed, got) => panic!("{allowed} {got:?}"),
                }
            }
            Act::Retry(n) => self.retry(n).await,
            Act::Due(queue) => self.due(queue).await,
            Act::Take(queue) => {
                let Some(delivery) = self.next(queue).await else { return };
                let id = delivery.id();
                let started = self.jobs.start(id).await.unwrap();
                let allowed = self.step(id, &Step::Start);
                let runs = self.model.get(&id).is_some_and(|(_, model)| model.state == StateName::Processing);
                match started {
                    Started::Run(job) => {
                        assert!(allowed && runs, "started what must not be");
                        self.running.push((id, job.runs, delivery));
                    }
                    Started::Leave => {
                        assert!(!(allowed && runs), "left what must be run");
                        delivery.ack();
                    }
                }
            }
            Act::TakeAndDrop(queue) => {
                if let Some(delivery) = self.next(queue).await {
                    self.returned[queue].push_back(delivery.id());
                }
            }
            Act::Settle(n, end) => {
                if self.running.is_empty() {
                    return;
                }
                let (id, run, delivery) = self.running.remove(n % self.running.len());
                let end = self.after_now(end);
                let settled = self.jobs.settle(id, run, end.ending()).await;
                assert_eq!(settled.is_ok(), self.step(id, &Step::Settle(0, end)), "{settled:?}");
                delivery.ack();
                self.settled.push((id, run));
            }
            Act::SettleAgain(n) => {
                if self.settled.is_empty() {
                    return;
                }
                let (id, run) = self.settled[n % self.settled.len()];
                let settled = self.jobs.settle(id, run, End::Done.ending()).await;
                assert!(
                    matches!(settled, Err(ApplyError::Refused(_) | ApplyError::NotFound)),
                    "a run ended twice"
                );
            }
            Act::Progress(n, percent) => {
                if let Some((id, run, _)) = self.running.get(n % self.running.len().max(1)) {
                    let (id, run) = (*id, *run);
                    let job = self.jobs.get(id).await.unwrap().unwrap();
                    assert_eq!(job.runs, run);
                    self.jobs.progress(&job, Progress::new(percent, None)).await;
                    self.step(id, &Step::Progress(0, percent));
                }
            }
            Act::Expire(n) => {
                let Some(id) = self.pick(n) else { return };
                let expired = self.jobs.expire(id).await;
                assert_eq!(expired.is_ok(), self.step(id, &Step::Expire), "{expired:?}");
            }
            Act::Sweep => {
                let now = self.now();
                let forgotten = self.store.sweep(Timestamp::from_millis(now)).await.unwrap();
                let before = self.finished.len();
                let keep = |state| match state {
                    StateName::DeadLettered => KEEP.dead_lettered,
                    _ => KEEP.completed,
                };
                while let Some(past) = self.finished.iter().position(|id| {
                    let model = &self.model[id].1;
                    model.when + i64::try_from(keep(model.state).as_millis()).unwrap() <= now
                }) {
                    self.forget(past);
                }
                assert_eq!(forgotten, before - self.finished.len());
            }
            Act::Pass(millis) => tokio::time::advance(Duration::from_millis(millis)).await,
        }
    }

    /// Ends carry times from zero on.
    fn after_now(&self, end: End) -> End {
        let now = self.now();
        match end {
            End::Fault(outcome, retryable, after) => End::Fault(outcome, retryable, now + after),
            End::Later(after) => End::Later(now + after),
            other => other,
        }
    }

    async fn retry(&mut self, n: usize) {
        let Some(id) = self.pick(n) else { return };
        let queue = self.model[&id].0;
        let fits = self.has_room(queue, 1);
        match self.jobs.retry(id).await {
            Ok(job) => {
                assert!(
                    fits && self.step(id, &Step::Retry(0)),
                    "sent round again although that is not allowed"
                );
                self.learn_turn(&job);
                self.waiting[queue].push_back(id);
            }
            Err(RetryError::Submit(SubmitError::QueueFull { .. })) => assert!(!fits),
            Err(RetryError::NotRetryable(_)) => assert!(!self.step(id, &Step::Retry(0))),
            Err(other) => panic!("{other}"),
        }
    }

    /// The sleeping jobs of a queue, in the order in which they wake.
    pub(super) fn sleepers(&self, queue: usize) -> Vec<(i64, JobId)> {
        let wakes = |(id, (of, model)): (&JobId, &(usize, Model))| {
            (*of == queue).then(|| Some((model.wakes_at()?, *id))).flatten()
        };
        let mut sleepers: Vec<_> = self.model.iter().filter_map(wakes).collect();
        sleepers.sort_unstable();
        sleepers
    }

    async fn due(&mut self, queue: usize) {
        let now = self.now();
        let due = self.store.due(&name(queue), Timestamp::from_millis(now), 3).await.unwrap();
        let sleepers = self.sleepers(queue);
        let awake: Vec<JobId> =
            sleepers.iter().filter(|(at, _)| *at <= now).take(3).map(|(_, id)| *id).collect();
        assert_eq!(due.ids, awake);
        let next = sleepers.get(due.ids.len()).map(|(at, _)| *at);
        assert_eq!(due.next.map(Timestamp::as_millis), next);
        let Some(id) = due.ids.first().copied() else { return };
        if self.model[&id].1.has_expired(now) {
            self.jobs.expire(id).await.unwrap();
            assert!(self.step(id, &Step::Expire));
        } else if self.has_room(queue, 1) {
            let slot = self.queues[queue].reserve().await.unwrap();
            let seen = self.jobs.get(id).await.unwrap().unwrap().sequence;
            self.jobs.enqueue(id, seen, slot).await.unwrap();
            assert!(self.step(id, &Step::Enqueue(0)));
            let job = self.jobs.get(id).await.unwrap().unwrap();
            self.learn_turn(&job);
            self.waiting[queue].push_back(id);
        }
    }

    /// The next delivery, if the model has one.
    async fn next(&mut self, queue: usize) -> Option<Delivery> {
        let expected = self.returned[queue].pop_front().or_else(|| self.waiting[queue].pop_front())?;
        let delivery = self.consumers[queue].next().await.expect("the queue is open");
        assert_eq!(delivery.id(), expected, "what was given back first, then in the order of acceptance");
        Some(delivery)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_service_stands_as_its_model(acts in prop::collection::vec(act(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let mut world = World::new();
            for act in acts {
                world.act(act).await;
                world.check().await;
            }
        });
    }
}
