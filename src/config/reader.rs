//! Reads typed values from the merged tree and goes on after a fault, so that all of them are reported at once.
//!
//! Each method notes that its key exists; what nobody asked for is unknown. After a fault a method returns its fallback,
//! which is never seen outside: a configuration with a fault is not handed out.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;

use super::fault::{ConfigFault, Origin, instead_of};
use super::load::EffectiveValue;
use super::tree::{Leaf, Node, Table, Value, dotted};
use crate::job::{format_duration, parse_duration};

/// What has been found so far.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) faults: Vec<ConfigFault>,
    pub(super) effective: Vec<EffectiveValue>,
}

/// Reads the whole tree, section by section.
pub(super) struct Reader<'a> {
    tree: &'a Table,
    asked: Vec<&'static str>,
    pub(super) found: Findings,
}

/// Reads one section.
pub(super) struct Section<'a> {
    path: Vec<String>,
    table: &'a Table,
    asked: Vec<&'static str>,
    found: &'a mut Findings,
}

impl<'a> Reader<'a> {
    pub(super) fn new(tree: &'a Table, faults: Vec<ConfigFault>) -> Self {
        Self {
            tree,
            asked: Vec::new(),
            found: Findings {
                faults,
                effective: Vec::new(),
            },
        }
    }

    /// Reads a section with fixed keys.
    pub(super) fn section<T>(&mut self, name: &'static str, body: impl FnOnce(&mut Section<'_>) -> T) -> T {
        self.asked.push(name);
        let empty = Table::new(Origin::Default);
        let table = self.tree.table(name).unwrap_or(&empty);
        Section::read(vec![name.to_owned()], table, &mut self.found, body)
    }

    /// Reads a section whose members are sections of one form, with names that users choose.
    pub(super) fn each(&mut self, name: &'static str, mut body: impl FnMut(&str, &mut Section<'_>)) {
        self.asked.push(name);
        let Some(table) = self.tree.table(name) else {
            return;
        };
        for (member, node) in &table.entries {
            let path = vec![name.to_owned(), member.clone()];
            match node {
                Node::Table(table) => Section::read(path, table, &mut self.found, |s| body(member, s)),
                Node::Leaf(leaf) => self.found.faults.push(ConfigFault {
                    origin: leaf.origin.clone(),
                    reason: format!("is a section, not a value: write [{}]", dotted(&path)),
                    key: dotted(&path),
                }),
            }
        }
    }

    /// Notes the sections that nobody asked for.
    pub(super) fn finish(mut self) -> Findings {
        unknown(self.tree, &[], &self.asked, &mut self.found.faults);
        self.found
    }
}

impl Findings {
    /// Where the value of a key came from.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.effective
            .iter()
            .find(|v| v.key == key)
            .map_or(Origin::Default, |v| v.origin.clone())
    }

    /// Notes a fault of a key that could be read, but does not fit the others.
    pub(super) fn fault(&mut self, key: &str, reason: impl Into<String>) {
        let origin = self.origin(key);
        self.faults.push(ConfigFault {
            origin,
            key: key.to_owned(),
            reason: reason.into(),
        });
    }
}

impl<'a> Section<'a> {
    fn read<T>(
        path: Vec<String>,
        table: &'a Table,
        found: &'a mut Findings,
        body: impl FnOnce(&mut Section<'a>) -> T,
    ) -> T {
        let mut section = Section {
            path,
            table,
            asked: Vec::new(),
            found,
        };
        let value = body(&mut section);
        unknown(table, &section.path, &section.asked, &mut section.found.faults);
        value
    }

    /// Its name, with the sections around it.
    pub(super) fn name(&self) -> String {
        dotted(&self.path)
    }

    /// Whether the section has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.entries.contains_key(key)
    }

    /// Whether nobody but the shipped defaults mentions this section.
    pub(super) fn is_shipped(&self) -> bool {
        self.table.origin == Origin::Default
    }

    /// Notes a fault of the section as a whole.
    pub(super) fn fault_here(&mut self, reason: impl Into<String>) {
        let origin = self.table.origin.clone();
        self.found.faults.push(ConfigFault {
            origin,
            key: dotted(&self.path),
            reason: reason.into(),
        });
    }

    /// Notes a fault of one of its keys.
    pub(super) fn fault(&mut self, key: &str, reason: impl Into<String>) {
        self.fault_of(key, key, reason);
    }

    /// Notes a fault of the key `key` that the value of `because` brought about.
    pub(super) fn fault_of(&mut self, key: &str, because: &str, reason: impl Into<String>) {
        let origin = self.origin(because);
        self.found.faults.push(ConfigFault {
            origin,
            key: self.key(key),
            reason: reason.into(),
        });
    }

    /// A key that need not be there.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> T,
    ) -> Option<T> {
        self.asked.push(key);
        self.has(key).then(|| read(self, key))
    }

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
            T::try_from(number)
                .ok()
                .filter(|n| range.contains(n))
                .ok_or_else(|| rule.clone())
        })
    }

    /// A number in a range.
    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<f64>) -> f64 {
        let rule = format!("must be a number from {} to {}", range.start(), range.end());
        self.typed(key, *range.start(), Value::float, &rule, |number| {
            if range.contains(&number) {
                Ok(number)
            } else {
                Err(rule.clone())
            }
        })
    }

    /// A duration in a range.
    pub(super) fn duration(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Duration {
        // A bare number is read too, to be told what it lacks.
        self.typed(
            key,
            *range.start(),
            string_or_integer,
            "must be a duration with a unit",
            |text| duration_in(&text, &range),
        )
    }

    /// A list of durations, each in a range.
    pub(super) fn durations(&mut self, key: &'static str, range: &RangeInclusive<Duration>) -> Vec<Duration> {
        self.list(key, |item| duration_in(item, range))
    }

    /// A list of texts that `check` turns into what they stand for.
    pub(super) fn list<T>(&mut self, key: &'static str, check: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        self.typed(
            key,
            Vec::new(),
            Value::strings,
            "must be a list of texts",
            |items| {
                let mut values = Vec::with_capacity(items.len());
                let mut faults = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    match check(item) {
                        Ok(value) => values.push(value),
                        Err(reason) => faults.push(format!("item {}: {reason}", index + 1)),
                    }
                }
                if faults.is_empty() {
                    Ok(values)
                } else {
                    Err(faults.join("; "))
                }
            },
        )
    }

    /// A size in bytes in a range.
    pub(super) fn size(&mut self, key: &'static str, range: RangeInclusive<u64>) -> u64 {
        let shown = |bytes: u64| {
            ByteSize::b(bytes)
                .display()
                .iec()
                .to_string()
                .replace(".0 ", "")
                .replace(' ', "")
        };
        let rule = format!(
            "must be a size from {} to {}",
            shown(*range.start()),
            shown(*range.end())
        );
        self.typed(key, *range.start(), string_or_integer, &rule, |text| {
            let size: Result<ByteSize, _> = text.trim().parse();
            size.ok()
                .map(|size| size.as_u64())
                .filter(|n| range.contains(n))
                .ok_or_else(|| rule.clone())
        })
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
        self.text(key, None, |text| {
            Ok((!text.is_empty()).then(|| PathBuf::from(text)))
        })
    }

    /// The value of a key without its effect: neither shown nor checked. For what is secret.
    pub(super) fn hidden(&mut self, key: &'static str) -> Option<String> {
        let leaf = self.leaf(key)?;
        let text = leaf.value.string();
        if text.is_none() {
            self.fault(key, "must be text");
        }
        text
    }

    /// Lists a value that was read with [`Self::hidden`].
    pub(super) fn show(&mut self, key: &str, value: impl Into<serde_json::Value>) {
        let origin = self.origin(key);
        self.found.effective.push(EffectiveValue {
            key: self.key(key),
            value: value.into(),
            origin,
        });
    }

    /// The one way by which a value is read: find it, take it as `R`, check it, list it.
    fn typed<R: Into<serde_json::Value> + Clone, T>(
        &mut self,
        key: &'static str,
        fallback: T,
        take: impl FnOnce(&Value) -> Option<R>,
        rule: &str,
        check: impl FnOnce(R) -> Result<T, String>,
    ) -> T {
        let Some(leaf) = self.leaf(key) else {
            return fallback;
        };
        let checked = take(&leaf.value)
            .ok_or_else(|| rule.to_owned())
            .and_then(|value| check(value.clone()).map(|checked| (checked, value.into())));
        match checked {
            Ok((checked, shown)) => {
                self.show(key, shown);
                checked
            }
            Err(reason) => {
                self.fault(key, format!("{reason} (found {})", leaf.value.shown()));
                fallback
            }
        }
    }

    fn leaf(&mut self, key: &'static str) -> Option<&'a Leaf> {
        self.asked.push(key);
        let table = self.table;
        match table.entries.get(key) {
            Some(Node::Leaf(leaf)) => Some(leaf),
            Some(Node::Table(_)) => {
                self.fault(key, "is a value, not a section");
                None
            }
            None => {
                self.fault(key, "is missing");
                None
            }
        }
    }

    fn origin(&self, key: &str) -> Origin {
        match self.table.entries.get(key) {
            Some(Node::Leaf(leaf)) => leaf.origin.clone(),
            Some(Node::Table(table)) => table.origin.clone(),
            None => self.table.origin.clone(),
        }
    }

    fn key(&self, key: &str) -> String {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        dotted(&path)
    }
}

fn string_or_integer(value: &Value) -> Option<String> {
    value
        .string()
        .or_else(|| value.integer().map(|number| number.to_string()))
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

fn unknown(table: &Table, path: &[String], asked: &[&'static str], faults: &mut Vec<ConfigFault>) {
    for (name, node) in &table.entries {
        if asked.contains(&name.as_str()) {
            continue;
        }
        let origin = match node {
            Node::Table(table) => table.origin.clone(),
            Node::Leaf(leaf) => leaf.origin.clone(),
        };
        let what = if path.is_empty() { "section" } else { "key" };
        let mut full = path.to_vec();
        full.push(name.clone());
        let reason = format!("unknown {what}; {}", instead_of(name, asked.iter().copied()));
        faults.push(ConfigFault {
            origin,
            key: dotted(&full),
            reason,
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load::testing::{faults, with_file};

    #[test]
    fn a_fault_says_what_was_found_and_what_would_be_right() {
        assert_eq!(
            faults(&["server.http_workers=many", "limits.batch=0", "log.level=loud"]).len(),
            3
        );
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
    fn every_fault_of_a_file_is_found_at_once_with_its_line() {
        let text = "[server]\nbind = 5\nhttp_workers = '2'\nkeep_alive = 30\ncors = []\n\n[serve]\nx = 1\n\n\
                    [queues.mail]\nconcurency = 2\n[retry.mine]\nfactor = true\n[log.level]\nx = 1\n";
        let faults = with_file(text, &[]).unwrap_err();
        let shown: Vec<String> = faults
            .iter()
            .map(|fault| {
                fault
                    .to_string()
                    .rsplit_once(".toml:")
                    .map_or_else(String::new, |(_, rest)| rest.to_owned())
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @"");
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
        for right in [
            "limits.batch = 5",
            "retry.x.factor = 2",
            "retry.x.factor = 2.5",
            "limits.payload = 2048",
        ] {
            assert!(with_file(right, &[]).is_ok(), "{right}");
        }
    }
}
