//! What an attempt can ask of the server that runs it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::job::{Job, JobId, LogLevel, Progress, Timestamp};

/// What a handler knows about its attempt, and what it can say while it runs.
#[derive(Clone)]
pub struct Context {
    job: Arc<Job>,
    canceled: CancellationToken,
    reporter: Arc<dyn Reporter>,
}

/// Takes what attempts say. Implemented by the server; by tests of handlers too.
pub trait Reporter: Send + Sync {
    /// The attempt is so far; the message is as the handler wrote it, neither cut nor redacted. A report of an attempt
    /// that is over is dropped.
    fn progress<'a>(&'a self, job: &'a Job, progress: Progress) -> BoxFuture<'a, ()>;
    /// The attempt wrote a line; it is as the handler wrote it, neither cut nor redacted.
    fn log<'a>(&'a self, job: &'a Job, level: LogLevel, message: &'a str) -> BoxFuture<'a, ()>;
}

impl Context {
    /// The context of one attempt; `job` is as it was when the attempt began.
    pub fn new(job: Arc<Job>, canceled: CancellationToken, reporter: Arc<dyn Reporter>) -> Self {
        Self { job, canceled, reporter }
    }

    /// The job that runs.
    pub fn job_id(&self) -> JobId {
        self.job.spec.id
    }

    /// The job as it was when the attempt began.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Which attempt this is, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.job.attempt
    }

    /// How many attempts there are in all.
    pub fn max_attempts(&self) -> u32 {
        self.job.spec.max_attempts
    }

    /// When the job was accepted.
    pub fn created_at(&self) -> Timestamp {
        self.job.spec.created_at
    }

    /// When the job was first due: when it was accepted or, of a job that was scheduled, the time it was scheduled for.
    /// The same in every attempt.
    pub fn run_at(&self) -> Timestamp {
        self.job.run_at
    }

    /// A text that is the same in every attempt of this job and in no other job: what the far side needs to recognise
    /// a repeat.
    pub fn once_id(&self) -> String {
        self.job.spec.id.to_string()
    }

    /// Completes when the attempt should stop: canceled, timed out, or the server stops. What has not returned
    /// `cancel_grace` later is dropped.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost when the future is dropped.
    pub async fn canceled(&self) {
        self.canceled.cancelled().await;
    }

    /// Whether the attempt should stop.
    pub fn is_canceled(&self) -> bool {
        self.canceled.is_cancelled()
    }

    /// The same as a token, for work that is spread over tasks.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.canceled
    }

    /// Tells how far the attempt is: `percent` 0 to 100, and what it does, at most 256 bytes.
    pub async fn progress(&self, percent: u8, message: &str) {
        // Cut by who takes it: what is secret in it must be found first.
        let message = (!message.is_empty()).then(|| message.into());
        self.reporter.progress(&self.job, Progress { percent: percent.min(100), message }).await;
    }

    /// Writes a line to the log of the job (`GET /api/jobs/{id}/log`): at most 1 KiB; the last 100 are kept. What is
    /// secret in the payload, or looks like it, is redacted: see [`crate::redact`].
    pub async fn log(&self, level: LogLevel, message: &str) {
        self.reporter.log(&self.job, level, message).await;
    }
}
