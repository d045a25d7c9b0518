//! The body of `PATCH /api/queues/{name}`, a merge patch (RFC 7396): read as far as it can be, with every fault at once.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::problem::Problem;
use super::request;
use crate::job::{Fault, RateLimit, Timestamp};
use crate::jobs::{Patch, QueuePatch, concurrency_rule, reason_rule};

pub(super) const MEMBERS: [&str; 5] = ["paused", "pause_reason", "pause_until", "concurrency", "rate_limit"];

/// Notices a member that stands twice, of which a tree keeps the second only.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only whether it can be read at all is asked")]
struct Shape {
    paused: Option<IgnoredAny>,
    pause_reason: Option<IgnoredAny>,
    pause_until: Option<IgnoredAny>,
    concurrency: Option<IgnoredAny>,
    rate_limit: Option<IgnoredAny>,
}

/// Reads a patch, and names what of it cannot be read. With faults it must not be applied, only looked at for more.
pub(super) fn read(body: &[u8]) -> Result<(QueuePatch, Vec<Fault>), Problem> {
    let text = request::text_of(body)?;
    let Value::Object(members) = request::parsed(text)? else {
        // RFC 7396 would put it in the place of the queue.
        let fault = Fault::new("", "must be an object with what is to be changed");
        return Ok((QueuePatch::default(), vec![fault]));
    };
    serde_json::from_str::<Shape>(text).map_err(|error| request::malformed(&error))?;
    let mut reader = Reader { members: &members, faults: request::unknown_members(&members, &MEMBERS) };
    let patch = QueuePatch {
        paused: reader.paused(),
        pause_reason: reader.take("pause_reason", |value| {
            value.as_str().map(Arc::from).ok_or_else(|| format!("{}, as a string", reason_rule()))
        }),
        pause_until: reader.take("pause_until", |value| {
            Timestamp::parse(value.as_str().ok_or("must be an RFC 3339 time, as a string")?)
        }),
        concurrency: reader.take("concurrency", |value| {
            let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
            number.ok_or_else(concurrency_rule)
        }),
        rate_limit: reader.take("rate_limit", |value| match value.as_str() {
            // As in the configuration.
            Some("") => Ok(None),
            Some(text) => RateLimit::parse(text).map(Some),
            None => Err(RateLimit::RULE.to_owned()),
        }),
    };
    Ok((patch, reader.faults))
}

struct Reader<'a> {
    members: &'a Map<String, Value>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn paused(&mut self) -> Patch<bool> {
        let before = self.faults.len();
        let paused =
            self.take("paused", |value| value.as_bool().ok_or_else(|| "must be true or false".to_owned()));
        // What else is said of the pause is not to be called wrong because this could not be read.
        if self.faults.len() > before { Patch::To(true) } else { paused }
    }

    fn take<T>(&mut self, member: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Patch<T> {
        match self.members.get(member) {
            None => Patch::Keep,
            Some(Value::Null) => Patch::Reset,
            Some(value) => match read(value) {
                Ok(value) => Patch::To(value),
                Err(detail) => {
                    self.faults.push(Fault::new(format!("/{member}"), detail));
                    Patch::Keep
                }
            },
        }
    }
}
