//! What is done once a second: measure, forget, and let go of what is stuck.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::MissedTickBehavior;

use super::pool::Desk;

const PERIOD: Duration = Duration::from_secs(1);
const WAKE_PERIOD: Duration = Duration::from_millis(250);

/// Runs as long as there are attempts.
pub(super) async fn run(desk: Arc<Desk>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let clock = desk.jobs.clock();
    let mut before = clock.elapsed();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = desk.ended.cancelled() => return,
        }
        let elapsed = clock.elapsed();
        for line in desk.jobs.lines() {
            line.measure(elapsed.saturating_sub(before));
        }
        before = elapsed;
        if let Err(error) = desk.jobs.store().sweep(clock.now()).await {
            tracing::error!(error = desk.chain(&error), "finished jobs could not be swept");
        }
        let_go_of_stuck(&desk).await;
    }
}

/// Wakes a thread of the runtime once in a while, from outside, until the work is over.
///
/// A handler that blocks its thread can take the runtime's timers and signals with it: when it was woken by a timer, its
/// thread was the one that watched them, and no other one takes over until something else wakes it.
pub(super) fn keep_awake(desk: &Arc<Desk>) {
    let (runtime, desk) = (Handle::current(), Arc::downgrade(desk));
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        return;
    }
    let wake = move || {
        while desk.upgrade().is_some_and(|desk| !desk.ended.is_cancelled()) {
            std::thread::sleep(WAKE_PERIOD);
            runtime.spawn(std::future::ready(()));
        }
    };
    let thread = std::thread::Builder::new().name("backroom-wake".to_owned());
    if let Err(error) = thread.spawn(wake) {
        tracing::warn!(error = %error, "no thread to wake the runtime: a handler that blocks can hold it up");
    }
}

/// An attempt that blocks its thread is settled from here, and its place given to another.
async fn let_go_of_stuck(desk: &Desk) {
    for (id, leash) in desk.jobs.running().stuck(desk.jobs.clock().elapsed()) {
        let job = desk.jobs.get(id).await.ok().flatten();
        match job {
            Some(job) if job.is_in_run(leash.run()) => desk.let_go(&job, &leash).await,
            // It ended just now, or its row is gone; its place must not be.
            _ => leash.let_go(),
        }
        desk.jobs.running().end(id, &leash);
    }
}
