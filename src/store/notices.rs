//! Notices beside the jobs that they tell of: kept in the same step, remembered by them, and noted with them.

use std::sync::Arc;

use super::budget::Load;
use super::shelf::Keys;
use super::{Duplicate, Follow, MemoryStore};
use crate::job::{Job, Notices};

impl MemoryStore {
    /// What follows from a row that has changed and is held: its notices, which it then remembers.
    pub(super) fn follow(&self, row: &mut Arc<Job>, notices: &Follow<'_>) -> Vec<Arc<Job>> {
        if row.wanted().is_none() {
            return Vec::new();
        }
        let mut made = notices(row);
        // A change is never refused for them, and a queue that is not there has none.
        made.retain(|notice| self.shelf(&notice.spec.queue).is_ok());
        if !made.is_empty() {
            Arc::make_mut(row).remember(made.iter().map(|notice| &**notice));
        }
        made
    }

    /// Keeps notices, whatever room there is. Not to be called while a row is held.
    pub(super) fn keep_notices(&self, made: &[Arc<Job>]) {
        if made.is_empty() {
            return;
        }
        self.budget.take_anyway(Load::of(made.iter().map(|notice| Keys::of(notice))));
        for notice in made {
            // Their ids are new, they have no keys, and their queue is there: each is kept.
            let _ = self.insert_row(notice);
        }
    }

    /// Notes with the job that a notice tells of how it stands. Not to be called while a row is held.
    pub(super) fn note_with_its_job(&self, changed: &Job, again: bool) {
        let Some(notice) = changed.notice() else { return };
        if let Some(mut row) = self.rows.get_mut(&notice.of)
            && row.would_hear(changed, again)
        {
            // It weighs the same, and stands where it stood: the indexes need not know.
            Arc::make_mut(&mut row).hear(changed, again);
        }
    }
}

/// Whether this is a notice of a job that was not kept, because it is the same work as another.
pub(super) fn is_of_none(notice: &Job, jobs: &[Arc<Job>], duplicates: &[Duplicate]) -> bool {
    let Some(Notices::Of(notice)) = notice.spec.notices.as_deref() else { return false };
    duplicates.iter().any(|duplicate| jobs[duplicate.index].id() == notice.of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{
        AttemptOutcome, Callback, Change, Channel, Ending, JobError, JobId, JobState, Notice, StateName,
        Timestamp, Wanted,
    };
    use crate::store::conformance::{at, id, job, queue};
    use crate::store::{ApplyError, Bounds, InsertError, Limit, Retention};
    use std::time::Duration;

    impl MemoryStore {
        /// A change from which nothing follows.
        pub(in crate::store) fn apply_now(
            &self,
            id: JobId,
            change: Change,
            at: Timestamp,
        ) -> Result<Arc<Job>, ApplyError> {
            self.apply_following(id, change, at, &|_| Vec::new())
        }
    }

    fn with(n: u128, notices: Notices) -> Arc<Job> {
        let mut job = job(n, "default", "noop", &[]);
        Arc::get_mut(&mut job.spec).unwrap().notices = Some(Box::new(notices));
        Arc::new(job)
    }

    /// The notices of an end are kept beyond every limit: only what comes from outside is refused.
    #[test]
    fn an_end_is_told_however_full_the_store_is() {
        let callback = Some(Callback::new("https://app.example/hooks"));
        let told = with(1, Notices::Wanted(Wanted { callback, email: None }));
        let day = Duration::from_hours(24);
        let retention = Retention { completed: day, dead_lettered: day, max_finished: 9 };
        let weight = told.weight() as u64;
        let store =
            MemoryStore::new([queue("default")], retention).bounded_by(Bounds { memory: weight, jobs: 1 });
        store.insert_now(&[told], false).unwrap();
        let run = store.apply_now(id(1), Change::Start, at(1)).unwrap().runs;
        let make = |job: &Job| {
            let (event, channel) = (job.state.name(), Channel::Webhook);
            let of = |n| Notices::Of(Notice { of: job.id(), event, channel, target: n });
            vec![with(2, of("one".into())), with(3, of("two".into()))]
        };
        let error = Arc::new(JobError { code: "x".into(), message: "y".into(), retryable: false });
        let ending = Ending::Failed { outcome: AttemptOutcome::Failed, error, retry_at: at(9) };
        let ended = store.apply_following(id(1), Change::Settle { run, ending }, at(2), &make).unwrap();
        assert_eq!(ended.state.name(), StateName::DeadLettered);
        assert_eq!(ended.told.as_ref().unwrap().notices, [id(2), id(3)]);
        let rows: Vec<Arc<Job>> = (1..=3).map(|n| Arc::clone(&store.rows.get(&id(n)).unwrap())).collect();
        assert!(matches!(rows[2].state, JobState::Pending { .. }));
        let weights: u64 = rows.iter().map(|job| job.weight() as u64).sum();
        assert_eq!(store.memory(), weights);
        assert_eq!(store.budget.counters()[2], 2, "the notices are not finished");
        let more = store.insert_now(&[Arc::new(job(4, "default", "noop", &[]))], false);
        assert!(matches!(more, Err(InsertError::Full(Limit::Memory(limit))) if limit == weight), "{more:?}");
    }
}
