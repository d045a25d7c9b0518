//! Who waits for the end of a job.

use std::sync::Arc;

use foldhash::fast::RandomState;
use tokio::sync::Notify;

use crate::job::JobId;
use crate::sync::atomic::{AtomicUsize, Ordering, fence};
use crate::sync::{DashMap, Entry};

/// The waiting ones, by job. Empty most of the time, and then telling costs one load.
#[derive(Default)]
pub(crate) struct Waiters {
    count: AtomicUsize,
    by_job: DashMap<JobId, Bell, RandomState>,
}

struct Bell {
    waiting: usize,
    notify: Arc<Notify>,
}

/// A place among the waiting ones; given up when dropped.
pub(crate) struct Place<'a> {
    waiters: &'a Waiters,
    id: JobId,
    pub(crate) notify: Arc<Notify>,
}

impl Waiters {
    /// Takes a place. Look at the job only after that, and a wake-up cannot be missed.
    pub(crate) fn join(&self, id: JobId) -> Place<'_> {
        self.count.fetch_add(1, Ordering::SeqCst);
        let mut bell = self.by_job.entry(id).or_insert_with(|| Bell { waiting: 0, notify: Arc::default() });
        bell.waiting += 1;
        let notify = Arc::clone(&bell.notify);
        drop(bell);
        Place { waiters: self, id, notify }
    }

    /// The job has come to its end.
    pub(crate) fn tell(&self, id: JobId) {
        // Sequentially consistent with `join`: either the waiting one is seen here, or it sees the end of the job.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::SeqCst) > 0
            && let Some(bell) = self.by_job.get(&id)
        {
            bell.notify.notify_waiters();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut bell) = self.waiters.by_job.entry(self.id) {
            bell.get_mut().waiting -= 1;
            if bell.get().waiting == 0 {
                bell.remove();
            }
        }
        self.waiters.count.fetch_sub(1, Ordering::SeqCst);
    }
}
