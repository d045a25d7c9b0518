//! The kinds of job that are built in: handlers like those of a user.

mod about;
mod email;
mod email_payload;
mod email_reader;
#[cfg(test)]
mod email_tests;
mod http;
mod noop;
mod push;
#[cfg(test)]
mod push_tests;
mod raw;
#[cfg(test)]
mod testing;

pub use email::EmailHandler;
pub use email_payload::Email;
pub use http::{Http, HttpHandler};
pub use noop::{Noop, NoopHandler};
pub use push::PushHandler;
pub use raw::Raw;
