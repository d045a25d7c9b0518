//! A body that is not right: parsed into a tree, to name everything that is wrong with it.

use serde_json::{Map, Value};

use super::reader::Reader;
use super::{Draft, empty_object, stand_in};
use crate::job::{Fault, KindName, NewJob, Unique, Wanted, nearest};
use crate::jobs::MAX_FAULTS;

pub(in crate::http) const KNOWN: [&str; 13] = [
    "kind",
    "payload",
    "queue",
    "delay",
    "run_at",
    "max_attempts",
    "timeout",
    "expires_in",
    "tags",
    "unique",
    "callback_url",
    "callback_events",
    "notify_email",
];
pub(in crate::http) const KNOWN_OF_UNIQUE: [&str; 2] = ["key", "for"];

pub(super) fn unknown_member(member: &str, known: &[&str]) -> Fault {
    let detail = match nearest(member, known.iter().copied()) {
        Some(nearest) => format!("is not a member of a job; did you mean {nearest:?}?"),
        None => "is not a member that is known here".to_owned(),
    };
    Fault::new(format!("/{}", Fault::escape(member)), detail)
}

/// Reads a job out of a tree, whatever is wrong with it.
pub(super) fn draft_of(value: &Value) -> Draft {
    let mut reader = Reader::default();
    let Value::Object(members) = value else {
        return Draft { job: None, kind_read: false, faults: vec![Fault::new("", "must be an object")] };
    };
    let unknown = members.keys().filter(|member| !KNOWN.contains(&member.as_str()));
    for member in unknown.take(MAX_FAULTS) {
        reader.faults.push(unknown_member(member, &KNOWN));
    }
    let kind = match members.get("kind") {
        None | Some(Value::Null) => {
            reader.faults.push(Fault::new("/kind", "is required"));
            None
        }
        Some(Value::String(text)) => {
            reader.parse("/kind", text, |text| KindName::new(text).map_err(|error| error.to_string()))
        }
        Some(_) => reader.wrong("/kind", "must be a string"),
    };
    let payload = match members.get("payload") {
        None | Some(Value::Null) => empty_object(),
        Some(payload) => serde_json::value::to_raw_value(payload).unwrap_or_default(),
    };
    let text = |reader: &mut Reader, member| reader.text(members, member);
    let (queue, delay, run_at) =
        (text(&mut reader, "queue"), text(&mut reader, "delay"), text(&mut reader, "run_at"));
    let (timeout, expires_in) = (text(&mut reader, "timeout"), text(&mut reader, "expires_in"));
    let max_attempts = match members.get("max_attempts") {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_u64().map(u32::try_from) {
            Some(Ok(number)) => Some(number),
            _ => reader.wrong("/max_attempts", "must be 1 to 100"),
        },
    };
    let queue = reader.queue(queue);
    let delay = reader.delay(delay, run_at);
    let timeout = reader.duration("/timeout", timeout);
    let expires_in = reader.duration("/expires_in", expires_in);
    let tags = match members.get("tags") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(tags)) => reader.tags(tags.iter().map(Value::as_str)),
        Some(_) => {
            reader.faults.push(Fault::new("/tags", "must be an array of strings"));
            Vec::new()
        }
    };
    let unique = unique_of(&mut reader, members.get("unique"));
    let wanted = wanted_of(&mut reader, members);
    let kind_read = kind.is_some();
    let job = kind.or_else(stand_in).map(|kind| NewJob {
        queue,
        delay,
        max_attempts,
        timeout,
        expires_in,
        tags,
        unique,
        wanted,
        ..NewJob::from_raw(kind, payload)
    });
    Draft { job, kind_read, faults: reader.faults }
}

fn wanted_of(reader: &mut Reader, members: &Map<String, Value>) -> Option<Box<Wanted>> {
    let url = reader.text(members, "callback_url");
    let email = reader.text(members, "notify_email");
    let events = match members.get("callback_events") {
        None | Some(Value::Null) => None,
        Some(Value::Array(events)) => Some(events.iter().map(Value::as_str)),
        Some(_) => reader.wrong("/callback_events", "must be an array of strings"),
    };
    reader.wanted(url, events, email)
}

fn unique_of(reader: &mut Reader, value: Option<&Value>) -> Option<Unique> {
    let members: &Map<String, Value> = match value {
        None | Some(Value::Null) => return None,
        Some(Value::Object(members)) => members,
        Some(_) => {
            return reader
                .wrong("/unique", "must be an object, as in {\"key\": \"report-7\", \"for\": \"30m\"}");
        }
    };
    let unknown = members.keys().filter(|member| !KNOWN_OF_UNIQUE.contains(&member.as_str()));
    for member in unknown.take(MAX_FAULTS) {
        reader.faults.push(unknown_member(member, &KNOWN_OF_UNIQUE).under("/unique"));
    }
    let key = match members.get("key") {
        None | Some(Value::Null) => {
            reader.faults.push(Fault::new("/unique/key", "is required"));
            None
        }
        Some(Value::String(text)) => Some(&**text),
        Some(_) => reader.wrong("/unique/key", "must be a string"),
    };
    let window = match members.get("for") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(&**text),
        Some(_) => reader.wrong("/unique/for", "must be a duration with a unit, as a string: \"30m\""),
    };
    reader.unique(key, window)
}
