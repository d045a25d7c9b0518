//! What can be changed of a queue while it runs, and what is wrong with such a change.

use std::sync::Arc;
use std::time::Duration;

use crate::job::{CONCURRENCY, Fault, RateLimit, Timestamp};

/// How far ahead the end of a pause can lie.
const LONGEST_PAUSE: Duration = Duration::from_hours(366 * 24);
/// How many characters the reason of a pause can have.
const REASON: usize = 200;

/// A change of one thing, in the sense of a merge patch (RFC 7396): left out, `null`, or a value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Patch<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// Back to what it is without anybody's change: what the configuration says, or nothing.
    Reset,
    /// To this.
    To(T),
}

/// A change of a queue: everything that is not mentioned stays.
///
/// # Examples
///
/// ```
/// use backroom::jobs::{Patch, QueuePatch};
///
/// let slower = QueuePatch { concurrency: Patch::To(1), ..QueuePatch::default() };
/// let as_configured = QueuePatch { concurrency: Patch::Reset, ..QueuePatch::default() };
/// assert_ne!(slower, as_configured);
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QueuePatch {
    /// Whether nothing of it is begun. A reset is the end of a pause.
    pub paused: Patch<bool>,
    /// Why it is paused: 1 to 200 characters, without control characters. Only of a queue that is paused.
    pub pause_reason: Patch<Arc<str>>,
    /// When the pause ends by itself: ahead, by at most 366 days. Only of a queue that is paused.
    pub pause_until: Patch<Timestamp>,
    /// How many jobs run at once: 1 to 10,000.
    pub concurrency: Patch<usize>,
    /// How fast jobs may begin; `None` is as fast as they can.
    pub rate_limit: Patch<Option<RateLimit>>,
}

/// A pause of a queue: what waits in it is not begun.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pause {
    /// Why.
    pub reason: Option<Arc<str>>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

impl Pause {
    /// Whether it is not over by itself.
    pub(super) fn holds_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

impl<T: Clone> Patch<T> {
    /// What becomes of a value that would be `without` without anybody's change.
    pub(super) fn apply(&self, now: T, without: T) -> T {
        match self {
            Self::Keep => now,
            Self::Reset => without,
            Self::To(value) => value.clone(),
        }
    }
}

impl QueuePatch {
    /// What becomes of the pause that there is.
    pub(super) fn pause(&self, before: Option<&Pause>) -> Option<Pause> {
        if !self.paused.apply(before.is_some(), false) {
            return None;
        }
        let Pause { reason, until } = before.cloned().unwrap_or_default();
        Some(Pause {
            reason: match &self.pause_reason {
                Patch::Keep => reason,
                Patch::Reset => None,
                Patch::To(reason) => Some(Arc::clone(reason)),
            },
            until: match &self.pause_until {
                Patch::Keep => until,
                Patch::Reset => None,
                Patch::To(until) => Some(*until),
            },
        })
    }

    /// Everything that is wrong with it for a queue with this pause.
    pub(super) fn faults(&self, before: Option<&Pause>, now: Timestamp) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, detail: String| faults.push(Fault::new(pointer, detail));
        let will_be_paused = self.paused.apply(before.is_some(), false);
        let only_paused =
            "is of a queue that is paused, and this one would not be; send \"paused\": true with it";
        if let Patch::To(reason) = &self.pause_reason {
            let fits =
                (1..=REASON).contains(&reason.chars().count()) && !reason.chars().any(char::is_control);
            if !fits {
                fault("/pause_reason", reason_rule());
            } else if !will_be_paused {
                fault("/pause_reason", only_paused.to_owned());
            }
        }
        if let Patch::To(until) = self.pause_until {
            if until <= now {
                fault("/pause_until", "must lie ahead".to_owned());
            } else if until > now.after(LONGEST_PAUSE) {
                fault("/pause_until", "must be at most 366 days ahead".to_owned());
            } else if !will_be_paused {
                fault("/pause_until", only_paused.to_owned());
            }
        }
        if let Patch::To(concurrency) = self.concurrency
            && !CONCURRENCY.contains(&concurrency)
        {
            fault("/concurrency", concurrency_rule());
        }
        faults
    }
}

/// What a concurrency must be.
pub(crate) fn concurrency_rule() -> String {
    format!("must be a whole number from {} to {}", CONCURRENCY.start(), CONCURRENCY.end())
}

/// What the reason of a pause must be.
pub(crate) fn reason_rule() -> String {
    format!("must be 1 to {REASON} characters, without control characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn pointers(patch: &QueuePatch, before: Option<&Pause>) -> Vec<String> {
        patch.faults(before, NOW).into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn every_bound_is_held_at_its_ends() {
        let paused = Pause::default();
        let reason =
            |text: String| QueuePatch { pause_reason: Patch::To(text.into()), ..QueuePatch::default() };
        let until = |at| QueuePatch { pause_until: Patch::To(at), ..QueuePatch::default() };
        let concurrency = |n| QueuePatch { concurrency: Patch::To(n), ..QueuePatch::default() };
        let year = NOW.after(LONGEST_PAUSE);
        for good in [
            reason("x".to_owned()),
            reason("ü".repeat(200)),
            until(NOW.after(Duration::from_millis(1))),
            until(year),
            concurrency(1),
            concurrency(10_000),
        ] {
            assert_eq!(good.faults(Some(&paused), NOW), [], "{good:?}");
        }
        for (bad, pointer) in [
            (reason(String::new()), "/pause_reason"),
            (reason("ü".repeat(201)), "/pause_reason"),
            (reason("a\nb".to_owned()), "/pause_reason"),
            (until(NOW), "/pause_until"),
            (until(year.after(Duration::from_millis(1))), "/pause_until"),
            (concurrency(0), "/concurrency"),
            (concurrency(10_001), "/concurrency"),
        ] {
            assert_eq!(pointers(&bad, Some(&paused)), [pointer], "{bad:?}");
        }
    }

    #[test]
    fn reason_and_end_are_of_a_pause_only() {
        let later = NOW.after(Duration::from_secs(1));
        let patch = |paused| QueuePatch {
            paused,
            pause_reason: Patch::To("x".into()),
            pause_until: Patch::To(later),
            ..QueuePatch::default()
        };
        let (both, paused) = (["/pause_reason", "/pause_until"], Pause::default());
        assert_eq!(pointers(&patch(Patch::Keep), None), both);
        for end in [Patch::To(false), Patch::Reset] {
            assert_eq!(pointers(&patch(end), Some(&paused)), both);
        }
        assert_eq!(pointers(&patch(Patch::Keep), Some(&paused)), [""; 0]);
        let begun = patch(Patch::To(true)).pause(None);
        assert_eq!(begun, Some(Pause { reason: Some("x".into()), until: Some(later) }));
        // A further word keeps the rest, and a new pause begins without what an old one had.
        let open = QueuePatch { pause_until: Patch::Reset, ..QueuePatch::default() };
        let again = QueuePatch { paused: Patch::To(true), ..QueuePatch::default() };
        let reason = Some(Pause { reason: Some("x".into()), until: None });
        assert_eq!(open.pause(begun.as_ref()), reason);
        assert_eq!(again.pause(reason.as_ref()), reason);
        assert_eq!(again.pause(None), Some(Pause::default()));
        assert_eq!(open.pause(None), None, "nothing to clear is no fault");
    }
}
