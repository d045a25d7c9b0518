//! What was accepted, which never changes.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use serde_json::value::RawValue;

use super::{JobId, JobLog, KindName, Notices, QueueName, Tag, Timestamp, Trace, Unique};

/// What is accepted: of this a [`Job`](super::Job) is made.
#[derive(Debug)]
pub struct Spec {
    /// Its name in the world.
    pub id: JobId,
    /// The handler that runs it.
    pub kind: KindName,
    /// Where it waits.
    pub queue: QueueName,
    /// Its input, as the caller wrote it.
    pub payload: Box<RawValue>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Attempts, the first run included.
    pub max_attempts: u32,
    /// How long one attempt may take: whole milliseconds, at most 49 days.
    pub timeout: Duration,
    /// Words to find it by.
    pub tags: Box<[Tag]>,
    /// By what it is known as the same work as another job.
    pub unique: Option<Box<Unique>>,
    /// The trace of the request that submitted it.
    pub trace: Option<Box<Trace>>,
    /// Who wants to be told of it, or what it is a notice of.
    pub notices: Option<Box<Notices>>,
    /// What its attempts wrote, when they did so before it came here.
    pub log: JobLog,
}

/// A [`Spec`] as a job keeps it. What most jobs do not have takes one word together, and is read like a field of it: see
/// [`Extras`].
#[derive(Debug)]
pub struct KeptSpec {
    /// Its name in the world.
    pub id: JobId,
    /// The handler that runs it.
    pub kind: KindName,
    /// Where it waits.
    pub queue: QueueName,
    /// Its input, as the caller wrote it.
    pub payload: Box<RawValue>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Attempts, the first run included.
    pub max_attempts: u32,
    timeout_ms: u32,
    extras: Option<Box<Extras>>,
}

/// What most jobs do not have.
#[derive(Debug)]
pub struct Extras {
    /// Words to find it by.
    pub tags: Vec<Tag>,
    /// By what it is known as the same work as another job.
    pub unique: Option<Box<Unique>>,
    /// The trace of the request that submitted it.
    pub trace: Option<Box<Trace>>,
    /// Who wants to be told of it, or what it is a notice of.
    pub notices: Option<Box<Notices>>,
}

impl Extras {
    /// Nothing of it.
    const NONE: Self = Self { tags: Vec::new(), unique: None, trace: None, notices: None };
}

/// Read where a job has none.
static NONE: Extras = Extras::NONE;

impl KeptSpec {
    /// The spec without its log, which is no part of what was accepted.
    pub(super) fn new(spec: Spec) -> (Self, JobLog) {
        let Spec {
            id,
            kind,
            queue,
            payload,
            created_at,
            max_attempts,
            timeout,
            tags,
            unique,
            trace,
            notices,
            log,
        } = spec;
        let has_extras = !tags.is_empty() || unique.is_some() || trace.is_some() || notices.is_some();
        let extras = has_extras.then(|| Box::new(Extras { tags: tags.into_vec(), unique, trace, notices }));
        // Never shorter than was asked for, but for what is longer than 49 days.
        let timeout_ms = u32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX);
        (Self { id, kind, queue, payload, created_at, max_attempts, timeout_ms, extras }, log)
    }

    /// How long one attempt may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    /// Whether there is no more of it than most jobs have.
    pub(super) fn is_plain(&self) -> bool {
        // All fields by name: what is added must find its place in a `Done`.
        let Self {
            id: _,
            kind: _,
            queue: _,
            payload: _,
            created_at: _,
            max_attempts: _,
            timeout_ms: _,
            extras,
        } = self;
        extras.is_none()
    }

    /// What most jobs do not have, if this one has any of it.
    pub(super) fn extras(&self) -> Option<&Extras> {
        self.extras.as_deref()
    }
}

impl Deref for KeptSpec {
    type Target = Extras;

    fn deref(&self) -> &Extras {
        self.extras.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for KeptSpec {
    fn deref_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_with(|| Box::new(Extras::NONE))
    }
}
