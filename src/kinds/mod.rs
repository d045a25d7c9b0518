//! The kinds of job that need no code of a user: those that are built in, and what runs those of the configuration.

mod about;
mod command;
mod email;
mod email_payload;
mod email_reader;
#[cfg(test)]
mod email_tests;
mod herald;
mod http;
mod noop;
mod push;
#[cfg(test)]
mod push_tests;
mod raw;
#[cfg(test)]
mod testing;
mod webhook;

pub use command::{CommandHandler, CommandSettings};
pub use email::EmailHandler;
pub use email_payload::Email;
pub use herald::Herald;
pub use http::{Http, HttpHandler};
pub use noop::{Noop, NoopHandler};
pub use push::PushHandler;
pub use raw::Raw;
pub use webhook::{Webhook, WebhookHandler};
