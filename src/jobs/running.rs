//! The attempts under way, so that one can be told to stop and one that is stuck can be let go.

use std::any::Any;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;
use tokio_util::sync::CancellationToken;

use crate::job::{Job, JobId, JobState, Timestamp};

/// Beyond this, an attempt that should have ended counts as stuck. Only one that blocks its thread gets so far: every
/// other one is dropped in time by the task that runs it.
const SLACK: Duration = Duration::from_secs(1);

/// Every attempt under way.
#[derive(Default)]
pub(crate) struct Running(DashMap<JobId, Arc<Leash>, RandomState>);

/// By which an attempt under way can be told to stop, or let go.
pub struct Leash {
    canceled: CancellationToken,
    run: AtomicU32,
    /// When it must have ended, in milliseconds of the clock; `i64::MAX` while there is no such time.
    ends_by: AtomicI64,
    cancel_grace: Mutex<Duration>,
    /// Gives the place among the running ones back when it is dropped.
    permit: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Leash {
    /// The token that tells the attempt to stop.
    pub fn canceled(&self) -> &CancellationToken {
        &self.canceled
    }

    /// Notes which run it is and when it must have ended.
    pub(crate) fn began(&self, run: u32, now: Timestamp, timeout: Duration, cancel_grace: Duration) {
        self.run.store(run, Ordering::Relaxed);
        *self.cancel_grace.lock().unwrap_or_else(PoisonError::into_inner) = cancel_grace;
        let ends_by = now.after(timeout).after(cancel_grace).after(SLACK);
        self.ends_by.fetch_min(ends_by.as_millis(), Ordering::Relaxed);
    }

    /// Tells the attempt to stop.
    pub(crate) fn cancel(&self, now: Timestamp) {
        let grace = *self.cancel_grace.lock().unwrap_or_else(PoisonError::into_inner);
        self.ends_by
            .fetch_min(now.after(grace).after(SLACK).as_millis(), Ordering::Relaxed);
        self.canceled.cancel();
    }

    /// Tells the attempt to stop if somebody asked for it before it was noted.
    pub(crate) fn cancel_if_requested(&self, job: Option<&Job>, now: Timestamp) {
        if job.is_some_and(|job| {
            matches!(
                job.state,
                JobState::Processing {
                    cancel_requested: true,
                    ..
                }
            )
        }) {
            self.cancel(now);
        }
    }

    /// Which run it is.
    pub(crate) fn run(&self) -> u32 {
        self.run.load(Ordering::Relaxed)
    }

    /// Gives the place among the running ones back although the attempt has not ended.
    pub(crate) fn let_go(&self) {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Running {
    /// Notes an attempt before it begins, so that a cancel that sees it begun finds it here. The flag says whether it
    /// was noted: it is not while another attempt of the same job is under way, as happens when an id waited in its
    /// queue twice (canceled and retried). Such an attempt will most likely find that it has nothing to do; if it does
    /// begin, it is noted by [`Self::note`].
    pub(crate) fn begin(
        &self,
        id: JobId,
        canceled: CancellationToken,
        permit: Box<dyn Any + Send>,
    ) -> (Arc<Leash>, bool) {
        let leash = Arc::new(Leash {
            canceled,
            run: AtomicU32::new(0),
            ends_by: AtomicI64::new(i64::MAX),
            cancel_grace: Mutex::new(Duration::ZERO),
            permit: Mutex::new(Some(permit)),
        });
        let noted = match self.0.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(Arc::clone(&leash));
                true
            }
            Entry::Occupied(_) => false,
        };
        (leash, noted)
    }

    /// Notes an attempt that has begun, in the place of whatever was noted for its job.
    pub(crate) fn note(&self, id: JobId, leash: &Arc<Leash>) {
        self.0.insert(id, Arc::clone(leash));
    }

    /// Forgets an attempt, if it is still the one that is noted under this id.
    pub(crate) fn end(&self, id: JobId, leash: &Arc<Leash>) {
        self.0.remove_if(&id, |_, noted| Arc::ptr_eq(noted, leash));
    }

    /// The attempt under way of this job.
    pub(crate) fn get(&self, id: JobId) -> Option<Arc<Leash>> {
        self.0.get(&id).map(|leash| Arc::clone(&leash))
    }

    /// The attempts that should have ended before `now` and did not.
    pub(crate) fn stuck(&self, now: Timestamp) -> Vec<(JobId, Arc<Leash>)> {
        let late = |leash: &Leash| leash.ends_by.load(Ordering::Relaxed) < now.as_millis();
        self.0
            .iter()
            .filter(|entry| late(entry))
            .map(|entry| (*entry.key(), Arc::clone(&entry)))
            .collect()
    }

    /// How many attempts are under way.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
