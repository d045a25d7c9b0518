//! Why a job does not run yet, and when it is worth while to ask again.

use super::Jobs;
use super::line::Line;
use crate::job::{Job, JobState, Timestamp, Waiting, WaitingFor};

/// The longest `Retry-After` of a job that waits, and of a queue that is full, in seconds (contract, section 3).
const LONGEST_POLL_PAUSE: u64 = 30;
const LONGEST_FULL_PAUSE: u64 = 300;

impl Jobs {
    /// Why a job does not run yet; nothing when it runs or has come to its end.
    ///
    /// Of the rate limit `until` is the earliest moment: as if all that are in front begin as soon as they may.
    pub fn waiting(&self, job: &Job, now: Timestamp) -> Option<Waiting> {
        let line = self.line_of(job);
        let room = || {
            let held_up = line.and_then(|line| line.flow.waiting(job.id(), None, now));
            held_up.unwrap_or(Waiting { reason: WaitingFor::Room, until: None, ahead: 0 })
        };
        let until = |reason, due| {
            if due > now { Waiting { reason, until: Some(due), ahead: 0 } } else { room() }
        };
        match job.state {
            JobState::Scheduled { due } => Some(until(WaitingFor::Schedule, due)),
            JobState::Failed { due } => Some(until(WaitingFor::Retry, due)),
            JobState::Pending { turn: None, .. } => Some(room()),
            JobState::Pending { turn: Some(turn), .. } => {
                let ahead = line.and_then(|line| line.queue.ahead(turn)).unwrap_or(0);
                let held_up = line.and_then(|line| line.flow.waiting(job.id(), Some(ahead), now));
                Some(held_up.unwrap_or(Waiting { reason: WaitingFor::Turn, until: None, ahead }))
            }
            _ => None,
        }
    }

    /// When to ask for a job again that is `waiting`, in whole seconds: 1 to 30.
    pub fn poll_pause(&self, job: &Job, waiting: Option<Waiting>, now: Timestamp) -> u64 {
        let seconds = match waiting {
            Some(Waiting { until: Some(until), .. }) => seconds_until(until, now),
            // Until somebody ends it.
            Some(Waiting { reason: WaitingFor::Pause, .. }) => LONGEST_POLL_PAUSE,
            Some(Waiting { ahead, .. }) => {
                self.line_of(job).and_then(|line| line.seconds_for(ahead + 1)).unwrap_or(1)
            }
            None => 1,
        };
        seconds.clamp(1, LONGEST_POLL_PAUSE)
    }

    /// When to offer a job to a full queue again, in whole seconds: 1 to 300.
    pub(super) fn full_pause(&self, line: &Line) -> u64 {
        let depth = u64::try_from(line.queue.depth()).unwrap_or(u64::MAX);
        let pause = if line.flow.is_free() { None } else { line.flow.standing().pause };
        let seconds = match pause {
            // Nothing leaves it before; what was measured does not hold meanwhile.
            Some(pause) => pause.until.map(|until| seconds_until(until, self.clock().now())),
            None => line.seconds_for(depth),
        };
        seconds.unwrap_or(LONGEST_POLL_PAUSE).clamp(1, LONGEST_FULL_PAUSE)
    }

    /// When to offer a job again while the store is full, in whole seconds: 1 to 300. The first job that finishes, in
    /// whichever queue, makes room.
    pub(super) fn full_pause_of_all(&self) -> u64 {
        let first = self.lines().filter_map(|line| line.seconds_for(1)).min();
        first.unwrap_or(LONGEST_POLL_PAUSE).clamp(1, LONGEST_FULL_PAUSE)
    }
}

fn seconds_until(until: Timestamp, now: Timestamp) -> u64 {
    until.since(now).as_secs_f64().ceil() as u64
}
