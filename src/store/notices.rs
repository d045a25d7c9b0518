//! Notices beside the jobs that they tell of: kept in the same step, remembered by them, and noted with them.

use std::sync::Arc;

use super::budget::Load;
use super::shelf::Keys;
use super::{Duplicate, Follow, MemoryStore, Space};
use crate::job::{Job, Notices};

impl MemoryStore {
    /// What follows from a row that has changed and is held: its notices, which it then remembers.
    pub(super) fn follow(&self, row: &mut Arc<Job>, notices: &Follow<'_>) -> Vec<Arc<Job>> {
        if row.wanted().is_none() {
            return Vec::new();
        }
        let mut made = notices(row, Space::Ample);
        let weight = |made: &[Arc<Job>]| made.iter().map(|notice| notice.weight() as u64).sum();
        // Others may find the same room at the same moment: it can be passed by so many notices as there are threads.
        if !made.is_empty() && !self.budget.is_ample_for(weight(&made)) {
            made = notices(row, Space::Scarce);
        }
        // A change is never refused for them, and a queue that is not there has none.
        made.retain(|notice| self.shelf(&notice.spec.queue).is_ok());
        if !made.is_empty() {
            Arc::make_mut(row).remember(made.iter().map(|notice| &**notice));
        }
        made
    }

    /// Keeps notices, whatever room there is: there was enough for them, or they were paid for. Not to be called while a row
    /// is held.
    pub(super) fn keep_notices(&self, made: &[Arc<Job>]) {
        if made.is_empty() {
            return;
        }
        for notice in made {
            let keys = Keys::of(notice);
            self.budget.take_anyway(Load::of(std::iter::once(keys)));
            // Their ids are new, they have no keys, and their queue is there: each is kept.
            let _ = self.insert_row(notice, keys);
        }
    }

    /// Notes with the job that a notice tells of how it stands. Not to be called while a row is held.
    pub(super) fn note_with_its_job(&self, changed: &Job, again: bool) {
        let Some(notice) = changed.notice() else { return };
        // A job of which somebody is told is never done without a word.
        if let Some(mut row) = self.rows.get_mut(&notice.of)
            && let Some(job) = row.as_open_mut()
            && job.would_hear(changed, again)
        {
            // It weighs the same, and stands where it stood: the indexes need not know.
            Arc::make_mut(job).hear(changed, again);
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
    use crate::store::row::Row;
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
            self.apply_following(id, change, at, &|_, _| Vec::new())
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
        // More of it is held for telling than a new one might.
        store.insert_now(&[told], true).unwrap();
        let run = store.apply_now(id(1), Change::Start, at(1)).unwrap().runs;
        let make = |job: &Job, _| {
            let (event, channel) = (job.state.name(), Channel::Webhook);
            let of = |n| Notices::Of(Notice { of: job.id(), event, channel, target: n });
            vec![with(2, of("one".into())), with(3, of("two".into()))]
        };
        let error = Arc::new(JobError { code: "x".into(), message: "y".into(), retryable: false });
        let ending = Ending::Failed { outcome: AttemptOutcome::Failed, error, retry_at: at(9) };
        let ended = store.apply_following(id(1), Change::Settle { run, ending }, at(2), &make).unwrap();
        assert_eq!(ended.state.name(), StateName::DeadLettered);
        assert_eq!(ended.told.as_ref().unwrap().notices, [id(2), id(3)]);
        let rows: Vec<Arc<Job>> = (1..=3).map(|n| store.rows.get(&id(n)).unwrap().job(id(n))).collect();
        assert!(matches!(rows[2].state, JobState::Pending { .. }));
        let weights: u64 = rows.iter().map(|job| job.weight() as u64).sum();
        assert_eq!(store.memory(), weights);
        assert_eq!(store.budget.counters()[2], 0, "notices are no jobs that somebody has submitted");
        let more: Vec<_> = (4..24).map(|n| Arc::new(job(n, "default", "noop", &[]))).collect();
        let more = store.insert_now(&more, false);
        assert!(matches!(more, Err(InsertError::Full(Limit::Memory(limit))) if limit == weight), "{more:?}");
    }

    fn scheduled(n: u128, notices: Option<Notices>) -> Arc<Job> {
        let mut job = job(n, "default", "noop", &[]);
        Arc::get_mut(&mut job.spec).unwrap().notices = notices.map(Box::new);
        job.state = JobState::Scheduled { due: at(99) };
        Arc::new(job)
    }

    /// Receivers that take nothing for ever: what is held for their notices has its part of the memory, and the rest is for
    /// those of whom nobody is told.
    #[test]
    fn what_cannot_be_told_takes_no_more_than_its_part() {
        let wanted = || {
            let callback = Callback::new("https://app.example/hooks").events([
                StateName::Pending,
                StateName::Processing,
                StateName::Completed,
            ]);
            Notices::Wanted(Wanted { callback: Some(callback), email: None })
        };
        let day = Duration::from_hours(24);
        let retention = Retention { completed: day, dead_lettered: day, max_finished: 99_999 };
        let memory = 1 << 20;
        let bounds = Bounds { memory, jobs: u64::MAX };
        let store = MemoryStore::new([queue("default")], retention).bounded_by(bounds);
        let mut count = 0;
        let refused = loop {
            match store.insert_now(&[scheduled(count + 1, Some(wanted()))], false) {
                Ok(_) => count += 1,
                Err(refused) => break refused,
            }
        };
        assert!(
            matches!(refused, InsertError::Full(Limit::Telling(limit)) if limit == memory / 4 * 3),
            "{refused:?}"
        );
        assert!(count > 50, "{count}");
        let quiet = store.insert_now(&[scheduled(1_000_000, None)], false);
        assert!(quiet.is_ok(), "{quiet:?}");

        let asked = std::sync::Mutex::new(Vec::new());
        let next = std::sync::atomic::AtomicU64::new(2_000_000);
        let make = |job: &Job, space: Space| {
            asked.lock().unwrap().push((job.state.name(), space));
            if space == Space::Scarce && !job.state.is_terminal() {
                return Vec::new();
            }
            let target = "x".repeat(if space == Space::Ample { 16 << 10 } else { 2_000 }).into();
            let of = Notice { of: job.id(), event: job.state.name(), channel: Channel::Webhook, target };
            vec![with(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed).into(), Notices::Of(of))]
        };
        for n in 1..=count {
            let go = |change| store.apply_following(id(n), change, at(100), &make).unwrap();
            go(Change::Enqueue { turn: 1 });
            let run = go(Change::Start).runs;
            let result =
                crate::job::JobResult { media_type: "text/plain".into(), bytes: vec![b'x'; 16 << 10].into() };
            go(Change::Settle { run, ending: Ending::Completed(result.into()) });
            assert!(store.memory() <= memory, "{} after {n}", store.memory());
        }
        let asked = asked.into_inner().unwrap();
        assert!(asked.contains(&(StateName::Pending, Space::Scarce)));
        assert!(asked.contains(&(StateName::Completed, Space::Scarce)));
        let is_notice = |row: &Row| row.as_open().is_some_and(|job| job.notice().is_some());
        let untold = store.rows.iter().filter(|row| is_notice(row)).count();
        assert_eq!(untold as u128, count, "each end is told, and nothing else");
        let telling = || store.rows.iter().map(|row| row.keys().telling).sum::<u64>();
        assert_eq!(store.budget.telling(), telling());
        let one = store.rows.iter().find(|row| is_notice(row)).map(|row| *row.key()).unwrap();
        // What was written into its log does not count, and is not given back.
        let run = store.apply_now(one, Change::Start, at(101)).unwrap().runs;
        let line = crate::job::LogLine::new(at(101), 1, crate::job::LogLevel::Info, &"x".repeat(900));
        store.log_now(one, run, line);
        assert_eq!(store.budget.telling(), telling());
        let ending = Ending::Completed(crate::job::ResultSlot::Null);
        store.apply_now(one, Change::Settle { run, ending }, at(102)).unwrap();
        assert_eq!(store.budget.telling(), telling());
        let quiet = store.insert_now(&[scheduled(1_000_001, None)], false);
        assert!(quiet.is_ok(), "finished ones make way: {quiet:?}");
    }
}
