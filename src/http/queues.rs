//! `GET /api/queues`.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::api::Api;
use super::problem::{Problem, ProblemType};
use crate::jobs::QueueStatus;

/// Shows how every queue stands.
pub(super) async fn list(api: Data<Api>) -> Result<HttpResponse, Problem> {
    let mut items = Vec::new();
    for name in api.jobs.queue_names() {
        items.extend(api.jobs.queue(name.as_str()).await?.as_ref().map(view));
    }
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

/// Shows how one queue stands.
pub(super) async fn show(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    match api.jobs.queue(request.match_info().query("name")).await? {
        Some(status) => Ok(HttpResponse::Ok().json(view(&status))),
        None => {
            let names: Vec<&str> = api.jobs.queue_names().iter().map(|name| name.as_str()).collect();
            let detail = format!("No queue has this name. There are: {}.", names.join(", "));
            Err(Problem::new(ProblemType::QueueNotFound, detail))
        }
    }
}

fn view(status: &QueueStatus) -> Value {
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    json!({
        "name": status.name,
        "durability": status.durability,
        "paused": false,
        "pause_reason": null,
        "pause_until": null,
        "capacity": status.capacity,
        "concurrency": status.concurrency,
        "pending": status.pending,
        "processing": status.processing,
        "scheduled": status.scheduled,
        "failed": status.failed,
        "dead_lettered": status.dead_lettered,
        "oldest_pending_seconds": rounded(status.oldest_pending_seconds),
        "throughput_per_second": rounded(status.throughput_per_second),
        "rate_limit": null,
    })
}
