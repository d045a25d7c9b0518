//! Where log lines go.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload;

use crate::config::{Log, LogFormat};

/// Names the collector to which spans are sent, as every program that knows OpenTelemetry reads it.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// Changes how much is logged, while it is.
pub struct LogLevel(Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl LogLevel {
    /// Logs so much from now on; the text is a level or directives, as `log.level` has them.
    ///
    /// # Errors
    ///
    /// When the level is none.
    pub fn set(&self, level: &str) -> anyhow::Result<()> {
        Ok((self.0)(filter(level)?)?)
    }
}

/// Sends what is left of the spans when it is dropped, which takes a few seconds at most.
#[must_use]
#[derive(Debug, Default)]
pub struct Telemetry {
    #[cfg(feature = "otel")]
    exporter: Option<super::otel::Exporter>,
}

/// Sends log lines to the standard error from now on, and panics too; and spans to a collector, if the environment names
/// one and this program was built with the feature `otel`.
///
/// # Errors
///
/// When the level is none, when the collector cannot be one, or when there is a subscriber already.
pub fn init(log: &Log) -> anyhow::Result<(LogLevel, Telemetry)> {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let endpoint = ENDPOINTS.iter().copied().find(is_set);
    let started = subscribe(log, endpoint)?;
    std::panic::set_hook(Box::new(|panic| {
        // Without the message: a handler's can quote its payload. It is in the job.
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "panicked");
    }));
    Ok(started)
}

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    // The HTTP server tells every start of a thread, and calls every request that is none an error of its own, with
    // which anybody could fill the log; whoever wants that can name it in `log.level`.
    let quiet = "actix_server=warn,actix_http=off,backroom_report=info";
    Ok(EnvFilter::try_new(format!("{quiet},{level}"))?)
}

#[cfg(not(feature = "otel"))]
fn subscribe(log: &Log, endpoint: Option<&str>) -> anyhow::Result<(LogLevel, Telemetry)> {
    let level = plain(log)?;
    if let Some(variable) = endpoint {
        tracing::warn!(variable, "no spans are sent: this program was built without the feature otel");
    }
    Ok((level, Telemetry::default()))
}

#[cfg(feature = "otel")]
fn subscribe(log: &Log, endpoint: Option<&str>) -> anyhow::Result<(LogLevel, Telemetry)> {
    use super::otel::{Exporter, layer};
    use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
    use tracing_subscriber::util::SubscriberInitExt as _;

    if endpoint.is_none() {
        return Ok((plain(log)?, Telemetry::default()));
    }
    let exporter = Exporter::new()?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    };
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(layer(&exporter)).try_init()?;
    tracing::info!("spans are sent to a collector");
    let level = LogLevel(Box::new(move |filter| handle.reload(filter)));
    Ok((level, Telemetry { exporter: Some(exporter) }))
}

/// Log lines alone: what most have, and what costs least.
fn plain(log: &Log) -> anyhow::Result<LogLevel> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter(&log.level)?).with_writer(std::io::stderr);
    let (initialised, level) = match log.format {
        LogFormat::Text => {
            let builder = builder.with_ansi(std::io::stderr().is_terminal()).with_target(false);
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), LogLevel(Box::new(move |filter| handle.reload(filter))))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_current_span(false).with_span_list(false);
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), LogLevel(Box::new(move |filter| handle.reload(filter))))
        }
    };
    initialised.map_err(|error| anyhow::anyhow!(error))?;
    Ok(level)
}

#[cfg(feature = "otel")]
impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(exporter) = self.exporter.take() {
            exporter.finish();
        }
    }
}
