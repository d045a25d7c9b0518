//! How a schedule stands: what is due, what waits, what was missed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CatchUp, Overlap, Schedule};
use crate::job::{JobId, ScheduleName, Timestamp};

/// A run that is later than this was missed. Less can be the load of the machine, or a restart for a new version.
pub const LATE: Duration = Duration::from_mins(1);

/// By less than this no clock was set back: it was only made to go right.
const SLACK: Duration = Duration::from_secs(1);
/// A clock that was set back by more was wrong before, and what it had shown counts for nothing.
const WRONG: Duration = Duration::from_hours(3);

/// What became of the last time that was due.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A job was made.
    Submitted,
    /// The kind knows its jobs by their payload, and there is one already.
    Deduplicated,
    /// Left out, because of a job that has not come to its end, or of a run that waits.
    Skipped,
    /// It had passed when somebody looked.
    Missed,
    /// There was no room for it. It waits, and is tried again.
    Refused,
}

impl Outcome {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Deduplicated => "deduplicated",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
            Self::Refused => "refused",
        }
    }
}

/// Who wanted the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The timetable.
    Schedule,
    /// Somebody who asked for it.
    Manual,
}

impl Trigger {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Manual => "manual",
        }
    }
}

/// The last run, or the last time that none came of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Last {
    /// When it was due; of a run that somebody asked for, when they did.
    pub due_at: Timestamp,
    /// When it was made, or left out.
    pub at: Timestamp,
    /// Who wanted it.
    pub trigger: Trigger,
    /// What became of it.
    pub outcome: Outcome,
    /// The job that was made, or the one that stood in its way.
    pub job: Option<JobId>,
}

/// How a schedule stands.
#[derive(Clone, Default, Debug)]
pub struct Standing {
    /// What somebody has said, other than the configuration.
    paused: Option<bool>,
    /// The first time that nobody has looked at yet.
    next: Option<Timestamp>,
    /// When the run was due that is still to be made.
    held: Option<Timestamp>,
    /// The run that there was no room for, which the last one that was left out may have come after.
    refused: Option<Timestamp>,
    /// Jobs that had not come to their end when they were last looked at. None when nobody cares.
    open: Vec<JobId>,
    last: Option<Last>,
    /// When it was last looked at: on the clock, and on one that nobody can set.
    seen: Option<(Timestamp, Duration)>,
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// Nothing, until this time; without one, until something changes.
    Rest(Option<Timestamp>),
    /// A run is to be made, which was due at this time.
    Run(Timestamp),
}

/// What of a standing is kept over a planned restart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Whose.
    pub name: ScheduleName,
    /// Of which timetable the times are.
    timetable: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paused: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open: Vec<JobId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Last>,
}

impl Standing {
    /// What is due by now. `elapsed` is what a clock shows that nobody can set. Whatever is said to be run is held until [`Self::made`] or [`Self::left_out`] says what became
    /// of it.
    pub fn look(&mut self, schedule: &Schedule, now: Timestamp, elapsed: Duration) -> Look {
        self.notice_clock(schedule, now, elapsed);
        if self.is_paused(schedule) {
            // What would be due meanwhile is not missed: nobody wants it.
            (self.next, self.held) = (None, None);
            return Look::Rest(None);
        }
        match self.next {
            None => self.next = schedule.timetable.after(now),
            Some(next) if next <= now => self.pass(schedule, next, now),
            Some(_) => {}
        }
        self.held.map_or(Look::Rest(self.next), Look::Run)
    }

    /// Goes by everything that was due from `first` until now: for all of it there is one run at most.
    fn pass(&mut self, schedule: &Schedule, first: Timestamp, now: Timestamp) {
        let timetable = &schedule.timetable;
        self.next = timetable.after(now);
        // Only as far back as counts: from then until now there can be any number.
        let recent = Timestamp::from_millis(now.as_millis() - LATE.as_millis() as i64);
        let from = Timestamp::from_millis(recent.as_millis().max(first.as_millis()) - 1);
        let in_time = timetable.all_after(from).take_while(|time| *time <= now).last();
        let due = match (in_time, schedule.catch_up) {
            (Some(due), _) => due,
            (None, CatchUp::Once) => first,
            (None, CatchUp::Skip) => {
                self.note(first, now, Outcome::Missed, None);
                return;
            }
        };
        if self.held.is_some() {
            self.note(due, now, Outcome::Skipped, self.open.last().copied());
        } else {
            self.held = Some(due);
        }
    }

    /// When the clock was set back, times that have been there come again. Those that stand for a time of day were had; the
    /// others come no sooner than they would have.
    fn notice_clock(&mut self, schedule: &Schedule, now: Timestamp, elapsed: Duration) {
        let (Some((seen, then)), Some(next)) = (self.seen.replace((now, elapsed)), self.next) else { return };
        let would_be = seen.after(elapsed.saturating_sub(then));
        let back = would_be.since(now);
        if back > WRONG + SLACK {
            self.next = None;
        } else if back > SLACK && schedule.timetable.is_often() {
            // A little sooner, because neither clock is read to more than a millisecond.
            let soonest = now.after(next.since(would_be)).as_millis() - SLACK.as_millis() as i64;
            self.next = schedule.timetable.after(Timestamp::from_millis(soonest));
        }
    }

    /// The run that is held has become a job, or was found to be one that there is.
    pub fn made(
        &mut self,
        schedule: &Schedule,
        due_at: Timestamp,
        now: Timestamp,
        outcome: Outcome,
        job: JobId,
    ) {
        self.held = None;
        self.opened(schedule, job);
        self.note(due_at, now, outcome, Some(job));
    }

    /// Somebody asked for a run, and it has become a job.
    pub fn made_by_hand(&mut self, schedule: &Schedule, now: Timestamp, outcome: Outcome, job: JobId) {
        self.opened(schedule, job);
        self.last = Some(Last { due_at: now, at: now, trigger: Trigger::Manual, outcome, job: Some(job) });
    }

    fn opened(&mut self, schedule: &Schedule, job: JobId) {
        if schedule.overlap != Overlap::Allow && !self.open.contains(&job) {
            self.open.push(job);
        }
    }

    /// The run that is held is left out, because of this job. Nothing when a pause has dropped it meanwhile.
    pub fn left_out(&mut self, due_at: Timestamp, now: Timestamp, because_of: Option<JobId>) {
        if self.held != Some(due_at) {
            return;
        }
        self.held = None;
        self.note(due_at, now, Outcome::Skipped, because_of);
    }

    /// There was no room for the run that is held; says whether that is news. Nothing when a pause has dropped it meanwhile.
    pub fn refused(&mut self, due_at: Timestamp, now: Timestamp) -> bool {
        if self.held != Some(due_at) {
            return false;
        }
        self.note(due_at, now, Outcome::Refused, None);
        self.refused.replace(due_at) != Some(due_at)
    }

    /// Whether there was no room before for the run that is held.
    pub fn was_refused(&self, due_at: Timestamp) -> bool {
        self.refused == Some(due_at)
    }

    fn note(&mut self, due_at: Timestamp, at: Timestamp, outcome: Outcome, job: Option<JobId>) {
        self.last = Some(Last { due_at, at, trigger: Trigger::Schedule, outcome, job });
    }

    /// Whether nothing is due until somebody says otherwise.
    pub fn is_paused(&self, schedule: &Schedule) -> bool {
        self.paused.unwrap_or(schedule.paused)
    }

    /// Pauses it, lets it go on, or leaves that to the configuration.
    pub fn pause(&mut self, paused: Option<bool>) {
        self.paused = paused;
    }

    /// When the run was due that is still to be made.
    pub fn held(&self) -> Option<Timestamp> {
        self.held
    }

    /// The jobs of earlier runs that may not have come to their end.
    pub fn open(&self) -> &[JobId] {
        &self.open
    }

    /// Forgets jobs that have come to their end.
    pub fn ended(&mut self, jobs: &[JobId]) {
        self.open.retain(|job| !jobs.contains(job));
    }

    /// The last run.
    pub fn last(&self) -> Option<Last> {
        self.last
    }

    /// The times that come next; none while it is paused.
    pub fn next_runs(&self, schedule: &Schedule, now: Timestamp, most: usize) -> Vec<Timestamp> {
        if self.is_paused(schedule) {
            return Vec::new();
        }
        // After the clock was set back the next one can be later than the timetable alone would say.
        let from = self
            .next
            .filter(|next| *next > now)
            .map_or(now, |next| Timestamp::from_millis(next.as_millis() - 1));
        schedule.timetable.all_after(from).take(most).collect()
    }

    /// What is kept over a planned restart.
    pub fn kept(&self, schedule: &Schedule) -> Kept {
        let Self { paused, next, held, ref open, last, .. } = *self;
        let (name, timetable) = (schedule.name.clone(), schedule.timetable.to_string());
        Kept { name, timetable, paused, next, held, open: open.clone(), last }
    }

    /// How a schedule stands after a planned restart: times count only if its timetable is the same.
    pub fn taken_up(schedule: &Schedule, kept: Kept, now: Timestamp) -> Self {
        let mut standing = Self { paused: kept.paused, last: kept.last, ..Self::default() };
        if schedule.overlap != Overlap::Allow {
            standing.open = kept.open;
        }
        if kept.timetable != schedule.timetable.to_string() {
            return standing;
        }
        // The clock may have been set, or another machine have another one.
        standing.next = kept.next.filter(|next| *next <= now || schedule.timetable.after(now) == Some(*next));
        match kept.held {
            Some(held) if is_missed(schedule, held, now) => standing.note(held, now, Outcome::Missed, None),
            held => standing.held = held,
        }
        standing
    }
}

/// A run that waits for another one is not late, however long that takes.
fn is_missed(schedule: &Schedule, held: Timestamp, now: Timestamp) -> bool {
    schedule.catch_up == CatchUp::Skip && schedule.overlap != Overlap::Queue && now.since(held) > LATE
}
