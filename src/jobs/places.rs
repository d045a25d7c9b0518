//! How many jobs of a queue run at once: a bound that is held, and can be moved while it is.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::sync::atomic::{AtomicU64, Ordering};

/// The places of a queue. Each attempt holds one.
///
/// When there are to be fewer, nobody loses a place that he has: as many are not given out again.
pub(crate) struct Places {
    /// How many there are, above those that are taken: both in one, so that nobody ever sees one without the other.
    state: AtomicU64,
    freed: Notify,
}

/// A place among the running ones. Dropping it gives it back.
#[must_use = "dropping a place gives it back"]
pub(crate) struct Place(Arc<Places>);

/// Where in the state the number of places stands; below it are those that are taken.
const LIMIT: u32 = 32;
const TAKEN: u64 = (1 << LIMIT) - 1;

impl Places {
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: AtomicU64::new((limit as u64) << LIMIT), freed: Notify::new() }
    }

    /// A place, if one is free.
    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Place> {
        let take = |state: u64| (state & TAKEN < state >> LIMIT).then_some(state + 1);
        self.state.fetch_update(Ordering::Acquire, Ordering::Acquire, take).ok()?;
        Some(Place(Arc::clone(self)))
    }

    /// Waits for a place; says whether there was none at first.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(crate) async fn take(self: &Arc<Self>) -> (Place, bool) {
        if let Some(place) = self.try_take() {
            return (place, false);
        }
        loop {
            let freed = self.freed.notified();
            let mut freed = std::pin::pin!(freed);
            freed.as_mut().enable();
            if let Some(place) = self.try_take() {
                return (place, true);
            }
            freed.await;
        }
    }

    /// Whether more are taken than there are.
    pub(crate) fn are_exceeded(&self) -> bool {
        let state = self.state.load(Ordering::Acquire);
        state & TAKEN > state >> LIMIT
    }

    /// How many there are.
    pub(crate) fn limit(&self) -> usize {
        (self.state.load(Ordering::Acquire) >> LIMIT) as usize
    }

    /// Makes it so many, from now on.
    pub(crate) fn set_limit(&self, limit: usize) {
        let limit = limit as u64;
        let set = |state: u64| Some(limit << LIMIT | state & TAKEN);
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, set);
        // Who comes too late to be woken sees the new number.
        self.freed.notify_waiters();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state.fetch_sub(1, Ordering::Release);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn fewer_places_take_none_away_and_more_are_given_out_at_once() {
        let places = Arc::new(Places::new(2));
        let (one, two) = (places.try_take().unwrap(), places.try_take().unwrap());
        assert!(places.try_take().is_none());
        places.set_limit(1);
        drop(one);
        assert!(places.try_take().is_none(), "two were taken, and there is one now");
        assert!(places.take().now_or_never().is_none());
        drop(two);
        let one = places.try_take().unwrap();
        assert!(places.try_take().is_none());
        let mut waiting = std::pin::pin!(places.take());
        assert!((&mut waiting).now_or_never().is_none());
        places.set_limit(3);
        let (two, waited) = waiting.await;
        assert!(waited);
        let three = places.try_take().unwrap();
        assert!(places.try_take().is_none());
        drop((one, two, three));
        assert_eq!((places.limit(), places.state.load(Ordering::Relaxed) & TAKEN), (3, 0));
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_takes_nothing() {
        let places = Arc::new(Places::new(1));
        let one = places.try_take().unwrap();
        for _ in 0..3 {
            assert!(places.take().now_or_never().is_none());
        }
        drop(one);
        let (_one, _) = places.take().now_or_never().unwrap();
        assert!(places.try_take().is_none());
    }
}
