//! What a job takes in memory, and how it is made lighter when there is none left.

use std::borrow::Cow;
use std::sync::Arc;

use super::attempts::{ATTEMPTS_KEPT, Attempt};
use super::record::{Job, truncate};
use super::state::{JobError, JobState};
use super::{Course, Extras, JobId, KeptSpec, Notices, ResultSlot, StateName, Tag, Told, Trace, Unique};

/// What the allocator adds to a piece of memory: its header and the rounding up.
pub(crate) const ALLOCATION: usize = 16;
/// The two counts of an `Arc`.
pub(super) const COUNTS: usize = 16;
/// A row beside its texts: the job, its spec, its course, also before it has one, and its entries in the map and the indexes
/// of a store. These were measured (`tests/soak.rs`): with 192 bytes for them a small completed job, in this form, counted
/// 611 bytes and took 565.
const ROW: usize = size_of::<Job>() + size_of::<KeptSpec>() + size_of::<Course>() + 192;
/// How much of the code and of the message of an error stays when memory is full.
const CODE_KEPT: usize = 64;
const MESSAGE_KEPT: usize = 128;
/// What a short notice says beside the texts that its job was given: the members of a job with its links, one attempt, the
/// beginning of its error and of its reason. `herald_tests.rs` measures it.
const SHORT_NOTICE: usize = 2_560;
/// What a job remembers of the notices of its end.
const TOLD: usize = size_of::<Told>() + 2 * ALLOCATION + 2 * size_of::<JobId>();
/// What the history of a job may take when memory is full: each job pays for it when it is accepted, so that no attempt
/// can take more than there is.
const HISTORY: usize = ATTEMPTS_KEPT * size_of::<Attempt>() + ALLOCATION + error(CODE_KEPT, MESSAGE_KEPT);

impl Job {
    /// The bytes of memory that the job takes in a store, unless that keeps it in less once it is done. Counted from what it
    /// holds, without a look at the allocator; the same job has the same weight until it changes or its log grows. Of a job
    /// that somebody wants to be told of it includes what the notices of its end will take.
    pub fn weight(&self) -> usize {
        let spec = &*self.spec;
        let names = spec.kind.as_str().len() + spec.queue.as_str().len() + 2 * (COUNTS + ALLOCATION);
        let told = self.told.as_ref().map_or(0, |told| size_of::<Told>() + 2 * ALLOCATION + told.bytes());
        // A completed job has no attempt before it.
        let least = if self.state.name() == StateName::Completed { 0 } else { HISTORY };
        ROW + spec.payload.get().len()
            + names
            + spec.extras().map_or(0, extras)
            + told
            + self.log.bytes()
            + self.history().max(least)
            + self.end()
            + self.reserve()
    }

    /// The bytes that a job holds for the notices of its end, as long as they are not made: whoever wants to be told pays
    /// for that when the job is accepted. It is enough for [short](Self::shortened) ones.
    pub(crate) fn reserve(&self) -> usize {
        let Some(wanted) = self.wanted().filter(|_| !self.state.is_terminal()) else { return 0 };
        let callback = wanted.callback.as_ref().filter(|callback| callback.events.has_terminal());
        let names = self.spec.kind.as_str().len() + self.spec.queue.as_str().len();
        // What JSON and URLs escape makes texts longer.
        let tags: usize = self.spec.tags.iter().map(|tag| 2 * tag.as_str().len() + 3).sum();
        let trace = self.spec.trace.as_ref().map_or(0, |trace| trace_bytes(trace));
        let each = ROW
            + HISTORY
            + SHORT_NOTICE
            + 2 * (COUNTS + ALLOCATION + 8)
            + size_of::<Extras>()
            + size_of::<Notices>()
            + 4 * ALLOCATION
            + names
            + trace;
        let webhook = callback.map_or(0, |callback| each + tags + 12 * callback.url.len());
        let email = wanted.email.as_ref().map_or(0, |email| each + 7 * email.len());
        if webhook + email == 0 { 0 } else { webhook + email + TOLD }
    }

    /// Of what it takes in memory, what is there for the sake of telling others: a notice that is not done, without its
    /// log, or what is held for one. `weight` is that of the job.
    pub(crate) fn telling(&self, weight: usize) -> usize {
        let state = self.state.name();
        let is_done = matches!(state, StateName::Completed | StateName::Skipped | StateName::Canceled);
        if self.notice().is_some() && !is_done { weight - self.log.bytes() } else { self.reserve() }
    }

    /// The same job with little to say of itself: no result, the last attempt alone, the beginning of the error and of the
    /// reason, without what JSON would have to escape.
    pub(crate) fn shortened(&self) -> Self {
        let mut short = self.clone();
        short.thin();
        short.expire_result();
        short.attempts.keep_the_last();
        let plain = |text: &str, limit| {
            let escaped = |c: char| c.is_control() || matches!(c, '"' | '\\');
            truncate(text, limit).replace(escaped, " ")
        };
        if let Some(error) = &mut short.error {
            let code = Cow::Owned(plain(&error.code, CODE_KEPT));
            let message = plain(&error.message, MESSAGE_KEPT).into();
            *error = Arc::new(JobError { code, message, retryable: error.retryable });
        }
        if let JobState::Skipped { reason, .. } = &mut short.state {
            *reason = plain(reason, MESSAGE_KEPT).into();
        }
        short
    }

    /// The bytes of what grows from attempt to attempt.
    fn history(&self) -> usize {
        let attempts = self.attempts.bytes();
        let errors: usize =
            self.attempts.iter().filter_map(|attempt| attempt.error.as_deref()).map(error_of).sum();
        // It is mostly that of the last attempt, and the same.
        let latest =
            self.error.as_ref().filter(|error| !self.attempts.iter().any(|attempt| is(attempt, error)));
        let progress = self.progress.message.as_ref().map_or(0, |message| message.len() + ALLOCATION);
        attempts + errors + latest.map_or(0, |latest| error_of(latest)) + progress
    }

    /// The bytes of what it came to.
    fn end(&self) -> usize {
        match &self.state {
            JobState::Completed { result: ResultSlot::Kept(result), .. } => result.weight(),
            JobState::Skipped { reason, .. } => reason.len() + ALLOCATION,
            _ => 0,
        }
    }

    /// Whether it holds a result that could be let go.
    pub(crate) fn has_result(&self) -> bool {
        matches!(self.state, JobState::Completed { result: ResultSlot::Kept(_), .. })
    }

    /// Lets go of the result; that there was one is remembered.
    pub(crate) fn expire_result(&mut self) {
        if let JobState::Completed { result, .. } = &mut self.state
            && matches!(result, ResultSlot::Kept(_))
        {
            *result = ResultSlot::Expired;
        }
    }

    /// Takes the history down to what every job has paid for: the attempts stay, with their times and outcomes, and the
    /// beginning of the last error.
    pub(crate) fn thin(&mut self) {
        // Of one that was never touched there is nothing to take.
        let Some(course) = self.course() else { return };
        course.progress.message = None;
        for attempt in &mut *course.attempts {
            attempt.error = None;
        }
        if let Some(error) = &mut course.error {
            let short = Arc::new(JobError {
                code: match &error.code {
                    Cow::Borrowed(code) => Cow::Borrowed(*code),
                    Cow::Owned(code) => Cow::Owned(truncate(code, CODE_KEPT).to_owned()),
                },
                message: truncate(&error.message, MESSAGE_KEPT).into(),
                retryable: error.retryable,
            });
            *error = short;
        }
    }
}

/// The bytes of what most jobs do not have.
fn extras(extras: &Extras) -> usize {
    let Extras { tags, unique, trace, notices } = extras;
    let tag = |tag: &Tag| size_of::<Tag>() + tag.as_str().len() + COUNTS + ALLOCATION;
    // Here and in the index of keys, of which the larger part is for others.
    let unique = unique
        .as_ref()
        .map_or(0, |unique| 2 * (size_of::<Unique>() + unique.key.as_str().len() + ALLOCATION));
    let trace = trace.as_ref().map_or(0, |trace| trace_bytes(trace));
    let notices = notices.as_ref().map_or(0, |notices| {
        let texts = match &**notices {
            Notices::Wanted(wanted) => wanted.bytes(),
            Notices::Of(notice) => notice.target.len(),
        };
        size_of::<Notices>() + 3 * ALLOCATION + texts
    });
    let tags: usize = tags.iter().map(tag).sum();
    size_of::<Extras>() + ALLOCATION + tags + unique + trace + notices
}

fn trace_bytes(trace: &Trace) -> usize {
    size_of::<Trace>() + ALLOCATION + trace.state().map_or(0, |state| state.len() + ALLOCATION)
}

fn is(attempt: &Attempt, error: &Arc<JobError>) -> bool {
    attempt.error.as_ref().is_some_and(|of_attempt| Arc::ptr_eq(of_attempt, error))
}

const fn error(code: usize, message: usize) -> usize {
    size_of::<JobError>() + COUNTS + 3 * ALLOCATION + code + message
}

fn error_of(of: &JobError) -> usize {
    let code = match &of.code {
        Cow::Borrowed(_) => 0,
        Cow::Owned(code) => code.capacity(),
    };
    error(code, of.message.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{
        AttemptOutcome, Change, Ending, JobId, JobLog, JobResult, KindName, LogLevel, LogLine, Progress,
        QueueName, Spec, Timestamp,
    };
    use serde_json::value::RawValue;
    use std::time::Duration;

    fn job(payload: &str, tags: &[&str]) -> Job {
        let at = Timestamp::from_millis(0);
        let spec = Spec {
            id: JobId::MIN,
            kind: KindName::new("noop").unwrap(),
            queue: QueueName::new("default").unwrap(),
            payload: RawValue::from_string(payload.into()).unwrap(),
            created_at: at,
            max_attempts: 100,
            timeout: Duration::from_mins(1),
            tags: tags.iter().map(|tag| Tag::new(tag).unwrap()).collect(),
            unique: None,
            trace: None,
            notices: None,
            log: JobLog::default(),
        };
        Job::new(spec, JobState::Pending { turn: Some(1), since: at }, None)
    }

    fn fail(job: &mut Job, code: Cow<'static, str>, message: &str) {
        let at = Timestamp::from_millis(1);
        if job.state.name() == StateName::Failed {
            job.apply(Change::Enqueue { turn: 1 }, at).unwrap();
        }
        job.apply(Change::Start, at).unwrap();
        let error = Arc::new(JobError { code, message: message.into(), retryable: true });
        let ending = Ending::Failed { outcome: AttemptOutcome::Failed, error, retry_at: at };
        job.apply(Change::Settle { run: job.runs, ending }, at).unwrap();
    }

    #[test]
    fn everything_that_a_caller_sends_is_weighed() {
        let empty = job("{}", &[]).weight();
        assert_eq!(job("{\"a\":12345}", &[]).weight(), empty + 9);
        assert_eq!(job("{}", &["ab"]).weight() - empty, job("{}", &["cd"]).weight() - empty);
        let extras = size_of::<Extras>() + ALLOCATION;
        assert_eq!(job("{}", &["ab", "cde"]).weight() - empty, extras + 2 * (16 + COUNTS + ALLOCATION) + 5);
        let mut logged = job("{}", &[]);
        logged.log.push(LogLine::new(Timestamp::from_millis(0), 1, LogLevel::Info, "12345"));
        assert_eq!(logged.weight(), empty + logged.log.bytes());
    }

    #[test]
    fn an_error_is_weighed_once_and_a_result_whole() {
        let mut failed = job("{}", &[]);
        let before = failed.weight();
        for n in 1..=10_usize {
            fail(&mut failed, "x".into(), &"m".repeat(2_000));
            let errors = n * error(0, 2_000);
            // The first takes no memory of its own.
            let attempts = if n == 1 { 0 } else { n * size_of::<Attempt>() + ALLOCATION };
            assert_eq!(failed.weight() - before, errors + attempts - HISTORY);
        }
        let mut done = job("{}", &[]);
        done.apply(Change::Start, Timestamp::from_millis(1)).unwrap();
        let weights = [0, 1, 1_000].map(|length| {
            let mut done = done.clone();
            let result = JobResult { media_type: "text/plain".into(), bytes: vec![b'x'; length].into() };
            let ending = Ending::Completed(ResultSlot::from(result));
            done.apply(Change::Settle { run: 1, ending }, Timestamp::from_millis(2)).unwrap();
            let with = done.weight();
            done.expire_result();
            assert!(!done.has_result() && done.weight() <= with - length);
            with
        });
        assert_eq!([weights[1] - weights[0], weights[2] - weights[0]], [1, 1_000]);
    }

    /// What a handler gave can be a small part of a large piece of memory, which must not be kept for it.
    #[test]
    fn a_result_keeps_no_more_memory_than_its_own() {
        let large = bytes::Bytes::from(vec![b'x'; 1 << 20]);
        let small = JobResult { media_type: "text/plain".into(), bytes: large.slice(..10) };
        let ResultSlot::Kept(kept) = ResultSlot::from(small) else { panic!("it is there") };
        assert_eq!(kept.bytes(), b"xxxxxxxxxx");
        assert!(large.try_into_mut().is_ok(), "nobody else holds it");
    }

    /// Whatever its attempts wrote, a job that is made thin weighs what it weighed when it was accepted.
    #[test]
    fn a_thin_job_weighs_what_it_paid_for() {
        for code in [Cow::Borrowed("x"), Cow::Owned("c".repeat(5_000))] {
            let mut failed = job("{}", &[]);
            let accepted = failed.weight();
            for _ in 0..30 {
                fail(&mut failed, code.clone(), &"m".repeat(2_048));
                failed.progress = Progress::new(7, Some(&"p".repeat(256)));
                let heavy = failed.weight();
                let mut thin = failed.clone();
                thin.thin();
                assert!(heavy > accepted);
                assert_eq!(thin.weight(), accepted);
                assert_eq!(thin.attempts.len(), failed.attempts.len());
                assert_eq!(thin.progress.percent, 7);
                assert_eq!(thin.error.as_ref().unwrap().message.len(), MESSAGE_KEPT);
            }
        }
    }
}
