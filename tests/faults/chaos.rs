//! All faults together, by chance: each seed is another bad day.

use std::collections::HashMap;
use std::time::Duration;

use backroom::job::{Delay, JobId};
use backroom::shutdown::Patience;
use futures_util::FutureExt as _;
use proptest::prelude::*;

use crate::fakes::{Arrow, Fault};
use crate::rig::{Order, Rig, order};

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Fails),
        Just(Fault::AnswerLost),
        Just(Fault::Panics),
        (1_u64..20_000).prop_map(|millis| Fault::Hangs(Duration::from_millis(millis))),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Submit(Order, u64, Option<u64>),
    Cancel(usize),
    Retry(usize),
    Pass(u64),
    Jump(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let delay = prop_oneof![3 => Just(0), 1 => 1_u64..20_000];
    let expiry = prop::option::weighted(0.2, 1_u64..20_000);
    prop_oneof![
        6 => (prop::sample::select(Order::ALL.to_vec()), delay, expiry).prop_map(|(o, d, e)| Act::Submit(o, d, e)),
        1 => any::<usize>().prop_map(Act::Cancel),
        1 => any::<usize>().prop_map(Act::Retry),
        3 => (0_u64..10_000).prop_map(Act::Pass),
        1 => (-10_000_i64..10_000).prop_map(Act::Jump),
    ]
}

/// Somebody who wants something of the service, for a while. It may fail, panic, or be given up, as the faults will.
async fn does(rig: &Rig, act: Act) {
    let pick = |n: usize| -> Option<JobId> {
        let accepted = rig.accepted.lock().unwrap();
        accepted.iter().nth(n % accepted.len().max(1)).copied()
    };
    let wish = async {
        match act {
            Act::Submit(wish, delay, expiry) => {
                let mut new = order(wish).delay(Delay::For(Duration::from_millis(delay)));
                new.expires_in = expiry.map(Duration::from_millis);
                let _ = rig.submit(new).await;
            }
            Act::Cancel(n) => {
                if let Some(id) = pick(n) {
                    let _ = rig.jobs.cancel(id).await;
                }
            }
            Act::Retry(n) => {
                if let Some(id) = pick(n) {
                    let _ = rig.jobs.retry(id).await;
                }
            }
            Act::Pass(millis) => rig.pass(Duration::from_millis(millis)).await,
            Act::Jump(millis) => rig.jobs.clock().jump(millis),
        }
    };
    let caught = std::panic::AssertUnwindSafe(wish).catch_unwind();
    let _ = tokio::time::timeout(Duration::from_secs(12), caught).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn on_the_worst_of_days_every_job_is_accounted_for(
        seed in any::<u64>(),
        faults in prop::collection::vec((prop::sample::select(Arrow::ALL.to_vec()), fault(), 0.0..0.6_f64), 0..7),
        acts in prop::collection::vec(act(), 1..60),
        heals in any::<bool>(),
        (grace, at_once) in (0_u64..10_000, prop::bool::weighted(0.2)),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let rig = Rig::start();
            let chances: HashMap<_, _> =
                faults.into_iter().map(|(arrow, fault, chance)| (arrow, (fault, chance))).collect();
            rig.plan.by_chance(seed, chances);
            for act in acts {
                does(&rig, act).await;
            }
            // A part that kept dying was given up, and is not expected to work again.
            if heals && !rig.pool.has_failed() {
                rig.works_as_on_the_first_day().await;
            }
            let patience = Patience { ready_delay: Duration::ZERO, grace: Duration::from_millis(grace) };
            rig.ends(patience, at_once).await;
        });
    }
}
