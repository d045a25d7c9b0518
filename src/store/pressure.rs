//! What makes way when memory is full: results, then finished jobs, and at last what a job says of itself.

use std::sync::Arc;

use super::budget::{Load, Room};
use super::shelf::{Keys, lock};
use super::{InsertError, MemoryStore};
use crate::job::{JobId, LogLine};

/// By how much a line can lengthen a log, at most: its text, and the room for twice as many lines.
pub(super) const LOG_GROWTH: usize = 8 << 10;

impl MemoryStore {
    /// Takes room for rows that are about to come; what is finished makes way for them.
    pub(super) fn make_room(&self, load: Load) -> Result<(), InsertError> {
        loop {
            match self.budget.take(load) {
                Room::Taken => return Ok(()),
                Room::Full(limit) => return Err(InsertError::Full(limit)),
                Room::Crowded if self.throw_one_away() => {}
                Room::Crowded => return Err(InsertError::Full(self.budget.full())),
            }
        }
    }

    /// Lets go of the oldest result, or, when there is none, forgets the oldest finished job that is no dead letter. Says
    /// whether there is anything left to throw away. Not to be called while a row is held.
    fn throw_one_away(&self) -> bool {
        // Not in the conditions: the lock would be held while the row is looked at.
        let result = lock(&self.finished).oldest_result();
        if let Some((at, id)) = result {
            if let Some(mut row) = self.rows.get_mut(&id)
                && row.finished_at() == Some(at)
            {
                let before = row.keys();
                row.expire_result();
                // An unknown queue it cannot have: that was looked up when it was inserted.
                let _ = self.reindex(id, &row, before, row.keys());
            }
            return true;
        }
        let oldest = lock(&self.finished).oldest_done();
        oldest.is_some_and(|oldest| {
            self.forget(oldest);
            true
        })
    }

    /// A job has grown or can make way, and memory is full: others make way for it, and at last it is made thin itself. No
    /// change is refused for want of memory.
    pub(super) fn relieve(&self, grown: JobId) {
        while self.budget.is_over(0) {
            if self.throw_one_away() {
                continue;
            }
            self.thin(grown);
            return;
        }
    }

    /// Takes a job down to what it has paid for. Not to be called while a row is held.
    pub(super) fn thin(&self, id: JobId) {
        if let Some(mut row) = self.rows.get_mut(&id)
            && let Some(job) = row.as_open_mut()
        {
            let before = Keys::of(job);
            Arc::make_mut(job).thin();
            row.close();
            let _ = self.reindex(id, &row, before, row.keys());
        }
    }

    pub(super) fn log_now(&self, id: JobId, run: u32, line: LogLine) {
        while self.budget.is_over(LOG_GROWTH) && self.throw_one_away() {}
        // The row is held while its log grows: nobody can weigh it in between.
        let Some(mut row) = self.rows.get_mut(&id) else { return };
        let Some(row) = row.as_open_mut().filter(|job| job.is_in_run(run)) else {
            return;
        };
        let (before, after) = if self.budget.is_over(LOG_GROWTH) {
            row.log.append_in_place(line)
        } else if row.log.is_empty() {
            Arc::make_mut(row).log.append(line)
        } else {
            // The copies share it: none need be made for one more line.
            row.log.clone().append(line)
        };
        self.budget.logged(before, after);
    }
}
