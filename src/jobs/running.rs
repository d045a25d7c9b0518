//! The attempts under way, so that one can be told to stop and one that is stuck can be let go.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::places::Place;
use crate::job::{Job, JobId};
use crate::redact::Secrets;
use crate::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use crate::sync::{DashMap, Mutex, PoisonError};

/// Beyond this, an attempt that should have ended counts as stuck. Only one that blocks its thread gets so far: every
/// other one is dropped in time by the task that runs it.
const SLACK: Duration = Duration::from_secs(1);

/// It was given up because it ignored its cancellation.
const ABANDONED: u8 = 1;
/// Nothing of it is left.
const OVER: u8 = 2;
/// Its handler has returned or was dropped; what is left to do is to settle it.
const ENDED: u8 = 4;

/// How an attempt stood when it was given up.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Abandoning {
    /// It runs on.
    Running,
    /// It has returned just now.
    Returned,
    /// It has ended in time, and is about to be settled.
    InTime,
    /// It had been given up before.
    Again,
}

/// Every attempt under way.
#[derive(Default)]
pub(crate) struct Running(DashMap<JobId, Arc<Leash>, RandomState>);

/// By which an attempt under way can be told to stop, or let go.
pub(crate) struct Leash {
    canceled: CancellationToken,
    run: u32,
    /// When it must have ended, in milliseconds since the clock was made.
    ends_by: AtomicU64,
    cancel_grace: Duration,
    /// Which of [`ABANDONED`], [`ENDED`] and [`OVER`] it is.
    fate: AtomicU8,
    /// Gives the place among the running ones back when it is dropped.
    place: Mutex<Option<Place>>,
    /// What the texts of this job must not repeat; looked for when its attempt first says something.
    secrets: OnceLock<Secrets>,
    /// How often its progress is told.
    pace: Pace,
}

impl Leash {
    /// The token that tells the attempt to stop.
    pub(crate) fn canceled(&self) -> &CancellationToken {
        &self.canceled
    }

    /// Tells the attempt to stop.
    pub(crate) fn cancel(&self, elapsed: Duration) {
        let ends_by = millis(elapsed + self.cancel_grace + SLACK);
        self.ends_by.fetch_min(ends_by, Ordering::Relaxed);
        self.canceled.cancel();
    }

    /// What the texts of this job must not repeat; `find` looks for it the first time.
    pub(crate) fn secrets(&self, find: impl FnOnce() -> Secrets) -> &Secrets {
        self.secrets.get_or_init(find)
    }

    /// How often its progress is told.
    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Which run it is.
    pub(crate) fn run(&self) -> u32 {
        self.run
    }

    /// How long it may take to stop.
    pub(crate) fn cancel_grace(&self) -> Duration {
        self.cancel_grace
    }

    /// Gives the attempt up because it ignores its cancellation.
    pub(crate) fn abandon(&self) -> Abandoning {
        if self.fate.load(Ordering::Relaxed) & (ENDED | ABANDONED | OVER) == ENDED {
            return Abandoning::InTime;
        }
        match self.fate.fetch_or(ABANDONED, Ordering::Relaxed) {
            before if before & ABANDONED != 0 => Abandoning::Again,
            before if before & OVER != 0 => Abandoning::Returned,
            _ => Abandoning::Running,
        }
    }

    /// Notes that the handler has returned, or was dropped. However long a store takes to keep that, it is not stuck.
    pub(crate) fn ended(&self) {
        self.fate.fetch_or(ENDED, Ordering::Relaxed);
    }

    /// Notes that nothing of the attempt is left; says whether it was given up before.
    pub(crate) fn over(&self) -> bool {
        self.fate.fetch_or(OVER, Ordering::Relaxed) & ABANDONED != 0
    }

    /// Gives the place among the running ones back although the attempt has not ended.
    pub(crate) fn let_go(&self) {
        drop(self.take_place());
    }

    /// The place among the running ones, unless it was given back.
    pub(crate) fn take_place(&self) -> Option<Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Running {
    /// Notes the attempt that a job has just begun; `elapsed` is the time of the clock.
    ///
    /// Only then: an id can stand in its queue twice, and the second one must not take the place of the first here.
    /// Whoever calls this looks afterwards whether the job was canceled in between.
    pub(crate) fn begin(
        &self,
        job: &Job,
        cancel_grace: Duration,
        elapsed: Duration,
        place: Place,
    ) -> Arc<Leash> {
        let leash = Arc::new(Leash {
            canceled: CancellationToken::new(),
            run: job.runs,
            ends_by: AtomicU64::new(millis(elapsed + job.spec.timeout() + cancel_grace + SLACK)),
            cancel_grace,
            fate: AtomicU8::new(0),
            place: Mutex::new(Some(place)),
            secrets: OnceLock::new(),
            pace: Pace::default(),
        });
        self.0.insert(job.id(), Arc::clone(&leash));
        leash
    }

    /// Forgets an attempt, if it is still the one that is noted under this id.
    pub(crate) fn end(&self, id: JobId, leash: &Arc<Leash>) {
        self.0.remove_if(&id, |_, noted| Arc::ptr_eq(noted, leash));
    }

    /// The attempt under way of this job.
    pub(crate) fn get(&self, id: JobId) -> Option<Arc<Leash>> {
        self.0.get(&id).map(|leash| Arc::clone(&leash))
    }

    /// Tells every attempt to stop.
    pub(crate) fn cancel_all(&self, elapsed: Duration) {
        // Out of the map first: telling one may wake somebody who wants to change it.
        let all: Vec<_> = self.0.iter().map(|entry| Arc::clone(&entry)).collect();
        for leash in all {
            leash.cancel(elapsed);
        }
    }

    /// The attempts that should have ended by now and did not.
    pub(crate) fn stuck(&self, elapsed: Duration) -> Vec<(JobId, Arc<Leash>)> {
        let late = |leash: &Leash| {
            let has_ended = leash.fate.load(Ordering::Relaxed) & ENDED != 0;
            !has_ended && leash.ends_by.load(Ordering::Relaxed) < millis(elapsed)
        };
        self.0.iter().filter(|entry| late(entry)).map(|entry| (*entry.key(), Arc::clone(&entry))).collect()
    }

    /// How many attempts are under way.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
