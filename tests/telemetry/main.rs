//! What the real program writes into its log, and what it sends to a collector.

mod log;
#[cfg(feature = "otel")]
mod otel;
mod program;
