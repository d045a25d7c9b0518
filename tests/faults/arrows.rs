//! One fault at one arrow of the path, each in its own test.

use std::time::Duration;

use backroom::job::{Delay, StateName};
use backroom::jobs::{CancelError, RetryError, SubmitError};
use backroom::queue::Queue as _;
use backroom::shutdown::Patience;

use crate::fakes::{Arrow, Fault};
use crate::rig::{Order, Rig, order};

const EVER: usize = usize::MAX;
const SECOND: Duration = Duration::from_secs(1);

fn later(seconds: u64) -> backroom::job::NewJob {
    order(Order::Work).delay(Delay::For(Duration::from_secs(seconds)))
}

#[tokio::test(start_paused = true)]
async fn an_insert_that_fails_keeps_nothing_and_gives_the_slot_back() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Insert, Fault::Fails, 20);
    for _ in 0..20 {
        assert!(matches!(rig.submit(order(Order::Work)).await, Err(SubmitError::Store(_))));
    }
    assert_eq!((rig.store.len(), rig.queue.depth()), (0, 0));
    rig.works_as_on_the_first_day().await;
    assert_eq!(rig.ends_well().await.lost, []);
}

#[tokio::test(start_paused = true)]
async fn an_insert_that_hangs_holds_its_slot_until_it_fails() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Insert, Fault::Hangs(5 * SECOND), 1);
    let (submitted, ()) = tokio::join!(rig.submit(order(Order::Work)), async {
        rig.pass(SECOND).await;
        assert_eq!(rig.queue.depth(), 1);
    });
    assert!(matches!(submitted, Err(SubmitError::Store(_))));
    assert_eq!((rig.store.len(), rig.queue.depth()), (0, 0));
    rig.works_as_on_the_first_day().await;
    rig.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_on_an_insert_that_hangs_leaves_no_slot_behind() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Insert, Fault::Hangs(5 * SECOND), 1);
    tokio::time::timeout(SECOND, rig.submit(order(Order::Work))).await.unwrap_err();
    assert_eq!((rig.store.len(), rig.queue.depth()), (0, 0));
    rig.works_as_on_the_first_day().await;
    rig.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_forever_for_an_insert_that_hangs() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Insert, Fault::Hangs(Duration::from_hours(1)), 1);
    let (submitted, report) =
        tokio::join!(tokio::time::timeout(60 * SECOND, rig.submit(order(Order::Work))), async {
            rig.pass(SECOND).await;
            rig.ends_well().await
        });
    submitted.unwrap_err();
    assert_eq!((report.finished, report.spilled), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_insert_that_panics_gives_the_slot_back() {
    let rig = std::sync::Arc::new(Rig::start());
    rig.plan.at(Arrow::Insert, Fault::Panics, 1);
    let submitting = std::sync::Arc::clone(&rig);
    tokio::spawn(async move { submitting.submit(order(Order::Work)).await }).await.unwrap_err();
    assert_eq!((rig.store.len(), rig.queue.depth()), (0, 0));
    rig.works_as_on_the_first_day().await;
    rig.ends_well().await;
}

/// Nobody was told that it is accepted, so nobody waits for it; but it is there, and is not forgotten.
#[tokio::test(start_paused = true)]
async fn a_job_whose_insert_was_not_confirmed_is_spilled() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Insert, Fault::AnswerLost, 1);
    assert!(rig.submit(order(Order::Work)).await.is_err());
    assert_eq!(rig.count(StateName::Pending).await, 1);
    rig.works_as_on_the_first_day().await;
    assert_eq!(rig.ends_well().await.spilled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_push_that_is_lost_is_spilled() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Push, Fault::Fails, 1);
    let id = rig.accept(order(Order::Work)).await;
    rig.works_as_on_the_first_day().await;
    assert_eq!(rig.state(id).await, "pending");
    assert_eq!(rig.ends_well().await.spilled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_push_that_panics_is_spilled() {
    let rig = std::sync::Arc::new(Rig::start());
    rig.plan.at(Arrow::Push, Fault::Panics, 1);
    let submitting = std::sync::Arc::clone(&rig);
    tokio::spawn(async move { submitting.submit(order(Order::Work)).await }).await.unwrap_err();
    rig.works_as_on_the_first_day().await;
    assert_eq!(rig.ends_well().await.spilled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_is_tried_again_at_a_gentle_pace() {
    for fault in [Fault::Fails, Fault::Panics, Fault::Hangs(SECOND)] {
        let rig = Rig::start();
        rig.plan.at(Arrow::Start, fault, 3);
        let id = rig.accept(order(Order::Work)).await;
        rig.pass(20 * SECOND).await;
        assert_eq!((rig.state(id).await, rig.runs()), ("completed", 1), "{fault:?}");
        assert!(rig.get(id).await.started_at.unwrap().since(crate::rig::EPOCH) >= 3 * SECOND, "{fault:?}");
        rig.works_as_on_the_first_day().await;
        assert_eq!(rig.ends_well().await.lost, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_starts_a_job_is_not_asked_as_fast_as_a_core_can() {
    for fault in [Fault::Fails, Fault::Panics] {
        let rig = Rig::start();
        rig.plan.at(Arrow::Start, fault, EVER);
        let id = rig.accept(order(Order::Work)).await;
        rig.pass(60 * SECOND).await;
        assert!((50..=62).contains(&rig.plan.struck(Arrow::Start)), "{}", rig.plan.struck(Arrow::Start));
        assert_eq!(rig.state(id).await, "pending");
        let report = rig.ends_well().await;
        assert_eq!((report.spilled, report.interrupted, rig.runs()), (1, 0, 0));
    }
}

/// It counts as running, and nobody runs it: the drain finds it.
#[tokio::test(start_paused = true)]
async fn a_start_that_was_not_confirmed_is_found_by_the_drain() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Start, Fault::AnswerLost, 1);
    let id = rig.accept(order(Order::Work)).await;
    rig.pass(20 * SECOND).await;
    rig.works_as_on_the_first_day().await;
    assert_eq!(rig.state(id).await, "processing");
    let report = rig.ends_well().await;
    assert_eq!((report.spilled, report.interrupted), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_settle_that_fails_is_tried_again_and_runs_nothing_twice() {
    for times in 1..=4 {
        let rig = Rig::start();
        rig.plan.at(Arrow::Settle, Fault::Fails, times);
        let id = rig.accept(order(Order::Work)).await;
        rig.pass(20 * SECOND).await;
        assert_eq!((rig.state(id).await, rig.runs()), ("completed", 1), "after {times} failures");
        rig.works_as_on_the_first_day().await;
        assert_eq!(rig.ends_well().await.spilled, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_settle_that_keeps_failing_frees_its_place_and_is_found_by_the_drain() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Settle, Fault::Fails, 5);
    let id = rig.accept(order(Order::Work)).await;
    rig.pass(20 * SECOND).await;
    rig.works_as_on_the_first_day().await;
    assert_eq!((rig.state(id).await, rig.plan.struck(Arrow::Settle)), ("processing", 5));
    let report = rig.ends_well().await;
    assert_eq!((report.spilled, report.interrupted), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_settle_that_never_succeeds_leaves_the_job_in_the_spill_file() {
    for fault in [Fault::Fails, Fault::Panics, Fault::Hangs(Duration::from_hours(9))] {
        let rig = Rig::start();
        rig.plan.at(Arrow::Settle, fault, EVER);
        for _ in 0..3 {
            rig.accept(order(Order::Work)).await;
        }
        rig.pass(60 * SECOND).await;
        let report = rig.ends_well().await;
        // The drain's own settling failed too, so that they are spilled as they stand.
        assert_eq!((report.spilled, report.lost.len()), (3, 0), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_settle_that_was_not_confirmed_is_not_done_twice() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Settle, Fault::AnswerLost, 1);
    let id = rig.accept(order(Order::Work)).await;
    rig.pass(20 * SECOND).await;
    rig.works_as_on_the_first_day().await;
    let job = rig.get(id).await;
    assert_eq!((job.state.name(), job.attempts.len(), job.sequence), (StateName::Completed, 1, 3));
    assert_eq!(rig.ends_well().await.spilled, 0);
}

#[tokio::test(start_paused = true)]
async fn a_settle_that_panics_frees_its_place_and_is_found_by_the_drain() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Settle, Fault::Panics, 1);
    let id = rig.accept(order(Order::Work)).await;
    rig.pass(20 * SECOND).await;
    rig.works_as_on_the_first_day().await;
    assert_eq!((rig.state(id).await, rig.runs()), ("processing", 4));
    assert_eq!(rig.ends_well().await.spilled, 1);
}

#[tokio::test(start_paused = true)]
async fn due_jobs_that_cannot_be_looked_up_come_later() {
    for (fault, times) in [(Fault::Fails, 5), (Fault::Hangs(3 * SECOND), 2), (Fault::Panics, 4)] {
        let rig = Rig::start();
        let id = rig.accept(later(1)).await;
        rig.plan.at(Arrow::Due, fault, times);
        rig.pass(20 * SECOND).await;
        assert_eq!((rig.state(id).await, rig.plan.struck(Arrow::Due)), ("completed", times), "{fault:?}");
        rig.works_as_on_the_first_day().await;
        rig.ends_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn due_jobs_that_can_never_be_looked_up_are_spilled() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Due, Fault::Fails, EVER);
    rig.accept(later(1)).await;
    rig.accept(order(Order::Fail)).await;
    rig.pass(60 * SECOND).await;
    let asked = rig.plan.struck(Arrow::Due);
    assert!((50..=66).contains(&asked), "{asked} times in a minute");
    assert_eq!(rig.ends_well().await.spilled, 2);
}

#[tokio::test(start_paused = true)]
async fn a_due_loop_that_keeps_dying_is_told_and_its_jobs_are_spilled() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Due, Fault::Panics, EVER);
    rig.accept(later(1)).await;
    rig.pool.failed().await;
    assert_eq!(rig.ends_well().await.spilled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_due_job_that_cannot_be_enqueued_keeps_no_slot() {
    for fault in [Fault::Fails, Fault::Panics, Fault::Hangs(SECOND)] {
        let rig = Rig::start();
        rig.plan.at(Arrow::Enqueue, fault, 3);
        let id = rig.accept(later(1)).await;
        rig.pass(20 * SECOND).await;
        assert_eq!((rig.state(id).await, rig.plan.struck(Arrow::Enqueue)), ("completed", 3), "{fault:?}");
        rig.works_as_on_the_first_day().await;
        rig.ends_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_due_job_whose_enqueueing_was_not_confirmed_is_spilled() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Enqueue, Fault::AnswerLost, 1);
    rig.accept(later(1)).await;
    rig.pass(20 * SECOND).await;
    rig.works_as_on_the_first_day().await;
    assert_eq!(rig.ends_well().await.spilled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_expire_does_so_later() {
    for fault in [Fault::Fails, Fault::Panics] {
        let rig = Rig::start();
        rig.plan.at(Arrow::Expire, fault, 3);
        let id = rig.accept(later(60).expires_in(SECOND)).await;
        rig.pass(20 * SECOND).await;
        assert_eq!((rig.state(id).await, rig.runs()), ("skipped", 0), "{fault:?}");
        rig.works_as_on_the_first_day().await;
        rig.ends_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_fails_or_dies_stops_nothing() {
    for fault in [Fault::Fails, Fault::Panics, Fault::Hangs(3 * SECOND)] {
        let rig = Rig::start();
        rig.plan.at(Arrow::Sweep, fault, 4);
        rig.pass(20 * SECOND).await;
        assert_eq!((rig.plan.struck(Arrow::Sweep), rig.pool.has_failed()), (4, false));
        rig.works_as_on_the_first_day().await;
        rig.ends_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_looked_at_is_run_all_the_same() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Get, Fault::Fails, EVER);
    let id = rig.accept(order(Order::Work)).await;
    rig.pass(SECOND).await;
    assert_eq!(rig.state(id).await, "completed");
    rig.works_as_on_the_first_day().await;
    rig.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_look_that_panics_leaves_the_job_to_the_drain() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Get, Fault::Panics, 1);
    let id = rig.accept(order(Order::Work)).await;
    rig.pass(20 * SECOND).await;
    rig.works_as_on_the_first_day().await;
    assert_eq!(rig.state(id).await, "processing");
    assert_eq!(rig.ends_well().await.spilled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_that_dies_with_an_id_in_its_hand_gives_it_back() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Next, Fault::Panics, 4);
    let id = rig.accept(order(Order::Work)).await;
    rig.pass(5 * SECOND).await;
    assert_eq!((rig.state(id).await, rig.runs(), rig.pool.restarts()), ("completed", 1, 4));
    rig.works_as_on_the_first_day().await;
    rig.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_that_keeps_dying_leaves_its_jobs_to_the_drain() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Next, Fault::Panics, EVER);
    for _ in 0..3 {
        rig.accept(order(Order::Work)).await;
    }
    rig.pool.failed().await;
    assert_eq!(rig.ends_well().await.spilled, 3);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_dropped_is_delivered_again() {
    for fault in [Fault::Fails, Fault::Hangs(SECOND)] {
        let rig = Rig::start();
        rig.plan.at(Arrow::Next, fault, 7);
        let id = rig.accept(order(Order::Work)).await;
        rig.pass(20 * SECOND).await;
        assert_eq!((rig.state(id).await, rig.runs()), ("completed", 1), "{fault:?}");
        rig.works_as_on_the_first_day().await;
        rig.ends_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_fails_changes_nothing() {
    let rig = Rig::start();
    rig.plan.at(Arrow::Cancel, Fault::Fails, 1);
    let id = rig.accept(later(60)).await;
    assert!(matches!(rig.jobs.cancel(id).await, Err(CancelError::Store(_))));
    assert_eq!(rig.state(id).await, "scheduled");
    rig.works_as_on_the_first_day().await;
    assert_eq!(rig.state(id).await, "completed");
    rig.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_fails_gives_the_slot_back() {
    let rig = Rig::start();
    let id = rig.accept(order(Order::GiveUp)).await;
    rig.pass(SECOND).await;
    for fault in [Fault::Fails, Fault::Hangs(SECOND)] {
        rig.plan.at(Arrow::Retry, fault, 1);
        assert!(matches!(rig.jobs.retry(id).await, Err(RetryError::Store(_))));
        assert_eq!((rig.state(id).await, rig.queue.depth()), ("dead_lettered", 0));
    }
    rig.works_as_on_the_first_day().await;
    assert_eq!(rig.ends_well().await.dead_letters_kept, 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_was_not_confirmed_is_spilled() {
    let rig = Rig::start();
    let id = rig.accept(order(Order::GiveUp)).await;
    rig.pass(SECOND).await;
    rig.plan.at(Arrow::Retry, Fault::AnswerLost, 1);
    assert!(rig.jobs.retry(id).await.is_err());
    rig.works_as_on_the_first_day().await;
    assert_eq!(rig.ends_well().await.spilled, 1);
}

#[tokio::test(start_paused = true)]
async fn everything_at_once_forever_loses_nothing() {
    for fault in [Fault::Fails, Fault::AnswerLost, Fault::Hangs(Duration::from_hours(2))] {
        let rig = Rig::start();
        for wish in [Order::Work, Order::Slow, Order::Fail, Order::Hang, Order::Ignore] {
            rig.accept(order(wish)).await;
        }
        for arrow in Arrow::ALL.into_iter().filter(|arrow| *arrow != Arrow::Next) {
            rig.plan.at(arrow, fault, EVER);
        }
        rig.pass(30 * SECOND).await;
        let patience = Patience { ready_delay: Duration::ZERO, grace: 5 * SECOND };
        let report = rig.ends(patience, false).await;
        assert_eq!(report.lost, [], "{fault:?}");
    }
}
