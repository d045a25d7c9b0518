//! Every way in which an attempt can end, with exact times.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backroom::handler::{Context, Failure, Outcome};
use backroom::job::{Backoff, JobResult, JobState, RetryPolicy, StateName};
use backroom::jobs::{CancelError, Canceled};
use serde_json::Value;

use crate::rig::{Ran, Rig, Setup, attempts, entered, job, queue, retry};

/// The first attempt does what the payload says, every further one completes.
fn act(input: Value, cx: Context) -> Ran {
    Box::pin(async move {
        if cx.attempt() > 1 {
            return Ok(Outcome::done());
        }
        match input.as_str().unwrap() {
            "obey" => {
                cx.canceled().await;
                Err(Failure::permanent("told", "told to stop"))
            }
            // As one that computes for a minute before it first waits.
            "busy" => {
                tokio::time::advance(Duration::from_secs(61)).await;
                cx.canceled().await;
                Err(Failure::permanent("told", "told to stop"))
            }
            "finish" => {
                cx.canceled().await;
                // sleep: paused time; the work of a handler.
                tokio::time::sleep(Duration::from_secs(2)).await;
                Ok(Outcome::json(&"late").unwrap())
            }
            "ignore" => std::future::pending().await,
            "panic" => {
                cx.canceled().await;
                panic!("told to stop")
            }
            "large" => Ok(Outcome::Completed(JobResult {
                media_type: "text/plain".into(),
                bytes: vec![b'x'; 1_001].into(),
            })),
            "just" => Ok(Outcome::Completed(JobResult {
                media_type: "text/plain".into(),
                bytes: vec![b'x'; 1_000].into(),
            })),
            "asked" => Err(Failure::transient("busy", "later").retry_after(Duration::from_secs(90))),
            "asked-long" => Err(Failure::transient("busy", "later").retry_after(Duration::from_hours(3))),
            "asked-permanent" => Err(Failure::permanent("no", "never").retry_after(Duration::from_secs(9))),
            other => panic!("{other}"),
        }
    })
}

fn rig() -> Rig {
    Setup::default().start(act)
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_a_failure_and_is_tried_again() {
    let rig = rig();
    let obeyed = rig.run(job("obey")).await;
    assert_eq!(attempts(&obeyed), [("timed_out", 0.0, 60.0), ("completed", 70.0, 70.0)]);
    let error = obeyed.attempts[0].error.clone().unwrap();
    assert_eq!((&*error.code, error.retryable), ("timeout", true));
    assert_eq!(&*error.message, "the attempt took longer than 1m");
    assert!(obeyed.error.is_none(), "what went well in the end has no error");
    assert_eq!(rig.pool.abandoned(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_counts_from_the_start_and_not_from_the_first_wait() {
    let busy = rig().run(job("busy")).await;
    assert_eq!(attempts(&busy)[0], ("timed_out", 0.0, 61.0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_and_is_tried_again() {
    let rig = Setup::default().start(|_, cx| {
        Box::pin(async move {
            assert!(cx.attempt() > 1, "the disk is on fire");
            Ok(Outcome::done())
        })
    });
    let panicked = rig.run(job("x")).await;
    assert_eq!(attempts(&panicked), [("panicked", 0.0, 0.0), ("completed", 10.0, 10.0)]);
    let error = panicked.attempts[0].error.clone().unwrap();
    assert_eq!((&*error.code, error.retryable), ("panic", true));
    assert_eq!(&*error.message, "the handler panicked: the disk is on fire");
}

#[tokio::test(start_paused = true)]
async fn an_error_is_tried_again_unless_it_is_permanent() {
    let rig = Setup::default().start(|input, cx| {
        Box::pin(async move {
            match (cx.attempt(), input == "permanent") {
                (1, true) => Err(Failure::permanent("no", "never")),
                (1, false) => Err(Failure::transient("not-now", "later")),
                _ => Ok(Outcome::done()),
            }
        })
    });
    let transient = rig.run(job("transient")).await;
    assert_eq!(attempts(&transient), [("failed", 0.0, 0.0), ("completed", 10.0, 10.0)]);
    let permanent = rig.run(job("permanent")).await;
    assert_eq!((permanent.state.name(), permanent.attempts.len()), (StateName::DeadLettered, 1));
    assert!(!permanent.error.as_ref().unwrap().retryable);
}

#[tokio::test(start_paused = true)]
async fn a_panic_or_an_error_after_the_timeout_is_a_timeout() {
    let panicked = rig().run(job("panic")).await;
    assert_eq!(attempts(&panicked)[0], ("timed_out", 0.0, 60.0));
    assert_eq!(panicked.state.name(), StateName::Completed);
}

#[tokio::test(start_paused = true)]
async fn what_is_done_within_the_grace_after_a_timeout_is_done() {
    let rig = rig();
    let late = rig.run(job("finish")).await;
    assert_eq!(attempts(&late), [("completed", 0.0, 62.0)]);
    assert_eq!(rig.pool.abandoned(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_ignores_the_timeout_is_dropped_and_its_place_given_on() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let rig = Setup { queues: vec![queue("default", 10, 1)], ..Setup::default() }.start({
        let dropped = Arc::clone(&dropped);
        move |input, cx| {
            let witness = (cx.attempt() == 1 && input == "ignore").then(|| Dropped(Arc::clone(&dropped)));
            Box::pin(async move {
                let _witness = witness;
                if input == "ignore" && cx.attempt() == 1 {
                    std::future::pending::<()>().await;
                }
                Ok(Outcome::done())
            })
        }
    });
    let ignoring = rig.submit(job("ignore")).await;
    let next = rig.end(rig.submit(job("x")).await).await;
    assert_eq!(attempts(&next), [("completed", 65.0, 65.0)], "as soon as the place was free");
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!(rig.pool.abandoned(), 1);
    let ignoring = rig.end(ignoring).await;
    assert_eq!(attempts(&ignoring), [("timed_out", 0.0, 65.0), ("completed", 75.0, 75.0)]);
    assert_eq!(rig.pool.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_obeyed_or_enforced() {
    let rig = rig();
    for (payload, state, outcome, seconds, abandoned) in [
        ("obey", StateName::Canceled, "canceled", 0.0, 0),
        ("panic", StateName::Canceled, "canceled", 0.0, 0),
        // Work that is done is done.
        ("finish", StateName::Completed, "completed", 2.0, 0),
        ("ignore", StateName::Canceled, "canceled", 5.0, 1),
    ] {
        let mut watch = rig.jobs.events().watch();
        let id = rig.submit(job(payload)).await;
        entered(&mut watch, StateName::Processing, 1).await;
        let asked = rig.seconds();
        let Ok(Canceled::Requested(told)) = rig.jobs.cancel(id).await else { panic!("{payload}: it runs") };
        assert!(matches!(told.state, JobState::Processing { cancel_requested: true, .. }));
        let ended = rig.end(id).await;
        assert_eq!(ended.state.name(), state, "{payload}");
        assert_eq!(ended.attempts[0].outcome.as_str(), outcome, "{payload}");
        assert!((rig.seconds() - asked - seconds).abs() < 0.0005, "{payload}");
        assert_eq!(rig.pool.abandoned(), abandoned, "{payload}");
        assert!(matches!(rig.jobs.cancel(id).await, Err(CancelError::Terminal(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_is_canceled_at_once_and_never_runs() {
    let rig = Setup { queues: vec![queue("default", 10, 1)], ..Setup::default() }.start(act);
    let mut watch = rig.jobs.events().watch();
    let first = rig.submit(job("finish")).await;
    entered(&mut watch, StateName::Processing, 1).await;
    let waiting = rig.submit(job("just")).await;
    let last = rig.submit(job("just")).await;
    assert!(matches!(rig.jobs.cancel(waiting).await, Ok(Canceled::Now(_))));
    rig.jobs.cancel(first).await.unwrap();
    assert_eq!(rig.end(last).await.state.name(), StateName::Completed);
    let waiting = rig.get(waiting).await;
    assert_eq!((waiting.state.name(), waiting.runs), (StateName::Canceled, 0));
}

/// Its id stands in the queue twice: once from before the cancel, once from the retry.
#[tokio::test(start_paused = true)]
async fn a_job_that_was_canceled_and_retried_while_it_waited_runs_once_and_can_be_canceled() {
    let rig = rig();
    let mut watch = rig.jobs.events().watch();
    let busy = [rig.submit(job("obey")).await, rig.submit(job("obey")).await];
    entered(&mut watch, StateName::Processing, 2).await;
    let twice = rig.submit(job("obey")).await;
    rig.jobs.cancel(twice).await.unwrap();
    rig.jobs.retry(twice).await.unwrap();
    for id in busy {
        rig.jobs.cancel(id).await.unwrap();
    }
    rig.idle().await;
    assert_eq!(rig.get(twice).await.state.name(), StateName::Processing);
    assert_eq!(rig.pool.running(), 1);
    let asked = rig.seconds();
    rig.jobs.cancel(twice).await.unwrap();
    let ended = rig.end(twice).await;
    assert_eq!((ended.state.name(), ended.runs), (StateName::Canceled, 1));
    assert!(rig.seconds() - asked < 0.001, "it was told at once");
}

#[tokio::test(start_paused = true)]
async fn a_snooze_and_a_skip_use_up_nothing() {
    let rig = Setup { retry: retry(1, Duration::ZERO, 1.0), ..Setup::default() }.start(|input, cx| {
        Box::pin(async move {
            if input == "skip" {
                return Ok(Outcome::skip("nothing to do"));
            }
            // By the time, since a snooze leaves the number of the attempt as it is.
            if cx.created_at().since(crate::rig::EPOCH).is_zero() && tokio_seconds(&cx) < 60 {
                return Ok(Outcome::snooze(Duration::from_secs(30)));
            }
            Ok(Outcome::done())
        })
    });
    BEGAN.with(|began| began.set(Some(tokio::time::Instant::now())));
    let snoozed = rig.run(job("snooze")).await;
    assert_eq!(
        attempts(&snoozed),
        [("snoozed", 0.0, 0.0), ("snoozed", 30.0, 30.0), ("completed", 60.0, 60.0)]
    );
    assert_eq!((snoozed.attempt, snoozed.runs), (1, 3));
    let skipped = rig.run(job("skip")).await;
    let JobState::Skipped { reason, .. } = &skipped.state else { panic!("{:?}", skipped.state) };
    assert_eq!(&**reason, "nothing to do");
    assert_eq!(attempts(&skipped)[0].0, "skipped");
}

thread_local! {
    static BEGAN: std::cell::Cell<Option<tokio::time::Instant>> = const { std::cell::Cell::new(None) };
}

fn tokio_seconds(_: &Context) -> u64 {
    BEGAN.with(|began| began.get().map_or(0, |began| began.elapsed().as_secs()))
}

#[tokio::test(start_paused = true)]
async fn the_rest_between_attempts_is_that_of_the_profile() {
    let rig = Setup { retry: retry(4, Duration::from_secs(1), 4.0), ..Setup::default() }
        .start(|_, _| Box::pin(async { Err(Failure::transient("x", "again")) }));
    let given_up = rig.run(job("x")).await;
    assert_eq!(given_up.state.name(), StateName::DeadLettered);
    assert_eq!(
        attempts(&given_up),
        [("failed", 0.0, 0.0), ("failed", 1.0, 1.0), ("failed", 5.0, 5.0), ("failed", 21.0, 21.0)]
    );
    // A round of its own, with fresh attempts.
    rig.jobs.retry(given_up.id()).await.unwrap();
    let again = rig.end(given_up.id()).await;
    assert_eq!((again.attempts.len(), again.runs, again.attempt), (8, 8, 4));
    let fewer = rig.run(job("x").max_attempts(2)).await;
    assert_eq!(attempts(&fewer).len(), 2, "a job can have its own number");
}

/// The due loop looks once a second in any case, so that only a short rest shows that it is woken.
#[tokio::test(start_paused = true)]
async fn a_short_rest_is_exact_too() {
    let rig = Setup { retry: retry(3, Duration::from_millis(300), 2.0), ..Setup::default() }
        .start(|_, _| Box::pin(async { Err(Failure::transient("x", "again")) }));
    let given_up = rig.run(job("x")).await;
    let began: Vec<f64> = attempts(&given_up).iter().map(|attempt| attempt.1).collect();
    assert_eq!(began, [0.0, 0.3, 0.9]);
}

#[tokio::test(start_paused = true)]
async fn what_the_far_side_asks_for_wins() {
    let rig = rig();
    let asked = rig.run(job("asked")).await;
    assert_eq!(attempts(&asked), [("failed", 0.0, 0.0), ("completed", 90.0, 90.0)]);
    let before = rig.seconds();
    let long = rig.run(job("asked-long")).await;
    assert!((attempts(&long)[1].1 - before - 3600.0).abs() < 0.0005, "at most an hour");
    let never = rig.run(job("asked-permanent")).await;
    assert_eq!((never.state.name(), never.attempt), (StateName::DeadLettered, 1));
}

/// Whatever the profile of the kind would have said, computed or a list, and up to one hour.
#[tokio::test(start_paused = true)]
async fn what_the_far_side_asks_for_wins_over_every_profile_up_to_an_hour() {
    let list = RetryPolicy { max_attempts: 3, backoff: Backoff::Delays(vec![Duration::from_hours(20)]) };
    for profile in [retry(3, Duration::from_secs(10), 1.0), list] {
        let rig = Setup { retry: profile, ..Setup::default() }.start(|input, cx| {
            Box::pin(async move {
                let asked = Duration::from_millis(input.as_u64().unwrap());
                match cx.attempt() {
                    1 => Err(Failure::transient("busy", "later").retry_after(asked)),
                    _ => Ok(Outcome::done()),
                }
            })
        });
        for (asked, rests) in [
            (0, 0),
            (1, 1),
            (3_599_999, 3_599_999),
            (3_600_000, 3_600_000),
            (3_600_001, 3_600_000),
            (u64::MAX, 3_600_000),
        ] {
            let done = rig.run(job(asked)).await;
            let [first, second] = &done.attempts[..] else { panic!("{:?}", done.attempts) };
            assert_eq!(second.started_at.since(first.finished_at), Duration::from_millis(rests), "{asked}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_last_attempt_nothing_can_be_asked_for() {
    let rig = Setup::default().start(|_, _| {
        Box::pin(async { Err(Failure::transient("busy", "later").retry_after(Duration::from_secs(90))) })
    });
    let given_up = rig.run(job("x").max_attempts(2)).await;
    assert_eq!(given_up.state.name(), StateName::DeadLettered);
    assert_eq!(attempts(&given_up), [("failed", 0.0, 0.0), ("failed", 90.0, 90.0)]);
    let error = given_up.error.clone().unwrap();
    assert_eq!((&*error.code, error.retryable), ("busy", true));
}

#[tokio::test(start_paused = true)]
async fn a_job_expires_while_it_waits_for_its_retry() {
    let rig = Setup::default().start(|_, _| Box::pin(async { Err(Failure::transient("x", "again")) }));
    let mut new = job("x");
    new.expires_in = Some(Duration::from_secs(5));
    let expired = rig.run(new).await;
    let JobState::Skipped { at, reason } = &expired.state else { panic!("{:?}", expired.state) };
    assert_eq!((&**reason, at.since(crate::rig::EPOCH).as_millis()), ("expired", 5_000));
    assert_eq!(attempts(&expired), [("failed", 0.0, 0.0)]);
}

#[tokio::test(start_paused = true)]
async fn a_job_expires_while_it_waits_for_its_turn() {
    let rig = Setup { queues: vec![queue("default", 10, 1)], ..Setup::default() }.start(act);
    rig.submit(job("ignore")).await;
    let mut new = job("just");
    new.expires_in = Some(Duration::from_secs(5));
    let expired = rig.run(new).await;
    assert!(matches!(&expired.state, JobState::Skipped { reason, .. } if &**reason == "expired"));
    assert_eq!(expired.runs, 0);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_is_a_dead_letter() {
    let rig = rig();
    assert_eq!(rig.run(job("just")).await.state.name(), StateName::Completed);
    let large = rig.run(job("large")).await;
    assert_eq!(large.state.name(), StateName::DeadLettered);
    assert_eq!(&*large.error.as_ref().unwrap().code, "result-too-large");
}
