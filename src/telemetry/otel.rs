//! Spans for a collector of OpenTelemetry, over HTTP (OTLP).
//!
//! Everything is set by the environment, as the specification of OpenTelemetry names it: `OTEL_EXPORTER_OTLP_ENDPOINT`,
//! `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` and their like.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::names;
use crate::job::Trace;

/// How long the collector may take for one request.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the last spans may take to leave: no stop waits for a collector that is gone.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// Collects spans and sends them in batches, from a thread of its own.
#[derive(Debug)]
pub(super) struct Exporter(SdkTracerProvider);

impl Exporter {
    pub(super) fn new() -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("set up the client of the collector")?;
        let exporter = SpanExporter::builder().with_http().with_http_client(Http(client)).build();
        let exporter = exporter.context("OTEL_EXPORTER_OTLP_ENDPOINT and its like cannot be followed")?;
        let named = std::env::var_os("OTEL_SERVICE_NAME").is_some_and(|name| !name.is_empty());
        let resource = Resource::builder();
        let resource = if named { resource } else { resource.with_service_name("backroom") };
        let provider = SdkTracerProvider::builder().with_resource(resource.build());
        Ok(Self(provider.with_batch_exporter(exporter).build()))
    }

    /// Sends what is left.
    pub(super) fn finish(self) {
        if self.0.shutdown_with_timeout(LAST_PATIENCE).is_err() {
            tracing::warn!("the last spans did not reach the collector");
        }
    }
}

/// Hands our spans to the exporter, and no others, whatever is logged.
pub(super) fn layer<S>(exporter: &Exporter) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer()
        .with_tracer(exporter.0.tracer("backroom"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(Targets::new().with_target(names::SPANS, Level::DEBUG))
}

/// Makes a span the child of the one that a trace was seen from.
pub(super) fn follow(span: &Span, trace: &Trace) {
    let state = trace.state().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    let (id, parent) = (TraceId::from(trace.id()), SpanId::from(trace.span()));
    let context = SpanContext::new(id, parent, TraceFlags::new(trace.flags()), true, state);
    // Fails only once the span has begun.
    let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(context));
}

/// Gives a span another name: that of a request is known once it has found its route.
pub(super) fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// The trace as it is seen from the current span; the one that came with the request if there is no span.
pub(super) fn here(trace: Option<Trace>) -> Option<Trace> {
    let span = Span::current();
    if span.is_disabled() {
        return trace;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    if !context.is_valid() {
        return trace;
    }
    let seen_from = u64::from_be_bytes(context.span_id().to_bytes());
    let parent = format!("00-{}-{seen_from:016x}-{:02x}", context.trace_id(), context.trace_flags().to_u8());
    trace.map(|trace| trace.from_span(seen_from)).or_else(|| Trace::parse(&parent, None))
}

/// Our client, as the exporter calls it.
struct Http(reqwest::Client);

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Http {
    fn send_bytes<'life0, 'async_trait>(&'life0 self, request: Request<Bytes>) -> Sending<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let request = reqwest::Request::try_from(request)?;
            // The exporter calls from its own thread, which no runtime drives.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let response = self.0.execute(request).await?.error_for_status()?;
                let status = response.status();
                Ok(Response::builder().status(status).body(response.bytes().await?)?)
            })
        })
    }
}
