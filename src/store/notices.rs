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
