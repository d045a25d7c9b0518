//! A second account of what a job is, from the contract and not from the code; and random lives that both must tell alike.
//!
//! It keeps the whole history and plain numbers, and derives from them what a [`Job`] keeps.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

/// The attempts that are remembered: number, outcome, begin, end, error.
type Kept = Vec<(u32, String, i64, i64, Option<String>)>;

/// A job as the contract tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Model {
    pub(crate) state: StateName,
    /// When it is due, since when it waits or runs, or when it ended.
    pub(crate) when: i64,
    pub(crate) turn: Option<u64>,
    pub(crate) cancel_requested: bool,
    pub(crate) reason: Option<String>,
    pub(crate) max_attempts: u32,
    pub(crate) attempt: u32,
    pub(crate) runs: u32,
    pub(crate) sequence: u64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) started_at: Option<i64>,
    pub(crate) percent: u8,
    pub(crate) error: Option<&'static str>,
    /// Every run that ended: its number, its outcome, its begin, its end, its error.
    pub(crate) history: Vec<(u32, &'static str, i64, i64, Option<&'static str>)>,
}

/// What can happen to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Enqueue(u64),
    Start,
    /// Of the run that is so many before the latest one.
    Settle(u32, End),
    Progress(u32, u8),
    Cancel,
    Retry(u64),
    Expire,
}

/// How a run can end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Done,
    NotDue,
    /// The outcome, whether a repeat could help, and when that would be.
    Fault(&'static str, bool, i64),
    Canceled,
    Interrupted,
    Later(i64),
}

impl Model {
    pub(crate) fn new(state: StateName, when: i64, max_attempts: u32, expires_at: Option<i64>) -> Self {
        Self {
            state,
            when,
            turn: None,
            cancel_requested: false,
            reason: None,
            max_attempts,
            attempt: 0,
            runs: 0,
            sequence: 1,
            expires_at,
            started_at: None,
            percent: 0,
            error: None,
            history: Vec::new(),
        }
    }

    fn goes_to(&mut self, state: StateName, when: i64) {
        (self.state, self.when) = (state, when);
        (self.turn, self.cancel_requested, self.reason) = (None, false, None);
    }

    pub(crate) fn waits(&self) -> bool {
        [StateName::Scheduled, StateName::Pending, StateName::Failed].contains(&self.state)
    }

    pub(crate) fn ended(&self) -> bool {
        !self.waits() && self.state != StateName::Processing
    }

    pub(crate) fn has_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|expiry| expiry <= now)
    }

    /// When the due loop must look at it.
    pub(crate) fn wakes_at(&self) -> Option<i64> {
        let sleeps = match self.state {
            StateName::Scheduled | StateName::Failed => true,
            StateName::Pending => self.turn.is_none(),
            _ => false,
        };
        sleeps.then(|| self.when.min(self.expires_at.unwrap_or(i64::MAX)))
    }

    /// The step that gets it on.
    fn onward(&self, any: Step) -> Step {
        match (self.state, any) {
            (_, end @ Step::Settle(0, _)) if self.state == StateName::Processing => end,
            (StateName::Processing, _) => Step::Settle(0, End::Fault("failed", true, 20_000)),
            (StateName::Pending, _) => Step::Start,
            (StateName::Scheduled | StateName::Failed, _) => Step::Enqueue(1),
            (_, _) => Step::Retry(2),
        }
    }

    /// Takes a step, or says that it is not allowed and stays as it is.
    pub(crate) fn take(&mut self, step: &Step, now: i64) -> bool {
        let allowed = self.can(step, now);
        if allowed {
            let enters_none = matches!(step, Step::Enqueue(_)) && self.state == StateName::Pending;
            self.sequence += u64::from(!enters_none);
            self.go(step, now);
        }
        allowed
    }

    fn can(&self, step: &Step, now: i64) -> bool {
        use StateName::{Canceled, Completed, DeadLettered, Failed, Pending, Processing, Scheduled, Skipped};
        let running = |back: u32| self.state == Processing && back == 0;
        match step {
            Step::Enqueue(_) => {
                [Scheduled, Failed].contains(&self.state) || (self.state == Pending && self.turn.is_none())
            }
            // Whoever comes to start what has expired finds out that it has.
            Step::Start => self.state == Pending || (self.waits() && self.has_expired(now)),
            Step::Settle(back, _) | Step::Progress(back, _) => running(*back),
            Step::Cancel => ![Completed, Skipped, DeadLettered, Canceled].contains(&self.state),
            Step::Retry(_) => ![Pending, Processing, Completed].contains(&self.state),
            Step::Expire => self.waits() && self.has_expired(now),
        }
    }

    fn go(&mut self, step: &Step, now: i64) {
        match *step {
            Step::Enqueue(turn) => {
                // One that was pending already has waited since then.
                let since = if self.state == StateName::Pending { self.when } else { now };
                self.goes_to(StateName::Pending, since);
                self.turn = Some(turn);
            }
            Step::Expire => {
                self.goes_to(StateName::Skipped, now);
                self.reason = Some("expired".to_owned());
            }
            Step::Start if self.has_expired(now) => self.go(&Step::Expire, now),
            Step::Start => {
                self.goes_to(StateName::Processing, now);
                (self.runs, self.attempt) = (self.runs + 1, self.attempt + 1);
                (self.started_at, self.percent) = (Some(now), 0);
            }
            Step::Progress(_, percent) => self.percent = percent.min(100),
            Step::Cancel if self.state == StateName::Processing => self.cancel_requested = true,
            Step::Cancel => self.goes_to(StateName::Canceled, now),
            Step::Retry(turn) => {
                if self.ended() {
                    (self.attempt, self.percent, self.error) = (0, 0, None);
                }
                if self.has_expired(now) {
                    self.expires_at = None;
                }
                self.goes_to(StateName::Pending, now);
                self.turn = Some(turn);
            }
            Step::Settle(_, end) => self.end(end, now),
        }
    }

    fn end(&mut self, end: End, now: i64) {
        let (outcome, error) = match end {
            End::Done => ("completed", None),
            End::NotDue => ("skipped", None),
            End::Fault(outcome, retryable, _) => (outcome, Some(if retryable { "again" } else { "never" })),
            End::Canceled => ("canceled", None),
            End::Interrupted => ("interrupted", None),
            End::Later(_) => ("snoozed", None),
        };
        self.history.push((self.attempt, outcome, self.started_at.unwrap_or(now), now, error));
        self.error = error.or(self.error);
        let used_up = self.attempt >= self.max_attempts;
        let stop = self.cancel_requested;
        match end {
            End::Done => {
                (self.percent, self.error) = (100, None);
                self.goes_to(StateName::Completed, now);
            }
            End::NotDue => {
                self.goes_to(StateName::Skipped, now);
                self.reason = Some("nothing to do".to_owned());
            }
            End::Fault(_, false, _) => self.goes_to(StateName::DeadLettered, now),
            End::Canceled => self.goes_to(StateName::Canceled, now),
            _ if stop => self.goes_to(StateName::Canceled, now),
            End::Fault(..) if used_up => self.goes_to(StateName::DeadLettered, now),
            End::Fault(_, true, again) => self.goes_to(StateName::Failed, again),
            End::Interrupted => self.goes_to(StateName::Pending, now),
            End::Later(until) => self.goes_to(StateName::Scheduled, until),
        }
        if ["interrupted", "snoozed"].contains(&outcome) {
            self.attempt -= 1;
        }
    }

    /// The first attempt and the last nine.
    fn kept(&self) -> Vec<(u32, &'static str, i64, i64, Option<&'static str>)> {
        let last_nine = self.history.len().saturating_sub(9).max(1);
        let kept = |n: &usize| *n == 0 || *n >= last_nine;
        self.history.iter().enumerate().filter(|(n, _)| kept(n)).map(|(_, attempt)| *attempt).collect()
    }

    /// The same account of a real job, without the history that it does not keep; compare it with [`Model::brief`].
    pub(crate) fn of(job: &Job) -> (Self, Kept) {
        let mut model =
            Self::new(job.state.name(), 0, job.spec.max_attempts, job.expires_at.map(Timestamp::as_millis));
        model.when = match &job.state {
            JobState::Scheduled { due } | JobState::Failed { due } => due.as_millis(),
            JobState::Pending { turn, since } => {
                model.turn = *turn;
                since.as_millis()
            }
            JobState::Processing { run, since, cancel_requested } => {
                assert_eq!(*run, job.runs, "the run that is under way is the latest one");
                model.cancel_requested = *cancel_requested;
                since.as_millis()
            }
            JobState::Skipped { at, reason } => {
                model.reason = Some(reason.to_string());
                at.as_millis()
            }
            JobState::Completed { at, .. } | JobState::DeadLettered { at } | JobState::Canceled { at } => {
                at.as_millis()
            }
        };
        (model.attempt, model.runs, model.sequence) = (job.attempt, job.runs, job.sequence);
        (model.started_at, model.percent) = (job.started_at.map(Timestamp::as_millis), job.progress.percent);
        model.error = job.error.as_ref().map(|error| if error.retryable { "again" } else { "never" });
        let attempt = |attempt: &Attempt| {
            let error = attempt.error.as_ref().map(|error| error.code.to_string());
            let (from, to) = (attempt.started_at.as_millis(), attempt.finished_at.as_millis());
            (attempt.number, attempt.outcome.as_str().to_owned(), from, to, error)
        };
        (model, job.attempts.iter().map(attempt).collect())
    }

    /// Itself without the history, and what a job keeps of it.
    pub(crate) fn brief(&self) -> (Self, Kept) {
        let kept = self.kept().into_iter();
        let kept =
            kept.map(|(n, outcome, a, b, error)| (n, outcome.to_owned(), a, b, error.map(str::to_owned)));
        (Self { history: Vec::new(), ..self.clone() }, kept.collect())
    }
}

impl End {
    pub(crate) fn ending(self) -> Ending {
        let at = Timestamp::from_millis;
        match self {
            Self::Done => Ending::Completed(ResultSlot::Null),
            Self::NotDue => Ending::Skipped { reason: "nothing to do".into() },
            Self::Fault(outcome, retryable, again) => Ending::Failed {
                outcome: match outcome {
                    "failed" => AttemptOutcome::Failed,
                    "timed_out" => AttemptOutcome::TimedOut,
                    _ => AttemptOutcome::Panicked,
                },
                error: Arc::new(JobError {
                    code: if retryable { "again" } else { "never" }.into(),
                    message: "m".into(),
                    retryable,
                }),
                retry_at: at(again),
            },
            Self::Canceled => Ending::Canceled,
            Self::Interrupted => Ending::Interrupted,
            Self::Later(until) => Ending::Snoozed { until: at(until) },
        }
    }
}

impl Step {
    fn change(&self, runs: u32) -> Change {
        match self {
            Self::Enqueue(turn) => Change::Enqueue { turn: *turn },
            Self::Start => Change::Start,
            Self::Settle(back, end) => Change::Settle { run: runs.wrapping_sub(*back), ending: end.ending() },
            Self::Progress(back, percent) => {
                let (run, progress) = (runs.wrapping_sub(*back), Some(Progress::new(*percent, None)));
                Change::Progress { run, progress, told: true }
            }
            Self::Cancel => Change::Cancel,
            Self::Retry(turn) => Change::Retry { turn: *turn },
            Self::Expire => Change::Expire,
        }
    }
}

pub(crate) fn end() -> impl Strategy<Value = End> {
    let outcome = prop::sample::select(vec!["failed", "timed_out", "panicked"]);
    prop_oneof![
        2 => Just(End::Done),
        1 => Just(End::NotDue),
        6 => (outcome, prop::bool::weighted(0.9), 0_i64..60_000).prop_map(|(o, r, at)| End::Fault(o, r, at)),
        1 => Just(End::Canceled),
        2 => Just(End::Interrupted),
        2 => (0_i64..60_000).prop_map(End::Later),
    ]
}

/// Any step at all; two of three times it gives way to the one that gets the job on, so that lives become long.
fn step() -> impl Strategy<Value = (Step, bool)> {
    (any_step(), prop::bool::weighted(0.66))
}

fn any_step() -> impl Strategy<Value = Step> {
    // The run that is under way most of the time; a late one, and one that there has never been.
    let back = || prop_oneof![6 => Just(0), 1 => Just(1), 1 => Just(7), 1 => Just(u32::MAX)];
    prop_oneof![
        4 => any::<u64>().prop_map(Step::Enqueue),
        6 => Just(Step::Start),
        6 => (back(), end()).prop_map(|(back, end)| Step::Settle(back, end)),
        1 => (back(), any::<u8>()).prop_map(|(back, percent)| Step::Progress(back, percent)),
        1 => Just(Step::Cancel),
        2 => any::<u64>().prop_map(Step::Retry),
        1 => Just(Step::Expire),
    ]
}

fn new_job(model: &Model, created: i64) -> Job {
    let at = Timestamp::from_millis;
    let spec = Spec {
        id: JobId::MIN,
        kind: KindName::new("noop").unwrap(),
        queue: QueueName::new("default").unwrap(),
        payload: RawValue::from_string("{}".to_owned()).unwrap(),
        created_at: at(created),
        max_attempts: model.max_attempts,
        timeout: Duration::from_mins(1),
        tags: Box::default(),
        unique: None,
        trace: None,
        notices: None,
        log: JobLog::default(),
    };
    let state = match model.state {
        StateName::Scheduled => JobState::Scheduled { due: at(model.when) },
        _ => JobState::Pending { turn: model.turn, since: at(model.when) },
    };
    Job::new(spec, state, model.expires_at.map(at))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, at whatever time the clock shows, the job and its model agree: on what is refused, and on every
    /// field after what is not.
    #[test]
    fn a_job_lives_as_its_model(
        scheduled in any::<bool>(),
        turn in prop::option::of(any::<u64>()),
        max_attempts in prop_oneof![1_u32..4, Just(100)],
        expires_at in prop::option::weighted(0.3, (0_i64..60).prop_map(|seconds| seconds * 1_000)),
        // Few different times, so that equal ones meet.
        life in prop::collection::vec((step(), (0_i64..60).prop_map(|seconds| seconds * 1_000)), 1..80),
    ) {
        let first = if scheduled { StateName::Scheduled } else { StateName::Pending };
        let mut model = Model::new(first, 30_000, max_attempts, expires_at);
        model.turn = turn.filter(|_| !scheduled);
        let mut job = new_job(&model, 1_000);
        let run_at = job.run_at;
        for (n, ((any, onward), now)) in life.iter().enumerate() {
            let step = &if *onward { model.onward(any.clone()) } else { any.clone() };
            let before = (job.state.name(), format!("{job:?}"));
            let change = step.change(job.runs);
            let named = change.name();
            let applied = job.apply(change, Timestamp::from_millis(*now));
            let allowed = model.take(step, *now);
            prop_assert_eq!(applied.is_ok(), allowed, "{} {:?} at {} on {:?}", n, step, now, before.0);
            if let Err(refused) = applied {
                prop_assert_eq!(refused.state, before.0);
                prop_assert!(refused.change == named || (named == "start" && refused.change == "expire"));
                prop_assert_eq!(format!("{job:?}"), before.1, "what is refused changes nothing");
            }
            prop_assert_eq!(Model::of(&job), model.brief(), "{} {:?} at {} on {:?}", n, step, now, before.0);
            prop_assert_eq!(job.wakes_at().map(Timestamp::as_millis), model.wakes_at());
            prop_assert_eq!(job.state.is_terminal(), model.ended());
            prop_assert_eq!(job.run_at, run_at, "when it was first due never changes");
        }
    }
}
