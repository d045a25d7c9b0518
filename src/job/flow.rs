//! How many jobs of a queue may run at once, and how fast they may begin.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How many jobs of one queue may run at once.
pub const CONCURRENCY: RangeInclusive<usize> = 1..=10_000;

/// The most starts that a limit can speak of.
const MOST: u32 = 1_000_000;
/// What may begin together when a queue is fast: as much as is due in this time, and at least one job.
const TOGETHER: Duration = Duration::from_millis(100);

/// At most so many starts in a second, a minute or an hour, spread evenly over it.
///
/// Written `100/s`, `10/m` or `1000/h`: a whole number from 1 to 1,000,000, a slash, and `s`, `m` or `h`. `10/m` lets one
/// attempt begin every six seconds. Above ten a second those that are due within a tenth of a second may begin together;
/// beyond that nothing is saved up while a queue has nothing to do. So in any stretch of the time that it names there
/// begin at most so many, and of a fast one a tenth of a second's worth more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit {
    count: NonZeroU32,
    unit: Unit,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl RateLimit {
    /// What the text of one must be.
    pub const RULE: &'static str = "must be a whole number from 1 to 1000000 for each second, minute or hour, as in \"100/s\", \"10/m\" or \"1000/h\"";

    /// Reads `100/s`, `10/m` or `1000/h`.
    ///
    /// # Errors
    ///
    /// [`Self::RULE`], when it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(text.trim()).ok_or_else(|| Self::RULE.to_owned())
    }

    fn read(text: &str) -> Option<Self> {
        let (count, unit) = text.split_once('/')?;
        let unit = match unit {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            _ => return None,
        };
        // A sign would be read too.
        let count = count.bytes().all(|byte| byte.is_ascii_digit()).then(|| count.parse().ok())??;
        (count <= NonZeroU32::new(MOST)?).then_some(Self { count, unit })
    }

    /// The time from one start to the next; rounded up, so that there are never too many.
    pub fn interval(self) -> Duration {
        let unit = match self.unit {
            Unit::Second => Duration::from_secs(1),
            Unit::Minute => Duration::from_mins(1),
            Unit::Hour => Duration::from_hours(1),
        };
        let nanos = unit.as_nanos().div_ceil(u128::from(self.count.get()));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many may begin together.
    pub fn burst(self) -> NonZeroU32 {
        let due = TOGETHER.as_nanos() / self.interval().as_nanos();
        u32::try_from(due).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
        };
        write!(f, "{}/{unit}", self.count)
    }
}

impl serde::Serialize for RateLimit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_and_a_unit() {
        for (text, shown, interval, burst) in [
            ("1/s", "1/s", Duration::from_secs(1), 1),
            ("10/s", "10/s", Duration::from_millis(100), 1),
            ("19/s", "19/s", Duration::from_nanos(52_631_579), 1),
            ("20/s", "20/s", Duration::from_millis(50), 2),
            ("100/s", "100/s", Duration::from_millis(10), 10),
            ("10/m", "10/m", Duration::from_secs(6), 1),
            ("600/m", "600/m", Duration::from_millis(100), 1),
            (" 0007/h ", "7/h", Duration::from_nanos(514_285_714_286), 1),
            ("1000/h", "1000/h", Duration::from_millis(3_600), 1),
            ("1000000/s", "1000000/s", Duration::from_micros(1), 100_000),
        ] {
            let limit = RateLimit::parse(text).unwrap();
            assert_eq!(limit.to_string(), shown);
            assert_eq!((limit.interval(), limit.burst().get()), (interval, burst), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "5",
            "/s",
            "0/s",
            "00/m",
            "+5/s",
            "-5/s",
            "1.5/s",
            "5/",
            "5/d",
            "5/ms",
            "5 /s",
            "5/S",
            "5/s/s",
            "1000001/h",
            "99999999999/s",
            "5/sec",
        ] {
            assert_eq!(RateLimit::parse(text).unwrap_err(), RateLimit::RULE, "{text:?}");
        }
    }
}
