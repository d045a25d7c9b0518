//! Calls an HTTP API.

mod call;
mod payload;
mod retry_after;

#[cfg(test)]
mod tests;

pub use call::HttpHandler;
pub(super) use call::{failed, trace, unexpected};
pub use payload::Http;
