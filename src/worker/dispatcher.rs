//! One dispatcher for each queue: a permit first, then work. And the supervisor that replaces one that dies.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use super::attempt;
use super::pool::Desk;
use crate::job::Timestamp;
use crate::jobs::Line;

/// A dispatcher that dies so often within [`WINDOW`] is not replaced again.
const DEATHS_ALLOWED: usize = 5;
const WINDOW: Duration = Duration::from_mins(1);
/// The rest before the first replacement; doubled for each further one within the window.
const FIRST_REST: Duration = Duration::from_millis(50);

/// Runs the dispatcher of a queue until the queue is closed and empty, and replaces it when it dies.
pub(super) async fn supervise(desk: Arc<Desk>, line: Arc<Line>) {
    let permits = Arc::new(Semaphore::new(line.settings.concurrency));
    let mut deaths: Vec<Timestamp> = Vec::new();
    loop {
        let life = AssertUnwindSafe(dispatch(&desk, &line, &permits))
            .catch_unwind()
            .await;
        let Err(panic) = life else { return };
        let reason = attempt::panic_message(&*panic);
        let now = desk.jobs.clock().now();
        deaths.retain(|death| now.since(*death) < WINDOW);
        deaths.push(now);
        desk.restarts.fetch_add(1, Ordering::Relaxed);
        if deaths.len() >= DEATHS_ALLOWED {
            tracing::error!(queue = %line.name, reason, "dispatcher keeps dying: the server will drain and stop");
            desk.failed.cancel();
            return;
        }
        let rest = FIRST_REST * 2_u32.pow(u32::try_from(deaths.len()).unwrap_or(0) - 1);
        tracing::error!(queue = %line.name, reason, rest_ms = rest.as_millis(), "dispatcher died and will be replaced");
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = desk.stop.hard.cancelled() => return,
        }
    }
}

async fn dispatch(desk: &Arc<Desk>, line: &Line, permits: &Arc<Semaphore>) {
    let mut consumer = line.queue.consume();
    let mut stopped = std::pin::pin!(desk.stop.hard.cancelled());
    loop {
        let permit = tokio::select! {
            biased;
            () = &mut stopped => return,
            permit = Arc::clone(permits).acquire_owned() => permit,
        };
        // The semaphore is never closed.
        let Ok(permit) = permit else { return };
        let delivery = tokio::select! {
            biased;
            () = &mut stopped => return,
            delivery = consumer.next() => delivery,
        };
        let Some(delivery) = delivery else { return };
        desk.attempts
            .spawn(attempt::run(Arc::clone(desk), permit, delivery));
    }
}
