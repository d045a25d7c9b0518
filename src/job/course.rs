//! What becomes of a job once it has been touched.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::record::truncate;
use super::state::JobError;
use super::{Attempts, JobLog, Timestamp, Told};

/// How long the message of a progress report may be, in bytes; the rest is cut.
const PROGRESS_MESSAGE_BYTES: usize = 256;

/// What becomes of a job once it has been touched, beside its state. As long as nothing has, all that wait share one.
#[derive(Clone, Debug)]
pub struct Course {
    /// Attempts used since it was accepted or last retried, the running one included.
    pub attempt: u32,
    /// Runs over its whole life, whether they used up an attempt or not.
    pub runs: u32,
    /// Grows by one with every change that is told; orders what is told about this job.
    pub sequence: u64,
    /// When it stops being worth running.
    pub expires_at: Option<Timestamp>,
    /// When the latest attempt began.
    pub started_at: Option<Timestamp>,
    /// How far the latest attempt says it is.
    pub progress: Progress,
    /// Why the latest attempt failed, if it did.
    pub error: Option<Arc<JobError>>,
    /// The first attempt that ended, and the last nine.
    pub attempts: Attempts,
    /// What became of its notices, once there are any.
    pub told: Option<Box<Told>>,
    /// What its attempts wrote.
    pub log: JobLog,
}

/// How far an attempt says it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100.
    pub percent: u8,
    /// What it is doing, at most 256 bytes.
    pub message: Option<Box<str>>,
}

impl Course {
    /// That of a job that has just been accepted.
    pub const NEW: Self = Self {
        attempt: 0,
        runs: 0,
        sequence: 1,
        expires_at: None,
        started_at: None,
        progress: Progress { percent: 0, message: None },
        error: None,
        attempts: Attempts::NONE,
        told: None,
        log: JobLog::EMPTY,
    };

    /// Whether it is no other than [`Self::NEW`].
    pub(super) fn is_new(&self) -> bool {
        let Self { attempt, runs, sequence, expires_at, started_at, progress, error, attempts, told, log } =
            self;
        (*attempt, *runs, *sequence) == (0, 0, 1)
            && expires_at.is_none()
            && started_at.is_none()
            && *progress == Progress::default()
            && error.is_none()
            && attempts.is_empty()
            && told.is_none()
            && log.is_empty()
    }
}

impl Progress {
    /// A report; `percent` above 100 counts as 100, a longer message is cut.
    pub fn new(percent: u8, message: Option<&str>) -> Self {
        Self {
            percent: percent.min(100),
            message: message.map(|text| truncate(text, PROGRESS_MESSAGE_BYTES).into()),
        }
    }
}
