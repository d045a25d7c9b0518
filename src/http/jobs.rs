//! `POST /api/jobs`.

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

use super::api::Api;
use super::idempotency::{self, Turn};
use super::idempotency_memory::{Answer, UnderWay};
use super::prefer::Wait;
use super::problem::Problem;
use super::{body, prefer, request};
use crate::job::{Job, JobId, StateName};
use crate::jobs::Accepted;
use crate::telemetry::spans;
use crate::view::JobUrl;

/// As a value that is there: the typed header is formatted for each answer.
const APPLICATION_JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Accepts a job; with `Prefer: wait` gives it a moment to complete.
pub(super) async fn submit(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let answer = accept(&request, payload, &api).await;
    answer.map_err(|problem| {
        body::count_refused(&problem, &api);
        // Whoever is full refuses as fast as it accepts.
        problem.enveloped()
    })
}

async fn accept(request: &HttpRequest, payload: Payload, api: &Api) -> Result<HttpResponse, Problem> {
    let body = body::submission(request, payload, api).await?;
    let under_way = match idempotency::turn(request, "/api/jobs", &body, api)? {
        Turn::Plain => None,
        Turn::First(under_way) => Some(under_way),
        Turn::Again(answer) => return Box::pin(again(request, api, &answer)).await,
    };
    body::refuse_when_draining(api)?;
    let mut new = request::whole(&body, &api.jobs)?;
    new.trace = spans::here(request::trace(request));
    let job = api.jobs.accept(new).await?;
    answer(request, api, job, under_way).await
}

/// Answers a submission that was accepted; with `Prefer: wait` gives it a moment to complete.
pub(super) async fn answer(
    request: &HttpRequest,
    api: &Api,
    job: Accepted,
    under_way: Option<UnderWay>,
) -> Result<HttpResponse, Problem> {
    // What was accepted is remembered before anything else is awaited: there the request can come to its end.
    let first = under_way.map(|under_way| {
        under_way.remember(Some(job.job().id()), accepted(api, &job), api.jobs.clock().elapsed())
    });
    let Some(wait) = prefer::wait(request) else {
        return Ok(first.unwrap_or_else(|| accepted(api, &job)));
    };
    // Apart, so that those who do not wait do not carry it.
    let known = Box::pin(waited(api, job.job().id(), wait)).await?;
    let job = match (job, known) {
        (Accepted::New(_), Some(known)) => Accepted::New(known),
        (Accepted::Duplicate(_), Some(known)) => Accepted::Duplicate(known),
        (job, None) => job,
    };
    let response = match job.job().state.name() {
        StateName::Completed => see_result(api, &job),
        // With a key it is the acceptance that counts, for this request as for its repeats.
        _ => first.unwrap_or_else(|| accepted(api, &job)),
    };
    Ok(with_wait(response, wait))
}

/// Answers a repeat: as the first time, or with the result, if it waits for that.
pub(super) async fn again(
    request: &HttpRequest,
    api: &Api,
    answer: &Answer,
) -> Result<HttpResponse, Problem> {
    let first = idempotency::replayed(answer.response());
    let (Some(wait), Some(id)) = (prefer::wait(request), answer.job) else {
        return Ok(first);
    };
    let response = match waited(api, id, wait).await? {
        Some(job) if job.state.name() == StateName::Completed => {
            idempotency::replayed(see_result(api, &Accepted::New(job)))
        }
        // It goes on, has come to another end, or has been forgotten.
        _ => first,
    };
    Ok(with_wait(response, wait))
}

async fn waited(api: &Api, id: JobId, wait: Wait) -> Result<Option<Arc<Job>>, Problem> {
    Ok(api.jobs.wait(id, wait.patience(), api.closing.cancelled()).await?)
}

fn with_wait(mut response: HttpResponse, wait: Wait) -> HttpResponse {
    let (name, value) = wait.applied();
    response.headers_mut().insert(name, value);
    response
}

/// 202: the job, where to ask for it, and when.
pub(super) fn accepted(api: &Api, accepted: &Accepted) -> HttpResponse {
    let (now, job) = (api.jobs.clock().now(), accepted.job());
    let waiting = api.jobs.waiting(job, now);
    let body = api.accepted_json(accepted, waiting);
    let mut response = located(StatusCode::ACCEPTED, api.job_url(job.id(), "/status"), body);
    let pause = api.jobs.poll_pause(job, waiting, now);
    response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(pause));
    response
}

/// Seconds as a value of a header. Mostly it is one, as a value that is there.
fn whole_seconds(seconds: u64) -> HeaderValue {
    if seconds == 1 { HeaderValue::from_static("1") } else { HeaderValue::from(seconds) }
}

/// 303: the job, and where its result is (RFC 9110 §15.4.4).
pub(super) fn see_result(api: &Api, accepted: &Accepted) -> HttpResponse {
    let (now, job) = (api.jobs.clock().now(), accepted.job());
    let body = api.accepted_json(accepted, api.jobs.waiting(job, now));
    located(StatusCode::SEE_OTHER, api.job_url(job.id(), "/result"), body)
}

/// An answer that is JSON, and says where to go on. Put together without the builder, which takes twice as long.
fn located(status: StatusCode, location: JobUrl<'_>, body: Vec<u8>) -> HttpResponse {
    let mut response = HttpResponse::with_body(status, BoxBody::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, APPLICATION_JSON);
    // What stands before the path was read as a URL, which is ASCII.
    if let Ok(location) = HeaderValue::try_from(location.to_bytes()) {
        headers.insert(header::LOCATION, location);
    }
    response
}

/// A body that is JSON already.
pub(super) fn json(response: &mut HttpResponseBuilder, body: Vec<u8>) -> HttpResponse {
    response.insert_header((header::CONTENT_TYPE, APPLICATION_JSON)).body(body)
}
