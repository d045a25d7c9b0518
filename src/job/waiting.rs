//! Why a job does not run yet.

use serde::Serialize;

use super::Timestamp;

/// Why a job does not run yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Waiting {
    /// What it waits for.
    #[serde(rename = "for")]
    pub reason: WaitingFor,
    /// Until when, where that is known.
    pub until: Option<Timestamp>,
    /// How many jobs are in front of it.
    pub ahead: u64,
}

/// What a job can wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// A free worker.
    Turn,
    /// Its time.
    Schedule,
    /// The time of its next attempt.
    Retry,
    /// The end of the pause of its queue.
    Pause,
    /// The next start that the rate limit of its queue allows.
    RateLimit,
    /// Room in its queue, although it is due.
    Room,
}

impl WaitingFor {
    /// The reason as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Schedule => "schedule",
            Self::Retry => "retry",
            Self::Pause => "pause",
            Self::RateLimit => "rate_limit",
            Self::Room => "room",
        }
    }
}
