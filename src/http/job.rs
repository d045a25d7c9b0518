//! One job: the job itself, its monitor, its result, its payload, its log; cancel and retry.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::api::Api;
use super::jobs::{accepted, json, see_result};
use super::problem::Problem;
use super::problem_type::ProblemType;
use super::{body, conditional, prefer};
use crate::job::{Job, JobId, JobResult, JobState, ResultSlot, StateName};
use crate::jobs::{Accepted, Canceled};

/// `GET /api/jobs/{id}`: 200 whatever its state, so that a client which follows redirects by itself can read it.
pub(super) async fn show(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let (job, wait) = find_or_wait(&request, &api).await?;
    let now = api.jobs.clock().now();
    let body = api.job_json(&job, now);
    let tag = conditional::tag(&body);
    let mut response = if conditional::is_known(&request, &tag) {
        HttpResponse::NotModified().finish()
    } else {
        json(&mut HttpResponse::Ok(), body)
    };
    response.headers_mut().insert(header::ETAG, tag);
    Ok(with_wait(response, wait))
}

/// `GET /api/jobs/{id}/status`: the monitor.
pub(super) async fn status(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let (job, wait) = find_or_wait(&request, &api).await?;
    let now = api.jobs.clock().now();
    let response = match job.state.name() {
        StateName::Completed => see_result(&api, &Accepted::New(job)),
        state => {
            let waiting = api.jobs.waiting(&job, now);
            let mut response = HttpResponse::Ok();
            if !state.is_terminal() {
                response.insert_header((header::RETRY_AFTER, api.jobs.poll_pause(&job, waiting, now)));
            }
            json(&mut response, api.job_json_of(&job, waiting))
        }
    };
    Ok(with_wait(response, wait))
}

/// `GET /api/jobs/{id}/result`.
pub(super) async fn result(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let job = find(&request, &api).await?;
    let null = JobResult::null();
    let (media_type, bytes) = match &job.state {
        JobState::Completed { result: ResultSlot::Kept(result), .. } => {
            (result.media_type(), result.to_bytes())
        }
        JobState::Completed { result: ResultSlot::Null, .. } => (&*null.media_type, null.bytes),
        JobState::Completed { result: ResultSlot::Expired, .. } => {
            let detail = "The job completed, but its result was let go to make room for other jobs.";
            return Err(Problem::new(ProblemType::ResultExpired, detail).with("state", "completed"));
        }
        JobState::DeadLettered { .. } => {
            let problem =
                Problem::new(ProblemType::JobDeadLettered, "The job failed for good and has no result.");
            let error = job.error.as_ref().map(|error| json!({"code": error.code, "message": error.message}));
            return Err(problem.with("state", "dead_lettered").with("error", error.unwrap_or_default()));
        }
        JobState::Skipped { reason, .. } => {
            let problem =
                Problem::new(ProblemType::JobSkipped, "No work was due, so that there is no result.");
            return Err(problem.with("state", "skipped").with("skip_reason", &**reason));
        }
        JobState::Canceled { .. } => {
            let problem = Problem::new(ProblemType::JobCanceled, "The job was canceled and has no result.");
            return Err(problem.with("state", "canceled"));
        }
        waiting => {
            let now = api.jobs.clock().now();
            let pause = api.jobs.poll_pause(&job, api.jobs.waiting(&job, now), now);
            let detail = format!("The job is {}. Ask again after Retry-After.", waiting.name());
            let problem = Problem::new(ProblemType::ResultNotReady, detail);
            return Err(problem.with("state", waiting.name().as_str()).retry_after(pause));
        }
    };
    let tag = conditional::tag(&bytes);
    let mut response = if conditional::is_known(&request, &tag) {
        HttpResponse::NotModified().finish()
    } else {
        HttpResponse::Ok()
            .content_type(media_type)
            // What a handler returned must not run as a page of this server.
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::CONTENT_SECURITY_POLICY, "sandbox"))
            .body(bytes)
    };
    response.headers_mut().insert(header::ETAG, tag);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    Ok(response)
}

/// `GET /api/jobs/{id}/payload`, with what is secret hidden.
pub(super) async fn payload(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let job = find(&request, &api).await?;
    let registered = api.jobs.registry().get(job.spec.kind.as_str());
    let also = registered.map_or(&[][..], |registered| &registered.settings.sensitive);
    let shown = api.jobs.redactor().payload(&job.spec.payload, also);
    Ok(json(&mut HttpResponse::Ok(), shown.to_string().into_bytes()))
}

/// `GET /api/jobs/{id}/log`.
pub(super) async fn log(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let job = find(&request, &api).await?;
    Ok(HttpResponse::Ok().json(json!({ "lines": job.log.lines() })))
}

/// `DELETE /api/jobs/{id}`.
pub(super) async fn cancel(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    body::discard(&request, payload, &api).await?;
    let (mut response, job) = match api.jobs.cancel(id(&request)?).await? {
        Canceled::Now(job) => (HttpResponse::Ok(), job),
        Canceled::Requested(job) => (HttpResponse::Accepted(), job),
    };
    Ok(json(&mut response, api.job_json(&job, api.jobs.clock().now())))
}

/// `POST /api/jobs/{id}/retry`.
pub(super) async fn retry(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    body::unneeded(&request, payload, &api).await?;
    let job = api.jobs.retry(id(&request)?).await?;
    Ok(accepted(&api, &Accepted::New(job)))
}

pub(super) fn id(request: &HttpRequest) -> Result<JobId, Problem> {
    request.match_info().query("id").parse().map_err(|_| Problem::job_not_found())
}

async fn find(request: &HttpRequest, api: &Api) -> Result<Arc<Job>, Problem> {
    api.jobs.get(id(request)?).await?.ok_or_else(Problem::job_not_found)
}

/// The job as it stands, or, with `Prefer: wait`, when it has come to its end.
async fn find_or_wait(request: &HttpRequest, api: &Api) -> Result<(Arc<Job>, Option<prefer::Wait>), Problem> {
    let Some(wait) = prefer::wait(request) else {
        return Ok((find(request, api).await?, None));
    };
    let job = api.jobs.wait(id(request)?, wait.patience(), api.closing.cancelled()).await?;
    Ok((job.ok_or_else(Problem::job_not_found)?, Some(wait)))
}

fn with_wait(mut response: HttpResponse, wait: Option<prefer::Wait>) -> HttpResponse {
    if let Some(wait) = wait {
        let (name, value) = wait.applied();
        response.headers_mut().insert(name, value);
    }
    response
}
