//! What a task does with a place: one job after the other, as long as some wait.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::attempt::{self, panic_message};
use super::pool::Desk;
use crate::again::ask_again;
use crate::jobs::{Line, Place, Started};
use crate::queue::Delivery;

/// How long a job that could not be started rests before it is delivered again.
const START_REST: Duration = Duration::from_secs(1);

/// Runs the job of a delivery, and after it whatever waits in the line, as long as something does: to give the place back,
/// and have another task begin with it, costs more than a small job.
pub(super) async fn run(desk: Arc<Desk>, line: Arc<Line>, mut place: Place, mut delivery: Delivery) {
    let clock = desk.jobs.clock();
    let mut turn = Turn::begin(clock.elapsed());
    loop {
        place = match run_one(&desk, place, delivery).await {
            Some(place) => place,
            None => return,
        };
        if turn.is_over(clock.elapsed()) {
            // Not for nothing: most attempts that take long are followed by none.
            if line.queue.depth() > 0 {
                ask_again().await;
            }
            turn = Turn::begin(clock.elapsed());
        }
        delivery = match line.next_at_once() {
            Some(delivery) => delivery,
            None => return,
        };
    }
}

/// How many jobs a task runs, and for how long, before it lets others at its thread.
struct Turn {
    since: Duration,
    jobs: u32,
}

impl Turn {
    const JOBS: u32 = 32;
    const TIME: Duration = Duration::from_micros(200);

    fn begin(elapsed: Duration) -> Self {
        Self { since: elapsed, jobs: 0 }
    }

    /// Asked after each job.
    fn is_over(&mut self, elapsed: Duration) -> bool {
        self.jobs += 1;
        self.jobs >= Self::JOBS || elapsed.saturating_sub(self.since) >= Self::TIME
    }
}

/// Runs the job of a delivery once. The place is held until the job is settled; it is given back here if it is still there
/// and of use.
async fn run_one(desk: &Desk, place: Place, delivery: Delivery) -> Option<Place> {
    // Made before everything was told to stop, and come to run after that: the delivery is given back.
    if desk.stop.hard.is_cancelled() {
        return None;
    }
    let error = match AssertUnwindSafe(desk.jobs.start(delivery.id())).catch_unwind().await {
        Ok(Ok(Started::Run(job))) => {
            let place = attempt::run(desk, job, place).await;
            delivery.ack();
            return place;
        }
        Ok(Ok(Started::Leave)) => {
            delivery.ack();
            return Some(place);
        }
        Ok(Err(error)) => desk.chain(&error),
        Err(panic) => format!("panic: {}", panic_message(&*panic)),
    };
    tracing::error!(job = %delivery.id(), error, "job could not be started");
    // The place is kept meanwhile: a store that does not answer must not be asked as fast as a core can ask.
    attempt::rest(desk, START_REST).await;
    // Given back to the queue by the drop of the delivery, which comes before that of the place.
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_have_the_thread_after_some_jobs_or_some_time() {
        let at = Duration::from_micros;
        let mut turn = Turn::begin(at(1_000));
        for _ in 1..Turn::JOBS {
            assert!(!turn.is_over(at(1_199)));
        }
        assert!(turn.is_over(at(1_199)), "so many jobs");
        assert!(Turn::begin(at(1_000)).is_over(at(1_200)), "so long a job");
    }
}
