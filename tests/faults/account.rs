//! The account that must come out even, whatever has gone wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use backroom::job::{JobId, StateName};
use backroom::queue::Queue as _;
use backroom::shutdown::{DrainReport, Patience, Phase, drain};
use backroom::store::{Filter, ListQuery, Store as _};
use tokio_util::sync::CancellationToken;

use crate::rig::{CAPACITY, CONCURRENCY, Order, Rig, name, order};

impl Rig {
    /// Nothing goes wrong any more: everything that waits for a turn is run, and then there is room for as many jobs as
    /// there ever was, and as many run at once.
    pub(crate) async fn works_as_on_the_first_day(&self) {
        assert!(self.plan.has_struck(), "nothing has gone wrong yet");
        self.plan.heal();
        self.pass(Duration::from_mins(10)).await;
        assert_eq!(self.pool.running(), 0);
        assert_eq!(self.queue.depth(), 0, "a slot was leaked");
        let slots = self.queue.inner.reserve_many(CAPACITY).await.unwrap();
        assert_eq!(slots.len(), CAPACITY);
        drop(slots);
        let before = self.count(StateName::Processing).await;
        let mut gated = Vec::new();
        for _ in 0..=CONCURRENCY {
            gated.push(self.accept(order(Order::Gate)).await);
        }
        self.pass(Duration::from_millis(10)).await;
        assert_eq!(self.pool.running(), CONCURRENCY, "a permit was leaked, or is there twice");
        assert_eq!(self.count(StateName::Processing).await - before, CONCURRENCY as u64);
        self.gate.add_permits(gated.len());
        self.pass(Duration::from_millis(10)).await;
        for id in gated {
            assert_eq!(self.state(id).await, "completed");
        }
    }

    pub(crate) async fn count(&self, state: StateName) -> u64 {
        self.store.counts(&name()).await.unwrap().get(state)
    }

    /// Drains, and sees that every job is accounted for.
    pub(crate) async fn ends_well(&self) -> DrainReport {
        self.ends(Patience { ready_delay: Duration::ZERO, grace: Duration::from_secs(5) }, false).await
    }

    pub(crate) async fn ends(&self, patience: Patience, at_once: bool) -> DrainReport {
        let hurry = CancellationToken::new();
        if at_once {
            hurry.cancel();
        }
        let (phase, spill) = (Phase::default(), Some(&self.spill));
        let drained = drain(&self.jobs, &self.pool, &self.stop, &phase, patience, spill, &hurry);
        let report = drained.await;
        assert!(report.duration < patience.grace + Duration::from_secs(10), "{report:?}");
        self.adds_up(&report).await;
        report
    }

    /// Accepted = finished + spilled + reported as lost; and each is one of them only.
    async fn adds_up(&self, report: &DrainReport) {
        let everything = ListQuery { filter: Filter::default(), before: None, limit: 10_000 };
        let rows = self.store.list(&everything).await.unwrap().jobs;
        let ids = |keep: &dyn Fn(StateName) -> bool| -> BTreeSet<JobId> {
            rows.iter().filter(|job| keep(job.state.name())).map(|job| job.id()).collect()
        };
        let finished = ids(&|state| state.is_terminal() && state != StateName::DeadLettered);
        let dead = ids(&|state| state == StateName::DeadLettered);
        let read = self.spill.read().unwrap();
        assert!(read.rejected.is_empty());
        let spilled: BTreeSet<JobId> = read.jobs.iter().map(backroom::job::Job::id).collect();
        let lost: BTreeSet<JobId> = report.lost.iter().copied().collect();
        for id in &*self.accepted.lock().unwrap() {
            let places = [finished.contains(id), spilled.contains(id), lost.contains(id)];
            assert_eq!(places.into_iter().filter(|there| *there).count(), 1, "{id} {places:?}");
        }
        let (all_spilled, kept) = (report.spilled as usize, report.dead_letters_kept as usize);
        assert_eq!(spilled.len(), all_spilled + kept, "{report:?}");
        assert_eq!(kept, spilled.intersection(&dead).count());
        assert_eq!(rows.len(), finished.len() + spilled.len() + lost.len());
        // What the next start takes up can be run there.
        for mut job in read.jobs.into_iter().filter(|job| !job.state.is_terminal()) {
            assert!(job.wakes_at().is_some(), "{} would never be looked at again", job.id());
            if !matches!(job.state.name(), StateName::Pending) {
                job.apply(backroom::job::Change::Enqueue { turn: 0 }, self.jobs.clock().now()).unwrap();
            }
            job.apply(backroom::job::Change::Start, self.jobs.clock().now()).unwrap();
        }
    }
}
