//! A job as it is known: what was accepted, and what has become of it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::state::{Change, Ending, JobError, JobState, Refused, Tally, transition};
use super::{
    AttemptOutcome, JobId, JobLog, KindName, Notices, QueueName, Tag, Timestamp, Told, Trace, Unique,
};

/// How many attempts are remembered: the first, and the last nine.
pub(crate) const ATTEMPTS_KEPT: usize = 10;
/// How long the message of a progress report may be, in bytes; the rest is cut.
const PROGRESS_MESSAGE_BYTES: usize = 256;

/// What was accepted, which never changes; and the log, which all copies of the job share.
#[derive(Debug)]
pub struct Spec {
    /// Its name in the world.
    pub id: JobId,
    /// The handler that runs it.
    pub kind: KindName,
    /// Where it waits.
    pub queue: QueueName,
    /// Its input, as the caller wrote it.
    pub payload: Box<RawValue>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Attempts, the first run included.
    pub max_attempts: u32,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Words to find it by.
    pub tags: Box<[Tag]>,
    /// By what it is known as the same work as another job. Most have none, and then it takes one word.
    pub unique: Option<Box<Unique>>,
    /// The trace of the request that submitted it.
    pub trace: Option<Box<Trace>>,
    /// Who wants to be told of it, or what it is a notice of. Most have neither, and then it takes one word.
    pub notices: Option<Box<Notices>>,
    /// What its attempts wrote.
    pub log: JobLog,
}

/// A job: its [`Spec`] and what has become of it.
///
/// The fields are open to readers; [`Job::apply`] is the only way to change one that is kept in a store.
#[derive(Clone, Debug)]
pub struct Job {
    /// What was accepted.
    pub spec: Arc<Spec>,
    /// Where it stands.
    pub state: JobState,
    /// Attempts used since it was accepted or last retried, the running one included.
    pub attempt: u32,
    /// Runs over its whole life, whether they used up an attempt or not.
    pub runs: u32,
    /// Grows by one with every change that is told; orders what is told about this job.
    pub sequence: u64,
    /// When it was first due.
    pub run_at: Timestamp,
    /// When it stops being worth running.
    pub expires_at: Option<Timestamp>,
    /// When the latest attempt began.
    pub started_at: Option<Timestamp>,
    /// How far the latest attempt says it is.
    pub progress: Progress,
    /// Why the latest attempt failed, if it did.
    pub error: Option<Arc<JobError>>,
    /// The first attempt that ended, and the last nine.
    pub attempts: Vec<Attempt>,
    /// What became of its notices, once there are any.
    pub told: Option<Box<Told>>,
}

/// One run of the handler that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number: 1 for the first after acceptance or a retry. An attempt that was not used up lends its number to the next.
    pub number: u32,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Why it failed, if it did.
    pub error: Option<Arc<JobError>>,
}

/// How far an attempt says it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100.
    pub percent: u8,
    /// What it is doing, at most 256 bytes.
    pub message: Option<Box<str>>,
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

impl Job {
    /// A job as it is when it has just been accepted.
    pub fn new(spec: Spec, state: JobState, expires_at: Option<Timestamp>) -> Self {
        let run_at = match state {
            JobState::Scheduled { due } => due,
            _ => spec.created_at,
        };
        Self {
            spec: Arc::new(spec),
            state,
            attempt: 0,
            runs: 0,
            sequence: 1,
            run_at,
            expires_at,
            started_at: None,
            progress: Progress::default(),
            error: None,
            attempts: Vec::new(),
            told: None,
        }
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
        // One that gets a place in the queue and was pending before has entered no state.
        let is_pending = matches!(self.state, JobState::Pending { .. });
        let told = match change {
            Change::Progress { told, .. } => told,
            Change::Enqueue { .. } => !is_pending,
            _ => true,
        };
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
                self.expires_at = self.expires_at.filter(|expiry| *expiry > at);
            }
            Effect::None => {}
        }
        self.state = next;
        self.sequence += u64::from(told);
        Ok(())
    }

    fn record(&mut self, outcome: AttemptOutcome, error: Option<Arc<JobError>>, at: Timestamp) {
        if self.attempts.len() >= ATTEMPTS_KEPT {
            self.attempts.remove(1);
        }
        // Few jobs have many attempts, and a thousand of those that wait for one must not pay for them.
        self.attempts.reserve_exact(1);
        self.attempts.push(Attempt {
            number: self.attempt,
            outcome,
            started_at: self.started_at.unwrap_or(at),
            finished_at: at,
            error: error.clone(),
        });
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
    use super::*;
    use crate::job::ResultSlot;

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
