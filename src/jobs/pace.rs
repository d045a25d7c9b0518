//! How often the progress of an attempt is told. What it says is always noted in its job; that somebody hears of each
//! report would make a handler that reports often expensive for everybody who watches.

use std::time::Duration;

use crate::sync::{Mutex, PoisonError};

/// At most one in this time: 10 a second (contract, section 8).
const APART: Duration = Duration::from_millis(100);

/// When progress was told last, and whether it will be told again.
#[derive(Default)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Default)]
struct State {
    last: Option<Duration>,
    /// Somebody waits to tell what was noted since.
    awaited: bool,
}

/// When a report is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Telling {
    /// At once.
    Now,
    /// By whoever asked, after this time; says so with [`Pace::waited`].
    After(Duration),
    /// With one before it, by whoever waits already.
    Along,
}

impl Pace {
    /// Asks when a report is told; `elapsed` is the time of the clock.
    pub(crate) fn ask(&self, elapsed: Duration) -> Telling {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.awaited {
            return Telling::Along;
        }
        let pause = state.last.map_or(Duration::ZERO, |last| (last + APART).saturating_sub(elapsed));
        if pause.is_zero() {
            state.last = Some(elapsed);
            return Telling::Now;
        }
        state.awaited = true;
        Telling::After(pause)
    }

    /// The time is over, and what was noted is told now.
    pub(crate) fn waited(&self, elapsed: Duration) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { last: Some(elapsed), awaited: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_tenth_of_a_second_and_never_none_at_the_end() {
        let (pace, at) = (Pace::default(), Duration::from_millis);
        assert_eq!(pace.ask(at(5)), Telling::Now);
        assert_eq!(pace.ask(at(5)), Telling::After(at(100)));
        assert_eq!(pace.ask(at(60)), Telling::Along);
        assert_eq!(pace.ask(at(105)), Telling::Along, "who waits has not told it yet");
        pace.waited(at(106));
        assert_eq!(pace.ask(at(205)), Telling::After(at(1)));
        pace.waited(at(206));
        assert_eq!(pace.ask(at(306)), Telling::Now);
        assert_eq!(pace.ask(at(407)), Telling::Now);
    }
}
