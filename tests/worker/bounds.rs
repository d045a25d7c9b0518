//! How many run at once, and that a panic costs no place.

use std::sync::Arc;
use std::time::Duration;

use backroom::handler::Outcome;
use backroom::job::StateName;
use tokio::sync::Semaphore;

use crate::rig::{Ran, Setup, entered, job, queue, retry};

#[tokio::test(start_paused = true)]
async fn concurrency_is_reached_and_held() {
    let gate = Arc::new(Semaphore::new(0));
    let rig = Setup { queues: vec![queue("default", 100, 3)], ..Setup::default() }.start({
        let gate = Arc::clone(&gate);
        move |_, _| {
            let gate = Arc::clone(&gate);
            Box::pin(async move {
                gate.acquire().await.unwrap().forget();
                Ok(Outcome::done())
            })
        }
    });
    for _ in 0..5 {
        rig.submit(job("x")).await;
    }
    rig.idle().await;
    assert_eq!(rig.count(StateName::Processing).await, 3, "reached");
    assert_eq!((rig.count(StateName::Pending).await, rig.pool.running()), (2, 3), "held");
    let mut watch = rig.jobs.events().watch();
    gate.add_permits(1);
    entered(&mut watch, StateName::Completed, 1).await;
    rig.idle().await;
    assert_eq!(rig.count(StateName::Processing).await, 3, "one ends, the next begins");
    gate.add_permits(4);
    entered(&mut watch, StateName::Completed, 4).await;
    rig.idle().await;
    assert_eq!((rig.count(StateName::Completed).await, rig.pool.running()), (5, 0));
}

/// Panics when it is called, in its first poll, in a later one, and with something that is no text.
fn panic_somehow(n: u64) -> Ran {
    match n % 4 {
        0 => panic!("called"),
        1 => Box::pin(async { panic!("{}", String::from("polled")) }),
        2 => Box::pin(async {
            tokio::task::yield_now().await;
            panic!("polled again")
        }),
        _ => Box::pin(async { std::panic::panic_any(7_u8) }),
    }
}

/// Keeps these panics, and no others, from being told with their stacks: to look up ten thousand takes a minute.
fn keep_quiet_about_them() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let meant = |text: &str| ["called", "polled", "polled again"].contains(&text);
        if !panic.payload_as_str().map_or_else(|| panic.payload().is::<u8>(), meant) {
            tell(panic);
        }
    }));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_panics_cost_no_place() {
    const PANICS: u64 = 10_000;
    keep_quiet_about_them();
    let gate = Arc::new(Semaphore::new(0));
    let rig = Setup {
        queues: vec![queue("default", 50, 4)],
        retry: retry(1, Duration::ZERO, 1.0),
        ..Setup::default()
    }
    .start({
        let gate = Arc::clone(&gate);
        move |input, _| match input.as_u64() {
            Some(n) => panic_somehow(n),
            None => {
                let gate = Arc::clone(&gate);
                Box::pin(async move {
                    gate.acquire().await.unwrap().forget();
                    Ok(Outcome::done())
                })
            }
        }
    });
    let mut last = None;
    for n in 0..PANICS {
        let id = rig.submit(job(n)).await;
        if n >= PANICS - 4 {
            last.get_or_insert_with(Vec::new).push(id);
        }
    }
    let mut messages = Vec::new();
    for id in last.unwrap() {
        let ended = rig.end(id).await;
        assert_eq!(ended.state.name(), StateName::DeadLettered);
        assert_eq!(ended.attempts[0].outcome.as_str(), "panicked");
        let error = ended.error.clone().unwrap();
        assert_eq!((&*error.code, error.retryable), ("panic", true));
        messages.push(error.message.to_string());
    }
    let said = |what: &str| format!("the handler panicked: {what}");
    assert_eq!(messages, [said("called"), said("polled"), said("polled again"), said("it did not say why")]);
    rig.idle().await;
    assert_eq!(rig.count(StateName::DeadLettered).await, PANICS);
    assert_eq!(rig.count(StateName::Processing).await, 0);
    assert_eq!(rig.count(StateName::Pending).await, 0);
    assert_eq!((rig.pool.running(), rig.pool.restarts(), rig.pool.abandoned()), (0, 0, 0));

    // Every place is still there, and no more than that.
    let healthy = [rig.submit(job("x")).await, rig.submit(job("x")).await];
    for _ in 0..3 {
        rig.submit(job("x")).await;
    }
    rig.idle().await;
    assert_eq!(rig.count(StateName::Processing).await, 4);
    gate.add_permits(5);
    for id in healthy {
        assert_eq!(rig.end(id).await.state.name(), StateName::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_an_abandoned_attempt_costs_no_place() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let rig = Setup {
        queues: vec![queue("default", 50, 1)],
        retry: retry(1, Duration::ZERO, 1.0),
        ..Setup::default()
    }
    .start(|input, _| {
        Box::pin(async move {
            if input == "bomb" {
                let _bomb = Bomb;
                std::future::pending::<()>().await;
            }
            Ok(Outcome::done())
        })
    });
    let bomb = rig.run(job("bomb")).await;
    assert_eq!(bomb.attempts[0].outcome.as_str(), "timed_out");
    assert_eq!(rig.run(job("x")).await.state.name(), StateName::Completed);
    assert_eq!((rig.pool.running(), rig.pool.abandoned()), (0, 1));
}
