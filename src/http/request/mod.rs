//! From the body of a `POST` to [`NewJob`]s, with every fault at once.
//!
//! A body that is right is parsed once, straight into its types, with the payload left as text. Only one that is not is
//! parsed a second time, into a tree, to name everything that is wrong with it.

mod reader;
mod straight;
mod tree;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use self::straight::{Straight, StraightBatch};
#[cfg(test)]
pub(super) use self::tree::{KNOWN, KNOWN_OF_UNIQUE};
use self::tree::{draft_of, unknown_member};
use super::problem::Problem;
use super::problem_type::ProblemType;
use crate::handler::Registry;
use crate::job::{Fault, KindName, NewJob, Trace, nearest};
use crate::jobs::{Jobs, MAX_FAULTS};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// How deep a body may be nested: what the JSON parser goes down to.
const DEEPEST: usize = 127;

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
        if self.faults.is_empty() { self.job } else { None }
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

/// The trace that a request belongs to, if it says so as W3C Trace Context has it.
pub(super) fn trace(request: &HttpRequest) -> Option<Trace> {
    let parent = request.headers().get(TRACEPARENT)?.to_str().ok()?;
    let states: Vec<&str> =
        request.headers().get_all(TRACESTATE).filter_map(|state| state.to_str().ok()).collect();
    let state = states.join(",");
    Trace::parse(parent, Some(&*state).filter(|state| !state.is_empty()))
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
        Err(error) => same_or(draft_of(&parsed(text)?), &error),
    }
}

/// Reads one job that is to be submitted.
///
/// # Errors
///
/// When the body is not JSON at all, or not a job: with everything that is wrong with it.
pub(super) fn whole(body: &[u8], jobs: &Jobs) -> Result<NewJob, Problem> {
    let draft = one(body, jobs.registry())?;
    if !draft.is_whole() {
        return Err(Problem::faults(ProblemType::ValidationFailed, draft.into_faults(jobs)));
    }
    draft.into_job().ok_or_else(|| Problem::faults(ProblemType::ValidationFailed, Vec::new()))
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
    let Value::Object(members) = parsed(text)? else {
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
    if body.len() <= DEEPEST || body.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() <= DEEPEST {
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

pub(super) fn parsed(text: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map_err(|error| malformed(&error))
}

/// The members of an object that is no job, and are not known there.
pub(super) fn unknown_members(members: &Map<String, Value>, known: &[&str]) -> Vec<Fault> {
    let unknown = members.keys().filter(|member| !known.contains(&member.as_str()));
    let fault = |member: &String| {
        let detail = match nearest(member, known.iter().copied()) {
            Some(nearest) => format!("is not known here; did you mean {nearest:?}?"),
            None => format!("is not known here; known are: {}", known.join(", ")),
        };
        Fault::new(format!("/{}", Fault::escape(member)), detail)
    };
    unknown.take(MAX_FAULTS).map(fault).collect()
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

/// Stands for a kind that could not be read, so that the rest of the job can be looked at.
fn stand_in() -> Option<KindName> {
    KindName::new("unread").ok()
}

fn empty_object() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap_or_default()
}
