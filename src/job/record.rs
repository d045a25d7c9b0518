//! A job as it is known: what was accepted, and what has become of it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::state::{Change, Ending, JobError, JobState, Refused, Tally, transition};
use super::{Attempt, AttemptOutcome, Course, JobId, KeptSpec, Progress, Spec, Timestamp};

/// A job: what was accepted and what has become of it.
///
/// The fields are open to readers, those of its [`Course`] as well, as if they were its own; [`Job::apply`] is the only way
/// to change one that is kept in a store.
#[derive(Clone, Debug)]
pub struct Job {
    /// What was accepted.
    pub spec: Arc<KeptSpec>,
    /// Where it stands.
    pub state: JobState,
    /// When it was first due.
    pub run_at: Timestamp,
    /// None as long as it is that of every job that has just been accepted: of those that wait there are many.
    course: Option<Box<Course>>,
}

/// The course of every job that has just been accepted.
static NEW: Course = Course::NEW;

impl Deref for Job {
    type Target = Course;

    fn deref(&self) -> &Course {
        self.course.as_deref().unwrap_or(&NEW)
    }
}

impl DerefMut for Job {
    fn deref_mut(&mut self) -> &mut Course {
        self.course.get_or_insert_with(|| Box::new(Course::NEW))
    }
}

impl Job {
    /// A job as it is when it has just been accepted.
    pub fn new(spec: Spec, state: JobState, expires_at: Option<Timestamp>) -> Self {
        let run_at = match state {
            JobState::Scheduled { due } => due,
            _ => spec.created_at,
        };
        let (spec, log) = KeptSpec::new(spec);
        let job = Self { spec: Arc::new(spec), state, run_at, course: None };
        job.with(Course { expires_at, log, ..Course::NEW })
    }

    /// The same job after this course.
    #[must_use]
    pub fn with(self, course: Course) -> Self {
        Self { course: (!course.is_new()).then(|| Box::new(course)), ..self }
    }

    /// What has become of it, if it was touched.
    pub(super) fn course(&mut self) -> Option<&mut Course> {
        self.course.as_deref_mut()
    }

    /// Its name in the world.
    pub fn id(&self) -> JobId {
        self.spec.id
    }

    /// Changes the job, or refuses and changes nothing.
    ///
    /// # Errors
    ///
    /// What [`transition`] refuses.
    pub fn apply(&mut self, change: Change, at: Timestamp) -> Result<(), Refused> {
        let tally = Tally { runs: self.runs, attempt: self.attempt, max_attempts: self.spec.max_attempts };
        // By the expiry that holds now: a retry may have taken away the one that somebody saw.
        if matches!(change, Change::Expire) && !self.is_expired(at) {
            return Err(Refused { state: self.state.name(), change: change.name() });
        }
        // A job that is taken too late is not run.
        let change = match change {
            Change::Start if self.is_expired(at) => Change::Expire,
            change => change,
        };
        let effect = Effect::of(&change);
        // A place in the queue is no new state for one that was pending before.
        let is_placed = matches!((&change, &self.state), (Change::Enqueue { .. }, JobState::Pending { .. }));
        let told = !is_placed && !matches!(change, Change::Progress { told: false, .. });
        let next = transition(&self.state, tally, change, at)?;
        match effect {
            Effect::Start => {
                self.runs += 1;
                self.attempt += 1;
                self.started_at = Some(at);
                self.progress = Progress::default();
            }
            Effect::End(outcome, error) => self.record(outcome, error, at),
            Effect::Progress(progress) => self.progress = progress,
            Effect::Retry => {
                if self.state.is_terminal() {
                    self.attempt = 0;
                    self.error = None;
                    self.progress = Progress::default();
                }
                // Whoever asks for another round wants it, although the first one came too late.
                if self.is_expired(at) {
                    self.expires_at = None;
                }
            }
            Effect::None => {}
        }
        self.state = next;
        // Not without need: its course begins with the first change of it.
        if told {
            self.sequence += 1;
        }
        Ok(())
    }

    fn record(&mut self, outcome: AttemptOutcome, error: Option<Arc<JobError>>, at: Timestamp) {
        let attempt = Attempt {
            number: self.attempt,
            outcome,
            started_at: self.started_at.unwrap_or(at),
            finished_at: at,
            error: error.clone(),
        };
        self.attempts.push(attempt);
        if !outcome.uses_up_an_attempt() {
            self.attempt -= 1;
        }
        if outcome == AttemptOutcome::Completed {
            self.progress.percent = 100;
            self.error = None;
        } else if error.is_some() {
            self.error = error;
        }
    }

    /// When the due loop must look at it: at its due time, or when it expires, whichever is first.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let due = match self.state {
            JobState::Scheduled { due } | JobState::Failed { due } => due,
            // Found at start, in the order in which they were due before.
            JobState::Pending { turn: None, since } => since,
            _ => return None,
        };
        Some(self.expires_at.map_or(due, |expiry| expiry.min(due)))
    }

    /// Whether this run of it is under way.
    pub fn is_in_run(&self, asked: u32) -> bool {
        matches!(self.state, JobState::Processing { run, .. } if run == asked)
    }

    /// Whether it is no longer worth running.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expiry| expiry <= now)
    }
}

/// What a change does to a job beside its state; taken before the change goes into the state.
enum Effect {
    Start,
    End(AttemptOutcome, Option<Arc<JobError>>),
    Progress(Progress),
    Retry,
    None,
}

impl Effect {
    fn of(change: &Change) -> Self {
        match change {
            Change::Start => Self::Start,
            Change::Settle { ending, .. } => {
                let error = match ending {
                    Ending::Failed { error, .. } => Some(Arc::clone(error)),
                    _ => None,
                };
                Self::End(ending.outcome(), error)
            }
            Change::Progress { progress: Some(progress), .. } => Self::Progress(progress.clone()),
            Change::Retry { .. } | Change::Redrive { .. } => Self::Retry,
            Change::Progress { progress: None, .. }
            | Change::Enqueue { .. }
            | Change::Cancel
            | Change::Expire => Self::None,
        }
    }
}

/// The beginning of `text`, at most `limit` bytes, cut between two characters.
pub(crate) fn truncate(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::value::RawValue;

    use super::*;
    use crate::job::{JobLog, KindName, QueueName, ResultSlot};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn job(max_attempts: u32) -> Job {
        let spec = Spec {
            id: JobId::MIN,
            kind: KindName::new("noop").unwrap(),
            queue: QueueName::new("default").unwrap(),
            payload: RawValue::from_string("{}".into()).unwrap(),
            created_at: at(0),
            max_attempts,
            timeout: Duration::from_mins(1),
            tags: Box::default(),
            unique: None,
            trace: None,
            notices: None,
            log: JobLog::default(),
        };
        Job::new(spec, JobState::Pending { turn: Some(1), since: at(0) }, None)
    }

    fn run(job: &mut Job, ending: Ending, now: i64) {
        if !matches!(job.state, JobState::Pending { .. }) {
            job.apply(Change::Enqueue { turn: 1 }, at(now)).unwrap();
        }
        job.apply(Change::Start, at(now)).unwrap();
        job.apply(Change::Settle { run: job.runs, ending }, at(now + 1)).unwrap();
    }

    fn failure() -> Ending {
        Ending::Failed {
            outcome: AttemptOutcome::Failed,
            error: Arc::new(JobError { code: "x".into(), message: "y".into(), retryable: true }),
            retry_at: at(0),
        }
    }

    #[test]
    fn the_first_and_the_last_nine_attempts_are_kept() {
        for (runs, kept) in [(9, (1..=9).collect::<Vec<u32>>()), (10, (1..=10).collect())] {
            let mut job = job(100);
            (0..runs).for_each(|n| run(&mut job, failure(), n));
            assert_eq!(job.attempts.iter().map(|a| a.number).collect::<Vec<_>>(), kept);
        }
        let mut job = job(100);
        (0..25).for_each(|n| run(&mut job, failure(), n));
        let kept: Vec<u32> = job.attempts.iter().map(|a| a.number).collect();
        assert_eq!(kept, [1, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
    }

    #[test]
    fn interrupted_and_snoozed_use_up_no_attempt() {
        let mut job = job(1);
        run(&mut job, Ending::Interrupted, 1);
        run(&mut job, Ending::Snoozed { until: at(5) }, 2);
        assert_eq!((job.attempt, job.runs), (0, 2));
        run(&mut job, failure(), 3);
        assert_eq!(job.state.name(), crate::job::StateName::DeadLettered);
        assert_eq!(job.attempts.iter().map(|a| a.number).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn a_retry_begins_again_and_keeps_the_history() {
        let mut job = job(1);
        job.expires_at = Some(at(50));
        run(&mut job, failure(), 1);
        job.apply(Change::Retry { turn: 4 }, at(60)).unwrap();
        assert_eq!((job.attempt, job.attempts.len(), job.expires_at), (0, 1, None));
        assert_eq!(job.error, None);
        run(&mut job, Ending::Completed(ResultSlot::Null), 70);
        assert_eq!(job.progress.percent, 100);
        assert_eq!(job.attempts.len(), 2);
    }

    #[test]
    fn a_redrive_begins_again_like_a_retry() {
        let mut job = job(1);
        job.expires_at = Some(at(50));
        assert!(job.apply(Change::Redrive { turn: 4 }, at(0)).is_err(), "it is not dead");
        run(&mut job, failure(), 1);
        job.apply(Change::Redrive { turn: 4 }, at(60)).unwrap();
        assert_eq!((job.attempt, job.attempts.len(), job.expires_at), (0, 1, None));
        assert_eq!((&job.error, job.progress.percent), (&None, 0));
        assert!(job.apply(Change::Redrive { turn: 5 }, at(61)).is_err(), "it goes round already");
    }

    /// Whoever saw that it had expired may come after a retry, which takes the expiry away.
    #[test]
    fn only_what_has_expired_expires() {
        let mut job = job(1);
        job.expires_at = Some(at(50));
        assert!(job.apply(Change::Expire, at(49)).is_err());
        job.apply(Change::Cancel, at(49)).unwrap();
        job.apply(Change::Retry { turn: 4 }, at(60)).unwrap();
        assert!(job.apply(Change::Expire, at(60)).is_err());
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let mut job = job(1);
        let before = format!("{job:?}");
        assert!(job.apply(Change::Settle { run: 1, ending: Ending::Canceled }, at(1)).is_err());
        assert_eq!(format!("{job:?}"), before);
    }

    /// The numbers that watchers see have no holes, although not every report is told.
    #[test]
    fn progress_that_is_only_noted_takes_no_number() {
        let mut job = job(1);
        job.apply(Change::Start, at(1)).unwrap();
        for (percent, told, sequence) in [(Some(1), true, 3), (Some(2), false, 3), (None, true, 4)] {
            let progress = percent.map(|percent| Progress::new(percent, None));
            job.apply(Change::Progress { run: 1, progress, told }, at(2)).unwrap();
            assert_eq!((job.progress.percent, job.sequence), (percent.unwrap_or(2), sequence));
        }
    }

    #[test]
    fn progress_is_cut() {
        for (length, kept) in [(255, 255), (256, 256), (257, 256)] {
            let progress = Progress::new(101, Some(&"x".repeat(length)));
            assert_eq!((progress.percent, progress.message.unwrap().len()), (100, kept));
        }
    }
}
