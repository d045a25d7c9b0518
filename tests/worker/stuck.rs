//! Handlers that block their thread: they can neither be told nor dropped. In real time, on several threads.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backroom::handler::{Context, Outcome};
use backroom::job::{LogLevel, NewJob, QueueName, StateName};
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

/// How many were abandoned in all, and how many of them still run.
fn abandoned(rig: &Rig) -> (u64, u64) {
    let [of_act] = &rig.pool.abandoned_by_kind()[..] else { panic!("there is one kind") };
    assert_eq!(of_act.kind.as_str(), "act");
    (of_act.total, of_act.running)
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
    assert_eq!((rig.pool.abandoned(), abandoned(&rig)), (1, (1, 1)));
    until("forgotten", || rig.pool.running() == 0).await;

    let (progress, sequence) = (ended.progress.percent, ended.sequence);
    let_go.send(()).unwrap();
    rig.stop.soft.cancel();
    rig.stop.hard.cancel();
    // Nothing is left, not even the blocked attempt: it has come to its late end.
    rig.pool.finished().await;
    assert_eq!(abandoned(&rig), (1, 0), "it has returned");
    let after = rig.get(id).await;
    assert_eq!((after.progress.percent, after.sequence), (progress, sequence));
    assert_eq!(after.attempts.len(), 2);
    assert!(after.log.lines().is_empty(), "the log of a run that is over is closed");
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

/// Each of them holds a thread, and none of them a place.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn more_can_be_abandoned_than_may_run_at_once() {
    let (rig, let_go) = blocking(false);
    let mut blocked = Vec::new();
    for _ in 0..2 {
        blocked.push(rig.submit(job("block").max_attempts(1)).await);
    }
    let next = rig.run(job("x")).await;
    assert_eq!(next.state.name(), StateName::Completed);
    for id in blocked {
        assert_eq!(rig.end(id).await.state.name(), StateName::DeadLettered);
    }
    assert_eq!(abandoned(&rig), (2, 2));
    for left in [1, 0] {
        let_go.send(()).unwrap();
        until("one to return", || abandoned(&rig) == (2, left)).await;
    }
    assert_eq!(rig.pool.abandoned(), 2);
}

/// It is dropped when it ignores its cancellation, and then blocks the thread that drops it: found twice, counted once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_attempt_that_blocks_when_it_is_dropped_is_abandoned_once() {
    struct Blocks(Arc<Mutex<Receiver<()>>>);
    impl Drop for Blocks {
        fn drop(&mut self) {
            let _ = self.0.lock().unwrap().recv();
        }
    }
    let (let_go, blocked) = channel();
    let blocked: Arc<Mutex<Receiver<()>>> = Arc::new(Mutex::new(blocked));
    let setup = Setup {
        queues: vec![queue("default", 10, 1)],
        timeout: Duration::from_millis(20),
        cancel_grace: Duration::from_millis(20),
        retry: retry(1, Duration::ZERO, 1.0),
        ..Setup::default()
    };
    let rig = setup.start(move |input, _| {
        let blocked = Arc::clone(&blocked);
        Box::pin(async move {
            if input == "block" {
                let _blocks = Blocks(blocked);
                std::future::pending::<()>().await;
            }
            Ok(Outcome::done())
        })
    });
    let ended = rig.run(job("block")).await;
    assert_eq!(ended.state.name(), StateName::DeadLettered);
    assert_eq!(rig.run(job("x")).await.state.name(), StateName::Completed, "its place was given on");
    assert_eq!(abandoned(&rig), (1, 1));
    let_go.send(()).unwrap();
    until("it to return", || abandoned(&rig) == (1, 0)).await;
    assert_eq!(rig.get(ended.id()).await.attempts.len(), 1);
}

/// What a dropped handler had spawned can go on, and is not heard any more.
#[tokio::test(start_paused = true)]
async fn what_an_abandoned_handler_left_behind_is_not_heard() {
    let told = Arc::new(tokio::sync::Notify::new());
    let said = Arc::new(tokio::sync::Notify::new());
    let setup = Setup { retry: retry(1, Duration::ZERO, 1.0), ..Setup::default() };
    let rig = setup.start({
        let (told, said) = (Arc::clone(&told), Arc::clone(&said));
        move |_, cx| {
            let (told, said) = (Arc::clone(&told), Arc::clone(&said));
            Box::pin(async move {
                cx.progress(10, "begun").await;
                tokio::spawn({
                    let cx = cx.clone();
                    async move {
                        told.notified().await;
                        cx.progress(99, "late").await;
                        cx.log(LogLevel::Error, "late").await;
                        said.notify_one();
                    }
                });
                std::future::pending::<()>().await;
                Ok(Outcome::done())
            })
        }
    });
    let given_up = rig.run(job("x")).await;
    assert_eq!((abandoned(&rig), rig.pool.running()), ((1, 0), 0), "dropped: nothing of it runs");
    told.notify_one();
    said.notified().await;
    let after = rig.get(given_up.id()).await;
    assert_eq!((after.progress.percent, after.sequence), (10, given_up.sequence));
    assert!(after.log.lines().is_empty());
}

/// A task that has just let others at its thread can be woken by another one: that which it has left may block.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_blocks_after_a_burst_holds_up_nobody_else() {
    let (let_go, blocked) = channel();
    let blocked: Arc<Mutex<Receiver<()>>> = Arc::new(Mutex::new(blocked));
    let act = move |input: Value, _: Context| -> Ran {
        let blocked = Arc::clone(&blocked);
        Box::pin(async move {
            if input == "block" {
                let _ = blocked.lock().unwrap().recv();
            }
            Ok(Outcome::done())
        })
    };
    let setup = Setup {
        queues: vec![queue("default", 1_000, 2), queue("other", 1_000, 1)],
        timeout: Duration::from_hours(1),
        ..Setup::default()
    };
    let rig = setup.start(act);
    let other = |input: Value| {
        let mut new = job(input);
        new.queue = Some(QueueName::new("other").unwrap());
        new
    };
    for _ in 0..20 {
        let burst = |to: fn(Value) -> NewJob| (0..500).map(|n| to(n.into())).collect();
        rig.jobs.submit_all(burst(job)).await.unwrap();
        rig.jobs.submit_all((0..500).map(|n: u32| other(n.into())).collect()).await.unwrap();
        // Among them, on whatever thread.
        let block = rig.submit(job("block")).await;
        let (small, others) = (rig.submit(job("x")).await, rig.submit(other("x".into())).await);
        for id in [small, others] {
            assert_eq!(rig.end(id).await.state.name(), StateName::Completed);
        }
        let_go.send(()).unwrap();
        rig.end(block).await;
    }
}
