//! `POST /api/jobs/batch`.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::api::Api;
use super::body;
use super::idempotency::{self, Turn};
use super::jobs::json;
use super::problem::Problem;
use super::problem_type::ProblemType;
use super::request::{self, Draft};
use crate::job::{Fault, NewJob};
use crate::jobs::{Accepted, MAX_FAULTS, SubmitError};
use crate::telemetry::spans;

/// Accepts all of the jobs or none.
pub(super) async fn submit(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let answer = accept(&request, payload, &api).await;
    answer.inspect_err(|problem| body::count_refused(problem, &api))
}

async fn accept(request: &HttpRequest, payload: Payload, api: &Api) -> Result<HttpResponse, Problem> {
    let body = body::submission(request, payload, api).await?;
    let under_way = match idempotency::turn(request, "/api/jobs/batch", &body, api)? {
        Turn::Plain => None,
        Turn::First(under_way) => Some(under_way),
        Turn::Again(answer) => return Ok(idempotency::replayed(answer.response())),
    };
    body::refuse_when_draining(api)?;
    let drafts = request::many(&body, api.jobs.registry(), api.jobs.limits().batch)?;
    if !drafts.iter().all(Draft::is_whole) {
        let faults = drafts.into_iter().enumerate().flat_map(|(n, draft)| {
            let parent = format!("/jobs/{n}");
            draft.into_faults(&api.jobs).into_iter().map(move |fault| fault.under(&parent))
        });
        return Err(Problem::faults(ProblemType::ValidationFailed, faults.take(MAX_FAULTS).collect()));
    }
    let trace = spans::here(request::trace(request));
    let traced = |new| NewJob { trace: trace.clone(), ..new };
    let jobs = drafts.into_iter().filter_map(Draft::into_job).map(traced).collect();
    let jobs = api.jobs.accept_all(jobs).await.map_err(under_jobs)?;
    // As for one: what was accepted is remembered before anything else is awaited.
    let response = accepted(api, &jobs);
    Ok(match under_way {
        Some(under_way) => under_way.remember(None, response, api.jobs.clock().elapsed()),
        None => response,
    })
}

fn accepted(api: &Api, jobs: &[Accepted]) -> HttpResponse {
    let now = api.jobs.clock().now();
    let mut body = b"{\"jobs\":[".to_vec();
    for (n, job) in jobs.iter().enumerate() {
        if n > 0 {
            body.push(b',');
        }
        api.write_accepted(job, api.jobs.waiting(job.job(), now), &mut body);
    }
    body.extend_from_slice(b"]}");
    json(&mut HttpResponse::Accepted(), body)
}

/// The service points into the array; the caller's array is a member.
fn under_jobs(error: SubmitError) -> SubmitError {
    let under = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.under("/jobs")).collect();
    match error {
        SubmitError::Invalid(faults) => SubmitError::Invalid(under(faults)),
        SubmitError::CallbackForbidden(faults) => SubmitError::CallbackForbidden(under(faults)),
        SubmitError::UnknownKind(faults) => SubmitError::UnknownKind(under(faults)),
        SubmitError::PayloadTooLarge { pointer, limit } => {
            SubmitError::PayloadTooLarge { pointer: format!("/jobs{pointer}"), limit }
        }
        other => other,
    }
}
