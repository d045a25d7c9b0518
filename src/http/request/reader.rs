//! From texts to types, with a note of what does not fit.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::job::{
    Callback, Delay, Fault, QueueName, StateName, States, Tag, Timestamp, Unique, UniqueKey, Wanted,
    parse_duration,
};
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
                    "queue" | "callback_url" | "notify_email" => "must be a string",
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

    pub(super) fn wanted<'a>(
        &mut self,
        url: Option<&str>,
        events: Option<impl Iterator<Item = Option<&'a str>>>,
        email: Option<&str>,
    ) -> Option<Box<Wanted>> {
        if url.is_none() && events.is_none() && email.is_none() {
            return None;
        }
        let events = events.map(|events| self.events(events));
        let callback = match (url, events) {
            (Some(url), Some(Some(events))) => Some(Callback::new(url).events(events)),
            (Some(url), _) => Some(Callback::new(url)),
            (None, Some(_)) => self.wrong("/callback_events", "goes with callback_url only"),
            (None, None) => None,
        };
        Some(Box::new(Wanted { callback, email: email.map(Into::into) }))
    }

    /// Nothing when one of them is wrong.
    fn events<'a>(&mut self, texts: impl Iterator<Item = Option<&'a str>>) -> Option<Vec<StateName>> {
        let mut events = Vec::new();
        let before = self.faults.len();
        // There are no more than these, so that what comes behind them is wrong anyway.
        for (n, text) in texts.enumerate().take(StateName::ALL.len() + 1) {
            let pointer = format!("/callback_events/{n}");
            let event = match text {
                Some(text) => self.parse(&pointer, text, States::event),
                None => self.wrong(&pointer, "must be a string"),
            };
            if event.is_some_and(|event| events.contains(&event)) {
                self.wrong::<()>(&pointer, "stands twice");
            }
            events.extend(event);
        }
        (self.faults.len() == before).then_some(events)
    }

    pub(super) fn unique(&mut self, key: Option<&str>, window: Option<&str>) -> Option<Unique> {
        let window = self.duration("/unique/for", window);
        let key =
            self.parse("/unique/key", key?, |text| UniqueKey::new(text).map_err(|error| error.to_string()));
        key.map(|key| Unique { key, window: window.unwrap_or(Unique::WINDOW) })
    }
}
