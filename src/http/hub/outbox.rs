//! What waits to be sent over one connection: bounded, and taken by its transport when that has room.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// From how many bytes on nothing more is put in that could wait elsewhere.
const FULL: usize = 64 << 10;

/// How much is taken at once, unless one record is larger.
const CHUNK: usize = 16 << 10;

/// Records on their way out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    /// Rung by whoever changes it.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    records: VecDeque<Vec<u8>>,
    bytes: usize,
    /// When something was last taken, or began to wait.
    since: Duration,
    /// Nothing more comes.
    finished: bool,
}

impl Outbox {
    /// Puts a record in. Whoever has a choice asks [`Self::has_room`] before.
    pub(super) fn push(&self, record: Vec<u8>, now: Duration) {
        {
            let mut waiting = self.lock();
            if waiting.finished {
                return;
            }
            if waiting.records.is_empty() {
                waiting.since = now;
            }
            waiting.bytes += record.len();
            waiting.records.push_back(record);
        }
        self.changed.notify_waiters();
    }

    /// Lets nothing more in. What is in it can still be taken.
    pub(super) fn finish(&self) {
        self.lock().finished = true;
        self.changed.notify_waiters();
    }

    pub(super) fn has_room(&self) -> bool {
        self.lock().bytes < FULL
    }

    /// Waits until there is room.
    pub(super) async fn room(&self) {
        self.until(|waiting| (waiting.bytes < FULL).then_some(())).await;
    }

    /// How long what is in it has waited without any of it being taken.
    pub(super) fn stuck(&self, now: Duration) -> Option<Duration> {
        let waiting = self.lock();
        (!waiting.records.is_empty()).then(|| now.saturating_sub(waiting.since))
    }

    /// Takes whole records; waits for the first one. `None`: there are none and nothing more comes.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is taken before it is given back.
    pub(super) async fn take(&self, now: impl Fn() -> Duration) -> Option<Vec<u8>> {
        let taken = self.until(|waiting| {
            if waiting.records.is_empty() {
                return waiting.finished.then_some(None);
            }
            waiting.since = now();
            Some(Some(waiting.take()))
        });
        let taken = taken.await;
        self.changed.notify_waiters();
        taken
    }

    async fn until<T>(&self, look: impl Fn(&mut Waiting) -> Option<T>) -> T {
        loop {
            // Registered for the wake-up before the look, so that none is missed in between.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let found = look(&mut self.lock());
            if let Some(found) = found {
                return found;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take(&mut self) -> Vec<u8> {
        let mut chunk = self.records.pop_front().unwrap_or_default();
        while self.records.front().is_some_and(|next| chunk.len() + next.len() <= CHUNK) {
            chunk.append(&mut self.records.pop_front().unwrap_or_default());
        }
        self.bytes -= chunk.len();
        chunk
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::FutureExt as _;

    use super::*;

    const ZERO: Duration = Duration::ZERO;

    fn take(outbox: &Outbox) -> Poll<Option<usize>> {
        let taken = outbox.take(|| ZERO).now_or_never();
        taken.map_or(Poll::Pending, |taken| Poll::Ready(taken.map(|chunk| chunk.len())))
    }

    #[test]
    fn it_is_full_at_its_bound_and_not_below() {
        let outbox = Outbox::default();
        outbox.push(vec![0; FULL - 1], ZERO);
        assert!(outbox.has_room() && outbox.room().now_or_never().is_some());
        outbox.push(vec![0], ZERO);
        assert!(!outbox.has_room() && outbox.room().now_or_never().is_none());
        assert_eq!(take(&outbox), Poll::Ready(Some(FULL - 1)));
        assert!(outbox.has_room());
    }

    #[test]
    fn records_are_taken_whole_and_together_as_long_as_they_are_small() {
        let outbox = Outbox::default();
        for length in [CHUNK - 1, 1, 1, CHUNK + 1] {
            outbox.push(vec![0; length], ZERO);
        }
        let taken: Vec<_> = std::iter::from_fn(|| match take(&outbox) {
            Poll::Ready(taken) => Some(taken),
            Poll::Pending => None,
        })
        .collect();
        assert_eq!(taken, [Some(CHUNK), Some(1), Some(CHUNK + 1)]);
        outbox.push(vec![0], ZERO);
        outbox.finish();
        outbox.push(vec![0; 7], ZERO);
        assert_eq!(
            (take(&outbox), take(&outbox)),
            (Poll::Ready(Some(1)), Poll::Ready(None)),
            "what came too late is not in"
        );
    }

    #[test]
    fn how_long_it_is_stuck_begins_anew_with_everything_taken() {
        let outbox = Outbox::default();
        let second = Duration::from_secs;
        assert_eq!(outbox.stuck(second(9)), None);
        outbox.push(vec![0; CHUNK], second(10));
        outbox.push(vec![0], second(11));
        assert_eq!(outbox.stuck(second(12)), Some(second(2)));
        assert!(outbox.take(|| second(13)).now_or_never().is_some());
        assert_eq!(outbox.stuck(second(14)), Some(second(1)));
        assert!(outbox.take(|| second(15)).now_or_never().is_some());
        assert_eq!(outbox.stuck(second(16)), None);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let outbox = Outbox::default();
        outbox.push(vec![0; FULL], ZERO);
        let ((), taken) = tokio::join!(outbox.room(), outbox.take(|| ZERO));
        assert_eq!(taken.map(|chunk| chunk.len()), Some(FULL));
        let (taken, ()) = tokio::join!(outbox.take(|| ZERO), async { outbox.push(vec![0], ZERO) });
        assert_eq!(taken, Some(vec![0]));
        let (end, ()) = tokio::join!(outbox.take(|| ZERO), async { outbox.finish() });
        assert_eq!(end, None);
    }
}
