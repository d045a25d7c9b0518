//! `GET /api/jobs/{id}/deliveries`: the notices of a job, and what became of them.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::json;

use super::api::Api;
use super::job::id;
use super::problem::Problem;
use crate::job::{Channel, Delivery, Job, JobError, JobId, JobState, Timestamp};

/// A notice. It is a job of its own: `id` leads to it.
#[derive(Serialize)]
struct Item<'a> {
    id: JobId,
    channel: Channel,
    event: String,
    /// Without what may be secret in it; of an address of mail only the domain and the first letter.
    target: &'a str,
    state: Delivery,
    attempts: u32,
    max_attempts: u32,
    last_error: Option<&'a JobError>,
    next_attempt_at: Option<Timestamp>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
}

/// Lists the notices of a job, oldest first.
pub(super) async fn list(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let notices = api.jobs.deliveries(id(&request)?).await?.ok_or_else(Problem::job_not_found)?;
    let items: Vec<Item<'_>> = notices.iter().filter_map(|notice| item(notice)).collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

fn item(job: &Job) -> Option<Item<'_>> {
    let notice = job.notice()?;
    Some(Item {
        id: job.id(),
        channel: notice.channel,
        event: format!("job.{}", notice.event),
        target: &notice.target,
        state: Delivery::of(job),
        attempts: job.attempt,
        max_attempts: job.spec.max_attempts,
        last_error: job.error.as_deref(),
        next_attempt_at: match job.state {
            JobState::Failed { due } => Some(due),
            _ => None,
        },
        created_at: job.spec.created_at,
        finished_at: job.state.finished_at(),
    })
}
