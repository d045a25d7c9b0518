//! One dispatcher for each queue: a place first, then work.

use std::sync::Arc;
use std::time::Duration;

use super::pool::Desk;
use super::{stint, turnstile};
use crate::again::ask_again;
use crate::jobs::Line;

/// How long jobs gather when they come at a high pace; and what that is, in jobs per millisecond, and over what time.
const GATHERING: Duration = Duration::from_millis(1);
const HIGH_PACE: u128 = 4;
const MEASURING: Duration = Duration::from_millis(8);

/// How fast jobs come. To wake a thread for each of them costs more than everything else that is done for a small job,
/// so that at a high pace they are left to gather for a moment. At a low one each is taken at once.
struct Pace {
    since: Duration,
    /// How many had been taken by then.
    taken: u64,
    high: bool,
    /// What may gather without filling the queue: a quarter of its room.
    room: u128,
}

impl Pace {
    /// Whether more came over the last few milliseconds than it is worth to be woken for, and there is room for them.
    /// `taken` is how many were taken since the start.
    fn is_high(&mut self, elapsed: Duration, taken: u64) -> bool {
        let measured = elapsed.saturating_sub(self.since);
        if measured >= MEASURING {
            let newly = u128::from(taken - self.taken);
            let millis = measured.as_millis();
            self.high = newly >= millis * HIGH_PACE && newly <= millis * self.room;
            self.since = elapsed;
            self.taken = taken;
        }
        self.high
    }
}

/// Takes the ids of a queue until it is closed and empty, and has each of them run; apart from those which a stint takes that
/// has its place already. Of a queue that is paused it takes none.
pub(super) async fn run(desk: Arc<Desk>, line: Arc<Line>) {
    let mut consumer = line.queue.consume();
    let clock = desk.jobs.clock().clone();
    let room = (line.queue.capacity() / 4) as u128;
    let mut pace = Pace { since: clock.elapsed(), taken: line.taken(), high: false, room };
    let mut stopped = std::pin::pin!(desk.stop.hard.cancelled());
    // A dispatcher that died may have been replaced during a pause.
    let mut may_be_paused = true;
    loop {
        let (place, waited) = tokio::select! {
            biased;
            () = &mut stopped => return,
            taken = line.flow.take_place() => taken,
        };
        // That can have been long. Jobs of a queue that is paused stay in the line as long as nobody has looked there.
        if (waited || may_be_paused) && !line.flow.is_free() && !turnstile::open(&desk, &line).await {
            return;
        }
        may_be_paused = false;
        let delivery = match line.queue.try_next() {
            Some(delivery) => Some(delivery),
            None => {
                if pace.is_high(clock.elapsed(), line.taken()) {
                    tokio::select! {
                        biased;
                        () = &mut stopped => return,
                        () = tokio::time::sleep(GATHERING) => {}
                    }
                }
                match line.queue.try_next() {
                    Some(delivery) => Some(delivery),
                    None => tokio::select! {
                        biased;
                        () = &mut stopped => return,
                        () = line.flow.changed() => {
                            may_be_paused = true;
                            continue;
                        }
                        delivery = consumer.next() => delivery,
                    },
                }
            }
        };
        let Some(delivery) = delivery else { return };
        line.note_taken();
        let place = if line.flow.is_free() {
            place
        } else {
            match turnstile::pass(&desk, &line, place, delivery.id()).await {
                Some(place) => place,
                // The delivery is given back, and its job will be spilled.
                None => return,
            }
        };
        let attempts = if line.is_of_notices() { &desk.notices } else { &desk.attempts };
        // Boxed: a task is moved several times on its way to where it stays.
        attempts.spawn(Box::pin(stint::run(Arc::clone(&desk), Arc::clone(&line), place, delivery)));
        // At a high pace jobs are small: that task takes what else has gathered, before another one is made for it.
        if pace.high {
            ask_again().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_high_only_while_many_jobs_come() {
        let mut pace = Pace { since: Duration::ZERO, taken: 0, high: false, room: 250 };
        let mut taken = 0;
        let mut take = |jobs: u64, elapsed| {
            taken += jobs;
            pace.is_high(Duration::from_millis(elapsed), taken)
        };
        assert!(!take(1_000, 7), "it is not known yet");
        assert!(take(0, 8));
        assert!(take(0, 15), "it holds for a while");
        assert!(!take(31, 16), "fewer than four a millisecond");
        assert!(take(32, 24));
        assert!(take(2_000, 32));
        assert!(!take(2_001, 40), "more than a quarter of the room a millisecond");
        assert!(!take(1, 60_000));
    }
}
