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

/// How long jobs gather when they come at a high pace; and what that is, in jobs per millisecond, and over what time.
const GATHERING: Duration = Duration::from_millis(1);
const HIGH_PACE: u128 = 4;
const MEASURING: Duration = Duration::from_millis(8);

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

/// How fast jobs come. To wake a thread for each of them costs more than everything else that is done for a small job,
/// so that at a high pace they are left to gather for a moment. At a low one each is taken at once.
struct Pace {
    since: Timestamp,
    taken: u64,
    high: bool,
}

impl Pace {
    fn took_one(&mut self) {
        self.taken += 1;
    }

    /// Whether more came over the last few milliseconds than it is worth to be woken for.
    fn is_high(&mut self, now: Timestamp) -> bool {
        let elapsed = now.since(self.since);
        if elapsed >= MEASURING {
            self.high = u128::from(self.taken) >= elapsed.as_millis() * HIGH_PACE;
            self.since = now;
            self.taken = 0;
        }
        self.high
    }
}

async fn dispatch(desk: &Arc<Desk>, line: &Line, permits: &Arc<Semaphore>) {
    let mut consumer = line.queue.consume();
    let mut pace = Pace {
        since: desk.jobs.clock().now(),
        taken: 0,
        high: false,
    };
    let mut stopped = std::pin::pin!(desk.stop.hard.cancelled());
    loop {
        let permit = tokio::select! {
            biased;
            () = &mut stopped => return,
            permit = Arc::clone(permits).acquire_owned() => permit,
        };
        // The semaphore is never closed.
        let Ok(permit) = permit else { return };
        let delivery = match consumer.try_next() {
            Some(delivery) => Some(delivery),
            None => {
                if pace.is_high(desk.jobs.clock().now()) {
                    tokio::select! {
                        biased;
                        () = &mut stopped => return,
                        () = tokio::time::sleep(GATHERING) => {}
                    }
                }
                match consumer.try_next() {
                    Some(delivery) => Some(delivery),
                    None => tokio::select! {
                        biased;
                        () = &mut stopped => return,
                        delivery = consumer.next() => delivery,
                    },
                }
            }
        };
        pace.took_one();
        let Some(delivery) = delivery else { return };
        desk.attempts
            .spawn(attempt::run(Arc::clone(desk), permit, delivery));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_high_only_while_many_jobs_come() {
        let at = Timestamp::from_millis;
        let mut pace = Pace {
            since: at(0),
            taken: 0,
            high: false,
        };
        let mut take = |jobs: u64, now| {
            (0..jobs).for_each(|_| pace.took_one());
            pace.is_high(at(now))
        };
        assert!(!take(1_000, 7), "it is not known yet");
        assert!(take(0, 8));
        assert!(take(0, 15), "it holds for a while");
        assert!(!take(31, 16), "fewer than four a millisecond");
        assert!(take(32, 24));
        assert!(!take(1, 60_000));
    }
}
