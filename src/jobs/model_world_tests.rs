//! What the model of the service knows, and that the service knows the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::*;
use crate::clock::Clock;
use crate::handler::{Context, Failure, Handler, KindSettings, Outcome, Payload, Registry};
use crate::job::model_tests::{Model, Step};
use crate::job::{Backoff, Jitter, Job, JobId, JobState, QueueName, RetryPolicy, StateName, Timestamp};
use crate::queue::{Consumer, Delivery, MemoryQueue, Queue};
use crate::store::{Filter, ListQuery, MemoryStore, Retention, Store as _};

const EPOCH: i64 = 1_800_000_000_000;
const CAPACITY: [usize; 2] = [4, 2];
pub(super) const KEEP: Retention =
    Retention { completed: Duration::from_mins(1), dead_lettered: Duration::from_mins(5), max_finished: 5 };

#[derive(Serialize, Deserialize)]
pub(super) struct Nothing {}

impl Payload for Nothing {
    const KIND: &'static str = "act";
}

struct Never;

impl Handler for Never {
    type Input = Nothing;

    async fn run(&self, _: Nothing, _: &Context) -> Result<Outcome, Failure> {
        Ok(Outcome::done())
    }
}

pub(super) struct World {
    pub(super) jobs: Jobs,
    pub(super) store: Arc<MemoryStore>,
    pub(super) queues: Vec<Arc<MemoryQueue>>,
    pub(super) consumers: Vec<Box<dyn Consumer>>,
    /// The model: every job that is known, with its queue.
    pub(super) model: BTreeMap<JobId, (usize, Model)>,
    /// What waits in each queue, and what was given back to it.
    pub(super) waiting: [VecDeque<JobId>; 2],
    pub(super) returned: [VecDeque<JobId>; 2],
    /// Finished jobs in the order in which they finished.
    pub(super) finished: VecDeque<JobId>,
    pub(super) finished_ever: u64,
    /// The runs under way, and those that were settled.
    pub(super) running: Vec<(JobId, u32, Delivery)>,
    pub(super) settled: Vec<(JobId, u32)>,
}

pub(super) fn name(queue: usize) -> QueueName {
    QueueName::new(["left", "right"][queue]).unwrap()
}

impl World {
    pub(super) fn new() -> Self {
        let mut registry = Registry::new();
        let settings = KindSettings {
            queue: name(0),
            timeout: Duration::from_mins(1),
            retry: RetryPolicy {
                max_attempts: 3,
                backoff: Backoff::Exponential {
                    initial: Duration::from_secs(1),
                    factor: 1.0,
                    max: Duration::from_secs(1),
                    jitter: Jitter::None,
                },
            },
            cancel_grace: Duration::from_secs(1),
            sensitive: Vec::new(),
            unique_by: crate::handler::UniqueBy::default(),
            retry_profile: "test".into(),
        };
        registry.register(Never, settings).unwrap();
        let queues: Vec<_> = CAPACITY.into_iter().map(|room| Arc::new(MemoryQueue::new(room))).collect();
        let store = Arc::new(MemoryStore::new([name(0), name(1)], KEEP));
        let lines = queues.iter().enumerate().map(|(n, queue)| {
            let settings = QueueSettings {
                capacity: CAPACITY[n],
                concurrency: 1,
                enqueue_wait: Duration::ZERO,
                rate_limit: None,
            };
            (name(n), Arc::clone(queue) as Arc<dyn Queue>, settings)
        });
        let clock = Clock::following_tokio(Timestamp::from_millis(EPOCH));
        let limits = Limits { payload: 1_000, result: 1_000, batch: 10 };
        let jobs = Jobs::new(clock, Arc::new(registry), store.clone(), lines, limits);
        Self {
            jobs,
            store,
            consumers: queues.iter().map(|queue| queue.consume()).collect(),
            queues,
            model: BTreeMap::new(),
            waiting: Default::default(),
            returned: Default::default(),
            finished: VecDeque::new(),
            finished_ever: 0,
            running: Vec::new(),
            settled: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.jobs.clock().now().as_millis()
    }

    /// Only ids that wait take room; what was given back stands outside of it, as the queue has always counted.
    pub(super) fn has_room(&self, queue: usize, count: usize) -> bool {
        self.waiting[queue].len() + count <= CAPACITY[queue]
    }

    /// One of the jobs that are known.
    pub(super) fn pick(&self, n: usize) -> Option<JobId> {
        self.model.keys().nth(n % self.model.len().max(1)).copied()
    }

    /// Takes a step in the model; says whether it is allowed.
    pub(super) fn step(&mut self, id: JobId, step: &Step) -> bool {
        let now = self.now();
        let Some((_, model)) = self.model.get_mut(&id) else { return false };
        let ended_before = model.ended();
        let allowed = model.take(step, now);
        if allowed && ended_before {
            self.finished.retain(|finished| *finished != id);
        }
        if allowed && model.ended() {
            self.finished.push_back(id);
            self.finished_ever += 1;
            // Too many: the oldest leave first, dead letters last.
            while self.finished.len() > KEEP.max_finished {
                let is_done = |id: &JobId| self.model[id].1.state != StateName::DeadLettered;
                let oldest = self.finished.iter().position(is_done).unwrap_or(0);
                self.forget(oldest);
            }
        }
        allowed
    }

    pub(super) fn forget(&mut self, finished: usize) {
        let id = self.finished.remove(finished).unwrap();
        self.model.remove(&id);
    }

    /// The turns are the queue's own business: the model takes them over.
    pub(super) fn learn_turn(&mut self, job: &Job) {
        if let JobState::Pending { turn, .. } = job.state {
            self.model.get_mut(&job.id()).unwrap().1.turn = turn;
        }
    }

    pub(super) fn learn(&mut self, job: &Job, new: Model) {
        let queue = usize::from(job.spec.queue != name(0));
        assert!(self.model.insert(job.id(), (queue, new)).is_none(), "an id is given once");
        self.learn_turn(job);
        if matches!(job.state, JobState::Pending { .. }) {
            self.waiting[queue].push_back(job.id());
        }
    }

    /// Everything that can be asked is answered as the model has it.
    pub(super) async fn check(&self) {
        let everything = ListQuery { filter: Filter::default(), before: None, limit: 1_000 };
        let rows = self.store.list(&everything).await.unwrap().jobs;
        let ids: Vec<JobId> = rows.iter().map(|job| job.id()).collect();
        assert_eq!(ids, self.model.keys().rev().copied().collect::<Vec<_>>(), "every row, newest first");
        assert_eq!(self.store.len(), self.model.len());
        for job in &rows {
            assert_eq!(Model::of(job), self.model[&job.id()].1.brief());
        }
        for queue in 0..2 {
            let of = || self.model.values().filter(|(of, _)| *of == queue).map(|(_, model)| model);
            let counts = self.store.counts(&name(queue)).await.unwrap();
            for state in StateName::ALL {
                let recount = of().filter(|model| model.state == state).count();
                assert_eq!(counts.get(state), recount as u64, "{state} in queue {queue}");
            }
            let oldest = of().filter(|model| model.state == StateName::Pending).map(|model| model.when).min();
            let told = self.store.oldest_pending(&name(queue)).await.unwrap();
            assert_eq!(told.map(Timestamp::as_millis), oldest);
            let all = self.store.due(&name(queue), Timestamp::MAX, 1_000).await.unwrap();
            let sleepers: Vec<JobId> = self.sleepers(queue).into_iter().map(|(_, id)| id).collect();
            assert_eq!((all.ids, all.next), (sleepers, None), "the index of due times");
            let depth = self.waiting[queue].len() + self.returned[queue].len();
            assert_eq!(self.queues[queue].depth(), depth, "no slot is leaked");
        }
        let matters = |(_, model): &(usize, Model)| !model.ended() || model.state == StateName::DeadLettered;
        let volatile: Vec<JobId> =
            self.model.iter().filter(|(_, job)| matters(job)).map(|(id, _)| *id).collect();
        assert_eq!(self.store.volatile().iter().map(|job| job.id()).collect::<Vec<_>>(), volatile);
        assert_eq!(self.jobs.finished(), self.finished_ever);
    }
}
