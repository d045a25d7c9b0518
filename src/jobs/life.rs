//! What happens to a job by itself once it was accepted: due, started, reported on, settled, expired.

use std::borrow::Cow;
use std::sync::Arc;

use super::Jobs;
use super::pace::Telling;
use crate::event::EventKind;
use crate::job::{Change, Ending, Job, JobId, LogLevel, LogLine, Progress, StateName};
use crate::queue::{Closed, Slot};
use crate::store::{ApplyError, StoreError};
use crate::sync::atomic::Ordering;

/// What to do with an id that a worker has taken from its queue.
#[must_use]
pub(crate) enum Started {
    /// Run it.
    Run(Arc<Job>),
    /// Nothing: it was canceled, has expired, is gone, or runs already.
    Leave,
}

impl Jobs {
    /// Applies a change, then tells everybody whom it concerns.
    pub(super) async fn change(&self, id: JobId, change: Change) -> Result<Arc<Job>, ApplyError> {
        self.change_after(id, change, None).await
    }

    /// The same. With `known`, the sequence of the job as it was seen before, nothing is told if the change has none of its
    /// own.
    async fn change_after(
        &self,
        id: JobId,
        change: Change,
        known: Option<u64>,
    ) -> Result<Arc<Job>, ApplyError> {
        let (progress, cancel) =
            (matches!(change, Change::Progress { .. }), matches!(change, Change::Cancel));
        let settled = matches!(change, Change::Settle { .. });
        let told = !matches!(change, Change::Progress { told: false, .. });
        let now = self.0.clock.now();
        let enters_none = |job: &Job| known == Some(job.sequence);
        let only_told = |job: &Job| progress || cancel && job.state.name() == StateName::Processing;
        let (job, notices) = self.apply(id, change, now, |job| !only_told(job) && !enters_none(job)).await?;
        if enters_none(&job) {
            return Ok(job);
        }
        let moves = !only_told(&job);
        let kind = if moves { EventKind::State(job.state.name()) } else { EventKind::Progress };
        if told {
            self.0.events.tell(kind, now, &job);
        }
        if moves {
            if job.state.is_terminal() {
                self.0.finished.fetch_add(1, Ordering::Relaxed);
                if let Some(line) = self.line_of(&job) {
                    line.finished_one();
                    if !settled {
                        line.meter.finished(&job.spec.kind, job.state.name());
                    }
                }
                self.0.waiters.tell(id);
            } else if job.wakes_at().is_some()
                && let Some(line) = self.line_of(&job)
            {
                line.due_changed.notify_one();
            }
        }
        if moves && job.spec.notices.is_some() {
            self.count_delivery(&job);
        }
        self.announce(&notices, now);
        Ok(job)
    }

    /// A due job gets its place in the queue; `seen` is its sequence. One that was pending already is told no second time.
    pub(crate) async fn enqueue(&self, id: JobId, seen: u64, mut slot: Slot) -> Result<(), ApplyError> {
        let change = Change::Enqueue { turn: slot.turn() };
        self.change_after(id, change, Some(seen)).await?;
        slot.push(id);
        Ok(())
    }

    /// A waiting job has come too late.
    pub(crate) async fn expire(&self, id: JobId) -> Result<Arc<Job>, ApplyError> {
        self.change(id, Change::Expire).await
    }

    /// A worker takes a job, unless it has been canceled or has expired meanwhile, or all work was stopped.
    pub(crate) async fn start(&self, id: JobId) -> Result<Started, StoreError> {
        // A task that was made before the drain can come to run after it: the job has been accounted for by then.
        let Some(_inside) = self.enter_late() else {
            return Ok(Started::Leave);
        };
        match self.change(id, Change::Start).await {
            // It came too late, and was skipped instead.
            Ok(job) if job.state.is_terminal() => Ok(Started::Leave),
            Ok(job) if job.spec.notices.is_some() && self.leave_unwanted(&job).await? => Ok(Started::Leave),
            Ok(job) => {
                if let (1, Some(line), Some(started_at)) = (job.runs, self.line_of(&job), job.started_at) {
                    line.meter.waited(&job.spec.kind, started_at.since(job.run_at));
                }
                Ok(Started::Run(job))
            }
            Err(ApplyError::NotFound | ApplyError::Refused(_) | ApplyError::KeyHeld(_)) => Ok(Started::Leave),
            Err(ApplyError::Store(error)) => Err(error),
        }
    }

    /// Records how a run ended: the only way a job changes state after it was taken. A run that was settled before, or
    /// is not the one under way, is refused.
    pub(crate) async fn settle(&self, id: JobId, run: u32, ending: Ending) -> Result<Arc<Job>, ApplyError> {
        let job = self.change(id, Change::Settle { run, ending }).await?;
        if let (Some(line), Some(last)) = (self.line_of(&job), job.attempts.last()) {
            let run = last.finished_at.since(last.started_at);
            line.meter.settled(&job.spec.kind, last.outcome, run, job.state.name());
        }
        Ok(job)
    }

    /// What an attempt of this job said, without the secrets of its payload and what else looks like one.
    ///
    /// Everything that a handler says passes through here before it enters the job, and before it is cut.
    pub(crate) fn hide<'t>(&self, job: &Job, text: &'t str) -> Cow<'t, str> {
        let find = || {
            let registered = self.registry().get(job.spec.kind.as_str());
            let also = registered.map_or(&[][..], |registered| &registered.settings.sensitive);
            self.redactor().secrets(&job.spec.payload, also)
        };
        // Once for all that an attempt says.
        match self.0.running.get(job.id()) {
            Some(leash) => self.redactor().text(text, leash.secrets(find)),
            None => self.redactor().text(text, &find()),
        }
    }

    /// Notes how far a run is. A report of a run that is over is dropped.
    ///
    /// It is told at most ten times a second; the last one always is, by the event after it or when the pause is over.
    pub(crate) async fn progress(&self, job: &Job, progress: Progress) {
        let message = progress.message.as_deref().map(|message| self.hide(job, message));
        let progress = Some(Progress::new(progress.percent, message.as_deref()));
        let (id, run) = (job.id(), job.runs);
        let leash = self.0.running.get(id).filter(|leash| leash.run() == run);
        let telling = leash.as_ref().map_or(Telling::Now, |leash| leash.pace().ask(self.0.clock.elapsed()));
        if let (Telling::After(pause), Some(leash)) = (telling, leash) {
            let jobs = self.clone();
            // At most one for each attempt, and gone after a tenth of a second.
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                leash.pace().waited(jobs.0.clock.elapsed());
                if let Some(_inside) = jobs.enter_late() {
                    let _ = jobs.change(id, Change::Progress { run, progress: None, told: true }).await;
                }
            });
        }
        let change = Change::Progress { run, progress, told: telling == Telling::Now };
        // Refused: the run is over, and nobody is interested any more.
        let _ = self.change(id, change).await;
    }

    /// Adds a line to the log of a job. A line of a run that is over is dropped.
    pub(crate) async fn log(&self, job: &Job, level: LogLevel, message: &str) {
        let message = self.hide(job, message);
        let line = LogLine::new(self.0.clock.now(), job.attempt, level, &message);
        // A line that cannot be kept is no reason to end an attempt.
        let _ = self.0.store.log(job.id(), job.runs, line).await;
    }

    /// Room for a job that is due. Waits as long as it takes.
    pub(crate) async fn room(&self, line: &super::line::Line) -> Result<Slot, Closed> {
        line.queue.reserve().await
    }
}
