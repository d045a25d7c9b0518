//! What is noted of every request: how long it took, a line of the access log, a span.

use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::{Error, HttpRequest};
use tracing::Span;

use super::api::Api;
use super::caller::Caller;
use super::envelope::X_REQUEST_ID;
use super::request;
use crate::metrics::{Metrics, RouteMeter, UNMATCHED};
use crate::telemetry::spans;

/// How much of a path is logged, in bytes.
const LONGEST_PATH: usize = 256;

/// The route that answers, as every request that comes to it can tell.
#[derive(Clone)]
pub(super) struct Route {
    pattern: &'static str,
    meter: RouteMeter,
}

impl Route {
    pub(super) fn new(pattern: &'static str, metrics: &Metrics) -> Self {
        Self { pattern, meter: metrics.route(pattern) }
    }

    /// That of requests which come to none.
    pub(super) fn unmatched(metrics: &Metrics) -> Self {
        Self::new(UNMATCHED, metrics)
    }
}

/// A request that is being answered.
pub(super) struct Watch {
    /// When its head had come, if anybody wants to know.
    began: Option<Duration>,
    method: Method,
    span: Span,
}

impl Watch {
    pub(super) fn begin(request: &ServiceRequest, api: &Api) -> Self {
        let is_wanted = api.access_log || api.jobs.metrics().is_on();
        let span = spans::request(request.method().as_str());
        if !span.is_disabled() {
            spans::follow(&span, request::trace(request.request()).as_ref());
        }
        Self { began: is_wanted.then(|| api.jobs.clock().elapsed()), method: request.method().clone(), span }
    }

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The head of the answer is known.
    pub(super) fn end(
        self,
        answered: &Result<ServiceResponse<BoxBody>, Error>,
        unmatched: &Route,
        api: &Api,
    ) {
        let request = answered.as_ref().ok().map(ServiceResponse::request);
        let route = request.and_then(|request| request.app_data::<Route>()).unwrap_or(unmatched);
        let status = answered.as_ref().map_or(StatusCode::INTERNAL_SERVER_ERROR, ServiceResponse::status);
        spans::answered(&self.span, self.method.as_str(), route.pattern, status.as_u16());
        let Some(began) = self.began else { return };
        let duration = api.jobs.clock().elapsed().saturating_sub(began);
        route.meter.observe(self.method.as_str(), status.as_u16(), duration);
        if api.access_log {
            self.log(answered, route, status, duration, api);
        }
    }

    fn log(
        &self,
        answered: &Result<ServiceResponse<BoxBody>, Error>,
        route: &Route,
        status: StatusCode,
        duration: Duration,
        api: &Api,
    ) {
        let answered = answered.as_ref().ok();
        let request = answered.map(ServiceResponse::request);
        let id = answered.and_then(|answered| answered.headers().get(X_REQUEST_ID)?.to_str().ok());
        // Never the query: it can hold a token. What is left can still be anything that somebody writes.
        let path = request.map_or("", HttpRequest::path);
        let path = api.jobs.redactor().line(&path[..path.floor_char_boundary(LONGEST_PATH)]);
        let caller = request.map(Caller::of).unwrap_or_default();
        tracing::info!(
            method = self.method.as_str(),
            route = route.pattern,
            path,
            status = status.as_u16(),
            duration_ms = duration.as_secs_f64() * 1e3,
            request_id = id.unwrap_or_default(),
            caller = caller.as_str(),
            "request"
        );
    }
}
