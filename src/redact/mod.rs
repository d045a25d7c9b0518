//! What must not be shown: secrets in payloads, in what handlers say about them, and in lines of the log.
//!
//! A hidden value is shown as `[redacted 1a2b3c4d]`: the beginning of a keyed hash, by which two values can be compared
//! and none can be guessed. The key is made at each start and never leaves the process.
//!
//! Three rules find what is secret:
//!
//! - **By name** ([`is_sensitive`]): a member of a payload, a header, a parameter of a URL, `name=value` in a text. What
//!   stands under such a name is hidden whole, whatever it is.
//! - **By look**: credentials in URLs, `Bearer` and `Basic`, JSON Web Tokens, private keys, and the keys of well-known
//!   services, which tell themselves by how they begin.
//! - **By value** ([`Secrets`]): what the first two rules find in the payload of a job is hidden wherever the job repeats
//!   it, in errors, log lines, progress messages and reasons.
//!
//! Payloads are kept as they came, for handlers and the spill file need them, and are redacted whenever they are shown.
//! What handlers say is redacted once, when it enters the job, before anything of it is cut: neither the store nor the
//! spill file nor an event ever holds more. Two things are shown as they are, by purpose: results, which are what a
//! handler means the caller to have, and captured mails, which exist to be read while somebody develops.
//!
//! What it cannot know: a secret under a name that says nothing (list it in `kinds.<name>.sensitive`), one of less than
//! four characters outside its member, and one that a handler has changed, such as its middle or its hash.

mod known;
mod look;
mod members;
mod names;
mod redactor;
mod text;

#[cfg(test)]
mod payload_tests;
#[cfg(test)]
mod text_tests;

pub use known::Secrets;
pub use names::is_sensitive;
pub use redactor::{PLAIN_MARK, Redactor, setting};
