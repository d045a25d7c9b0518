//! What a caller asks for.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Callback, KindName, QueueName, Tag, Timestamp, Trace, Unique, Wanted};

/// One thing that is wrong with a request, and where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fault {
    /// An RFC 6901 JSON pointer into the request: `/payload/to`.
    pub pointer: String,
    /// What is wrong and what would be right. Never repeats the value.
    pub detail: String,
}

impl Fault {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }

    /// The same fault, seen from one level further out: `/to` under `/payload` is `/payload/to`.
    #[must_use]
    pub fn under(mut self, parent: &str) -> Self {
        self.pointer.insert_str(0, parent);
        self
    }

    /// Escapes one member name for use in a pointer (RFC 6901 §3).
    pub fn escape(member: &str) -> String {
        member.replace('~', "~0").replace('/', "~1")
    }
}

/// When a job should run, if not at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delay {
    /// This long after it was accepted; at most 366 days.
    For(Duration),
    /// At this time; a past time means now. At most 366 days ahead.
    Until(Timestamp),
}

/// A job that somebody wants to have run. What is `None` comes from the kind, then from the configuration.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use backroom::job::{Delay, NewJob};
///
/// let job = NewJob::new("noop", &serde_json::json!({"steps": 3}))?
///     .delay(Delay::For(Duration::from_secs(30)))
///     .max_attempts(3);
/// assert_eq!(job.kind.as_str(), "noop");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The handler that is to run it.
    pub kind: KindName,
    /// Its input: JSON text, parsed once, by the handler.
    pub payload: Box<RawValue>,
    /// Where it waits. Default: the queue of the kind.
    pub queue: Option<QueueName>,
    /// When it runs. Default: as soon as a worker is free.
    pub delay: Option<Delay>,
    /// Attempts, the first run included: 1 to 100. Default: those of the kind.
    pub max_attempts: Option<u32>,
    /// How long one attempt may take: 1 ms to 24 h. Default: that of the kind.
    pub timeout: Option<Duration>,
    /// If it was not started by then it is skipped: 1 ms to 366 days. Default: never.
    pub expires_in: Option<Duration>,
    /// Words to find it by: at most 20.
    pub tags: Vec<Tag>,
    /// By what it is known as the same work as another job. Default: what the kind makes of the payload, if anything.
    pub unique: Option<Unique>,
    /// The trace that it belongs to: what it calls is told of it.
    pub trace: Option<Trace>,
    /// Who is told of it. Default: nobody.
    pub wanted: Option<Box<Wanted>>,
}

impl NewJob {
    /// A job of this kind, with everything else as the kind has it.
    ///
    /// # Errors
    ///
    /// When `kind` is not the name of a kind, or `payload` has no JSON form.
    pub fn new(kind: &str, payload: &impl Serialize) -> Result<Self, NewJobError> {
        Ok(Self::from_raw(KindName::new(kind)?, serde_json::value::to_raw_value(payload)?))
    }

    /// A job of this kind whose payload is JSON text already.
    pub fn from_raw(kind: KindName, payload: Box<RawValue>) -> Self {
        Self {
            kind,
            payload,
            queue: None,
            delay: None,
            max_attempts: None,
            timeout: None,
            expires_in: None,
            tags: Vec::new(),
            unique: None,
            trace: None,
            wanted: None,
        }
    }

    /// Sets where it waits.
    #[must_use]
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Sets when it runs.
    #[must_use]
    pub fn delay(mut self, delay: Delay) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Sets how often it is tried, the first run included.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Sets how long one attempt may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long it is worth running.
    #[must_use]
    pub fn expires_in(mut self, expires_in: Duration) -> Self {
        self.expires_in = Some(expires_in);
        self
    }

    /// Adds a word to find it by.
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// Sets the trace that it belongs to.
    #[must_use]
    pub fn trace(mut self, trace: Trace) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Sets where webhooks tell of it, and of what.
    #[must_use]
    pub fn callback(mut self, callback: Callback) -> Self {
        self.wanted.get_or_insert_with(|| Box::new(Wanted::NOBODY)).callback = Some(callback);
        self
    }

    /// Sets who gets a mail when it has come to its end: an address, with or without a name.
    #[must_use]
    pub fn notify_email(mut self, address: impl Into<Box<str>>) -> Self {
        self.wanted.get_or_insert_with(|| Box::new(Wanted::NOBODY)).email = Some(address.into());
        self
    }

    /// Sets by what it is known as the same work as another job.
    #[must_use]
    pub fn unique(mut self, unique: Unique) -> Self {
        self.unique = Some(unique);
        self
    }
}

/// Why a [`NewJob`] could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NewJobError {
    /// The name of the kind breaks the rule for names.
    #[error("the kind is not a name")]
    Kind(#[from] super::NameError),
    /// The payload has no JSON form.
    #[error("the payload has no JSON form")]
    Payload(#[from] serde_json::Error),
}
