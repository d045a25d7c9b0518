//! `GET /metrics`: what Prometheus asks for.

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::api::Api;
use super::problem::Problem;
use super::problem_type::ProblemType;
use crate::job::{QueueName, StateName};
use crate::metrics::{Format, Gauges, Held, QueueGauges, render};

/// Tells every metric, as OpenMetrics to those who ask for it by `Accept`.
pub(super) async fn show(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let accept: Vec<&str> =
        request.headers().get_all(header::ACCEPT).filter_map(|accept| accept.to_str().ok()).collect();
    let format = Format::of_accept(&accept.join(","));
    let told = render(api.jobs.metrics(), gauges(&api).await, format);
    let told = told.ok_or_else(|| {
        Problem::new(ProblemType::NotFound, "Nothing is counted here: metrics.enabled is false.")
    })?;
    let media_type = HeaderValue::from_static(format.content_type());
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, media_type)).body(told))
}

/// What is looked up. A store that does not answer costs the numbers of its queues, not all others.
async fn gauges(api: &Api) -> Gauges {
    let mut queues = Vec::new();
    for name in api.jobs.queue_names() {
        queues.extend(queue(api, name).await);
    }
    Gauges {
        queues,
        memory: memory(api),
        mail: api.mailer.outcomes().collect(),
        draining: api.phase.is_stopping(),
    }
}

async fn queue(api: &Api, name: &QueueName) -> Option<QueueGauges> {
    let status = api.jobs.queue(name.as_str()).await.ok()??;
    let counts = api.jobs.counts(name).await.ok()?;
    Some(QueueGauges {
        jobs: StateName::ALL.into_iter().map(|state| (state, counts.get(state))).collect(),
        capacity: status.capacity as u64,
        oldest_pending_seconds: status.oldest_pending_seconds,
        paused: status.is_paused(),
        workers: status.concurrency as u64,
        busy: status.processing,
        name: status.name,
    })
}

fn memory(api: &Api) -> Vec<Held> {
    let jobs = api.jobs.held_bytes().map(|bytes| Held { of: "jobs", bytes, limit: api.memory_limit });
    let (bytes, limit) = api.idempotency.memory();
    let keys = Held { of: "idempotency", bytes: bytes as u64, limit: limit as u64 };
    let mail = api.mailer.captured().map(|captured| Held {
        of: "captured_mail",
        bytes: captured.bytes() as u64,
        limit: captured.max_bytes() as u64,
    });
    jobs.into_iter().chain([keys]).chain(mail).collect()
}
