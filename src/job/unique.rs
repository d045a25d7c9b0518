//! What makes two jobs the same work, and how long it keeps the second from being made.

use std::time::Duration;

use super::{Job, StateName, Timestamp, UniqueKey};

/// By what a job is known as the same work as another one of its kind.
///
/// While a job with this key has not come to its end, or was completed or skipped less than `window` ago, no second one
/// of its kind is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unique {
    /// The name of the work among the jobs of its kind.
    pub key: UniqueKey,
    /// How long after its end it still keeps others away: nothing to 30 days.
    pub window: Duration,
}

impl Unique {
    /// The window that holds where none is given: 30 minutes.
    pub const WINDOW: Duration = Duration::from_mins(30);
    /// The longest window: 30 days.
    pub const LONGEST_WINDOW: Duration = Duration::from_hours(30 * 24);

    /// This key, with the window that holds where none is given.
    pub const fn new(key: UniqueKey) -> Self {
        Self { key, window: Self::WINDOW }
    }
}

/// How a job stands to its unique key. It follows from the job alone, so that no lock can be left behind by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// It has none, or was canceled or given up: whoever comes next may take it.
    Free,
    /// It has come to its end, and keeps the key until this time.
    Until(Timestamp),
    /// It has not come to its end and keeps the key.
    Kept,
}

impl Hold {
    /// Whether the key is taken at this time.
    pub fn at(self, now: Timestamp) -> bool {
        match self {
            Self::Free => false,
            Self::Until(until) => now < until,
            Self::Kept => true,
        }
    }
}

impl Job {
    /// How it stands to its unique key.
    pub fn hold(&self) -> Hold {
        let Some(unique) = &self.spec.unique else {
            return Hold::Free;
        };
        match (self.state.name(), self.state.finished_at()) {
            (StateName::DeadLettered | StateName::Canceled, _) => Hold::Free,
            (_, Some(at)) => Hold::Until(at.after(unique.window)),
            (_, None) => Hold::Kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_until_its_time_and_no_longer() {
        let at = Timestamp::from_millis;
        assert!(Hold::Kept.at(at(0)));
        assert!(!Hold::Free.at(at(0)));
        assert!(Hold::Until(at(5)).at(at(4)));
        assert!(!Hold::Until(at(5)).at(at(5)), "less than the window ago, not as long ago");
        assert!(!Hold::Until(at(5)).at(at(6)));
    }

    #[test]
    fn keys_have_limits() {
        for good in ["x", "welcome:42", "ä b", &"k".repeat(254), &"ü".repeat(255)] {
            assert!(UniqueKey::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", "a\nb", "\u{7f}", &"k".repeat(256)] {
            assert!(UniqueKey::new(bad).is_err(), "{bad:?}");
        }
    }
}
