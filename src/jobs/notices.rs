//! Telling others of jobs: the notices that follow from a change, and what became of them.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::Jobs;
use super::line::Line;
use crate::event::EventKind;
use crate::handler::Registered;
use crate::job::{
    Callback, Change, Channel, Delivery, Ending, Fault, Job, JobId, JobLog, JobState, NOTICES, NewJob,
    Notice, Notices, QueueName, Spec, Timestamp, Waiting, Wanted, check_length,
};
use crate::metrics;
use crate::queue::Slot;
use crate::store::{ApplyError, Space, StoreError};
use crate::sync::Mutex;

/// The kinds of the notices.
const WEBHOOK: &str = "webhook";
const EMAIL: &str = "email";
/// The reason of a notice that is not sent, because its receiver wants no more of them.
const UNWANTED: &str = "callback-disabled";

/// What the service has to be told about notices: how a job is shown, where webhooks may go, what an address is.
pub trait Herald: Send + Sync + 'static {
    /// Looks at the URL of a callback.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without a word of what may be secret in it.
    fn check_url(&self, url: &str) -> Result<(), BadUrl>;

    /// Looks at an address to which a mail is to go.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without repeating it.
    fn check_address(&self, address: &str) -> Result<(), String>;

    /// An address as it may be shown.
    fn shown_address(&self, address: &str) -> String;

    /// The payload of a webhook that tells of a job as it stands now.
    fn webhook(
        &self,
        job: &Job,
        at: Timestamp,
        waiting: Option<Waiting>,
        callback: &Callback,
    ) -> Box<RawValue>;

    /// The payload of a mail that tells of a job that has come to its end.
    fn email(&self, job: &Job, address: &str) -> Box<RawValue>;
}

/// Why a callback cannot be taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BadUrl {
    /// It is no URL that a request could be sent to.
    Invalid(String),
    /// It leads to where requests must not go.
    Forbidden(String),
}

impl Jobs {
    /// The notices of a job, oldest first, as far as it remembers them and they are not forgotten; nothing when there is
    /// no such job.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn deliveries(&self, id: JobId) -> Result<Option<Vec<Arc<Job>>>, StoreError> {
        let Some(job) = self.get(id).await? else { return Ok(None) };
        let ids = job.told.as_ref().map_or(&[][..], |told| &told.notices);
        let mut notices = Vec::with_capacity(ids.len());
        for id in ids {
            notices.extend(self.get(*id).await?);
        }
        Ok(Some(notices))
    }

    /// Everything that is wrong with who is to be told.
    pub(super) fn check_wanted(&self, new: &NewJob) -> Vec<Fault> {
        let Some(Wanted { callback, email }) = new.wanted.as_deref() else { return Vec::new() };
        let mut faults = Vec::new();
        if let Some(callback) = callback {
            let too_long = check_length(&callback.url);
            let bad = || match self.judge(callback) {
                Ok(()) => None,
                Err(BadUrl::Invalid(detail) | BadUrl::Forbidden(detail)) => {
                    Some(Fault::new("/callback_url", detail))
                }
            };
            faults.extend(too_long.or_else(bad));
            if callback.events.iter().next().is_none() {
                faults.push(Fault::new("/callback_events", "must name at least one event"));
            }
        }
        let checked = email.as_deref().map(|email| match &self.0.herald {
            Some(herald) => herald.check_address(email),
            None => Err("this server sends no mails".to_owned()),
        });
        faults.extend(checked.and_then(Result::err).map(|detail| Fault::new("/notify_email", detail)));
        faults
    }

    /// Whether these faults say no more than that its callback leads to where requests must not go.
    pub(super) fn is_forbidden(&self, new: &NewJob, faults: &[Fault]) -> bool {
        let callback = new.wanted.as_ref().and_then(|wanted| wanted.callback.as_ref());
        faults.iter().all(|fault| fault.pointer == "/callback_url")
            && callback.is_some_and(|callback| matches!(self.judge(callback), Err(BadUrl::Forbidden(_))))
    }

    fn judge(&self, callback: &Callback) -> Result<(), BadUrl> {
        match &self.0.herald {
            Some(herald) => herald.check_url(&callback.url),
            None => Err(BadUrl::Invalid("this server sends no webhooks".to_owned())),
        }
    }

    /// A new job that remembers the notices of its own acceptance, and these.
    pub(super) fn announced(&self, mut job: Arc<Job>, now: Timestamp) -> (Arc<Job>, Vec<Arc<Job>>) {
        if job.spec.notices.is_none() {
            return (job, Vec::new());
        }
        let made = self.notices_of(&job, now, Space::Ample);
        if !made.is_empty() {
            Arc::make_mut(&mut job).remember(made.iter().map(|notice| &**notice));
        }
        (job, made)
    }

    /// Applies a change together with the notices that follow from it, if it `moves` the job into another state.
    pub(super) async fn apply(
        &self,
        id: JobId,
        change: Change,
        now: Timestamp,
        moves: impl Fn(&Job) -> bool + Send + Sync,
    ) -> Result<(Arc<Job>, Vec<Arc<Job>>), ApplyError> {
        if self.0.herald.is_none() {
            return Ok((self.0.store.apply(id, change, now).await?, Vec::new()));
        }
        let made = Mutex::new(Vec::new());
        let notices = |job: &Job, space| {
            let notices = if moves(job) { self.notices_of(job, now, space) } else { Vec::new() };
            if let Ok(mut made) = made.lock() {
                made.clone_from(&notices);
            }
            notices
        };
        let job = self.0.store.apply_with(id, change, now, &notices).await?;
        Ok((job, made.into_inner().unwrap_or_default()))
    }

    /// Counts what became of an attempt to deliver a webhook, if that is what has just ended.
    pub(super) fn count_delivery(&self, notice: &Job) {
        let is_webhook = notice.notice().is_some_and(|notice| notice.channel == Channel::Webhook);
        // What is skipped was not sent.
        let has_ended = matches!(
            notice.state,
            JobState::Completed { .. } | JobState::Failed { .. } | JobState::DeadLettered { .. }
        );
        if is_webhook && has_ended {
            self.metrics().webhook(match Delivery::of(notice) {
                Delivery::Delivered => metrics::Delivery::Delivered,
                Delivery::Pending | Delivery::Retrying => metrics::Delivery::Failed,
                Delivery::Exhausted => metrics::Delivery::Exhausted,
                Delivery::Disabled => metrics::Delivery::Disabled,
            });
        }
    }

    /// Notices are in the store: whoever watches is told, and they go to their queue when there is room.
    pub(super) fn announce(&self, notices: &[Arc<Job>], now: Timestamp) {
        for notice in notices {
            self.push(notice, self.line_of(notice), None, now);
        }
    }

    /// A job that is in the store goes to where it waits, which is this line.
    pub(super) fn push(&self, job: &Arc<Job>, line: Option<&Arc<Line>>, slot: Option<Slot>, now: Timestamp) {
        self.0.events.tell(EventKind::State(job.state.name()), now, job);
        if let Some(line) = line {
            line.meter.enqueued(&job.spec.kind);
        }
        match (slot, line) {
            (Some(slot), _) => slot.push(job.id()),
            (None, Some(line)) => line.due_changed.notify_one(),
            (None, None) => {}
        }
    }

    /// Ends a webhook that was made before its receiver said that it wants no more of them; says whether it was one.
    pub(super) async fn leave_unwanted(&self, started: &Job) -> Result<bool, StoreError> {
        let Some(notice) = started.notice().filter(|notice| notice.channel == Channel::Webhook) else {
            return Ok(false);
        };
        let job = self.get(notice.of).await?;
        if job.is_none_or(|job| job.callback_state() != Delivery::Disabled) {
            return Ok(false);
        }
        match self.settle(started.id(), started.runs, Ending::Skipped { reason: UNWANTED.into() }).await {
            Err(ApplyError::Store(error)) => Err(error),
            // Somebody else has ended it.
            Ok(_) | Err(ApplyError::NotFound | ApplyError::Refused(_) | ApplyError::KeyHeld(_)) => Ok(true),
        }
    }

    /// The notices that tell of a job as it stands; as far as there is space for them.
    fn notices_of(&self, job: &Job, at: Timestamp, space: Space) -> Vec<Arc<Job>> {
        let short = match space {
            Space::Ample => None,
            Space::Scarce if job.state.is_terminal() => Some(job.shortened()),
            Space::Scarce => return Vec::new(),
        };
        let job = short.as_ref().unwrap_or(job);
        let (Some(herald), Some(wanted)) = (&self.0.herald, job.wanted()) else { return Vec::new() };
        let mut made = Vec::new();
        if let Some(callback) = wanted.callback.as_ref().filter(|_| job.wants_webhook()) {
            let payload = || herald.webhook(job, at, self.waiting(job, at), callback);
            let target = callback.shown();
            made.extend(self.notice(job, WEBHOOK, Channel::Webhook, target, payload, at));
        }
        if let Some(email) = wanted.email.as_deref().filter(|_| job.state.is_terminal()) {
            let payload = || herald.email(job, email);
            let target = herald.shown_address(email);
            made.extend(self.notice(job, EMAIL, Channel::Email, target, payload, at));
        }
        made
    }

    fn notice(
        &self,
        job: &Job,
        kind: &str,
        channel: Channel,
        target: String,
        payload: impl FnOnce() -> Box<RawValue>,
        at: Timestamp,
    ) -> Option<Arc<Job>> {
        let Registered { kind, settings, .. } = &**self.0.registry.get(kind)?;
        let notice = Notice { of: job.id(), event: job.state.name(), channel, target: target.into() };
        let spec = Spec {
            id: self.0.clock.job_id(at),
            kind: kind.clone(),
            queue: QueueName::new(NOTICES).ok()?,
            payload: payload(),
            created_at: at,
            max_attempts: settings.retry.max_attempts,
            timeout: settings.timeout,
            tags: Box::default(),
            unique: None,
            trace: job.spec.trace.clone(),
            notices: Some(Box::new(Notices::Of(notice))),
            log: JobLog::default(),
        };
        // It waits for room like a job that is due: a full queue of notices holds up no end of a job.
        Some(Arc::new(Job::new(spec, JobState::Pending { turn: None, since: at }, None)))
    }
}
