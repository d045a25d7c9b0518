//! How often the jobs of a queue may begin.

use std::time::Duration;

use governor::clock::Clock as Ticking;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::job::RateLimit;

/// A rate limit, and what was used up of it.
pub(super) struct Throttle {
    limit: RateLimit,
    clock: Clock,
    limiter: RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Duration>>,
    /// When something last began.
    last: Option<Duration>,
}

/// The time of our clock, which tests can hold, on the scale that nobody can set.
struct Ticks(Clock);

impl Ticking for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Throttle {
    pub(super) fn new(limit: RateLimit, clock: &Clock) -> Self {
        let even = Quota::with_period(limit.interval());
        // No limit has an interval of nothing.
        let quota = even.unwrap_or(Quota::per_hour(limit.burst())).allow_burst(limit.burst());
        let limiter = RateLimiter::direct_with_clock(quota, Ticks(clock.clone()));
        Self { limit, clock: clock.clone(), limiter, last: None }
    }

    /// Another limit in the place of this one. What has begun just now counts for it too: a limit that is changed often
    /// must not let a job pass by each time.
    pub(super) fn replaced_by(&self, limit: RateLimit) -> Self {
        let mut next = Self::new(limit, &self.clock);
        next.last = self.last;
        if self.last.is_some_and(|last| self.clock.elapsed().saturating_sub(last) < limit.interval()) {
            // A burst always fits into itself.
            let _ = next.limiter.check_n(limit.burst());
        }
        next
    }

    pub(super) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Lets one begin.
    ///
    /// # Errors
    ///
    /// The moment before which none may, on the scale of `Clock::elapsed`.
    pub(super) fn ask(&mut self) -> Result<(), Duration> {
        match self.limiter.check() {
            Ok(()) => {
                self.last = Some(self.clock.elapsed());
                Ok(())
            }
            Err(not_until) => Err(not_until.earliest_possible()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Timestamp;

    /// When, in milliseconds from the beginning, each of so many may begin that ask as early as they may.
    async fn starts(throttle: &mut Throttle, number: usize) -> Vec<u128> {
        let mut starts = Vec::new();
        while starts.len() < number {
            match throttle.ask() {
                Ok(()) => starts.push(throttle.clock.elapsed().as_millis()),
                Err(at) => tokio::time::advance(at.saturating_sub(throttle.clock.elapsed())).await,
            }
        }
        starts
    }

    fn throttle(limit: &str) -> Throttle {
        let clock = Clock::following_tokio(Timestamp::from_millis(0));
        Throttle::new(RateLimit::parse(limit).unwrap(), &clock)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_limit_spreads_evenly_and_saves_nothing_up() {
        let mut slow = throttle("10/m");
        assert_eq!(starts(&mut slow, 3).await, [0, 6_000, 12_000]);
        tokio::time::advance(Duration::from_mins(10)).await;
        assert_eq!(starts(&mut slow, 3).await, [612_000, 618_000, 624_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_limit_lets_a_tenth_of_a_second_begin_together() {
        let mut fast = throttle("30/s");
        assert_eq!(fast.limit().burst().get(), 2);
        assert_eq!(starts(&mut fast, 6).await, [0, 0, 33, 66, 100, 133]);
        let mut faster = throttle("100/s");
        let begun = starts(&mut faster, 1_011).await;
        let within = |from: u128| begun.iter().filter(|at| (from..from + 1_000).contains(*at)).count();
        assert!((begun[0]..=begun[0] + 9_000).all(|from| within(from) <= 110));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_limit_counts_what_began_before() {
        let mut before = throttle("1/m");
        assert_eq!(starts(&mut before, 1).await, [0]);
        let mut after = before.replaced_by(RateLimit::parse("2/m").unwrap());
        assert_eq!(after.ask(), Err(Duration::from_secs(30)));
        tokio::time::advance(Duration::from_secs(40)).await;
        let mut again = before.replaced_by(RateLimit::parse("2/m").unwrap());
        assert_eq!(again.ask(), Ok(()), "that was long ago");
    }
}
