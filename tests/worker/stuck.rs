//! Handlers that block their thread: they can neither be told nor dropped. In real time, on several threads.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backroom::handler::{Context, Outcome};
use backroom::job::{LogLevel, StateName};
use serde_json::Value;

use crate::rig::{Ran, Rig, Setup, entered, job, queue, retry, until};

/// Blocks its thread until a test lets go of it; then it tells what nobody wants to know any more.
fn blocking(after_told: bool) -> (Rig, Sender<()>) {
    let (let_go, blocked) = channel();
    let blocked: Arc<Mutex<Receiver<()>>> = Arc::new(Mutex::new(blocked));
    let act = move |input: Value, cx: Context| -> Ran {
        let blocked = Arc::clone(&blocked);
        Box::pin(async move {
            if input == "block" && cx.attempt() == 1 {
                if after_told {
                    cx.canceled().await;
                }
                let _ = blocked.lock().unwrap().recv();
                cx.progress(77, "late").await;
                cx.log(LogLevel::Info, "late").await;
            }
            Ok(Outcome::json(&"done").unwrap())
        })
    };
    let setup = Setup {
        queues: vec![queue("default", 10, 1)],
        timeout: Duration::from_millis(20),
        cancel_grace: Duration::from_millis(20),
        retry: retry(2, Duration::ZERO, 1.0),
        ..Setup::default()
    };
    (setup.start(act), let_go)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_blocked_attempt_is_settled_from_outside_and_its_late_end_ignored() {
    let (rig, let_go) = blocking(false);
    let id = rig.submit(job("block")).await;
    // The place of the blocked one was given on, to the next job and to its own second attempt.
    let next = rig.run(job("x")).await;
    assert_eq!(next.state.name(), StateName::Completed);
    let ended = rig.end(id).await;
    let outcomes: Vec<_> = ended.attempts.iter().map(|attempt| attempt.outcome.as_str()).collect();
    assert_eq!(outcomes, ["timed_out", "completed"]);
    assert_eq!(rig.pool.abandoned(), 1);
    until("forgotten", || rig.pool.running() == 0).await;

    let (progress, sequence) = (ended.progress.percent, ended.sequence);
    let_go.send(()).unwrap();
    rig.stop.soft.cancel();
    rig.stop.hard.cancel();
    // Nothing is left, not even the blocked attempt: it has come to its late end.
    rig.pool.finished().await;
    let after = rig.get(id).await;
    assert_eq!((after.progress.percent, after.sequence), (progress, sequence));
    assert_eq!(after.attempts.len(), 2);
    assert!(after.spec.log.lines().is_empty(), "the log of a run that is over is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_attempt_that_blocks_after_its_timeout_has_timed_out() {
    let (rig, let_go) = blocking(true);
    let ended = rig.run(job("block")).await;
    let outcomes: Vec<_> = ended.attempts.iter().map(|attempt| attempt.outcome.as_str()).collect();
    assert_eq!(outcomes, ["timed_out", "completed"], "nobody has canceled it");
    let_go.send(()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_blocked_attempt_that_was_canceled_is_canceled() {
    let (rig, let_go) = blocking(false);
    let mut watch = rig.jobs.events().watch();
    let mut new = job("block");
    new.timeout = Some(Duration::from_mins(1));
    let id = rig.submit(new).await;
    entered(&mut watch, StateName::Processing, 1).await;
    rig.jobs.cancel(id).await.unwrap();
    let ended = rig.end(id).await;
    assert_eq!(ended.state.name(), StateName::Canceled);
    assert_eq!(ended.attempts[0].outcome.as_str(), "canceled");
    assert_eq!(rig.run(job("x")).await.state.name(), StateName::Completed);
    let_go.send(()).unwrap();
}
