//! A job that is done, in less memory. Jobs are kept long after their end, most of them ended as everybody hoped, and of
//! such a job little has to be said: one attempt, that came to its end.

use std::time::Duration;

use serde_json::value::RawValue;

use super::result::KeptResult;
use super::weight::{ALLOCATION, COUNTS};
use super::{
    Attempt, AttemptOutcome, Attempts, Course, Job, JobId, JobLog, JobState, KindName, Progress, QueueName,
    ResultSlot, Spec, Timestamp,
};

/// How long payload and result may be together, in bytes. Of more, a copy would cost more than it saves.
const LARGEST: usize = 1_024;
/// What it takes beside its texts, with its entries in the map and the indexes of a store: measured (`tests/soak.rs`), with
/// 128 bytes for these a small one counts 419 bytes and takes 335.
const ROW: usize = size_of::<Done>() + 2 * ALLOCATION + 128;

/// A job that was completed by its first attempt, and of which there is nothing else to say.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Done {
    kind: KindName,
    queue: QueueName,
    created_at: Timestamp,
    run_at: Timestamp,
    started_at: Timestamp,
    finished_at: Timestamp,
    sequence: u32,
    timeout_ms: u32,
    payload: u16,
    max_attempts: u16,
    result: Slot,
    /// The payload, and the result behind it.
    texts: Box<[u8]>,
}

/// What there is of the result: see [`ResultSlot`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Slot {
    Null,
    Kept,
    Expired,
}

impl Done {
    /// The job in this form, if it is one that can be told so, word for word.
    pub(crate) fn of(job: &Job) -> Option<Self> {
        let JobState::Completed { at, result } = &job.state else { return None };
        let spec = &*job.spec;
        // All fields by name: what is added to a course must find its place here.
        let Course {
            attempt: 1,
            runs: 1,
            sequence,
            expires_at: None,
            started_at: Some(started_at),
            progress,
            error: None,
            attempts,
            told: None,
            log,
        } = &**job
        else {
            return None;
        };
        let is_plain = spec.is_plain()
            && *progress == COMPLETE
            && **attempts == [only_attempt(*started_at, *at)]
            && log.is_empty();
        let payload = spec.payload.get().as_bytes();
        let (slot, result) = match result {
            ResultSlot::Null => (Slot::Null, &[][..]),
            ResultSlot::Kept(kept) => (Slot::Kept, kept.encoded()),
            ResultSlot::Expired => (Slot::Expired, &[][..]),
        };
        if !is_plain || payload.len() + result.len() > LARGEST {
            return None;
        }
        Some(Self {
            kind: spec.kind.clone(),
            queue: spec.queue.clone(),
            created_at: spec.created_at,
            run_at: job.run_at,
            started_at: *started_at,
            finished_at: *at,
            sequence: (*sequence).try_into().ok()?,
            timeout_ms: spec.timeout().as_millis().try_into().ok()?,
            payload: payload.len().try_into().ok()?,
            max_attempts: spec.max_attempts.try_into().ok()?,
            result: slot,
            texts: [payload, result].concat().into(),
        })
    }

    /// The job again, as it was.
    pub(crate) fn job(&self, id: JobId) -> Job {
        let (payload, result) = self.texts.split_at(self.payload.into());
        let payload = String::from_utf8(payload.to_vec()).map(RawValue::from_string);
        let payload = payload.ok().and_then(Result::ok);
        debug_assert!(payload.is_some(), "it was one");
        let payload = payload.unwrap_or_else(|| RawValue::NULL.to_owned());
        let spec = Spec {
            id,
            kind: self.kind.clone(),
            queue: self.queue.clone(),
            payload,
            created_at: self.created_at,
            max_attempts: self.max_attempts.into(),
            timeout: Duration::from_millis(self.timeout_ms.into()),
            tags: Box::default(),
            unique: None,
            trace: None,
            notices: None,
            log: JobLog::default(),
        };
        let result = match self.result {
            Slot::Null => ResultSlot::Null,
            Slot::Kept => ResultSlot::Kept(KeptResult::decode(result)),
            Slot::Expired => ResultSlot::Expired,
        };
        let course = Course {
            attempt: 1,
            runs: 1,
            sequence: self.sequence.into(),
            expires_at: None,
            started_at: Some(self.started_at),
            progress: COMPLETE,
            error: None,
            attempts: Attempts::from(vec![only_attempt(self.started_at, self.finished_at)]),
            told: None,
            log: JobLog::EMPTY,
        };
        let mut job = Job::new(spec, JobState::Completed { at: self.finished_at, result }, None);
        job.run_at = self.run_at;
        job.with(course)
    }

    /// What ran it.
    pub(crate) fn kind(&self) -> &KindName {
        &self.kind
    }

    /// When it was accepted.
    pub(crate) fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// Where it waited.
    pub(crate) fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// When it was completed.
    pub(crate) fn finished_at(&self) -> Timestamp {
        self.finished_at
    }

    /// Whether it holds a result that could be let go.
    pub(crate) fn has_result(&self) -> bool {
        self.result == Slot::Kept
    }

    /// Lets go of the result; that there was one is remembered.
    pub(crate) fn expire_result(&mut self) {
        if self.result == Slot::Kept {
            self.result = Slot::Expired;
            self.texts = self.texts[..self.payload.into()].into();
        }
    }

    /// The bytes of memory that it takes in a store; fewer than [`Job::weight`].
    pub(crate) fn weight(&self) -> usize {
        let names = self.kind.as_str().len() + self.queue.as_str().len() + 2 * (COUNTS + ALLOCATION);
        // As much for a result as an open job has: else a hundred small ones would have to go for one job that comes.
        let result = if self.has_result() { COUNTS + ALLOCATION } else { 0 };
        ROW + names + self.texts.len() + result
    }
}

/// How far an attempt is that has come to its end without a word.
const COMPLETE: Progress = Progress { percent: 100, message: None };

fn only_attempt(started_at: Timestamp, finished_at: Timestamp) -> Attempt {
    Attempt { number: 1, outcome: AttemptOutcome::Completed, started_at, finished_at, error: None }
}

#[cfg(test)]
#[path = "done_tests.rs"]
mod tests;
