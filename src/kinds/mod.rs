//! The kinds of job that are built in: handlers like those of a user.

mod email;
mod email_payload;
mod email_reader;
#[cfg(test)]
mod email_tests;
mod noop;
#[cfg(test)]
mod testing;

pub use email::EmailHandler;
pub use email_payload::Email;
pub use noop::{Noop, NoopHandler};
