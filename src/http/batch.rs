//! `POST /api/jobs/batch`.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::api::Api;
use super::jobs::json;
use super::problem::{Problem, ProblemType};
use super::{body, request};
use crate::job::Fault;
use crate::jobs::SubmitError;

/// Accepts all of the jobs or none.
pub(super) async fn submit(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let body = body::read(&request, payload, api.body_limit).await?;
    body::require_json(&request)?;
    if api.jobs.is_draining() {
        return Err(SubmitError::Draining.into());
    }
    let drafts = request::many(&body)?;
    let limit = api.jobs.limits().batch;
    if drafts.is_empty() || drafts.len() > limit {
        let fault = Fault::new("/jobs", format!("must hold 1 to {limit} jobs"));
        return Err(Problem::faults(ProblemType::ValidationFailed, vec![fault]));
    }
    let mut faults = Vec::new();
    let mut jobs = Vec::with_capacity(drafts.len());
    let whole = drafts.iter().all(|draft| draft.faults.is_empty());
    for (n, draft) in drafts.into_iter().enumerate() {
        let mut of_this = draft.faults;
        if let Some(job) = draft.job {
            if !whole {
                of_this.extend(api.jobs.check(&job));
            }
            jobs.push(job);
        }
        faults.extend(
            of_this
                .into_iter()
                .map(|fault| fault.under(&format!("/jobs/{n}"))),
        );
    }
    if !faults.is_empty() {
        return Err(Problem::faults(ProblemType::ValidationFailed, faults));
    }
    let jobs = api.jobs.submit_all(jobs).await.map_err(under_jobs)?;
    let now = api.jobs.clock().now();
    let mut body = api.jobs_json("jobs", jobs.iter(), now);
    body.push(b'}');
    Ok(json(&mut HttpResponse::Accepted(), body))
}

/// The service points into the array; the caller's array is a member.
fn under_jobs(error: SubmitError) -> SubmitError {
    let under = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.under("/jobs")).collect();
    match error {
        SubmitError::Invalid(faults) => SubmitError::Invalid(under(faults)),
        SubmitError::UnknownKind(faults) => SubmitError::UnknownKind(under(faults)),
        SubmitError::PayloadTooLarge { pointer, limit } => SubmitError::PayloadTooLarge {
            pointer: format!("/jobs{pointer}"),
            limit,
        },
        other => other,
    }
}
