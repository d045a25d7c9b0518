//! The body of `PATCH /api/queues/{name}`, a merge patch (RFC 7396): read as far as it can be, with every fault at once.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::merge_patch::MergePatch;
use crate::job::{Fault, RateLimit, Timestamp};
use crate::jobs::{Patch, QueuePatch, concurrency_rule, reason_rule};

/// What can be changed.
pub(super) const MEMBERS: [&str; 5] = ["paused", "pause_reason", "pause_until", "concurrency", "rate_limit"];

/// Reads a patch of these [`MEMBERS`], and names what of it cannot be read. With faults it must not be applied, only looked
/// at for more.
pub(super) fn read(MergePatch { members, faults }: MergePatch) -> (QueuePatch, Vec<Fault>) {
    let mut reader = Reader { members, faults };
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
    (patch, reader.faults)
}

struct Reader {
    members: Map<String, Value>,
    faults: Vec<Fault>,
}

impl Reader {
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
