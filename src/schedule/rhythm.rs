//! What stands under `cron`: five or six fields, a nickname, or `@every`.

use std::time::Duration;

use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, CronComponent};

use crate::job::{format_duration, nearest, parse_duration};

/// What is longer is no cron expression but a mistake.
const LONGEST_TEXT: usize = 200;
/// The shortest and the longest `@every`.
const EVERY: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(366 * 24);

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The fields by their names, each with what it may hold.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0-59"),
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31, L for the last, or 15W for the working day nearest to the 15th"),
    ("month", "1-12 or JAN-DEC"),
    ("day of the week", "0-7 or SUN-SAT, FRI#2 for the second or FRI#L for the last Friday"),
];

/// How times follow each other.
#[derive(Clone, Debug)]
pub(super) enum Rhythm {
    /// Times of day that are written out. Each of them comes once a day, also when the clocks change.
    Fixed(Box<Cron>),
    /// Every so often: the hour, the minute or the second is a `*`. Such times follow each other as time passes.
    Often(Box<Cron>),
    /// The multiples of this many milliseconds since 1970.
    Every(i64),
}

impl Rhythm {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST_TEXT || !text.is_ascii() {
            return Err(format!(
                "must be five or six fields, as in \"30 3 * * *\", of at most {LONGEST_TEXT} characters"
            ));
        }
        let mut words = text.split_ascii_whitespace();
        match words.next().filter(|word| word.starts_with('@')).map(str::to_ascii_lowercase) {
            None => Self::expression(text),
            Some(every) if every == "@every" => Self::every(&words.collect::<String>()),
            Some(word) if words.next().is_none() => Self::nickname(&word),
            Some(word) => Err(format!("nothing may follow {word}: only @every takes something, a duration")),
        }
    }

    fn every(duration: &str) -> Result<Self, String> {
        let every = parse_duration(duration).map_err(|reason| format!("@every: {reason}"))?;
        match i64::try_from(every.as_millis()) {
            Ok(millis) if EVERY.contains(&every) => Ok(Self::Every(millis)),
            _ => {
                let (least, most) = (format_duration(*EVERY.start()), "366d");
                Err(format!("@every: must be from {least} to {most}"))
            }
        }
    }

    fn nickname(word: &str) -> Result<Self, String> {
        if let Some((_, expression)) = NICKNAMES.iter().find(|(name, _)| *name == word) {
            return Self::expression(expression);
        }
        let known = NICKNAMES.iter().map(|(name, _)| *name).chain(["@every"]);
        Err(match nearest(word, known.clone()) {
            Some(nearest) => format!("unknown word; did you mean \"{nearest}\"?"),
            None => format!("unknown word; there are: {}", known.collect::<Vec<_>>().join(", ")),
        })
    }

    fn expression(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let first = match fields.len() {
            6 => 0,
            5 => 1,
            found => {
                return Err(format!(
                    "must have five fields (minute, hour, day of the month, month, day of the week), or six with the \
                     second before them, but has {found}"
                ));
            }
        };
        let parsed = parser().parse(text).map_err(|error| reason(&fields, first, &error))?;
        let pattern = &parsed.pattern;
        let times = [(&pattern.seconds, 60), (&pattern.minutes, 60), (&pattern.hours, 24)];
        let written = FIELDS.iter().skip(first).zip(&fields).take(3 - first).map(|(_, field)| *field);
        let has_star = written.into_iter().any(|field| field.starts_with('*'));
        // `0-59` is no less every minute than `*` is.
        let is_all = |(field, all): &(&CronComponent, usize)| field.values().len() == *all;
        let is_often = has_star || times.iter().any(is_all);
        Ok(if is_often { Self::Often(Box::new(parsed)) } else { Self::Fixed(Box::new(parsed)) })
    }
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build()
}

/// Names each field that cannot be read by itself.
fn reason(fields: &[&str], first: usize, error: &croner::errors::CronError) -> String {
    let alone = |at: usize, field: &str| {
        let mut six = ["*"; 6];
        six[at] = field;
        parser().parse(&six.join(" ")).is_ok()
    };
    let wrong = fields.iter().enumerate().filter(|(n, field)| !alone(n + first, field));
    let named: Vec<String> = wrong
        .map(|(n, field)| {
            let (name, rule) = FIELDS[n + first];
            format!("the {name} must be {rule} (found \"{field}\")")
        })
        .collect();
    if named.is_empty() {
        return format!("is no cron expression: {error}");
    }
    format!("{}; or a list, a range or steps of these: 1,15 1-5 */10", named.join("; "))
}
