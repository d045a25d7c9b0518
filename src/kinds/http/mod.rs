//! Calls an HTTP API.

mod call;
mod payload;
mod retry_after;

#[cfg(test)]
mod tests;

pub use call::HttpHandler;
pub(super) use call::{trace, unexpected, whole};
pub use payload::Http;
