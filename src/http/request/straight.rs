//! A body that is right: parsed once, straight into its types, with the payload left as text.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::reader::Reader;
use super::{Draft, empty_object, stand_in};
use crate::handler::Registry;
use crate::job::{KindName, NewJob};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Straight<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    queue: Option<Cow<'a, str>>,
    #[serde(borrow)]
    delay: Option<Cow<'a, str>>,
    #[serde(borrow)]
    run_at: Option<Cow<'a, str>>,
    max_attempts: Option<u32>,
    #[serde(borrow)]
    timeout: Option<Cow<'a, str>>,
    #[serde(borrow)]
    expires_in: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tags: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    unique: Option<StraightUnique<'a>>,
    #[serde(borrow)]
    callback_url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    callback_events: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    notify_email: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StraightUnique<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow, rename = "for")]
    window: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StraightBatch<'a> {
    #[serde(borrow)]
    pub(super) jobs: Vec<Straight<'a>>,
}

impl Straight<'_> {
    pub(super) fn into_draft(self, registry: &Registry) -> Draft {
        let mut reader = Reader::default();
        // A kind that is known needs no second copy of its name.
        let known = registry.get(&self.kind).map(|registered| registered.kind.clone());
        let kind = known.or_else(|| {
            reader.parse("/kind", &self.kind, |text| KindName::new(text).map_err(|error| error.to_string()))
        });
        let payload = match self.payload {
            Some(raw) => raw.to_owned(),
            None => empty_object(),
        };
        let events = self.callback_events.as_ref();
        let wanted = reader.wanted(
            self.callback_url.as_deref(),
            events.map(|events| events.iter().map(|event| Some(&**event))),
            self.notify_email.as_deref(),
        );
        let kind_read = kind.is_some();
        let job = kind.or_else(stand_in).map(|kind| NewJob {
            queue: reader.queue(self.queue.as_deref()),
            delay: reader.delay(self.delay.as_deref(), self.run_at.as_deref()),
            max_attempts: self.max_attempts,
            timeout: reader.duration("/timeout", self.timeout.as_deref()),
            expires_in: reader.duration("/expires_in", self.expires_in.as_deref()),
            tags: reader.tags(self.tags.unwrap_or_default().iter().map(|tag| Some(&**tag))),
            unique: self.unique.and_then(|unique| reader.unique(Some(&unique.key), unique.window.as_deref())),
            wanted,
            ..NewJob::from_raw(kind, payload)
        });
        Draft { job, kind_read, faults: reader.faults }
    }
}
