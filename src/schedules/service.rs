//! The schedules, by name, and how each of them stands.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::job::{NewJob, ScheduleName, Timestamp, Trace, nearest};
use crate::jobs::{Accepted, Jobs, SubmitError};
use crate::schedule::{Kept, Outcome, Schedule, Standing};

/// Knows the schedules of one server. Cheap to clone.
#[derive(Clone)]
pub struct Schedules(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) jobs: Jobs,
    all: BTreeMap<ScheduleName, Arc<Recurring>>,
}

/// One schedule and how it stands.
pub struct Recurring {
    pub(super) schedule: Schedule,
    standing: Mutex<Standing>,
    /// Rung when somebody has changed how it stands; keeps a ring that comes while nobody listens.
    pub(crate) changed: Notify,
}

/// There is no schedule of this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no schedule of this name")]
pub struct UnknownSchedule {
    /// The known name that was most likely meant.
    pub nearest: Option<ScheduleName>,
    /// All of them.
    pub known: Vec<ScheduleName>,
}

/// Why a schedule was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is none.
    #[error(transparent)]
    Unknown(#[from] UnknownSchedule),
    /// Its job was not accepted.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

impl Schedules {
    /// Schedules whose jobs go to this service. Nothing happens before a pool runs them.
    pub fn new(jobs: Jobs, schedules: impl IntoIterator<Item = Schedule>) -> Self {
        let recurring = |schedule: Schedule| {
            let (standing, changed) = (Mutex::default(), Notify::new());
            (schedule.name.clone(), Arc::new(Recurring { schedule, standing, changed }))
        };
        Self(Arc::new(Inner { jobs, all: schedules.into_iter().map(recurring).collect() }))
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Recurring>> {
        self.0.all.values()
    }

    /// The schedule of this name.
    ///
    /// # Errors
    ///
    /// When there is none, with the nearest name.
    pub fn get(&self, name: &str) -> Result<&Arc<Recurring>, UnknownSchedule> {
        self.0.all.get(name).ok_or_else(|| {
            let known: Vec<ScheduleName> = self.0.all.keys().cloned().collect();
            let nearest = nearest(name, known.iter().map(ScheduleName::as_str));
            let nearest = nearest.and_then(|nearest| ScheduleName::new(nearest).ok());
            UnknownSchedule { nearest, known }
        })
    }

    /// Pauses a schedule, lets it go on, or with `None` leaves that to the configuration again. It counts at once: what
    /// waits to be run is dropped, and what is due meanwhile does not count as missed.
    ///
    /// # Errors
    ///
    /// When there is none of this name.
    pub fn pause(&self, name: &str, paused: Option<bool>) -> Result<(), UnknownSchedule> {
        let recurring = self.get(name)?;
        let clock = self.0.jobs.clock();
        let mut standing = recurring.standing();
        let was = standing.is_paused(&recurring.schedule);
        standing.pause(paused);
        let is = standing.is_paused(&recurring.schedule);
        if is {
            standing.look(&recurring.schedule, clock.now(), clock.elapsed());
        }
        drop(standing);
        if was != is {
            tracing::info!(schedule = %recurring.schedule.name, paused = is, "schedule changed");
        }
        recurring.changed.notify_one();
        Ok(())
    }

    /// Makes a job of a schedule now, also while it is paused and whatever else runs of it: somebody wants it.
    ///
    /// # Errors
    ///
    /// When there is none of this name, or as [`Jobs::accept`].
    ///
    /// # Cancel safety
    ///
    /// As [`Jobs::accept`].
    pub async fn run_now(&self, name: &str, trace: Option<Trace>) -> Result<Accepted, RunError> {
        let recurring = self.get(name)?;
        self.forget_ended(recurring).await;
        let new = NewJob { trace, ..recurring.schedule.new_job() };
        let accepted = self.0.jobs.accept(new).await?;
        let now = self.0.jobs.clock().now();
        recurring.standing().made_by_hand(
            &recurring.schedule,
            now,
            outcome_of(&accepted),
            accepted.job().id(),
        );
        Ok(accepted)
    }

    /// What is kept of them over a planned restart.
    pub fn kept(&self) -> Vec<Kept> {
        self.iter().map(|recurring| recurring.standing().kept(&recurring.schedule)).collect()
    }

    /// Goes on where the last planned stop left off. What was kept of schedules that are gone is forgotten.
    pub fn take_up(&self, kept: Vec<Kept>) {
        let now = self.0.jobs.clock().now();
        let mut kept: HashMap<ScheduleName, Kept> =
            kept.into_iter().map(|kept| (kept.name.clone(), kept)).collect();
        for recurring in self.iter() {
            if let Some(kept) = kept.remove(&recurring.schedule.name) {
                *recurring.standing() = Standing::taken_up(&recurring.schedule, kept, now);
            }
        }
    }
}

impl Recurring {
    /// What is to be run, and when.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Waits until this run is not held any more.
    pub(super) async fn dropped(&self, due_at: Timestamp) {
        while self.standing().held() == Some(due_at) {
            self.changed.notified().await;
        }
    }

    pub(super) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn outcome_of(accepted: &Accepted) -> Outcome {
    if accepted.is_duplicate() { Outcome::Deduplicated } else { Outcome::Submitted }
}
