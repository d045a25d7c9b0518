//! Where log lines go, and what is in them.
//!
//! Lines go to the standard error. A healthy job writes none. Never in them: payloads, results, addresses, secrets, and
//! the messages of handlers' errors, which can quote any of these; those are in the job, where they are guarded.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload;

use crate::config::{Log, LogFormat};

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

/// Sends log lines to the standard error from now on, and panics too.
///
/// # Errors
///
/// When the level is none, or there is a subscriber already.
pub fn init(log: &Log) -> anyhow::Result<LogLevel> {
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
    std::panic::set_hook(Box::new(|panic| {
        // Without the message: a handler's can quote its payload. It is in the job.
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "panicked");
    }));
    Ok(level)
}

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    // The HTTP server tells every start of a thread, and calls every request that is none an error of its own, with
    // which anybody could fill the log; whoever wants that can name it in `log.level`.
    let quiet = "actix_server=warn,actix_http=off,backroom_report=info";
    Ok(EnvFilter::try_new(format!("{quiet},{level}"))?)
}
