//! The kinds of job that need no code of a user: those that are built in, and what runs those of the configuration.

mod command;
mod email;
mod email_payload;
mod email_reader;
#[cfg(test)]
mod email_tests;
mod noop;
#[cfg(test)]
mod testing;

pub use command::{CommandHandler, CommandSettings, Raw};
pub use email::EmailHandler;
pub use email_payload::Email;
pub use noop::{Noop, NoopHandler};
