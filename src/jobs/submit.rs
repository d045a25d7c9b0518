//! Accepting: validate, reserve, insert, push.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Jobs;
use super::line::Line;
use super::submit_error::{SubmitError, unknown};
use super::unique::Accepted;
use crate::handler::Registered;
use crate::job::{
    Delay, Fault, Job, JobId, JobLog, JobState, NOTICES, NewJob, Notices, QueueName, Spec, Timestamp, Unique,
};
use crate::queue::Slot;
use crate::store::InsertError;

/// How many faults are named at most: a body can hold any number.
pub(crate) const MAX_FAULTS: usize = 100;
/// How many tags a job can have.
pub(crate) const MAX_TAGS: usize = 20;
const MAX_ATTEMPTS: u32 = 100;
const LONGEST_TIMEOUT: Duration = Duration::from_hours(24);
const LONGEST_DELAY: Duration = Duration::from_hours(366 * 24);
const SHORTEST: Duration = Duration::from_millis(1);

impl Jobs {
    /// Accepts a job, or refuses it and keeps nothing. Gives back the known one when it is the same work: see
    /// [`Jobs::accept`].
    ///
    /// # Errors
    ///
    /// As [`Jobs::accept`].
    ///
    /// # Cancel safety
    ///
    /// As [`Jobs::accept`].
    pub async fn submit(&self, new: NewJob) -> Result<Arc<Job>, SubmitError> {
        Ok(self.accept(new).await?.into_job())
    }

    /// Accepts a job, finds that it is the same work as a known one, or refuses it and keeps nothing.
    ///
    /// Waits up to the queue's `enqueue_wait` for room, which slows down producers that are too fast.
    ///
    /// # Errors
    ///
    /// [`SubmitError`]; with pointers relative to the job.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped the job was accepted whole or not at all.
    pub async fn accept(&self, new: NewJob) -> Result<Accepted, SubmitError> {
        let line = self.line_for(&new);
        let accepted = self.accept_one(new, line).await;
        accepted.inspect_err(|error| self.note_refused(line, error))
    }

    /// As [`Jobs::accept`], of a job that was refused before and is offered until it is accepted: that it is refused is not
    /// counted once more.
    pub(crate) async fn accept_at_last(&self, new: NewJob) -> Result<Accepted, SubmitError> {
        let line = self.line_for(&new);
        self.accept_one(new, line).await
    }

    /// `line` is that in which it will wait, if there is one.
    async fn accept_one(&self, mut new: NewJob, line: Option<&Arc<Line>>) -> Result<Accepted, SubmitError> {
        let _inside = self.enter().ok_or(SubmitError::Draining)?;
        let registered = self.admit(&new, "")?;
        let now = self.0.clock.now();
        let state = begin(&mut new, registered, now);
        let known = self.known(&registered.kind, new.unique.as_ref(), now).await;
        if let Some(known) = known.map_err(|error| SubmitError::Store(error.into()))? {
            return Ok(Accepted::Duplicate(known));
        }
        // Its id tells when it came, not how long it had to wait for room.
        let id = self.0.clock.job_id(now);
        // Before the job is made: what there is no room for is refused for as little as that takes.
        let slot = match state {
            JobState::Pending { .. } => {
                let line = line.ok_or_else(|| SubmitError::no_line(&registered.settings.queue))?;
                Some(self.room_for_one(line).await?)
            }
            _ => None,
        };
        let (job, slot) = in_turn(make(id, new, registered, state, now), slot);
        let (job, notices) = self.announced(job, now);
        // Whoever comes so late that the drain has not waited for it must not be accepted any more.
        if self.is_sealed() {
            return Err(SubmitError::Draining);
        }
        let mut rows = vec![Arc::clone(&job)];
        rows.extend(notices.iter().cloned());
        let kept = self.0.store.insert(rows).await.map_err(|error| self.not_kept(error));
        if let Some(duplicate) = kept?.pop() {
            return Ok(Accepted::Duplicate(duplicate.holder));
        }
        self.push(&job, line, slot, now);
        self.announce(&notices, now);
        Ok(Accepted::New(job))
    }

    /// Accepts all of these jobs or none; as [`Jobs::accept_all`], without saying which were known.
    ///
    /// # Errors
    ///
    /// As [`Jobs::accept_all`].
    ///
    /// # Cancel safety
    ///
    /// As [`Jobs::accept`].
    pub async fn submit_all(&self, all: Vec<NewJob>) -> Result<Vec<Arc<Job>>, SubmitError> {
        Ok(self.accept_all(all).await?.into_iter().map(Accepted::into_job).collect())
    }

    /// Accepts all of these jobs or none. Those that are the same work as a known one, or as one before them, are that
    /// one.
    ///
    /// # Errors
    ///
    /// As [`Jobs::accept`]; with pointers relative to the array (`/3/kind`), and the faults of all jobs at once.
    ///
    /// # Cancel safety
    ///
    /// As [`Jobs::submit`].
    pub async fn accept_all(&self, all: Vec<NewJob>) -> Result<Vec<Accepted>, SubmitError> {
        let lines: Vec<_> = all.iter().map(|new| self.line_for(new)).collect();
        let accepted = self.accept_many(all).await;
        accepted.inspect_err(|error| lines.into_iter().for_each(|line| self.note_refused(line, error)))
    }

    async fn accept_many(&self, all: Vec<NewJob>) -> Result<Vec<Accepted>, SubmitError> {
        let _inside = self.enter().ok_or(SubmitError::Draining)?;
        let limit = self.0.limits.batch;
        if all.is_empty() || all.len() > limit {
            return Err(SubmitError::Invalid(vec![Fault::new("", format!("must hold 1 to {limit} jobs"))]));
        }
        let mut faults = Vec::new();
        let (mut unknown, mut invalid) = (false, false);
        for (n, new) in all.iter().enumerate() {
            match self.admit(new, &format!("/{n}")) {
                Ok(_) => {}
                Err(SubmitError::UnknownKind(of_this)) => {
                    unknown = true;
                    faults.extend(of_this);
                }
                Err(SubmitError::Invalid(of_this)) => {
                    invalid = true;
                    faults.extend(of_this);
                }
                Err(SubmitError::CallbackForbidden(of_this)) => faults.extend(of_this),
                Err(other) => return Err(other),
            }
            if faults.len() >= MAX_FAULTS {
                break;
            }
        }
        if !faults.is_empty() {
            return Err(if unknown {
                SubmitError::UnknownKind(faults)
            } else if invalid {
                SubmitError::Invalid(faults)
            } else {
                SubmitError::CallbackForbidden(faults)
            });
        }
        let now = self.0.clock.now();
        let mut jobs = Vec::with_capacity(all.len());
        for mut new in all {
            let registered = self.registered(&new).map_err(|fault| SubmitError::UnknownKind(vec![fault]))?;
            let state = begin(&mut new, registered, now);
            jobs.push(make(self.0.clock.job_id(now), new, registered, state, now));
        }
        let mut sorted = self.sort_out(jobs).await.map_err(|error| SubmitError::Store(error.into()))?;
        let jobs = sorted.take_jobs();
        let mut wanted: BTreeMap<QueueName, usize> = BTreeMap::new();
        for job in jobs.iter().filter(|job| matches!(job.state, JobState::Pending { .. })) {
            *wanted.entry(job.spec.queue.clone()).or_default() += 1;
        }
        // Always in the same order, so that two batches do not wait for each other.
        let mut slots: BTreeMap<QueueName, std::vec::IntoIter<Slot>> = BTreeMap::new();
        for (queue, count) in wanted {
            let line = self.0.lines.get(&queue).ok_or(SubmitError::Draining)?;
            slots.insert(queue, self.room_for_many(line, count).await?.into_iter());
        }
        let rows = jobs.into_iter().map(|job| {
            let slot = match job.state {
                JobState::Pending { .. } => slots.get_mut(&job.spec.queue).and_then(Iterator::next),
                _ => None,
            };
            (job, slot)
        });
        Ok(sorted.join(self.keep(rows, now).await?))
    }

    /// Everything that is wrong with a job, without accepting it.
    pub fn check(&self, new: &NewJob) -> Vec<Fault> {
        self.faults(new, &self.registered(new))
    }

    fn faults(&self, new: &NewJob, registered: &Result<&Arc<Registered>, Fault>) -> Vec<Fault> {
        let mut faults = self.check_members(new);
        match registered {
            // A payload that is too large is not looked at: that alone would cost too much.
            Ok(_) if new.payload.get().len() > self.0.limits.payload => {
                let limit = self.0.limits.payload;
                faults.push(Fault::new("/payload", format!("must be at most {limit} bytes")));
            }
            Ok(registered) => {
                let of_payload = registered.check(&new.payload).into_iter().take(MAX_FAULTS);
                faults.extend(of_payload.map(|fault| fault.under("/payload")));
            }
            Err(fault) => faults.insert(0, fault.clone()),
        }
        faults
    }

    /// The kind of a job that may be accepted; `parent` goes before the pointers.
    fn admit(&self, new: &NewJob, parent: &str) -> Result<&Arc<Registered>, SubmitError> {
        let registered = self.registered(new);
        let limit = self.0.limits.payload;
        if registered.is_ok() && new.payload.get().len() > limit {
            return Err(SubmitError::PayloadTooLarge { pointer: format!("{parent}/payload"), limit });
        }
        let faults = self.faults(new, &registered);
        if faults.is_empty()
            && let Ok(registered) = registered
        {
            return Ok(registered);
        }
        let forbidden = self.is_forbidden(new, &faults);
        let faults = faults.into_iter().map(|fault| fault.under(parent)).collect();
        Err(match registered {
            Err(_) => SubmitError::UnknownKind(faults),
            Ok(_) if forbidden => SubmitError::CallbackForbidden(faults),
            Ok(_) => SubmitError::Invalid(faults),
        })
    }

    fn registered(&self, new: &NewJob) -> Result<&Arc<Registered>, Fault> {
        self.0.registry.get(new.kind.as_str()).filter(|registered| !registered.internal).ok_or_else(|| {
            let names = self.0.registry.names_of_users();
            Fault::new("/kind", unknown("kind", new.kind.as_str(), names.iter().map(|name| name.as_str())))
        })
    }

    /// Everything that is wrong with a job apart from its kind and its payload.
    pub(crate) fn check_members(&self, new: &NewJob) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut check = |valid: bool, pointer: &str, detail: &str| {
            if !valid {
                faults.push(Fault::new(pointer, detail));
            }
        };
        let is_open = |queue: &QueueName| self.0.lines.get(queue).is_some_and(|line| !line.is_of_notices());
        if let Some(queue) = new.queue.as_ref().filter(|queue| !is_open(queue)) {
            let mut names = self.queue_names();
            names.retain(|name| is_open(name));
            let detail = if queue.as_str() == NOTICES {
                "is for the notices that the server makes itself".to_owned()
            } else {
                unknown("queue", queue.as_str(), names.iter().map(|name| name.as_str()))
            };
            check(false, "/queue", &detail);
        }
        let attempts = new.max_attempts.unwrap_or(1);
        check((1..=MAX_ATTEMPTS).contains(&attempts), "/max_attempts", "must be 1 to 100");
        let timeout = new.timeout.unwrap_or(SHORTEST);
        check((SHORTEST..=LONGEST_TIMEOUT).contains(&timeout), "/timeout", "must be 1ms to 24h");
        let expires_in = new.expires_in.unwrap_or(SHORTEST);
        check((SHORTEST..=LONGEST_DELAY).contains(&expires_in), "/expires_in", "must be 1ms to 366d");
        match new.delay {
            Some(Delay::For(delay)) => check(delay <= LONGEST_DELAY, "/delay", "must be at most 366d"),
            Some(Delay::Until(time)) => {
                let latest = self.0.clock.now().after(LONGEST_DELAY);
                check(time <= latest, "/run_at", "must be at most 366 days ahead");
            }
            None => {}
        }
        let window = new.unique.as_ref().map_or(Duration::ZERO, |unique| unique.window);
        check(window <= Unique::LONGEST_WINDOW, "/unique/for", "must be at most 30d");
        check(new.tags.len() <= MAX_TAGS, "/tags", "must hold at most 20 tags");
        faults.extend(self.check_wanted(new));
        faults
    }

    /// Writes the rows, then puts the ids into their slots. Nothing between the two can fail for want of room.
    async fn keep(
        &self,
        rows: impl Iterator<Item = (Job, Option<Slot>)>,
        now: Timestamp,
    ) -> Result<Vec<Accepted>, SubmitError> {
        let mut all_notices = Vec::new();
        let rows = rows.map(|(job, slot)| {
            let (job, slot) = in_turn(job, slot);
            let (job, notices) = self.announced(job, now);
            all_notices.extend(notices);
            (job, slot)
        });
        let (jobs, slots): (Vec<_>, Vec<_>) = rows.unzip();
        // As for one: see `submit`.
        if self.is_sealed() {
            return Err(SubmitError::Draining);
        }
        let rows = jobs.iter().chain(&all_notices).cloned().collect();
        let kept = self.0.store.insert(rows).await.map_err(|error| self.not_kept(error));
        let mut duplicates = kept?.into_iter().peekable();
        // Those of jobs that were not kept are not there.
        all_notices.retain(|notice| {
            let of = notice.notice().map(|notice| notice.of);
            !duplicates.clone().any(|duplicate| of == Some(jobs[duplicate.index].id()))
        });
        let accepted = jobs.into_iter().zip(slots).enumerate().map(|(n, (job, slot))| {
            match duplicates.next_if(|duplicate| duplicate.index == n) {
                // Its slot is dropped, and with it given back.
                Some(duplicate) => Accepted::Duplicate(duplicate.holder),
                None => {
                    self.push(&job, self.line_of(&job), slot, now);
                    Accepted::New(job)
                }
            }
        });
        let accepted = accepted.collect();
        self.announce(&all_notices, now);
        Ok(accepted)
    }

    fn not_kept(&self, error: InsertError) -> SubmitError {
        match error {
            InsertError::Full(limit) => {
                SubmitError::MemoryFull { limit, retry_after: self.full_pause_of_all() }
            }
            error => SubmitError::Store(error),
        }
    }
}

/// Gives a new job the unique key that its kind has for it, unless it has one of its own; and says in which state it begins.
fn begin(new: &mut NewJob, registered: &Registered, now: Timestamp) -> JobState {
    if new.unique.is_none() {
        new.unique = registered.settings.unique_by.derive(&new.payload);
    }
    let due = match new.delay {
        Some(Delay::For(delay)) => now.after(delay),
        Some(Delay::Until(time)) => time,
        None => now,
    };
    if due > now { JobState::Scheduled { due } } else { JobState::Pending { turn: None, since: now } }
}

/// The job that begins in this state.
fn make(id: JobId, new: NewJob, registered: &Registered, state: JobState, now: Timestamp) -> Job {
    let settings = &registered.settings;
    let wanted = new.wanted.filter(|wanted| wanted.callback.is_some() || wanted.email.is_some());
    let spec = Spec {
        id,
        kind: registered.kind.clone(),
        queue: new.queue.unwrap_or_else(|| settings.queue.clone()),
        payload: new.payload,
        created_at: now,
        max_attempts: new.max_attempts.unwrap_or(settings.retry.max_attempts),
        timeout: new.timeout.unwrap_or(settings.timeout),
        tags: new.tags.into(),
        unique: new.unique.map(Box::new),
        trace: new.trace.map(Box::new),
        notices: wanted.map(|wanted| Box::new(Notices::Wanted(*wanted))),
        log: JobLog::default(),
    };
    Job::new(spec, state, new.expires_in.map(|expires_in| now.after(expires_in)))
}

/// A job that knows its turn, if it has a slot.
fn in_turn(mut job: Job, mut slot: Option<Slot>) -> (Arc<Job>, Option<Slot>) {
    if let (JobState::Pending { turn, .. }, Some(slot)) = (&mut job.state, &mut slot) {
        *turn = Some(slot.turn());
    }
    (Arc::new(job), slot)
}
