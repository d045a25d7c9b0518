//! What is done once a second: measure, forget, and let go of what is stuck.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::pool::Desk;
use crate::job::JobState;

const PERIOD: Duration = Duration::from_secs(1);

/// Runs as long as there are attempts.
pub(super) async fn run(desk: Arc<Desk>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut before = desk.jobs.clock().now();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = desk.ended.cancelled() => return,
        }
        let now = desk.jobs.clock().now();
        for line in desk.jobs.lines() {
            line.measure(now.since(before));
        }
        before = now;
        if let Err(error) = desk.jobs.store().sweep(now).await {
            tracing::error!(error = %error, "finished jobs could not be swept");
        }
        let_go_of_stuck(&desk).await;
    }
}

/// An attempt that blocks its thread is settled from here, and its place given to another.
async fn let_go_of_stuck(desk: &Desk) {
    for (id, leash) in desk.jobs.running().stuck(desk.jobs.clock().now()) {
        desk.jobs.running().end(id, &leash);
        let job = desk.jobs.get(id).await.ok().flatten();
        match job {
            Some(job) if matches!(job.state, JobState::Processing { run, .. } if run == leash.run()) => {
                desk.let_go(&job, &leash).await;
            }
            // It ended just now, or its row is gone; its place must not be.
            _ => leash.let_go(),
        }
    }
}
