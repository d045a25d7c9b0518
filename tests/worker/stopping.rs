//! A drain, seen from the jobs.

use std::time::Duration;

use backroom::handler::{Context, Failure, Outcome};
use backroom::job::{Delay, StateName};
use backroom::jobs::SubmitError;
use backroom::shutdown::{DrainReport, Patience, Phase, drain};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::rig::{Ran, Rig, Setup, attempts, job, queue, retry};

fn act(input: Value, cx: Context) -> Ran {
    Box::pin(async move {
        match input.as_str().unwrap() {
            "obey" => {
                cx.canceled().await;
                Err(Failure::permanent("told", "told to stop"))
            }
            "panic" => {
                cx.canceled().await;
                panic!("told to stop")
            }
            "ignore" => std::future::pending().await,
            "finish" => {
                cx.canceled().await;
                // sleep: paused time; the work of a handler.
                tokio::time::sleep(Duration::from_secs(2)).await;
                Ok(Outcome::done())
            }
            "fail" => Err(Failure::transient("x", "again")),
            "short" => {
                // sleep: paused time; the work of a handler.
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(Outcome::done())
            }
            other => panic!("{other}"),
        }
    })
}

fn rig() -> Rig {
    Setup {
        queues: vec![queue("default", 100, 4)],
        retry: retry(1, Duration::from_secs(10), 1.0),
        ..Setup::default()
    }
    .start(act)
}

async fn stop(rig: &Rig, grace: u64, hurry: &CancellationToken) -> DrainReport {
    let patience = Patience { ready_delay: Duration::ZERO, grace: Duration::from_secs(grace) };
    drain(&rig.jobs, &rig.pool, &rig.stop, &Phase::default(), patience, None, hurry).await
}

#[tokio::test(start_paused = true)]
async fn what_is_interrupted_has_used_up_no_attempt() {
    let rig = rig();
    let mut ids = Vec::new();
    for payload in ["obey", "panic", "ignore", "finish", "short"] {
        ids.push(rig.submit(job(payload)).await);
    }
    let scheduled = rig.submit(job("short").delay(Delay::For(Duration::from_hours(1)))).await;
    let failed = rig.submit(job("fail").max_attempts(2)).await;
    rig.idle().await;
    let report = stop(&rig, 10, &CancellationToken::new()).await;

    for (id, expected) in ids[..3].iter().zip([10.0, 10.0, 15.0]) {
        let left = rig.get(*id).await;
        assert_eq!(left.state.name(), StateName::Pending, "{expected}");
        assert_eq!((left.attempt, left.runs), (0, 1));
        let (outcome, _, ended) = attempts(&left)[0];
        assert_eq!(outcome, "interrupted");
        assert!((ended - expected - 0.001).abs() < 0.0005, "{ended}");
    }
    assert_eq!(rig.get(ids[3]).await.state.name(), StateName::Completed, "within cancel_grace");
    // All four places were taken until the end of the grace, so that the rest was never begun.
    for id in [ids[4], failed] {
        assert_eq!(rig.get(id).await.runs, 0);
    }
    assert_eq!(rig.get(scheduled).await.state.name(), StateName::Scheduled);
    assert_eq!((report.finished, report.interrupted, report.spilled), (1, 3, 0));
    assert_eq!(report.lost, [ids[0], ids[1], ids[2], ids[4], scheduled, failed]);
    assert_eq!(report.duration, Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_hurry_waits_for_nobody() {
    let rig = rig();
    let ids = [rig.submit(job("finish")).await, rig.submit(job("ignore")).await];
    rig.idle().await;
    let hurry = CancellationToken::new();
    hurry.cancel();
    let report = stop(&rig, 3_600, &hurry).await;
    assert_eq!((report.finished, report.interrupted), (0, 2));
    assert_eq!(report.lost, ids);
    assert!(report.duration < Duration::from_millis(600), "{:?}", report.duration);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_finished_within_the_grace_and_nothing_more_is_taken() {
    let rig = rig();
    for _ in 0..20 {
        rig.submit(job("short")).await;
    }
    let never = CancellationToken::new();
    let draining = stop(&rig, 25, &never);
    let refused = async {
        rig.idle().await;
        rig.jobs.submit(job("short")).await
    };
    let (report, refused) = tokio::join!(draining, refused);
    assert!(matches!(refused, Err(SubmitError::Draining)));
    assert_eq!((report.finished, report.lost.len()), (20, 0));
    assert_eq!(report.duration, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_when_the_drain_begins_is_refused() {
    let rig = Setup { queues: vec![queue("default", 1, 1)], ..Setup::default() }.start(act);
    let running = rig.submit(job("short")).await;
    rig.idle().await;
    let waiting = rig.submit(job("short")).await;
    let (report, refused, accepted) = tokio::join!(
        async {
            rig.idle().await;
            stop(&rig, 25, &CancellationToken::new()).await
        },
        rig.jobs.submit(job("short")),
        rig.jobs.submit_all(vec![job("short")]),
    );
    assert!(matches!(refused, Err(SubmitError::Draining)));
    assert!(matches!(accepted, Err(SubmitError::Draining)));
    assert_eq!((report.finished, report.lost.len()), (2, 0));
    for id in [running, waiting] {
        assert_eq!(rig.get(id).await.state.name(), StateName::Completed);
    }
}

/// The blocked attempts can neither be told nor dropped, and the report is still made in time and right.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_blocks_holds_up_no_drain() {
    let (let_go, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = std::sync::Arc::new(std::sync::Mutex::new(blocked));
    let rig = Setup { cancel_grace: Duration::from_millis(50), ..Setup::default() }.start(move |_, _| {
        let blocked = std::sync::Arc::clone(&blocked);
        Box::pin(async move {
            let _ = blocked.lock().unwrap().recv();
            Ok(Outcome::done())
        })
    });
    let mut watch = rig.jobs.events().watch();
    let ids = [rig.submit(job("x")).await, rig.submit(job("x")).await];
    let pending = rig.submit(job("x")).await;
    crate::rig::entered(&mut watch, StateName::Processing, 2).await;
    let report = tokio::time::timeout(crate::rig::PATIENCE, stop(&rig, 0, &CancellationToken::new())).await;
    let report = report.expect("the drain ends in time");
    assert_eq!((report.finished, report.interrupted), (0, 2));
    assert_eq!(report.lost, [ids[0], ids[1], pending]);
    assert_eq!(rig.pool.abandoned(), 2);
    // Their late ends change nothing any more.
    drop(let_go);
    rig.pool.finished().await;
    for id in ids {
        assert_eq!(rig.get(id).await.state.name(), StateName::Pending);
    }
}
