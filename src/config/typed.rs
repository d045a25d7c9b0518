//! What a value may be: text, numbers, durations, sizes, lists, words. Each says its rule in its fault.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;

use super::reader::Section;
use super::value::Value;
use crate::job::{format_duration, parse_duration};

impl Section<'_> {
    /// Text that `check` turns into what it stands for.
    pub(super) fn text<T>(
        &mut self,
        key: &'static str,
        fallback: T,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.typed(key, fallback, Value::string, "must be text", |text| check(&text))
    }

    /// A whole number in a range.
    pub(super) fn integer<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> T
    where
        T: TryFrom<i64> + PartialOrd + fmt::Display + Copy,
    {
        let rule = format!("must be a whole number from {} to {}", range.start(), range.end());
        self.typed(key, *range.start(), Value::integer, &rule, |number| {
            T::try_from(number).ok().filter(|n| range.contains(n)).ok_or_else(|| rule.clone())
        })
    }

    /// A number in a range.
    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<f64>) -> f64 {
        let rule = format!("must be a number from {} to {}", range.start(), range.end());
        self.typed(key, *range.start(), Value::float, &rule, |number| {
            if range.contains(&number) { Ok(number) } else { Err(rule.clone()) }
        })
    }

    /// A duration in a range.
    pub(super) fn duration(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Duration {
        // A bare number is read too, to be told what it lacks.
        self.typed(key, *range.start(), string_or_integer, "must be a duration with a unit", |text| {
            duration_in(&text, &range)
        })
    }

    /// A list of durations, each in a range.
    pub(super) fn durations(
        &mut self,
        key: &'static str,
        length: RangeInclusive<usize>,
        range: &RangeInclusive<Duration>,
    ) -> Vec<Duration> {
        self.list(key, length, |item| duration_in(item, range))
    }

    /// A list of texts that `check` turns into what they stand for.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        length: RangeInclusive<usize>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        self.typed(
            key,
            Vec::new(),
            Value::strings,
            "must be a list of texts, as in [\"a\", \"b\"]",
            |items| {
                if !length.contains(&items.len()) {
                    return Err(format!("must have {} to {} items", length.start(), length.end()));
                }
                let mut values = Vec::with_capacity(items.len());
                let mut faults = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    match check(item) {
                        Ok(value) => values.push(value),
                        Err(reason) => faults.push(format!("item {}: {reason}", index + 1)),
                    }
                }
                if faults.is_empty() { Ok(values) } else { Err(faults.join("; ")) }
            },
        )
    }

    /// A size in bytes in a range.
    pub(super) fn size(&mut self, key: &'static str, range: RangeInclusive<u64>) -> u64 {
        let shown =
            |bytes: u64| ByteSize::b(bytes).display().iec().to_string().replace(".0 ", "").replace(' ', "");
        let rule = format!("must be a size from {} to {}", shown(*range.start()), shown(*range.end()));
        self.typed(key, *range.start(), string_or_integer, &rule, |text| {
            let size: Result<ByteSize, _> = text.trim().parse();
            size.ok().map(|size| size.as_u64()).filter(|n| range.contains(n)).ok_or_else(|| rule.clone())
        })
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        self.typed(key, false, Value::boolean, "must be true or false", Ok)
    }

    /// One of a few words; the first one is the fallback.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> T {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let rule = format!("must be {}", words.join(" or "));
        self.typed(key, choices[0].1, Value::string, &rule, |text| {
            choices
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, value)| *value)
                .ok_or_else(|| rule.clone())
        })
    }

    /// A path; `""` is none.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.text(key, None, |text| Ok((!text.is_empty()).then(|| PathBuf::from(text))))
    }
}

fn string_or_integer(value: &Value) -> Option<String> {
    value.string().or_else(|| value.integer().map(|number| number.to_string()))
}

fn duration_in(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if range.contains(&duration) {
        Ok(duration)
    } else {
        let (least, most) = (format_duration(*range.start()), format_duration(*range.end()));
        Err(format!("must be from {least} to {most}"))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{faults, with_file};

    #[test]
    fn a_fault_says_what_was_found_and_what_would_be_right() {
        assert_eq!(faults(&["server.http_workers=many", "limits.batch=0", "log.level=loud"]).len(), 3);
        assert_eq!(
            faults(&["limits.batch=0"]),
            ["--set: limits.batch: must be a whole number from 1 to 10000 (found \"0\")"]
        );
        assert_eq!(
            faults(&["defaults.timeout=30"]),
            ["--set: defaults.timeout: a duration needs a unit: write \"30s\" or \"30ms\" (found \"30\")"]
        );
    }

    #[test]
    fn a_text_is_not_a_number_nor_the_other_way_round() {
        for wrong in [
            "limits.batch = '5'",
            "limits.batch = 5.0",
            "mail.app_name = 5",
            "log.level = true",
            "retry.x.factor = '2'",
        ] {
            assert_eq!(with_file(wrong, &[]).unwrap_err().len(), 1, "{wrong}");
        }
        for right in
            ["limits.batch = 5", "retry.x.factor = 2", "retry.x.factor = 2.5", "limits.payload = 2048"]
        {
            assert!(with_file(right, &[]).is_ok(), "{right}");
        }
    }
}
