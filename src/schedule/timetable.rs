//! Which time comes next.

use std::fmt;

use croner::Cron;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Zoned};

use super::rhythm::Rhythm;
use super::zone;
use crate::job::Timestamp;

/// From where on it is looked whether a time ever comes: any instant would do, because calendars repeat themselves.
const SOME_DAY: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A rhythm in a time zone.
///
/// When clocks are put forward or back, two rules hold, which are those of Vixie cron:
///
/// - Where second, minute and hour are written out, each time comes once on every day that it is meant for. One that is
///   skipped by the clocks comes at the instant at which they go on; one that they show twice comes the first time.
/// - Where one of them is a `*` (or `*/n`, or a list of everything), times follow each other as time passes: those that
///   the clocks skip do not come, and those that they show twice come twice.
///
/// `@every` knows neither days nor zones: it comes at the multiples of its duration since 1970-01-01T00:00:00Z. So it
/// comes at the same times whenever the process was started, and also when that happens more often than the duration.
///
/// # Examples
///
/// ```
/// use backroom::job::Timestamp;
/// use backroom::schedule::Timetable;
///
/// let timetable = Timetable::new("30 2 * * *", "Europe/Berlin")?;
/// // On the last Sunday of March there is no half past two: the clocks go from two to three.
/// let evening = Timestamp::parse("2026-03-28T20:00:00+01:00")?;
/// assert_eq!(timetable.after(evening), Some(Timestamp::parse("2026-03-29T03:00:00+02:00")?));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone)]
pub struct Timetable {
    cron: String,
    zone_name: String,
    rhythm: Rhythm,
    zone: TimeZone,
}

impl Timetable {
    /// Reads a rhythm: five fields (minute, hour, day of the month, month, day of the week), six with the second before
    /// them, `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`, or `@every` and a duration
    /// of 1 s to 366 days.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what would be right. Each text is checked by itself with [`Self::check_cron`] and
    /// [`Self::check_zone`].
    pub fn new(cron: &str, time_zone: &str) -> Result<Self, String> {
        let (zone, zone_name) = zone::find(time_zone)?;
        let timetable = Self { cron: cron.trim().to_owned(), zone_name, rhythm: Rhythm::parse(cron)?, zone };
        match timetable.after(SOME_DAY) {
            Some(_) => Ok(timetable),
            None => Err("never comes: there is no such day".to_owned()),
        }
    }

    /// Says what is wrong with a rhythm.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn check_cron(cron: &str) -> Result<(), String> {
        Self::new(cron, "UTC").map(drop)
    }

    /// Says what is wrong with the name of a time zone.
    ///
    /// # Errors
    ///
    /// When there is none of this name, with the nearest one.
    pub fn check_zone(time_zone: &str) -> Result<(), String> {
        zone::find(time_zone).map(drop)
    }

    /// The rhythm as it was written.
    pub fn cron(&self) -> &str {
        &self.cron
    }

    /// The name of the time zone.
    pub fn time_zone(&self) -> &str {
        &self.zone_name
    }

    /// The first time after an instant; nothing when none comes within a few thousand years.
    pub fn after(&self, instant: Timestamp) -> Option<Timestamp> {
        let found = match &self.rhythm {
            Rhythm::Every(millis) => {
                Timestamp::from_millis((instant.as_millis() / millis + 1).saturating_mul(*millis))
            }
            Rhythm::Often(cron) => {
                let next = cron.find_next_occurrence(&self.zoned(instant)?, false).ok()?;
                from_jiff(next.timestamp())?
            }
            Rhythm::Fixed(cron) => self.fixed_after(cron, instant)?,
        };
        // The end of all time is no time that comes.
        (found > instant && found < Timestamp::MAX).then_some(found)
    }

    /// The times after an instant, in their order.
    pub fn all_after(&self, instant: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.after(instant), |time| self.after(*time))
    }

    /// Whether times follow each other as time passes, and not by what the clocks show.
    pub fn is_often(&self) -> bool {
        !matches!(self.rhythm, Rhythm::Fixed(_))
    }

    /// Of what the clocks show, the next that the rhythm names; and of that the one instant which it stands for. As what
    /// they show goes on, so does the instant, or stands still.
    fn fixed_after(&self, cron: &Cron, instant: Timestamp) -> Option<Timestamp> {
        let shown = self.zoned(instant)?.datetime();
        let mut times = cron.iter_after(shown);
        times.find_map(|shown| {
            let time = self.instant_of(shown);
            time.is_none_or(|time| time > instant).then_some(time)
        })?
    }

    fn instant_of(&self, shown: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_zoned(shown);
        let is_skipped = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
        // Of a time that is shown twice the first; of one that is not shown at all one that lies after the gap.
        let zoned = ambiguous.compatible().ok()?;
        if !is_skipped {
            return from_jiff(zoned.timestamp());
        }
        let behind = zoned.timestamp().checked_add(SignedDuration::from_secs(1)).ok()?;
        from_jiff(self.zone.preceding(behind).next()?.timestamp())
    }

    /// What the clocks show, to the second.
    fn zoned(&self, instant: Timestamp) -> Option<Zoned> {
        let seconds = jiff::Timestamp::from_second(instant.as_millis().div_euclid(1_000)).ok()?;
        Some(seconds.to_zoned(self.zone.clone()))
    }
}

/// Without what is read again from it.
impl fmt::Debug for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.cron, self.zone_name)
    }
}

fn from_jiff(instant: jiff::Timestamp) -> Option<Timestamp> {
    let millis = instant.as_millisecond();
    (millis >= 0).then(|| Timestamp::from_millis(millis))
}
