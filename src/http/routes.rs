//! Which path leads where.

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource, Route};

use super::api::Api;
use super::envelope::Envelope;
use super::problem::Problem;
use super::problem_type::ProblemType;
use super::{
    batch, body, dead_letters, job, jobs, kinds, list, mail, probes, problem_pages, progress, queues,
};

/// Mounts everything. Pass it to `App::configure`, on a server of your own too.
pub fn routes(api: Api) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config.service(
            web::scope("")
                .app_data(Data::new(api.clone()))
                .wrap(Envelope::new(api.clone()))
                .service(
                    at("/api/jobs", "GET, HEAD, POST")
                        .route(read().to(list::list))
                        .route(web::post().to(jobs::submit)),
                )
                .service(at("/api/jobs/batch", "POST").route(web::post().to(batch::submit)))
                .service(
                    at("/api/jobs/{id}", "GET, HEAD, DELETE")
                        .route(read().to(job::show))
                        .route(web::delete().to(job::cancel)),
                )
                .service(at("/api/jobs/{id}/status", "GET, HEAD").route(read().to(job::status)))
                .service(at("/api/jobs/{id}/result", "GET, HEAD").route(read().to(job::result)))
                .service(at("/api/jobs/{id}/payload", "GET, HEAD").route(read().to(job::payload)))
                .service(at("/api/jobs/{id}/log", "GET, HEAD").route(read().to(job::log)))
                .service(at("/api/jobs/{id}/retry", "POST").route(web::post().to(job::retry)))
                .service(at("/api/jobs/{id}/progress", "POST").route(web::post().to(progress::report)))
                .service(at("/api/kinds", "GET, HEAD").route(read().to(kinds::list)))
                .service(at("/api/dead-letters", "DELETE").route(web::delete().to(dead_letters::delete)))
                .service(at("/api/dead-letters/redrive", "POST").route(web::post().to(dead_letters::redrive)))
                .service(at("/api/queues", "GET, HEAD").route(read().to(queues::list)))
                .service(at("/api/queues/{name}", "GET, HEAD").route(read().to(queues::show)))
                .service(
                    at("/api/mail", "GET, HEAD, DELETE")
                        .route(read().to(mail::list))
                        .route(web::delete().to(mail::clear)),
                )
                .service(at("/api/mail/{id}", "GET, HEAD").route(read().to(mail::show)))
                .service(at("/api/mail/{id}/raw", "GET, HEAD").route(read().to(mail::raw)))
                .service(at("/livez", "GET, HEAD").route(read().to(probes::live)))
                .service(at("/readyz", "GET, HEAD").route(read().to(probes::ready)))
                .service(at("/problems/{slug}", "GET, HEAD").route(read().to(problem_pages::page)))
                .default_service(web::route().to(not_found)),
        );
    }
}

/// `HEAD` wherever `GET`.
fn read() -> Route {
    web::route().guard(actix_web::guard::Any(actix_web::guard::Get()).or(actix_web::guard::Head()))
}

/// A path with the methods that it knows; every other one is refused with those in `Allow` (RFC 9110 §15.5.6).
fn at(path: &str, allow: &'static str) -> Resource {
    let refuse = move |request: HttpRequest, payload: Payload, api: Data<Api>| async move {
        body::discard(&request, payload, api.body_limit).await?;
        let detail = format!("{} is not among the methods of this path: {allow}.", request.method());
        let problem = Problem::new(ProblemType::MethodNotAllowed, detail);
        Err::<HttpResponse, _>(
            problem.with("allow", allow).header(header::ALLOW, HeaderValue::from_static(allow)),
        )
    };
    web::resource(path.to_owned()).default_service(web::route().to(refuse))
}

async fn not_found(request: HttpRequest, payload: Payload, api: Data<Api>) -> Result<HttpResponse, Problem> {
    body::discard(&request, payload, api.body_limit).await?;
    Err(Problem::new(ProblemType::NotFound, "There is nothing at this path."))
}
