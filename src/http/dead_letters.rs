//! `/api/dead-letters`: as a group, sent round again or thrown away.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::api::Api;
use super::problem::Problem;
use super::problem_type::ProblemType;
use super::{body, list, request};
use crate::job::{Fault, JobId};
use crate::jobs::{DeadLetters, MAX_IDS, Redrive, Redriven, SubmitError, ids_rule, limit_rule};

pub(super) const MEMBERS: [&str; 5] = ["ids", "queue", "kind", "limit", "dry_run"];

/// `POST /api/dead-letters/redrive`. No body means the same as an empty object: all.
pub(super) async fn redrive(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let body = body::read(&request, payload, &api).await?;
    if !body.is_empty() {
        body::require_json(&request)?;
    }
    if api.jobs.is_draining() {
        return Err(SubmitError::Draining.into());
    }
    let (order, mut faults) = if body.is_empty() { Default::default() } else { read(&body)? };
    if !faults.is_empty() {
        // What could be read may be wrong in its own way, and is to be named at once.
        faults.extend(api.jobs.redrive_faults(&order).await?);
        return Err(Problem::faults(ProblemType::ValidationFailed, faults));
    }
    let Redriven { matched, redriven, left } = api.jobs.redrive(&order).await?;
    Ok(HttpResponse::Ok().json(Answer { matched, redriven, left }))
}

/// `DELETE /api/dead-letters`.
pub(super) async fn delete(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    body::discard(&request, payload, &api).await?;
    let (mut which, mut faults) = (DeadLetters::default(), list::Faults::default());
    for (name, value) in list::pairs(&request)? {
        match name.as_str() {
            "id" => faults.take(&name, value.parse(), |id| which.ids.get_or_insert_default().push(id)),
            "queue" => faults.take(&name, value.parse(), |queue| which.queues.push(queue)),
            "kind" => faults.take(&name, value.parse(), |kind| which.kinds.push(kind)),
            unknown => faults.invalid(unknown, "is not known here; known are: id, queue, kind"),
        }
    }
    for fault in api.jobs.dead_letter_faults(&which).await? {
        match &*fault.pointer {
            "/ids" => faults.invalid("id", &format!("can be given at most {MAX_IDS} times")),
            pointer => faults.invalid(pointer.trim_start_matches('/'), &fault.detail),
        }
    }
    faults.none()?;
    let deleted = api.jobs.delete_dead_letters(&which).await?;
    Ok(HttpResponse::Ok().json(json!({ "deleted": deleted })))
}

/// The members in the order of the contract.
#[derive(Serialize)]
struct Answer {
    matched: usize,
    redriven: usize,
    left: usize,
}

/// Notices a member that stands twice, of which a tree keeps the second only.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only whether it can be read at all is asked")]
struct Shape {
    ids: Option<IgnoredAny>,
    queue: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    limit: Option<IgnoredAny>,
    dry_run: Option<IgnoredAny>,
}

/// Reads an order as far as it can be read, and names what cannot be.
fn read(body: &[u8]) -> Result<(Redrive, Vec<Fault>), Problem> {
    let text = request::text_of(body)?;
    let Value::Object(members) = request::parsed(text)? else {
        return Ok((Redrive::default(), vec![Fault::new("", "must be an object; an empty one means all")]));
    };
    serde_json::from_str::<Shape>(text).map_err(|error| request::malformed(&error))?;
    let mut faults = request::unknown_members(&members, &MEMBERS);
    let which = DeadLetters {
        ids: ids(&members, &mut faults),
        queues: name(&members, "queue", &mut faults).into_iter().collect(),
        kinds: name(&members, "kind", &mut faults).into_iter().collect(),
    };
    let limit = match given(&members, "limit") {
        None => None,
        Some(limit) => match limit.as_u64().map(usize::try_from) {
            Some(Ok(limit)) => Some(limit),
            _ => {
                faults.push(Fault::new("/limit", limit_rule()));
                None
            }
        },
    };
    let dry_run = match given(&members, "dry_run") {
        None => false,
        Some(Value::Bool(dry_run)) => *dry_run,
        Some(_) => {
            faults.push(Fault::new("/dry_run", "must be true or false"));
            false
        }
    };
    Ok((Redrive { which, limit, dry_run }, faults))
}

/// A member that is there and not null.
fn given<'a>(members: &'a Map<String, Value>, member: &str) -> Option<&'a Value> {
    members.get(member).filter(|value| !value.is_null())
}

fn ids(members: &Map<String, Value>, faults: &mut Vec<Fault>) -> Option<Vec<JobId>> {
    let Value::Array(texts) = given(members, "ids")? else {
        faults.push(Fault::new("/ids", "must be an array of job ids"));
        return None;
    };
    if !(1..=MAX_IDS).contains(&texts.len()) {
        faults.push(Fault::new("/ids", ids_rule()));
        return None;
    }
    let mut ids = Vec::with_capacity(texts.len());
    for (n, text) in texts.iter().enumerate() {
        match text.as_str().map(str::parse) {
            Some(Ok(id)) => ids.push(id),
            Some(Err(error)) => faults.push(Fault::new(format!("/ids/{n}"), named(error))),
            None => faults.push(Fault::new(format!("/ids/{n}"), "must be a job id, as a string")),
        }
    }
    // A list of which nothing could be read is not judged a second time, for being empty.
    (!ids.is_empty()).then_some(ids)
}

fn name<T: std::str::FromStr<Err = crate::job::NameError>>(
    members: &Map<String, Value>,
    member: &str,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let pointer = format!("/{member}");
    let Value::String(text) = given(members, member)? else {
        faults.push(Fault::new(pointer, "must be a string"));
        return None;
    };
    text.parse().map_err(|error| faults.push(Fault::new(pointer, named(error)))).ok()
}

fn named(error: crate::job::NameError) -> String {
    error.to_string()
}
