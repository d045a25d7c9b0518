//! What lets the jobs of a queue begin, and can be changed while it runs: its pause, its places and its rate limit.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::places::{Place, Places};
use super::queue_patch::{Pause, QueuePatch};
use super::throttle::Throttle;
use crate::clock::Clock;
use crate::job::{Fault, JobId, RateLimit, Timestamp, Waiting, WaitingFor};
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// What there is to look at before a job begins. Nothing, mostly; whoever starts jobs asks for nothing else then.
const PAUSED: u8 = 1;
const LIMITED: u8 = 2;
/// There are fewer places than before, so that one that is held may be one too many.
const SHRUNK: u8 = 4;

/// Who takes a job out of the queue to begin it looks here; everybody else sets and asks.
pub(crate) struct Flow {
    flags: AtomicU8,
    /// Rung when something was changed.
    changed: Notify,
    places: Arc<Places>,
    dials: Mutex<Dials>,
    clock: Clock,
}

/// What the configuration says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Configured {
    pub(crate) concurrency: usize,
    pub(crate) rate_limit: Option<RateLimit>,
}

struct Dials {
    configured: Configured,
    pause: Option<Pause>,
    throttle: Option<Throttle>,
    in_hand: Option<InHand>,
}

/// A job that was taken out of the queue and may not begin yet.
struct InHand {
    job: JobId,
    /// When the rate limit lets it begin, if that is what it waits for. As it was when that was found out, so that it is
    /// told alike to everybody who asks.
    at: Option<Timestamp>,
}

/// What has to come before a job begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Step {
    /// Nothing.
    Go,
    /// Give the place back and take one anew.
    Retake,
    /// The end of the pause, which comes by itself after this time, or when something is changed.
    Pause(Option<Duration>),
    /// So much time, for the sake of the rate limit.
    Throttle(Duration),
}

/// How it stands.
pub(super) struct Standing {
    pub(super) pause: Option<Pause>,
    pub(super) concurrency: usize,
    pub(super) rate_limit: Option<RateLimit>,
}

impl Flow {
    pub(super) fn new(configured: Configured, clock: &Clock) -> Self {
        let throttle = configured.rate_limit.map(|limit| Throttle::new(limit, clock));
        let flags = if throttle.is_some() { LIMITED } else { 0 };
        Self {
            flags: AtomicU8::new(flags),
            changed: Notify::new(),
            places: Arc::new(Places::new(configured.concurrency)),
            dials: Mutex::new(Dials { configured, pause: None, throttle, in_hand: None }),
            clock: clock.clone(),
        }
    }

    /// Waits for a place; says whether there was none at first.
    pub(crate) async fn take_place(&self) -> (Place, bool) {
        self.places.take().await
    }

    /// Whether a job may begin without a further look.
    pub(crate) fn is_free(&self) -> bool {
        // What was set before a job was put into the queue is seen by whoever has got it out of there.
        self.flags.load(Ordering::Acquire) == 0
    }

    /// Whether the rate limit has a say.
    pub(crate) fn is_limited(&self) -> bool {
        self.flags.load(Ordering::Acquire) & LIMITED != 0
    }

    /// Waits for a change. One that came while nobody waited is kept.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// How long the pause still holds, if there is one; without an end of its own for ever.
    pub(crate) fn pause_left(&self) -> Option<Duration> {
        let now = self.clock.now();
        let pause = self.dials().pause.as_ref().filter(|pause| pause.holds_at(now))?.until;
        Some(pause.map_or(Duration::MAX, |until| until.since(now)))
    }

    /// Notes that the pause has ended by itself; says whether it was that which was to be noted.
    pub(crate) fn end_pause(&self) -> bool {
        let mut dials = self.dials();
        let now = self.clock.now();
        let over = dials.pause.as_ref().is_some_and(|pause| !pause.holds_at(now));
        if over {
            dials.pause = None;
            self.flags.fetch_and(!PAUSED, Ordering::Release);
        }
        over
    }

    /// What has to come before this job begins, for which there is a place. Uses up one start of the rate limit when that
    /// is nothing.
    pub(crate) fn step(&self, job: JobId) -> Step {
        let mut dials = self.dials();
        let now = self.clock.now();
        dials.in_hand = Some(InHand { job, at: None });
        if self.flags.load(Ordering::Acquire) & SHRUNK != 0 {
            // As long as more are taken than there are, nobody else may go on with his.
            if self.places.are_exceeded() {
                return Step::Retake;
            }
            self.flags.fetch_and(!SHRUNK, Ordering::AcqRel);
        }
        if let Some(pause) = dials.pause.as_ref().filter(|pause| pause.holds_at(now)) {
            return Step::Pause(pause.until.map(|until| until.since(now)));
        }
        match dials.throttle.as_mut().map_or(Ok(()), Throttle::ask) {
            Ok(()) => Step::Go,
            Err(at) => {
                let left = at.saturating_sub(self.clock.elapsed());
                dials.in_hand = Some(InHand { job, at: Some(now.after(left)) });
                Step::Throttle(left)
            }
        }
    }

    /// No job is in hand any more.
    pub(crate) fn put_down(&self) {
        self.dials().in_hand = None;
    }

    pub(super) fn standing(&self) -> Standing {
        let now = self.clock.now();
        let dials = self.dials();
        Standing {
            pause: dials.pause.clone().filter(|pause| pause.holds_at(now)),
            concurrency: self.places.limit(),
            rate_limit: dials.throttle.as_ref().map(Throttle::limit),
        }
    }

    /// Why a job of this queue waits that could begin for all that is known elsewhere; `ahead` are in front of it in the
    /// queue, if it has a turn there.
    pub(super) fn waiting(&self, job: JobId, ahead: Option<u64>, now: Timestamp) -> Option<Waiting> {
        if self.is_free() {
            return None;
        }
        let dials = self.dials();
        // Who was taken out of the queue already is in front of all that are in it.
        let ahead = match &dials.in_hand {
            Some(in_hand) if in_hand.job == job => Some(0),
            Some(_) => ahead.map(|ahead| ahead + 1),
            None => ahead,
        };
        if let Some(pause) = dials.pause.as_ref().filter(|pause| pause.holds_at(now)) {
            let ahead = ahead.unwrap_or(0);
            return Some(Waiting { reason: WaitingFor::Pause, until: pause.until, ahead });
        }
        let ahead = ahead?;
        let at = dials.in_hand.as_ref().and_then(|in_hand| in_hand.at);
        let Some((at, throttle)) = at.zip(dials.throttle.as_ref()) else {
            return Some(Waiting { reason: WaitingFor::Turn, until: None, ahead });
        };
        let turns = throttle.limit().interval().saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX));
        Some(Waiting { reason: WaitingFor::RateLimit, until: Some(at.after(turns)), ahead })
    }

    /// Changes what the patch names, all at once; or nothing, and says everything that is wrong with it.
    pub(super) fn patch(&self, patch: &QueuePatch) -> Result<(), Vec<Fault>> {
        let mut dials = self.dials();
        let now = self.clock.now();
        let before = dials.pause.as_ref().filter(|pause| pause.holds_at(now));
        let faults = patch.faults(before, now);
        if !faults.is_empty() {
            return Err(faults);
        }
        dials.pause = patch.pause(before);
        let Configured { concurrency, rate_limit } = dials.configured;
        self.set_concurrency(patch.concurrency.apply(self.places.limit(), concurrency));
        let limit = dials.throttle.as_ref().map(Throttle::limit);
        dials.set_rate_limit(patch.rate_limit.apply(limit, rate_limit), &self.clock);
        self.show(&dials);
        Ok(())
    }

    /// Everything that is wrong with a patch.
    pub(super) fn faults(&self, patch: &QueuePatch) -> Vec<Fault> {
        let now = self.clock.now();
        let dials = self.dials();
        patch.faults(dials.pause.as_ref().filter(|pause| pause.holds_at(now)), now)
    }

    /// Takes over what the configuration says now, where it says something else than before. What somebody has set by hand
    /// stays where it does not.
    pub(super) fn configure(&self, new: Configured) {
        let mut dials = self.dials();
        let old = std::mem::replace(&mut dials.configured, new);
        if old.concurrency != new.concurrency {
            self.set_concurrency(new.concurrency);
        }
        if old.rate_limit != new.rate_limit {
            dials.set_rate_limit(new.rate_limit, &self.clock);
        }
        self.show(&dials);
    }

    fn set_concurrency(&self, concurrency: usize) {
        // Before there are fewer: whoever ends then gives his back.
        if concurrency < self.places.limit() {
            self.flags.fetch_or(SHRUNK, Ordering::Release);
        }
        self.places.set_limit(concurrency);
    }

    /// Lets those who start jobs see what was changed.
    fn show(&self, dials: &Dials) {
        for (flag, is) in [(PAUSED, dials.pause.is_some()), (LIMITED, dials.throttle.is_some())] {
            if is {
                self.flags.fetch_or(flag, Ordering::Release);
            } else {
                self.flags.fetch_and(!flag, Ordering::Release);
            }
        }
        self.changed.notify_one();
    }

    fn dials(&self) -> MutexGuard<'_, Dials> {
        // Nothing that is done under this lock can leave half a change behind.
        self.dials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dials {
    fn set_rate_limit(&mut self, limit: Option<RateLimit>, clock: &Clock) {
        self.throttle = match (limit, self.throttle.take()) {
            (None, _) => None,
            (Some(limit), None) => Some(Throttle::new(limit, clock)),
            (Some(limit), Some(before)) if before.limit() == limit => Some(before),
            (Some(limit), Some(before)) => Some(before.replaced_by(limit)),
        };
    }
}
