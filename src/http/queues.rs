//! `GET /api/queues`.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::json;

use super::api::Api;
use super::problem::Problem;
use super::problem_type::ProblemType;
use crate::job::{QueueName, Timestamp};
use crate::jobs::{Jobs, QueueStatus};
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
    match api.jobs.queue(request.match_info().query("name")).await? {
        Some(status) => Ok(HttpResponse::Ok().json(view(&status))),
        None => Err(not_found(&api.jobs)),
    }
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
    rate_limit: Option<&'a str>,
}

/// Queues cannot be paused or slowed down yet; the members are there, so that a reader need not ask whether they are.
fn view(status: &QueueStatus) -> View<'_> {
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    View {
        name: &status.name,
        durability: status.durability,
        paused: false,
        pause_reason: None,
        pause_until: None,
        capacity: status.capacity,
        concurrency: status.concurrency,
        pending: status.pending,
        processing: status.processing,
        scheduled: status.scheduled,
        failed: status.failed,
        dead_lettered: status.dead_lettered,
        oldest_pending_seconds: rounded(status.oldest_pending_seconds),
        throughput_per_second: rounded(status.throughput_per_second),
        rate_limit: None,
    }
}
