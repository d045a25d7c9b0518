//! From texts to types, with a note of what does not fit.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::job::{Delay, Fault, QueueName, Tag, Timestamp, Unique, UniqueKey, parse_duration};
use crate::jobs::MAX_TAGS;

/// Turns texts into types and notes what does not fit.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) faults: Vec<Fault>,
}

impl Reader {
    pub(super) fn wrong<T>(&mut self, pointer: &str, detail: &str) -> Option<T> {
        self.faults.push(Fault::new(pointer, detail));
        None
    }

    pub(super) fn parse<T>(
        &mut self,
        pointer: &str,
        text: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        parse(text).map_err(|detail| self.faults.push(Fault::new(pointer, detail))).ok()
    }

    pub(super) fn text<'a>(&mut self, members: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
        match members.get(member) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                let detail = match member {
                    "run_at" => "must be an RFC 3339 time as a string",
                    "queue" => "must be a string",
                    _ => "must be a duration with a unit, as a string: \"30s\"",
                };
                self.wrong(&format!("/{member}"), detail)
            }
        }
    }

    pub(super) fn queue(&mut self, text: Option<&str>) -> Option<QueueName> {
        self.parse("/queue", text?, |text| QueueName::new(text).map_err(|error| error.to_string()))
    }

    pub(super) fn duration(&mut self, pointer: &str, text: Option<&str>) -> Option<Duration> {
        self.parse(pointer, text?, parse_duration)
    }

    pub(super) fn delay(&mut self, delay: Option<&str>, run_at: Option<&str>) -> Option<Delay> {
        if delay.is_some() && run_at.is_some() {
            return self.wrong("/run_at", "excludes delay: give one of the two");
        }
        match run_at {
            Some(text) => self.parse("/run_at", text, Timestamp::parse).map(Delay::Until),
            None => self.duration("/delay", delay).map(Delay::For),
        }
    }

    pub(super) fn tags<'a>(&mut self, texts: impl Iterator<Item = Option<&'a str>>) -> Vec<Tag> {
        let mut tags = Vec::new();
        // One more than is allowed, so that too many are noticed and no more is read for it.
        for (n, text) in texts.enumerate().take(MAX_TAGS + 1) {
            let pointer = format!("/tags/{n}");
            match text {
                Some(text) => {
                    tags.extend(self.parse(&pointer, text, |text| Tag::new(text).map_err(|e| e.to_string())));
                }
                None => self.faults.push(Fault::new(pointer, "must be a string")),
            }
        }
        tags
    }

    pub(super) fn unique(&mut self, key: Option<&str>, window: Option<&str>) -> Option<Unique> {
        let window = self.duration("/unique/for", window);
        let key =
            self.parse("/unique/key", key?, |text| UniqueKey::new(text).map_err(|error| error.to_string()));
        key.map(|key| Unique { key, window: window.unwrap_or(Unique::WINDOW) })
    }
}
