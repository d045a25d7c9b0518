//! Handlers that do not do what they should, and a clock that is set.

use std::time::Duration;

use backroom::job::{Delay, StateName};
use backroom::shutdown::Patience;

use crate::rig::{Order, Rig, order};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: i64 = 3_600_000;

#[tokio::test(start_paused = true)]
async fn handlers_that_fail_in_every_way_use_up_their_attempts_and_no_more() {
    for (wish, outcome, attempts) in [
        (Order::Fail, "failed", 3),
        (Order::GiveUp, "failed", 1),
        (Order::Panic, "panicked", 3),
        (Order::Ignore, "timed_out", 3),
    ] {
        let rig = Rig::start();
        let id = rig.accept(order(wish)).await;
        rig.pass(60 * SECOND).await;
        let job = rig.get(id).await;
        assert_eq!((job.state.name(), rig.runs()), (StateName::DeadLettered, attempts), "{wish:?}");
        let outcomes: Vec<_> = job.attempts.iter().map(|attempt| attempt.outcome.as_str()).collect();
        assert_eq!(outcomes, vec![outcome; attempts]);
        assert_eq!(rig.pool.abandoned(), if wish == Order::Ignore { 3 } else { 0 });
        rig.works_as_on_the_first_day().await;
        assert_eq!(rig.ends_well().await.dead_letters_kept, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_that_do_not_end_are_interrupted_by_the_drain() {
    for (wish, interrupted) in [(Order::Hang, 0), (Order::Ignore, 2)] {
        let rig = Rig::start();
        for _ in 0..5 {
            rig.accept(order(wish)).await;
        }
        rig.pass(SECOND).await;
        let patience = Patience { ready_delay: Duration::ZERO, grace: 2 * SECOND };
        let report = rig.ends(patience, false).await;
        // Who obeys has done its work, late; who does not is stopped.
        assert_eq!((report.interrupted, report.finished), (interrupted, 2 - interrupted), "{wish:?}");
        assert_eq!(report.spilled, 3 + interrupted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_forward_makes_jobs_due_and_times_nothing_out() {
    let rig = Rig::start();
    let later = rig.accept(order(Order::Work).delay(Delay::For(Duration::from_mins(30)))).await;
    let running = rig.accept(order(Order::Gate)).await;
    rig.pass(SECOND).await;
    rig.jobs.clock().jump(HOUR);
    rig.pass(2 * SECOND).await;
    assert_eq!((rig.state(later).await, rig.state(running).await), ("completed", "processing"));
    rig.gate.add_permits(1);
    rig.works_as_on_the_first_day().await;
    assert_eq!(rig.state(running).await, "completed");
    rig.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_delays_what_waits_for_it_and_nothing_else() {
    let rig = Rig::start();
    let later = rig.accept(order(Order::Work).delay(Delay::For(10 * SECOND))).await;
    let running = rig.accept(order(Order::Slow)).await;
    rig.jobs.clock().jump(-HOUR);
    let after = rig.accept(order(Order::Work)).await;
    rig.pass(20 * SECOND).await;
    assert_eq!((rig.state(running).await, rig.state(after).await), ("completed", "completed"));
    assert_eq!(rig.state(later).await, "scheduled");
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(rig.state(later).await, "completed");
    rig.jobs.clock().jump(-HOUR);
    rig.works_as_on_the_first_day().await;
    rig.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_during_the_drain_changes_no_bound() {
    for jump in [-HOUR, HOUR] {
        let rig = Rig::start();
        rig.accept(order(Order::Ignore)).await;
        rig.accept(order(Order::Work).delay(Delay::For(Duration::from_mins(30)))).await;
        rig.pass(SECOND).await;
        let patience = Patience { ready_delay: Duration::ZERO, grace: 2 * SECOND };
        let (report, ()) = tokio::join!(rig.ends(patience, false), async {
            rig.pass(SECOND).await;
            rig.jobs.clock().jump(jump);
        });
        assert_eq!(report.spilled, 2);
        assert!(report.duration <= 5 * SECOND, "{:?}", report.duration);
    }
}
