//! From the body of a `POST` to [`NewJob`]s, with every fault at once.
//!
//! A body that is right is parsed once, straight into its types, with the payload left as text. Only one that is not is
//! parsed a second time, into a tree, to name everything that is wrong with it.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::problem::Problem;
use super::problem_type::ProblemType;
use crate::handler::Registry;
use crate::job::{Delay, Fault, KindName, NewJob, QueueName, Tag, Timestamp, nearest, parse_duration};
use crate::jobs::{Jobs, MAX_FAULTS, MAX_TAGS};

/// Members of the contract that this version does not have yet. Better refused than silently ignored.
const NOT_YET: [&str; 4] = ["unique", "callback_url", "callback_events", "notify_email"];
/// How deep a body may be nested: what the JSON parser goes down to.
const DEEPEST: usize = 127;
const KNOWN: [&str; 9] =
    ["kind", "payload", "queue", "delay", "run_at", "max_attempts", "timeout", "expires_in", "tags"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Straight<'a> {
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StraightBatch<'a> {
    #[serde(borrow)]
    jobs: Vec<Straight<'a>>,
}

/// A job as far as it could be read, and what could not be. With faults it must not be submitted, only looked at for
/// more of them.
pub(super) struct Draft {
    job: Option<NewJob>,
    /// Whether the kind of `job` is what the caller wrote, or only stands in for what could not be read.
    kind_read: bool,
    faults: Vec<Fault>,
}

impl Draft {
    /// Whether everything could be read.
    pub(super) fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }

    /// The job, if everything could be read.
    pub(super) fn into_job(self) -> Option<NewJob> {
        self.job.filter(|_| self.faults.is_empty())
    }

    /// Everything that is wrong with it: what could not be read, and what could but is not valid.
    pub(super) fn into_faults(self, jobs: &Jobs) -> Vec<Fault> {
        let mut faults = self.faults;
        match self.job {
            Some(job) if self.kind_read => faults.extend(jobs.check(&job)),
            Some(job) => faults.extend(jobs.check_members(&job)),
            None => {}
        }
        faults
    }
}

/// Reads one job.
///
/// # Errors
///
/// When the body is not JSON at all.
pub(super) fn one(body: &[u8], registry: &Registry) -> Result<Draft, Problem> {
    let text = text_of(body)?;
    match serde_json::from_str::<Straight<'_>>(text) {
        Ok(straight) => Ok(straight.into_draft(registry)),
        Err(error) => same_or(draft_of(&tree(text)?), &error),
    }
}

/// Reads a batch; the pointers of its faults begin at the array.
///
/// # Errors
///
/// When the body is not JSON at all, or not an object with an array of 1 to `limit` jobs.
pub(super) fn many(body: &[u8], registry: &Registry, limit: usize) -> Result<Vec<Draft>, Problem> {
    let text = text_of(body)?;
    let error = match serde_json::from_str::<StraightBatch<'_>>(text) {
        Ok(batch) => {
            in_number(batch.jobs.len(), limit)?;
            return Ok(batch.jobs.into_iter().map(|job| job.into_draft(registry)).collect());
        }
        Err(error) => error,
    };
    let invalid = |faults| Problem::faults(ProblemType::ValidationFailed, faults);
    let Value::Object(members) = tree(text)? else {
        return Err(invalid(vec![Fault::new("", "must be an object with the array \"jobs\"")]));
    };
    let mut faults: Vec<Fault> = members
        .keys()
        .filter(|member| *member != "jobs")
        .take(MAX_FAULTS)
        .map(|member| unknown_member(member, &["jobs"]))
        .collect();
    let drafts: Vec<Draft> = match members.get("jobs") {
        Some(Value::Array(jobs)) => {
            in_number(jobs.len(), limit)?;
            jobs.iter().map(draft_of).collect()
        }
        Some(_) => {
            faults.push(Fault::new("/jobs", "must be an array of jobs"));
            Vec::new()
        }
        None => {
            faults.push(Fault::new("/jobs", "is required"));
            Vec::new()
        }
    };
    if !faults.is_empty() {
        let all = drafts.into_iter().enumerate();
        faults.extend(all.flat_map(|(n, draft)| {
            draft.faults.into_iter().map(move |fault| fault.under(&format!("/jobs/{n}")))
        }));
        return Err(invalid(faults));
    }
    if drafts.iter().all(Draft::is_whole) {
        return Err(malformed(&error));
    }
    Ok(drafts)
}

fn in_number(jobs: usize, limit: usize) -> Result<(), Problem> {
    if (1..=limit).contains(&jobs) {
        return Ok(());
    }
    let fault = Fault::new("/jobs", format!("must hold 1 to {limit} jobs"));
    Err(Problem::faults(ProblemType::ValidationFailed, vec![fault]))
}

/// The body as text that can be parsed without going too deep.
pub(super) fn text_of(body: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let detail = format!("The body is not UTF-8: see byte {}.", error.valid_up_to());
        Problem::new(ProblemType::MalformedRequest, detail)
    })?;
    match too_deep(body) {
        None => Ok(text),
        Some(place) => {
            let detail = format!("The body is nested deeper than {DEEPEST} levels: see byte {place}.");
            Err(Problem::new(ProblemType::MalformedRequest, detail))
        }
    }
}

/// Where a body goes deeper than [`DEEPEST`]. A payload is kept as text and only parsed by its handler: without this it
/// could be accepted although nobody can look into it.
fn too_deep(body: &[u8]) -> Option<usize> {
    // Nearly every body has fewer brackets in all than levels are allowed, and counting them is quick.
    if body.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() <= DEEPEST {
        return None;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (place, byte) in body.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > DEEPEST {
                    return Some(place);
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

pub(super) fn tree(text: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map_err(|error| malformed(&error))
}

/// A draft that was read the slow way because the straight way failed; so there must be a fault in it.
fn same_or(draft: Draft, error: &serde_json::Error) -> Result<Draft, Problem> {
    if draft.faults.is_empty() { Err(malformed(error)) } else { Ok(draft) }
}

/// Says where the JSON breaks, without quoting it.
pub(super) fn malformed(error: &serde_json::Error) -> Problem {
    let detail = if error.is_data() {
        // The tree was built all the same: a member stands twice, and the second would silently win.
        "A member stands twice in one object.".to_owned()
    } else if error.line() == 0 || error.is_eof() {
        "The body is not JSON: it ends too early.".to_owned()
    } else {
        let (line, column) = (error.line(), error.column());
        format!("The body is not JSON: see line {line}, column {column}.")
    };
    Problem::new(ProblemType::MalformedRequest, detail)
}

fn unknown_member(member: &str, known: &[&str]) -> Fault {
    let detail = match nearest(member, known.iter().copied()) {
        _ if NOT_YET.contains(&member) => "is not supported by this version".to_owned(),
        Some(nearest) => format!("is not a member of a job; did you mean {nearest:?}?"),
        None => "is not a member that is known here".to_owned(),
    };
    Fault::new(format!("/{}", Fault::escape(member)), detail)
}

impl Straight<'_> {
    fn into_draft(self, registry: &Registry) -> Draft {
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
        let kind_read = kind.is_some();
        let job = kind.or_else(stand_in).map(|kind| NewJob {
            queue: reader.queue(self.queue.as_deref()),
            delay: reader.delay(self.delay.as_deref(), self.run_at.as_deref()),
            max_attempts: self.max_attempts,
            timeout: reader.duration("/timeout", self.timeout.as_deref()),
            expires_in: reader.duration("/expires_in", self.expires_in.as_deref()),
            tags: reader.tags(self.tags.unwrap_or_default().iter().map(|tag| Some(&**tag))),
            ..NewJob::from_raw(kind, payload)
        });
        Draft { job, kind_read, faults: reader.faults }
    }
}

/// Stands for a kind that could not be read, so that the rest of the job can be looked at.
fn stand_in() -> Option<KindName> {
    KindName::new("unread").ok()
}

fn empty_object() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap_or_default()
}

/// Reads a job out of a tree, whatever is wrong with it.
fn draft_of(value: &Value) -> Draft {
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
    let kind_read = kind.is_some();
    let job = kind.or_else(stand_in).map(|kind| NewJob {
        queue,
        delay,
        max_attempts,
        timeout,
        expires_in,
        tags,
        ..NewJob::from_raw(kind, payload)
    });
    Draft { job, kind_read, faults: reader.faults }
}

/// Turns texts into types and notes what does not fit.
#[derive(Default)]
struct Reader {
    faults: Vec<Fault>,
}

impl Reader {
    fn wrong<T>(&mut self, pointer: &str, detail: &str) -> Option<T> {
        self.faults.push(Fault::new(pointer, detail));
        None
    }

    fn parse<T>(
        &mut self,
        pointer: &str,
        text: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        parse(text).map_err(|detail| self.faults.push(Fault::new(pointer, detail))).ok()
    }

    fn text<'a>(&mut self, members: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
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

    fn queue(&mut self, text: Option<&str>) -> Option<QueueName> {
        self.parse("/queue", text?, |text| QueueName::new(text).map_err(|error| error.to_string()))
    }

    fn duration(&mut self, pointer: &str, text: Option<&str>) -> Option<Duration> {
        self.parse(pointer, text?, parse_duration)
    }

    fn delay(&mut self, delay: Option<&str>, run_at: Option<&str>) -> Option<Delay> {
        if delay.is_some() && run_at.is_some() {
            return self.wrong("/run_at", "excludes delay: give one of the two");
        }
        match run_at {
            Some(text) => self.parse("/run_at", text, Timestamp::parse).map(Delay::Until),
            None => self.duration("/delay", delay).map(Delay::For),
        }
    }

    fn tags<'a>(&mut self, texts: impl Iterator<Item = Option<&'a str>>) -> Vec<Tag> {
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
}
