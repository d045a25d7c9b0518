//! Which path leads where, and what it asks of its callers.

use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Scope};

use super::api::Api;
use super::auth::{NOTHING, OPERATE, READ, SUBMIT, SUBMIT_OR_READ};
use super::envelope::Envelope;
use super::openapi::{self, Texts};
use super::path::{Path, Paths};
use super::problem::Problem;
use super::problem_type::ProblemType;
use super::watch::Route;
use super::{
    batch, body, dead_letters, deliveries, events, hub, job, jobs, kinds, list, mail, metrics, probes,
    problem_pages, progress, queues, schedules,
};

/// Mounts everything. Pass it to `App::configure`, on a server of your own too.
pub fn routes(api: Api) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let texts = Data::new(Texts::default());
    move |config| {
        let scope = web::scope("").app_data(Data::new(api.clone())).app_data(texts.clone());
        let at = |path| Path::new(path, &api.guard, Route::new(path, api.jobs.metrics()));
        let scope = paths(at).into_iter().fold(scope, Scope::service);
        config.service(scope.default_service(web::route().to(not_found)).wrap(Envelope::new(api.clone())));
    }
}

/// Every path, begun by `at`. The description of the API (`openapi/`) is made from this table too.
pub(super) fn paths(at: impl Fn(&'static str) -> Path) -> Paths {
    Paths::default()
        .service(at("/api/jobs").read(READ, list::list).post(SUBMIT, jobs::submit))
        .service(at("/api/jobs/batch").post(SUBMIT, batch::submit))
        .service(at("/api/jobs/{id}").read(SUBMIT_OR_READ, job::show).delete(SUBMIT, job::cancel))
        .service(at("/api/jobs/{id}/status").read(SUBMIT_OR_READ, job::status))
        .service(at("/api/jobs/{id}/result").read(SUBMIT_OR_READ, job::result))
        .service(at("/api/jobs/{id}/payload").read(OPERATE, job::payload))
        .service(at("/api/jobs/{id}/log").read(SUBMIT_OR_READ, job::log))
        .service(at("/api/jobs/{id}/deliveries").read(SUBMIT_OR_READ, deliveries::list))
        .service(at("/api/jobs/{id}/events").read(SUBMIT_OR_READ, events::of_job))
        .service(at("/api/events").read(READ, events::of_all))
        .service(at("/api/jobs/{id}/retry").post(OPERATE, job::retry))
        .service(at("/api/jobs/{id}/progress").post(NOTHING, progress::report))
        .service(at("/api/kinds").read(READ, kinds::list))
        .service(at("/api/dead-letters").delete(OPERATE, dead_letters::delete))
        .service(at("/api/dead-letters/redrive").post(OPERATE, dead_letters::redrive))
        .service(at("/api/queues").read(READ, queues::list))
        .service(at("/api/queues/{name}").read(READ, queues::show).patch(OPERATE, queues::patch))
        .service(at("/api/schedules").read(READ, schedules::list))
        .service(at("/api/schedules/{name}").read(READ, schedules::show).patch(OPERATE, schedules::change))
        .service(at("/api/schedules/{name}/run").post(OPERATE, schedules::run))
        .service(at("/api/mail").read(READ, mail::list).delete(OPERATE, mail::clear))
        .service(at("/api/mail/{id}").read(READ, mail::show))
        .service(at("/api/mail/{id}/raw").read(READ, mail::raw))
        .service(at("/metrics").read(READ, metrics::show))
        .service(
            at("/hubs/jobs")
                .read(SUBMIT_OR_READ, hub::connect)
                .post(SUBMIT_OR_READ, hub::send)
                .delete(SUBMIT_OR_READ, hub::end),
        )
        .service(at("/hubs/jobs/negotiate").post(SUBMIT_OR_READ, hub::negotiate))
        .service(at("/livez").read(NOTHING, probes::live))
        .service(at("/readyz").read(NOTHING, probes::ready))
        .service(at("/problems/{slug}").read(NOTHING, problem_pages::page))
        .service(at("/openapi.json").read(NOTHING, openapi::show))
        .service(at("/docs").read(NOTHING, openapi::page))
}

async fn not_found(request: HttpRequest, payload: Payload, api: Data<Api>) -> Result<HttpResponse, Problem> {
    body::discard(&request, payload, &api).await?;
    Err(Problem::new(ProblemType::NotFound, "There is nothing at this path."))
}
