//! `POST /api/jobs`.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

use super::api::Api;
use super::problem::Problem;
use super::problem_type::ProblemType;
use super::{body, prefer, request};
use crate::job::{Job, StateName};

/// Accepts a job; with `Prefer: wait` gives it a moment to complete.
pub(super) async fn submit(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let body = body::submission(&request, payload, &api).await?;
    let draft = request::one(&body, api.jobs.registry())?;
    if !draft.is_whole() {
        return Err(Problem::faults(ProblemType::ValidationFailed, draft.into_faults(&api.jobs)));
    }
    let new = draft.into_job().ok_or_else(|| Problem::faults(ProblemType::ValidationFailed, Vec::new()))?;
    let job = api.jobs.submit(new).await?;
    match prefer::wait(&request) {
        None => Ok(accepted(&api, &job)),
        Some(wait) => {
            let id = job.id();
            let known = api.jobs.wait(id, wait.patience(), api.closing.cancelled()).await?;
            let job = known.unwrap_or(job);
            let mut response = match job.state.name() {
                StateName::Completed => see_result(&api, &job),
                _ => accepted(&api, &job),
            };
            let (name, value) = wait.applied();
            response.headers_mut().insert(name, value);
            Ok(response)
        }
    }
}

/// 202: the job, where to ask for it, and when.
pub(super) fn accepted(api: &Api, job: &Arc<Job>) -> HttpResponse {
    let now = api.jobs.clock().now();
    let mut response = HttpResponse::Accepted();
    response
        .insert_header((header::LOCATION, api.job_url(job.id(), "/status").to_string()))
        .insert_header((header::RETRY_AFTER, api.jobs.poll_pause(job, now)));
    json(&mut response, api.job_json(job, now))
}

/// 303: the job, and where its result is (RFC 9110 §15.4.4).
pub(super) fn see_result(api: &Api, job: &Arc<Job>) -> HttpResponse {
    let now = api.jobs.clock().now();
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, api.job_url(job.id(), "/result").to_string()));
    json(&mut response, api.job_json(job, now))
}

/// A body that is JSON already.
pub(super) fn json(response: &mut HttpResponseBuilder, body: Vec<u8>) -> HttpResponse {
    response.insert_header(header::ContentType::json()).body(body)
}
