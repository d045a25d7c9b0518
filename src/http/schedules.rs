//! `/api/schedules`: recurring jobs.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Value, json};

use super::api::Api;
use super::idempotency::{self, Turn};
use super::merge_patch::MergePatch;
use super::problem::Problem;
use super::problem_type::ProblemType;
use super::{body, jobs, merge_patch, request};
use crate::job::{Fault, JobId, KindName, QueueName, ScheduleName, StateName, Timestamp};
use crate::schedule::Last;
use crate::schedules::{LastRun, Recurring, RunError, ScheduleStatus, UnknownSchedule};

/// Under which path its idempotency keys are remembered.
const RUN: &str = "/api/schedules/{name}/run";

/// `GET /api/schedules`.
pub(super) async fn list(api: Data<Api>) -> Result<HttpResponse, Problem> {
    let mut statuses = Vec::new();
    for recurring in api.schedules.iter() {
        statuses.push(api.schedules.status(recurring).await?);
    }
    let items: Vec<View<'_>> = statuses.iter().map(view).collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

/// `GET /api/schedules/{name}`.
pub(super) async fn show(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    shown(&api, api.schedules.get(name(&request))?).await
}

/// `PATCH /api/schedules/{name}`: pauses it or lets it go on; `null` leaves that to the configuration again.
pub(super) async fn change(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let body = merge_patch::body(&request, payload, &api).await?;
    let recurring = api.schedules.get(name(&request))?;
    let MergePatch { members, mut faults } = MergePatch::parse(&body, &["paused"])?;
    let paused = match members.get("paused") {
        None => None,
        Some(Value::Null) => Some(None),
        Some(Value::Bool(paused)) => Some(Some(*paused)),
        Some(_) => {
            faults.push(Fault::new("/paused", "must be true, false or null"));
            None
        }
    };
    if !faults.is_empty() {
        return Err(Problem::faults(ProblemType::ValidationFailed, faults));
    }
    if let Some(paused) = paused {
        api.schedules.pause(name(&request), paused)?;
    }
    shown(&api, recurring).await
}

/// `POST /api/schedules/{name}/run`: a job of it now, answered as one that was submitted.
pub(super) async fn run(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    body::unneeded(&request, payload, &api).await?;
    api.schedules.get(name(&request))?;
    // There is no body that could tell two requests apart: their schedules do.
    let under_way = match idempotency::turn(&request, RUN, name(&request).as_bytes(), &api)? {
        Turn::Plain => None,
        Turn::First(under_way) => Some(under_way),
        Turn::Again(answer) => return jobs::again(&request, &api, &answer).await,
    };
    let job = match api.schedules.run_now(name(&request), request::trace(&request)).await {
        Ok(job) => job,
        Err(RunError::Unknown(unknown)) => return Err(unknown.into()),
        Err(RunError::Submit(error)) => return Err(error.into()),
    };
    jobs::answer(&request, &api, job, under_way).await
}

fn name(request: &HttpRequest) -> &str {
    request.match_info().query("name")
}

async fn shown(api: &Api, recurring: &Recurring) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(view(&api.schedules.status(recurring).await?)))
}

impl From<UnknownSchedule> for Problem {
    fn from(UnknownSchedule { nearest, known }: UnknownSchedule) -> Self {
        let known: Vec<&str> = known.iter().map(ScheduleName::as_str).collect();
        let detail = match nearest {
            Some(nearest) => format!("No schedule has this name. Did you mean {nearest:?}?"),
            None if known.is_empty() => "No schedule has this name: there are none.".to_owned(),
            None => format!("No schedule has this name. There are: {}.", known.join(", ")),
        };
        Self::new(ProblemType::ScheduleNotFound, detail)
    }
}

/// The members in the order in which people read them.
#[derive(Serialize)]
struct View<'a> {
    name: &'a ScheduleName,
    cron: &'a str,
    time_zone: &'a str,
    kind: &'a KindName,
    queue: Option<&'a QueueName>,
    overlap: &'static str,
    catch_up: &'static str,
    paused: bool,
    next_runs: &'a [Timestamp],
    waiting_since: Option<Timestamp>,
    last_run: Option<LastView>,
}

#[derive(Serialize)]
struct LastView {
    due_at: Timestamp,
    at: Timestamp,
    trigger: &'static str,
    outcome: &'static str,
    job: Option<JobId>,
    job_state: Option<StateName>,
}

fn view<'a>(status: &'a ScheduleStatus<'a>) -> View<'a> {
    let schedule = status.schedule;
    let last = |LastRun { last: Last { due_at, at, trigger, outcome, job }, state }| LastView {
        due_at,
        at,
        trigger: trigger.as_str(),
        outcome: outcome.as_str(),
        job,
        job_state: state,
    };
    View {
        name: &schedule.name,
        cron: schedule.timetable.cron(),
        time_zone: schedule.timetable.time_zone(),
        kind: &schedule.job.kind,
        queue: status.queue,
        overlap: schedule.overlap.as_str(),
        catch_up: schedule.catch_up.as_str(),
        paused: status.paused,
        next_runs: &status.next_runs,
        waiting_since: status.waiting_since,
        last_run: status.last_run.map(last),
    }
}
