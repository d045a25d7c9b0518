//! Recurring jobs: one loop for each schedule, so that one that waits for room or for its last job holds up no other.

use std::sync::Arc;
use std::time::Duration;

use super::pool::Desk;
use crate::schedules::{Recurring, Rest, Stopped};

/// Runs until the drain begins: after that no schedule makes a job any more.
pub(super) async fn run(desk: Arc<Desk>, recurring: Arc<Recurring>) {
    while !desk.stop.soft.is_cancelled() {
        // The bell keeps a ring that comes meanwhile.
        let Ok(rest) = desk.schedules.turn(&recurring).await.map_err(|Stopped| ()) else { return };
        tokio::select! {
            biased;
            () = desk.stop.soft.cancelled() => return,
            () = recurring.changed.notified() => {}
            () = wait(&desk, rest) => {}
        }
    }
}

async fn wait(desk: &Desk, rest: Rest) {
    let asked = match rest {
        Rest::For(time) => return tokio::time::sleep(time).await,
        Rest::Job(job, patience) => desk.jobs.wait(job, patience, std::future::pending()).await,
    };
    if asked.is_err() {
        // A store that cannot answer is not asked all the time.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
