//! When the next attempt is due.

use std::time::Duration;

/// The longest delay that the far side can ask for by `Retry-After`.
const LONGEST_ASKED_DELAY: Duration = Duration::from_hours(1);

/// How often a job is tried and how long it rests between attempts.
#[derive(Clone, PartialEq, Debug)]
pub struct RetryPolicy {
    /// Attempts in all, the first run included: 1 to 100.
    pub max_attempts: u32,
    /// The rest between them.
    pub backoff: Backoff,
}

/// The rest after attempt *n*, before attempt *n + 1*.
#[derive(Clone, PartialEq, Debug)]
pub enum Backoff {
    /// `min(max, initial · factor^(n−1))`, then the jitter.
    Exponential {
        /// The rest after the first attempt.
        initial: Duration,
        /// What each further rest is multiplied by: 1 or more.
        factor: f64,
        /// The longest rest.
        max: Duration,
        /// Whether the rest is shortened by chance.
        jitter: Jitter,
    },
    /// The *n*-th of these, or the last one when there are fewer, each ±20 %.
    Delays(Vec<Duration>),
}

/// How chance shortens a delay, so that what failed together does not return together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Jitter {
    /// Anything between nothing and the computed delay.
    Full,
    /// The computed delay itself.
    None,
}

impl RetryPolicy {
    /// The rest after attempt `attempt` (counted from 1).
    ///
    /// `chance` is in `0.0..1.0`. What the far side `asked` for wins over what is computed here, up to one hour.
    pub fn delay(&self, attempt: u32, chance: f64, asked: Option<Duration>) -> Duration {
        if let Some(asked) = asked {
            return asked.min(LONGEST_ASKED_DELAY);
        }
        let n = attempt.max(1) - 1;
        match &self.backoff {
            Backoff::Exponential { initial, factor, max, jitter } => {
                let grown = initial.as_secs_f64() * factor.powi(i32::try_from(n).unwrap_or(i32::MAX));
                let seconds = grown.min(max.as_secs_f64());
                let seconds = match jitter {
                    Jitter::Full => seconds * chance,
                    Jitter::None => seconds,
                };
                // A factor that is no number, or below zero, gives nothing that can be waited for.
                Duration::try_from_secs_f64(seconds).unwrap_or(*max)
            }
            Backoff::Delays(delays) => {
                let base = delays.get(n as usize).or(delays.last()).copied().unwrap_or_default();
                Duration::try_from_secs_f64(base.as_secs_f64() * (0.8 + 0.4 * chance)).unwrap_or(base)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interactive(jitter: Jitter) -> RetryPolicy {
        RetryPolicy {
            max_attempts: 6,
            backoff: Backoff::Exponential {
                initial: Duration::from_secs(1),
                factor: 4.0,
                max: Duration::from_mins(5),
                jitter,
            },
        }
    }

    #[test]
    fn exponential_grows_to_its_maximum() {
        let policy = interactive(Jitter::None);
        let delays: Vec<u64> = (1..=7).map(|n| policy.delay(n, 0.0, None).as_secs()).collect();
        assert_eq!(delays, [1, 4, 16, 64, 256, 300, 300]);
        assert_eq!(policy.delay(u32::MAX, 0.5, None), Duration::from_mins(5));
    }

    #[test]
    fn delays_are_a_list_with_a_fifth_of_play() {
        let policy = RetryPolicy {
            max_attempts: 10,
            backoff: Backoff::Delays(vec![Duration::from_secs(5), Duration::from_mins(5)]),
        };
        assert_eq!(policy.delay(1, 0.5, None), Duration::from_secs(5));
        assert_eq!(policy.delay(2, 0.0, None), Duration::from_mins(4));
        assert_eq!(policy.delay(9, 1.0, None), Duration::from_mins(6));
    }

    #[test]
    fn the_far_side_is_obeyed_for_an_hour() {
        let policy = interactive(Jitter::Full);
        for (asked, got) in [(0, 0), (120, 120), (3_600, 3_600), (3_601, 3_600)] {
            assert_eq!(policy.delay(1, 0.3, Some(Duration::from_secs(asked))), Duration::from_secs(got));
        }
    }

    #[test]
    fn no_policy_can_panic() {
        for (initial, factor, max) in [
            (Duration::MAX, f64::MAX, Duration::MAX),
            (Duration::from_secs(1), f64::NAN, Duration::from_secs(9)),
            (Duration::from_secs(1), -3.0, Duration::from_secs(9)),
        ] {
            let backoff = Backoff::Exponential { initial, factor, max, jitter: Jitter::None };
            let policy = RetryPolicy { max_attempts: 3, backoff };
            (1..5).for_each(|n| assert!(policy.delay(n, 0.5, None) <= max));
        }
        let policy = RetryPolicy { max_attempts: 3, backoff: Backoff::Delays(vec![Duration::MAX]) };
        assert_eq!(policy.delay(1, 0.9, None), Duration::MAX);
    }

    proptest! {
        #[test]
        fn full_jitter_stays_below_the_computed_delay(attempt in 1_u32..40, chance in 0.0..1.0_f64) {
            let most = interactive(Jitter::None).delay(attempt, 0.0, None);
            prop_assert!(interactive(Jitter::Full).delay(attempt, chance, None) <= most);
        }
    }
}
