//! The states of a job and the only function that leads from one to another.
//!
//! ```text
//!             +-> scheduled --(due)--+                         +-> completed
//! submit -----+                      +-> pending -> processing-+-> skipped
//!             +----------------------+      ^          |       +-> dead_lettered
//!                                           |          v       +-> canceled
//!                                           +------- failed
//! ```

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Progress, ResultSlot, Timestamp};

/// Where a job stands, with what is only known there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobState {
    /// Waits for its time. The due loop moves it on; so do retry, cancel and expiry.
    Scheduled {
        /// When it becomes due.
        due: Timestamp,
    },
    /// Waits in its queue for a free worker. A worker moves it on; so do cancel and expiry.
    Pending {
        /// Its place in the order of the queue, if it has one yet: see `Queue::ahead`.
        turn: Option<u64>,
        /// Since when it could have been run.
        since: Timestamp,
    },
    /// Runs. Only the settling of this very run moves it on.
    Processing {
        /// Which run this is, counted over the whole life of the job. A late end of an older run is refused by it.
        run: u32,
        /// When this run began.
        since: Timestamp,
        /// Whether somebody asked for it to stop.
        cancel_requested: bool,
    },
    /// An attempt failed and another will follow. The due loop moves it on; so do retry, cancel and expiry.
    Failed {
        /// When the next attempt is due.
        due: Timestamp,
    },
    /// Terminal: the work is done.
    Completed {
        /// When it was.
        at: Timestamp,
        /// What came out of it.
        result: ResultSlot,
    },
    /// Terminal: the handler, or the expiry, decided that no work was due. Retry leads back.
    Skipped {
        /// When it was decided.
        at: Timestamp,
        /// Why.
        reason: Box<str>,
    },
    /// Terminal: attempts used up, or an error that no repeat would mend. Retry and redrive lead back.
    DeadLettered {
        /// When it was given up.
        at: Timestamp,
    },
    /// Terminal: somebody asked for it to stop, and it did. Retry leads back.
    Canceled {
        /// When it stopped.
        at: Timestamp,
    },
}

/// The name of a [`JobState`], as it is written, filtered and counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants of `JobState` carry the documentation")]
pub enum StateName {
    Scheduled,
    Pending,
    Processing,
    Failed,
    Completed,
    Skipped,
    DeadLettered,
    Canceled,
}

impl StateName {
    /// Every state, in the order in which a job can meet them.
    pub const ALL: [Self; 8] = [
        Self::Scheduled,
        Self::Pending,
        Self::Processing,
        Self::Failed,
        Self::Completed,
        Self::Skipped,
        Self::DeadLettered,
        Self::Canceled,
    ];

    /// The name as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Skipped => "skipped",
            Self::DeadLettered => "dead_lettered",
            Self::Canceled => "canceled",
        }
    }

    /// Whether only a retry or a redrive leads out of it.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Skipped | Self::DeadLettered | Self::Canceled)
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl JobState {
    /// The name of this state.
    pub const fn name(&self) -> StateName {
        match self {
            Self::Scheduled { .. } => StateName::Scheduled,
            Self::Pending { .. } => StateName::Pending,
            Self::Processing { .. } => StateName::Processing,
            Self::Failed { .. } => StateName::Failed,
            Self::Completed { .. } => StateName::Completed,
            Self::Skipped { .. } => StateName::Skipped,
            Self::DeadLettered { .. } => StateName::DeadLettered,
            Self::Canceled { .. } => StateName::Canceled,
        }
    }

    /// Whether only a retry or a redrive leads out of it.
    pub const fn is_terminal(&self) -> bool {
        self.name().is_terminal()
    }

    /// Whether it runs and somebody has asked for it to stop.
    pub const fn is_cancel_requested(&self) -> bool {
        matches!(self, Self::Processing { cancel_requested: true, .. })
    }

    /// When the job ended, if it did.
    pub const fn finished_at(&self) -> Option<Timestamp> {
        match self {
            Self::Completed { at, .. }
            | Self::Skipped { at, .. }
            | Self::DeadLettered { at }
            | Self::Canceled { at } => Some(*at),
            Self::Scheduled { .. } | Self::Pending { .. } | Self::Processing { .. } | Self::Failed { .. } => {
                None
            }
        }
    }
}

/// Why an attempt, and with it perhaps the job, failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobError {
    /// A short word for programs: `smtp-451`, `timeout`, `panic`, `invalid-payload`.
    pub code: Cow<'static, str>,
    /// A sentence for people.
    pub message: Box<str>,
    /// Whether a repeat could succeed.
    pub retryable: bool,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The work is done.
    Completed,
    /// The handler found that no work was due.
    Skipped,
    /// The handler returned an error.
    Failed,
    /// The attempt took longer than its timeout.
    TimedOut,
    /// The handler panicked.
    Panicked,
    /// Somebody asked for it to stop.
    Canceled,
    /// The server was shut down. Uses up no attempt.
    Interrupted,
    /// The handler asked for later. Uses up no attempt.
    Snoozed,
}

impl AttemptOutcome {
    /// Every outcome.
    pub const ALL: [Self; 8] = [
        Self::Completed,
        Self::Skipped,
        Self::Failed,
        Self::TimedOut,
        Self::Panicked,
        Self::Canceled,
        Self::Interrupted,
        Self::Snoozed,
    ];

    /// The outcome as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Panicked => "panicked",
            Self::Canceled => "canceled",
            Self::Interrupted => "interrupted",
            Self::Snoozed => "snoozed",
        }
    }

    /// Whether such an attempt counts against `max_attempts`.
    pub const fn uses_up_an_attempt(self) -> bool {
        !matches!(self, Self::Interrupted | Self::Snoozed)
    }
}

/// The end of an attempt, with what the next state needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The work is done.
    Completed(ResultSlot),
    /// The handler found that no work was due.
    Skipped {
        /// Why.
        reason: Box<str>,
    },
    /// It failed, in one of three ways: `Failed`, `TimedOut` or `Panicked`.
    Failed {
        /// Which of the three.
        outcome: AttemptOutcome,
        /// Why.
        error: Arc<JobError>,
        /// When the next attempt would be due, if one is allowed.
        retry_at: Timestamp,
    },
    /// It stopped because somebody asked.
    Canceled,
    /// It stopped because the server does.
    Interrupted,
    /// The handler asked for later.
    Snoozed {
        /// When.
        until: Timestamp,
    },
}

impl Ending {
    /// How the attempt is recorded.
    pub const fn outcome(&self) -> AttemptOutcome {
        match self {
            Self::Completed(_) => AttemptOutcome::Completed,
            Self::Skipped { .. } => AttemptOutcome::Skipped,
            Self::Failed { outcome, .. } => *outcome,
            Self::Canceled => AttemptOutcome::Canceled,
            Self::Interrupted => AttemptOutcome::Interrupted,
            Self::Snoozed { .. } => AttemptOutcome::Snoozed,
        }
    }
}

/// What can happen to a job after it was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// It is due and has got a place in its queue.
    Enqueue {
        /// The place.
        turn: u64,
    },
    /// A worker takes it.
    Start,
    /// The attempt of this run ended.
    Settle {
        /// The run that ended.
        run: u32,
        /// How.
        ending: Ending,
    },
    /// The running attempt reports how far it is.
    Progress {
        /// The run that reports.
        run: u32,
        /// How far; nothing when only what was noted before is told.
        progress: Option<Progress>,
        /// Whether those who watch the job hear of it; else it is only noted, and takes no number in their order.
        told: bool,
    },
    /// Somebody asks for it to stop.
    Cancel,
    /// Somebody asks for another round, and it has got a place in its queue.
    Retry {
        /// The place.
        turn: u64,
    },
    /// A dead letter gets another round, and has got a place in its queue. Unlike a retry it never touches a job that
    /// somebody else has sent round meanwhile.
    Redrive {
        /// The place.
        turn: u64,
    },
    /// It was not started in time.
    Expire,
}

impl Change {
    /// The name of the change, for messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Enqueue { .. } => "enqueue",
            Self::Start => "start",
            Self::Settle { .. } => "settle",
            Self::Progress { .. } => "progress",
            Self::Cancel => "cancel",
            Self::Retry { .. } => "retry",
            Self::Redrive { .. } => "redrive",
            Self::Expire => "expire",
        }
    }
}

/// A change that the state of the job does not allow. Nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a {state} job does not allow: {change}")]
pub struct Refused {
    /// The state that the job is in.
    pub state: StateName,
    /// The [name](Change::name) of the change.
    pub change: &'static str,
}

/// How many attempts a job has used, and how many it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Runs over the whole life of the job, whether they used up an attempt or not.
    pub runs: u32,
    /// Attempts used since it was accepted or last retried, the running one included.
    pub attempt: u32,
    /// Attempts allowed.
    pub max_attempts: u32,
}

/// Decides every change of state; what it does not allow is refused.
///
/// `at` is the time of the change, used where the next state remembers it.
///
/// # Errors
///
/// [`Refused`], with the state that stood in the way.
pub fn transition(
    state: &JobState,
    tally: Tally,
    change: Change,
    at: Timestamp,
) -> Result<JobState, Refused> {
    use JobState::{Canceled, Completed, DeadLettered, Failed, Pending, Processing, Scheduled, Skipped};

    let refused = Refused { state: state.name(), change: change.name() };
    let next = match (state, change) {
        // A pending job without a turn was found at start.
        (Pending { turn: None, since }, Change::Enqueue { turn }) => {
            Pending { turn: Some(turn), since: *since }
        }
        (Scheduled { .. } | Failed { .. }, Change::Enqueue { turn }) => {
            Pending { turn: Some(turn), since: at }
        }
        (Pending { .. }, Change::Start) => {
            Processing { run: tally.runs + 1, since: at, cancel_requested: false }
        }
        (Processing { run, cancel_requested, .. }, Change::Settle { run: ended, ending })
            if *run == ended =>
        {
            settled(*cancel_requested, tally, ending, at)
        }
        (Processing { run, .. }, Change::Progress { run: reporting, .. }) if *run == reporting => {
            state.clone()
        }
        (Scheduled { .. } | Pending { .. } | Failed { .. }, Change::Cancel) => Canceled { at },
        (Processing { run, since, .. }, Change::Cancel) => {
            Processing { run: *run, since: *since, cancel_requested: true }
        }
        (
            Scheduled { .. } | Failed { .. } | Skipped { .. } | DeadLettered { .. } | Canceled { .. },
            Change::Retry { turn },
        )
        | (DeadLettered { .. }, Change::Redrive { turn }) => Pending { turn: Some(turn), since: at },
        (Scheduled { .. } | Pending { .. } | Failed { .. }, Change::Expire) => {
            Skipped { at, reason: "expired".into() }
        }
        (
            Scheduled { .. }
            | Pending { .. }
            | Processing { .. }
            | Failed { .. }
            | Completed { .. }
            | Skipped { .. }
            | DeadLettered { .. }
            | Canceled { .. },
            _,
        ) => return Err(refused),
    };
    Ok(next)
}

fn settled(cancel_requested: bool, tally: Tally, ending: Ending, at: Timestamp) -> JobState {
    match ending {
        Ending::Completed(result) => JobState::Completed { at, result },
        Ending::Skipped { reason } => JobState::Skipped { at, reason },
        Ending::Failed { error, .. } if !error.retryable => JobState::DeadLettered { at },
        // Whoever asked for a stop does not want another attempt, however this one ended.
        Ending::Canceled => JobState::Canceled { at },
        Ending::Failed { .. } | Ending::Interrupted | Ending::Snoozed { .. } if cancel_requested => {
            JobState::Canceled { at }
        }
        Ending::Failed { .. } if tally.attempt >= tally.max_attempts => JobState::DeadLettered { at },
        Ending::Failed { retry_at, .. } => JobState::Failed { due: retry_at },
        Ending::Interrupted => JobState::Pending { turn: None, since: at },
        Ending::Snoozed { until } => JobState::Scheduled { due: until },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_000);
    const LATER: Timestamp = Timestamp::from_millis(9_000);
    const TALLY: Tally = Tally { runs: 4, attempt: 1, max_attempts: 3 };

    fn error(retryable: bool) -> Arc<JobError> {
        Arc::new(JobError { code: "x".into(), message: "y".into(), retryable })
    }

    fn failed(outcome: AttemptOutcome, retryable: bool) -> Ending {
        Ending::Failed { outcome, error: error(retryable), retry_at: LATER }
    }

    fn states() -> Vec<(&'static str, JobState)> {
        let processing = |cancel_requested| JobState::Processing {
            run: 4,
            since: Timestamp::from_millis(1),
            cancel_requested,
        };
        vec![
            ("scheduled", JobState::Scheduled { due: LATER }),
            ("pending", JobState::Pending { turn: Some(7), since: AT }),
            ("pending without turn", JobState::Pending { turn: None, since: AT }),
            ("processing", processing(false)),
            ("processing, cancel requested", processing(true)),
            ("failed", JobState::Failed { due: LATER }),
            ("completed", JobState::Completed { at: AT, result: ResultSlot::Null }),
            ("skipped", JobState::Skipped { at: AT, reason: "r".into() }),
            ("dead_lettered", JobState::DeadLettered { at: AT }),
            ("canceled", JobState::Canceled { at: AT }),
        ]
    }

    fn changes() -> Vec<(&'static str, Change)> {
        let settle = |ending| Change::Settle { run: 4, ending };
        vec![
            ("enqueue", Change::Enqueue { turn: 8 }),
            ("start", Change::Start),
            ("completed", settle(Ending::Completed(ResultSlot::Null))),
            ("skipped", settle(Ending::Skipped { reason: "none".into() })),
            ("transient", settle(failed(AttemptOutcome::Failed, true))),
            ("permanent", settle(failed(AttemptOutcome::Failed, false))),
            ("timed out", settle(failed(AttemptOutcome::TimedOut, true))),
            ("panicked", settle(failed(AttemptOutcome::Panicked, true))),
            ("canceled", settle(Ending::Canceled)),
            ("interrupted", settle(Ending::Interrupted)),
            ("snoozed", settle(Ending::Snoozed { until: LATER })),
            ("stale settle", Change::Settle { run: 3, ending: Ending::Completed(ResultSlot::Null) }),
            ("progress", Change::Progress { run: 4, progress: None, told: true }),
            ("stale progress", Change::Progress { run: 3, progress: None, told: true }),
            ("cancel", Change::Cancel),
            ("retry", Change::Retry { turn: 9 }),
            ("redrive", Change::Redrive { turn: 6 }),
            ("expire", Change::Expire),
        ]
    }

    /// What every pair must lead to; a pair that is not named must be refused.
    fn expected(state: &str, change: &str) -> Option<JobState> {
        let pending = |turn| Some(JobState::Pending { turn, since: AT });
        match (state, change) {
            ("scheduled" | "failed" | "pending without turn", "enqueue") => pending(Some(8)),
            ("pending" | "pending without turn", "start") => {
                Some(JobState::Processing { run: 5, since: AT, cancel_requested: false })
            }
            ("processing" | "processing, cancel requested", "completed") => {
                Some(JobState::Completed { at: AT, result: ResultSlot::Null })
            }
            ("processing" | "processing, cancel requested", "skipped") => {
                Some(JobState::Skipped { at: AT, reason: "none".into() })
            }
            ("processing", "transient" | "timed out" | "panicked") => Some(JobState::Failed { due: LATER }),
            ("processing" | "processing, cancel requested", "permanent") => {
                Some(JobState::DeadLettered { at: AT })
            }
            (
                "processing, cancel requested",
                "transient" | "timed out" | "panicked" | "interrupted" | "snoozed",
            )
            | ("processing" | "processing, cancel requested", "canceled") => {
                Some(JobState::Canceled { at: AT })
            }
            ("processing", "interrupted") => pending(None),
            ("processing", "snoozed") => Some(JobState::Scheduled { due: LATER }),
            ("processing" | "processing, cancel requested", "progress") => {
                states().into_iter().find(|(name, _)| *name == state).map(|(_, state)| state)
            }
            ("processing" | "processing, cancel requested", "cancel") => Some(JobState::Processing {
                run: 4,
                since: Timestamp::from_millis(1),
                cancel_requested: true,
            }),
            ("scheduled" | "pending" | "pending without turn" | "failed", "cancel") => {
                Some(JobState::Canceled { at: AT })
            }
            ("scheduled" | "failed" | "skipped" | "dead_lettered" | "canceled", "retry") => pending(Some(9)),
            ("dead_lettered", "redrive") => pending(Some(6)),
            ("scheduled" | "pending" | "pending without turn" | "failed", "expire") => {
                Some(JobState::Skipped { at: AT, reason: "expired".into() })
            }
            _ => None,
        }
    }

    #[test]
    fn every_state_meets_every_change() {
        let mut allowed = 0;
        for (state_name, state) in states() {
            for (change_name, change) in changes() {
                let got = transition(&state, TALLY, change.clone(), AT);
                match expected(state_name, change_name) {
                    Some(want) => {
                        assert_eq!(got, Ok(want), "{state_name} + {change_name}");
                        allowed += 1;
                    }
                    None => assert_eq!(
                        got,
                        Err(Refused { state: state.name(), change: change.name() }),
                        "{state_name} + {change_name}"
                    ),
                }
            }
        }
        assert_eq!(allowed, 41, "the table has changed; look at it again");
    }

    #[test]
    fn the_last_attempt_is_the_last() {
        let running = JobState::Processing { run: 4, since: AT, cancel_requested: false };
        for (attempt, dead) in [(2, false), (3, true), (4, true)] {
            let change = Change::Settle { run: 4, ending: failed(AttemptOutcome::TimedOut, true) };
            let next = transition(&running, Tally { attempt, ..TALLY }, change, AT).unwrap();
            assert_eq!(next.name() == StateName::DeadLettered, dead, "after attempt {attempt} of 3");
        }
    }

    #[test]
    fn terminal_states_are_left_by_retry_alone() {
        for (_, state) in states().into_iter().filter(|(_, state)| state.is_terminal()) {
            for (name, change) in changes() {
                let got = transition(&state, TALLY, change, AT);
                let may = name == "retry" || name == "redrive";
                assert!(got.is_err() || may, "{state:?} was left by {name}");
            }
        }
    }
}
