//! One turn of a schedule: whatever is due becomes a job.

use std::sync::Arc;
use std::time::Duration;

use super::service::{Recurring, Schedules, outcome_of};
use crate::job::{JobId, Timestamp};
use crate::jobs::{Accepted, SubmitError};
use crate::schedule::{Last, Look, Outcome, Overlap};

/// The longest rest. Timers notice neither a clock that is set nor a machine that slept.
const LONGEST: Duration = Duration::from_secs(10);
/// How long to rest before a job is offered again for which there was no room. Offering it waits for room as well, for
/// the `enqueue_wait` of its queue.
const NO_ROOM: Duration = Duration::from_secs(1);

/// What to wait for before the next turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rest {
    /// For this long.
    For(Duration),
    /// For the end of a job, but not longer than this.
    Job(JobId, Duration),
}

/// Jobs are not accepted any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stopped;

impl Schedules {
    /// Makes a job of what is due, if anything is; says what to wait for then.
    ///
    /// # Errors
    ///
    /// When the server is draining. What is due is then still due.
    pub(crate) async fn turn(&self, recurring: &Arc<Recurring>) -> Result<Rest, Stopped> {
        let look = self.look(recurring);
        if let Look::Run(due_at) = look
            && let Some(rest) = self.make(recurring, due_at).await?
        {
            return Ok(rest);
        }
        Ok(Rest::For(match self.look(recurring) {
            Look::Rest(next) => {
                let now = self.0.jobs.clock().now();
                next.map_or(LONGEST, |next| next.since(now)).min(LONGEST)
            }
            // It became due while the one before was made.
            Look::Run(_) => Duration::ZERO,
        }))
    }

    /// What is due, with a word in the log when something was missed.
    fn look(&self, recurring: &Recurring) -> Look {
        let (clock, schedule) = (self.0.jobs.clock(), &recurring.schedule);
        let mut standing = recurring.standing();
        let before = standing.last();
        let look = standing.look(schedule, clock.now(), clock.elapsed());
        let missed = standing.last().filter(|last| last.outcome == Outcome::Missed && before != Some(*last));
        drop(standing);
        if let Some(Last { due_at, .. }) = missed {
            tracing::warn!(schedule = %schedule.name, %due_at, "runs missed");
        }
        look
    }

    /// Makes a job of a run, or finds that none is wanted; otherwise says what to wait for.
    async fn make(&self, recurring: &Arc<Recurring>, due_at: Timestamp) -> Result<Option<Rest>, Stopped> {
        let (clock, schedule) = (self.0.jobs.clock(), &recurring.schedule);
        if schedule.overlap != Overlap::Allow
            && let Some(open) = self.forget_ended(recurring).await
        {
            if schedule.overlap == Overlap::Queue {
                return Ok(Some(Rest::Job(open, self.until_next(recurring))));
            }
            recurring.standing().left_out(due_at, clock.now(), Some(open));
            tracing::debug!(schedule = %schedule.name, job = %open, "run skipped: the one before has not ended");
            return Ok(None);
        }
        // A pause takes back what is still to be made, also from the line of those that wait for room.
        let accepted = tokio::select! {
            biased;
            () = recurring.dropped(due_at) => return Ok(None),
            accepted = self.offer(recurring, due_at) => accepted,
        };
        match accepted {
            Ok(accepted) => {
                let (now, outcome, job) = (clock.now(), outcome_of(&accepted), accepted.job().id());
                recurring.standing().made(schedule, due_at, now, outcome, job);
                Ok(None)
            }
            Err(SubmitError::Draining) => Err(Stopped),
            Err(error) => {
                // It waits for room as any producer does, and nobody waits for it.
                if recurring.standing().refused(due_at, clock.now()) {
                    let error = self.0.jobs.redactor().line(&chain(&error));
                    tracing::warn!(schedule = %schedule.name, error, "run refused: it is tried until it is accepted");
                }
                Ok(Some(Rest::For(NO_ROOM.min(self.until_next(recurring)))))
            }
        }
    }

    /// Offers the job of a run. That it is refused counts once, however often it is offered.
    async fn offer(&self, recurring: &Recurring, due_at: Timestamp) -> Result<Accepted, SubmitError> {
        let (jobs, new) = (&self.0.jobs, recurring.schedule.new_job());
        let again = recurring.standing().was_refused(due_at);
        if again { jobs.accept_at_last(new).await } else { jobs.accept(new).await }
    }

    fn until_next(&self, recurring: &Recurring) -> Duration {
        let now = self.0.jobs.clock().now();
        let next = recurring.standing().next_runs(&recurring.schedule, now, 1);
        next.first().map_or(LONGEST, |next| next.since(now)).min(LONGEST)
    }

    /// Forgets the jobs of earlier runs that have come to their end; says which one has not.
    pub(super) async fn forget_ended(&self, recurring: &Recurring) -> Option<JobId> {
        let open = recurring.standing().open().to_vec();
        let (mut ended, mut last) = (Vec::new(), None);
        for id in open {
            match self.0.jobs.get(id).await {
                Ok(Some(job)) if !job.state.is_terminal() => last = Some(id),
                Ok(_) => ended.push(id),
                // Whoever cannot be asked is not known to have ended.
                Err(_) => last = Some(id),
            }
        }
        recurring.standing().ended(&ended);
        last
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
