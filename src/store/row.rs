//! A row: a job as it changes, or in less memory once it is done.

use std::sync::Arc;

use super::Filter;
use super::shelf::Keys;
use crate::job::{Done, Job, JobId, QueueName, StateName, Timestamp};

/// What is kept under an id.
#[cfg_attr(test, derive(Clone))]
pub(super) enum Row {
    /// A job to which something can happen, or of which there is much to say.
    Open(Arc<Job>),
    /// One that is done. Who asks for it gets a copy.
    Done(Box<Done>),
}

impl Row {
    /// The job as it stands.
    pub(super) fn job(&self, id: JobId) -> Arc<Job> {
        match self {
            Self::Open(job) => Arc::clone(job),
            Self::Done(done) => Arc::new(done.job(id)),
        }
    }

    /// Whether the job is one of those.
    pub(super) fn fits(&self, id: JobId, filter: &Filter) -> bool {
        match self {
            Self::Open(job) => filter.matches(job),
            Self::Done(done) => filter.matches_done(id, done),
        }
    }

    /// The job, unless it is done.
    pub(super) fn as_open(&self) -> Option<&Arc<Job>> {
        match self {
            Self::Open(job) => Some(job),
            Self::Done(_) => None,
        }
    }

    /// The job, unless it is done, to be changed: nothing leads on from there.
    pub(super) fn as_open_mut(&mut self) -> Option<&mut Arc<Job>> {
        match self {
            Self::Open(job) => Some(job),
            Self::Done(_) => None,
        }
    }

    /// Takes less memory from now on, if it can.
    pub(super) fn close(&mut self) {
        if let Self::Open(job) = self
            && let Some(done) = Done::of(job)
        {
            *self = Self::Done(Box::new(done));
        }
    }

    /// Lets go of the result; that there was one is remembered.
    pub(super) fn expire_result(&mut self) {
        match self {
            Self::Open(job) => Arc::make_mut(job).expire_result(),
            Self::Done(done) => done.expire_result(),
        }
        // It may have been too large until now.
        self.close();
    }

    /// What the indexes know of it.
    pub(super) fn keys(&self) -> Keys {
        match self {
            Self::Open(job) => Keys::of(job),
            Self::Done(done) => Keys::of_done(done),
        }
    }

    pub(super) fn state(&self) -> StateName {
        match self {
            Self::Open(job) => job.state.name(),
            Self::Done(_) => StateName::Completed,
        }
    }

    pub(super) fn finished_at(&self) -> Option<Timestamp> {
        match self {
            Self::Open(job) => job.state.finished_at(),
            Self::Done(done) => Some(done.finished_at()),
        }
    }

    pub(super) fn queue(&self) -> &QueueName {
        match self {
            Self::Open(job) => &job.spec.queue,
            Self::Done(done) => done.queue(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::job::{Change, Ending, JobResult};
    use crate::store::conformance::{at, id, job, queue};
    use crate::store::{ApplyError, MemoryStore, Retention, Store as _};

    #[test]
    fn what_is_done_takes_less_and_is_the_same_to_everybody() {
        let day = Duration::from_hours(24);
        let retention = Retention { completed: day, dead_lettered: day, max_finished: 9 };
        let store = MemoryStore::new([queue("default")], retention);
        store.insert_now(&[Arc::new(job(1, "default", "noop", &[]))], false).unwrap();
        let run = store.apply_now(id(1), Change::Start, at(1)).unwrap().runs;
        let result = JobResult { media_type: "text/plain".into(), bytes: vec![b'x'; 9].into() };
        let settle = Change::Settle { run, ending: Ending::Completed(result.into()) };
        let told = store.apply_now(id(1), settle, at(2)).unwrap();
        let is_done = || matches!(&*store.rows.get(&id(1)).unwrap(), Row::Done(_));
        let counted = || store.rows.get(&id(1)).unwrap().keys().bytes;
        assert!(is_done());
        assert!(store.memory() == counted() && counted() < told.weight() as u64);
        let kept = store.get(id(1)).now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(format!("{kept:?}"), format!("{told:?}"));
        assert!(store.volatile().is_empty());

        let progress = Change::Progress { run, progress: None, told: true };
        let enqueue = Change::Enqueue { turn: 0 };
        for change in [
            Change::Start,
            Change::Cancel,
            Change::Expire,
            Change::Retry { turn: 0 },
            Change::Redrive { turn: 0 },
            Change::Settle { run, ending: Ending::Canceled },
            progress,
            enqueue,
        ] {
            let refused = Job::clone(&told).apply(change.clone(), at(3)).unwrap_err();
            assert!(
                matches!(store.apply_now(id(1), change, at(3)), Err(ApplyError::Refused(why)) if why == refused)
            );
        }
        assert!(is_done() && store.memory() == counted());

        let mut without = Job::clone(&told);
        without.expire_result();
        store.rows.get_mut(&id(1)).unwrap().expire_result();
        let kept = store.get(id(1)).now_or_never().unwrap().unwrap().unwrap();
        assert!(is_done() && !store.rows.get(&id(1)).unwrap().keys().has_result);
        assert_eq!(format!("{kept:?}"), format!("{without:?}"));
    }
}
