//! What holds for every request and response: the guard at the door, a request id, problems in their JSON form, no
//! caching under `/api`, and what pages of other origins are told.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, Ready, ready};
use tracing::Instrument as _;

use super::api::Api;
use super::connection::{Answering, Traffic};
use super::cors::Page;
use super::guard::{LastHost, Verdict};
use super::problem::Problem;
use super::problem_type::ProblemType;
use super::watch::{Route, Watch};
use super::{body, cors};

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_REQUEST_ID: usize = 128;

/// Wraps every route.
pub(super) struct Envelope(Rc<Api>);

impl Envelope {
    pub(super) fn new(api: Api) -> Self {
        Self(Rc::new(api))
    }
}

impl<S, B> Transform<S, ServiceRequest> for Envelope
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = EnvelopeService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let unmatched = Rc::new(Route::unmatched(self.0.jobs.metrics()));
        ready(Ok(EnvelopeService {
            service: Rc::new(service),
            api: Rc::clone(&self.0),
            unmatched,
            last_host: LastHost::default(),
        }))
    }
}

pub(super) struct EnvelopeService<S> {
    service: Rc<S>,
    api: Rc<Api>,
    unmatched: Rc<Route>,
    last_host: LastHost,
}

impl<S, B> Service<ServiceRequest> for EnvelopeService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    actix_web::dev::forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (api, service, unmatched) =
            (Rc::clone(&self.api), Rc::clone(&self.service), Rc::clone(&self.unmatched));
        let id = request_id(request.request(), &api);
        let page = api.guard.page(request.request());
        let verdict = api.guard.judge(request.request(), page.as_ref(), &self.last_host);
        // A server that is not ours has other connections.
        let answering_on = request.conn_data::<Rc<Traffic>>().map(|traffic| Rc::clone(traffic).begin());
        let watch = Watch::begin(&request, &api);
        Box::pin(async move {
            let answering = answer(&*service, request, verdict, &api, id, page);
            let answered = answering.instrument(watch.span()).await;
            if let (Ok(answered), Some(answering_on)) = (&answered, answering_on) {
                tell(answered, answering_on);
            }
            watch.end(&answered, &unmatched, &api);
            answered
        })
    }
}

/// Answers a request about which the guard has decided so.
async fn answer<S, B>(
    service: &S,
    mut request: ServiceRequest,
    mut verdict: Verdict,
    api: &Api,
    id: HeaderValue,
    page: Option<Page>,
) -> Result<ServiceResponse<BoxBody>, Error>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    // A body that was not read costs the connection.
    if !matches!(verdict, Verdict::Pass) || has_no_reader(request.request()) {
        let payload = request.take_payload();
        // Apart, so that those who read their body themselves do not carry it.
        if let Err(problem) = Box::pin(body::discard(request.request(), payload, api)).await {
            verdict = Verdict::Refuse(problem);
        }
    }
    let mut response = match verdict {
        Verdict::Pass => match AssertUnwindSafe(async { service.call(request).await }).catch_unwind().await {
            Ok(answered) => answered?.map_into_boxed_body(),
            // The panic took the request with it: all that is left to say is the id.
            Err(_) => return Err(panicked(api, id, page).into()),
        },
        Verdict::Preflight => {
            let mut response = HttpResponse::NoContent().finish();
            cors::allow(response.headers_mut());
            request.into_response(response)
        }
        Verdict::Refuse(problem) => request.error_response(problem),
    };
    finish(&mut response, api, id, page);
    Ok(response)
}

fn panicked(api: &Api, id: HeaderValue, page: Option<Page>) -> Problem {
    tracing::error!(request_id = id.to_str().unwrap_or_default(), "request failed: it panicked");
    let panic = std::io::Error::other("a handler panicked");
    let mut problem = Problem::internal(&panic)
        .header(X_REQUEST_ID, id)
        .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in api.guard.tell(page).into_iter().flatten() {
        problem = problem.header(name, value);
    }
    problem
}

/// Whether no route reads what follows the head: the body of a `GET` says nothing (RFC 9110 §9.3.1). What follows an upgrade
/// is no body, and belongs to the route that agrees to it.
fn has_no_reader(request: &HttpRequest) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD) && !body::is_endless(request)
}

/// Tells the connection what kind of answer it was.
fn tell(response: &ServiceResponse<BoxBody>, answering_on: Answering) {
    let inner = response.response();
    if inner.body().size() == BodySize::Stream {
        answering_on.streams();
    } else if inner.head().connection_type() == ConnectionType::Close {
        answering_on.closes();
    }
}

fn finish(response: &mut ServiceResponse<BoxBody>, api: &Api, id: HeaderValue, page: Option<Page>) {
    let told = problem_of(response, api).map(|problem| {
        let request_id = id.to_str().unwrap_or_default();
        if let Some(causes) = problem.causes() {
            tracing::error!(request_id, causes = api.jobs.redactor().line(causes), "request failed");
        }
        problem.response(&api.base_url, response.request().path(), request_id)
    });
    if let Some(told) = told {
        *response.response_mut() = told;
    }
    let headers = response.headers_mut();
    // Everything that may be kept by a cache says so itself.
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(X_REQUEST_ID, id);
    if let Some(told) = api.guard.tell(page) {
        told.for_each(|(name, value)| headers.append(name, value));
    }
}

/// The problem behind a response, if it is one. What actix refuses on its own becomes one here.
fn problem_of<'a>(response: &'a ServiceResponse, api: &Api) -> Option<Cow<'a, Problem>> {
    let error = response.response().error()?;
    if let Some(problem) = error.as_error::<Problem>() {
        return Some(Cow::Borrowed(problem));
    }
    let kind = match response.status().as_u16() {
        404 => ProblemType::NotFound,
        413 => ProblemType::PayloadTooLarge,
        400..500 => ProblemType::MalformedRequest,
        _ => {
            let (path, error) = (response.request().path(), error.to_string());
            let redactor = api.jobs.redactor();
            tracing::error!(path = redactor.line(path), error = redactor.line(&error), "unexpected error");
            ProblemType::Internal
        }
    };
    Some(Cow::Owned(Problem::new(kind, "The request could not be handled.")))
}

/// The caller's own id, when it is visible ASCII and not too long; else a new one.
fn request_id(request: &HttpRequest, api: &Api) -> HeaderValue {
    let fits = |id: &&HeaderValue| {
        (1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    if let Some(id) = request.headers().get(X_REQUEST_ID).filter(fits) {
        return id.clone();
    }
    let dice = api.jobs.clock().dice();
    let id: [u8; 16] = std::array::from_fn(|n| b"0123456789abcdef"[(dice >> (60 - 4 * n)) as usize & 15]);
    HeaderValue::from_bytes(&id).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn what_follows_an_upgrade_is_left_to_its_route() {
        let reads = |request: TestRequest| !has_no_reader(&request.to_http_request());
        assert!(!reads(TestRequest::get()));
        assert!(!reads(TestRequest::default().method(Method::HEAD)));
        assert!(reads(TestRequest::post()));
        assert!(reads(TestRequest::delete()));
        let upgrade = || TestRequest::get().insert_header((header::UPGRADE, "WebSocket"));
        assert!(reads(upgrade()));
        assert!(!reads(upgrade().insert_header((header::TRANSFER_ENCODING, "chunked"))), "those are a body");
        assert!(!reads(TestRequest::get().insert_header((header::UPGRADE, "h2c"))));
    }
}
