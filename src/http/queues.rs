//! `/api/queues`: how they stand, and changing one while it runs.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::json;

use super::api::Api;
use super::merge_patch::MergePatch;
use super::problem::Problem;
use super::problem_type::ProblemType;
use super::{merge_patch, queue_patch};
use crate::job::{QueueName, RateLimit, Timestamp};
use crate::jobs::{Jobs, QueuePatchError, QueueStatus};
use crate::store::Durability;

/// Shows how every queue stands.
pub(super) async fn list(api: Data<Api>) -> Result<HttpResponse, Problem> {
    let mut statuses = Vec::new();
    for name in api.jobs.queue_names() {
        statuses.extend(api.jobs.queue(name.as_str()).await?);
    }
    let items: Vec<View<'_>> = statuses.iter().map(view).collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

/// Shows how one queue stands.
pub(super) async fn show(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    match api.jobs.queue(name(&request)).await? {
        Some(status) => Ok(HttpResponse::Ok().json(view(&status))),
        None => Err(not_found(&api.jobs)),
    }
}

/// Changes a queue, at once.
pub(super) async fn patch(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let body = merge_patch::body(&request, payload, &api).await?;
    let name = name(&request);
    if !api.jobs.has_queue(name) {
        return Err(not_found(&api.jobs));
    }
    if api.jobs.is_draining() {
        return Err(QueuePatchError::Draining.into());
    }
    let patch = MergePatch::parse(&body, &queue_patch::MEMBERS)?;
    let (patch, mut faults) = queue_patch::read(patch);
    if !faults.is_empty() {
        // What could be read may be wrong in its own way, and is to be named at once.
        faults.extend(api.jobs.queue_patch_faults(name, &patch));
        return Err(Problem::faults(ProblemType::ValidationFailed, faults));
    }
    let status = api.jobs.patch_queue(name, &patch).await?;
    Ok(HttpResponse::Ok().json(view(&status)))
}

fn name(request: &HttpRequest) -> &str {
    request.match_info().query("name")
}

/// No queue of this name, but these.
pub(super) fn not_found(jobs: &Jobs) -> Problem {
    let names: Vec<&str> = jobs.queue_names().iter().map(|name| name.as_str()).collect();
    let detail = format!("No queue has this name. There are: {}.", names.join(", "));
    Problem::new(ProblemType::QueueNotFound, detail)
}

#[derive(Serialize)]
struct View<'a> {
    name: &'a QueueName,
    durability: Durability,
    paused: bool,
    pause_reason: Option<&'a str>,
    pause_until: Option<Timestamp>,
    capacity: usize,
    concurrency: usize,
    pending: u64,
    processing: u64,
    scheduled: u64,
    failed: u64,
    dead_lettered: u64,
    oldest_pending_seconds: f64,
    throughput_per_second: f64,
    rate_limit: Option<RateLimit>,
}

fn view(status: &QueueStatus) -> View<'_> {
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    let pause = status.pause.as_ref();
    View {
        name: &status.name,
        durability: status.durability,
        paused: status.is_paused(),
        pause_reason: pause.and_then(|pause| pause.reason.as_deref()),
        pause_until: pause.and_then(|pause| pause.until),
        capacity: status.capacity,
        concurrency: status.concurrency,
        pending: status.pending,
        processing: status.processing,
        scheduled: status.scheduled,
        failed: status.failed,
        dead_lettered: status.dead_lettered,
        oldest_pending_seconds: rounded(status.oldest_pending_seconds),
        throughput_per_second: rounded(status.throughput_per_second),
        rate_limit: status.rate_limit,
    }
}
