//! The spans: one for each request, one for each attempt.

use tracing::Span;
use tracing::field::Empty;

use super::names;
use crate::job::{AttemptOutcome, Job, Trace};

/// A request, from its head to that of its answer.
pub(crate) fn request(method: &str) -> Span {
    tracing::debug_span!(
        target: names::SPANS,
        names::REQUEST_SPAN,
        otel.kind = "server",
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        otel.status_code = Empty,
    )
}

/// Notes what a request came to.
#[cfg_attr(not(feature = "otel"), expect(unused_variables, reason = "only a collector is told the name"))]
pub(crate) fn answered(span: &Span, method: &str, route: &str, status: u16) {
    if span.is_disabled() {
        return;
    }
    #[cfg(feature = "otel")]
    super::otel::rename(span, format!("{method} {route}"));
    span.record("http.route", route);
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// One attempt of a job; a part of the trace of the request that submitted it.
pub(crate) fn attempt(job: &Job) -> Span {
    let spec = &*job.spec;
    let span = tracing::debug_span!(
        target: names::SPANS,
        names::ATTEMPT_SPAN,
        otel.name = format!("process {}", spec.queue),
        otel.kind = "consumer",
        messaging.system = "backroom",
        messaging.operation.name = "process",
        messaging.operation.r#type = "process",
        messaging.destination.name = spec.queue.as_str(),
        messaging.message.id = %spec.id,
        backroom.kind = spec.kind.as_str(),
        backroom.attempt = job.attempt,
        backroom.outcome = Empty,
        otel.status_code = Empty,
        error.r#type = Empty,
    );
    if !span.is_disabled() {
        follow(&span, spec.trace.as_deref());
    }
    span
}

/// Notes how an attempt ended. The code of an error is a short word of its handler's.
pub(crate) fn ended(span: &Span, outcome: AttemptOutcome, error: Option<&str>) {
    span.record("backroom.outcome", outcome.as_str());
    if let Some(code) = error {
        span.record("error.type", code);
        span.record("otel.status_code", "ERROR");
    }
}

/// Makes a span a part of a trace that began elsewhere.
#[cfg_attr(not(feature = "otel"), expect(unused_variables, reason = "only a collector puts spans together"))]
pub(crate) fn follow(span: &Span, trace: Option<&Trace>) {
    #[cfg(feature = "otel")]
    if let Some(trace) = trace {
        super::otel::follow(span, trace);
    }
}

/// The trace that what happens now belongs to, seen from the current span if there is one.
pub(crate) fn here(trace: Option<Trace>) -> Option<Trace> {
    #[cfg(feature = "otel")]
    let trace = super::otel::here(trace);
    trace
}
