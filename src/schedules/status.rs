//! How a schedule stands, for whoever asks.

use super::service::{Recurring, Schedules};
use crate::job::{QueueName, StateName, Timestamp};
use crate::schedule::{Last, Schedule};
use crate::store::StoreError;

/// How many of the next runs are told.
const NEXT_RUNS: usize = 5;

/// How a schedule stands.
#[derive(Clone, Debug)]
pub struct ScheduleStatus<'a> {
    /// What it is.
    pub schedule: &'a Schedule,
    /// Where its jobs wait.
    pub queue: Option<&'a QueueName>,
    /// Whether it is paused.
    pub paused: bool,
    /// When the run was due that is still to be made: it waits for the one before, or for room.
    pub waiting_since: Option<Timestamp>,
    /// The next five; none while it is paused.
    pub next_runs: Vec<Timestamp>,
    /// The last run, or the last time that none came of.
    pub last_run: Option<LastRun>,
}

/// The last run, and what is known of its job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastRun {
    /// What became of it.
    pub last: Last,
    /// The state of the job; nothing when it was forgotten.
    pub state: Option<StateName>,
}

impl Schedules {
    /// How a schedule stands.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn status<'a>(&'a self, recurring: &'a Recurring) -> Result<ScheduleStatus<'a>, StoreError> {
        let (jobs, schedule) = (&self.0.jobs, &recurring.schedule);
        let now = jobs.clock().now();
        let (paused, waiting_since, next_runs, last) = {
            let standing = recurring.standing();
            let next_runs = standing.next_runs(schedule, now, NEXT_RUNS);
            (standing.is_paused(schedule), standing.held(), next_runs, standing.last())
        };
        let last_run = match last {
            None => None,
            Some(last) => {
                let job = match last.job {
                    Some(job) => jobs.get(job).await?,
                    None => None,
                };
                Some(LastRun { last, state: job.map(|job| job.state.name()) })
            }
        };
        let of_kind = jobs.registry().get(schedule.job.kind.as_str()).map(|kind| &kind.settings.queue);
        let queue = schedule.job.queue.as_ref().or(of_kind);
        Ok(ScheduleStatus { schedule, queue, paused, waiting_since, next_runs, last_run })
    }
}
