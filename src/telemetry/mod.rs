//! Where log lines and spans go, and what is in them.
//!
//! Lines go to the standard error. A healthy job writes none. Never in them: payloads, results, addresses, secrets, and
//! the messages of handlers' errors, which can quote any of these; those are in the job, where they are guarded. Spans are
//! of the level `debug`, so that with the shipped filter they cost a look at a number; with the feature `otel` they go to a
//! collector, whatever the filter of the log says.

mod log;
pub mod names;
#[cfg(feature = "otel")]
mod otel;
pub(crate) mod spans;

pub use log::{LogLevel, Telemetry, init};
