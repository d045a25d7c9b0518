//! The only source of time and chance, so that a test can hold both in its hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::{ContextV7, Uuid};

use crate::job::{JobId, Timestamp};

/// Tells the time, throws the dice and makes ids. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    source: Source,
    /// When the clock was made, on a scale that nobody can set.
    began: tokio::time::Instant,
    /// Keeps ids of one millisecond in the order in which they were made (RFC 9562 §6.2).
    ids: Mutex<ContextV7>,
}

enum Source {
    System,
    /// Follows tokio's clock from a chosen beginning: paused time stands still here too.
    Tokio {
        /// In milliseconds, as a timestamp has it.
        epoch: AtomicI64,
    },
}

impl Clock {
    /// The time of the machine.
    pub fn system() -> Self {
        Self::with(Source::System)
    }

    /// Begins at `epoch` and follows tokio's clock, which a test can pause and advance.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime when time is paused.
    pub fn following_tokio(epoch: Timestamp) -> Self {
        Self::with(Source::Tokio { epoch: AtomicI64::new(epoch.as_millis()) })
    }

    fn with(source: Source) -> Self {
        Self(Arc::new(Inner {
            source,
            began: tokio::time::Instant::now(),
            ids: Mutex::new(ContextV7::new()),
        }))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match &self.0.source {
            Source::System => {
                #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
                let now = std::time::SystemTime::now();
                let since_epoch = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
            }
            Source::Tokio { epoch } => {
                Timestamp::from_millis(epoch.load(Ordering::Relaxed)).after(self.elapsed())
            }
        }
    }

    /// Sets a clock that follows tokio's forward, or back when `millis` is negative, as somebody sets that of a machine;
    /// timers notice nothing of it. The time of the machine itself cannot be set here.
    pub fn jump(&self, millis: i64) {
        if let Source::Tokio { epoch } = &self.0.source {
            epoch.fetch_add(millis, Ordering::Relaxed);
        }
    }

    /// How long ago this clock was made. Unlike [`Self::now`] it never jumps when the machine's time is set, and stands
    /// still while the machine sleeps, as timers do.
    pub fn elapsed(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// A new id; ids sort in the order in which this clock made them.
    pub fn job_id(&self, now: Timestamp) -> JobId {
        let millis = now.as_millis().unsigned_abs();
        let nanos = Duration::from_millis(millis % 1000).subsec_nanos();
        let ids = self.0.ids.lock().unwrap_or_else(PoisonError::into_inner);
        JobId::from_uuid(Uuid::new_v7(uuid::Timestamp::from_unix(&*ids, millis / 1000, nanos)))
    }

    /// A number in `0.0..1.0`. Not for secrets.
    pub fn chance(&self) -> f64 {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that throws dice")]
        fastrand::f64()
    }

    /// 64 bits of chance. Not for secrets.
    pub fn dice(&self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that throws dice")]
        fastrand::u64(..)
    }

    /// 32 bytes that nobody can guess.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give, which leaves nothing to go on with.
    pub fn secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        #[expect(clippy::disallowed_methods, reason = "this is the one place that makes secrets")]
        getrandom::fill(&mut bytes).expect("the operating system has randomness");
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_as_they_were_made() {
        let clock = Clock::system();
        let now = clock.now();
        let ids: Vec<JobId> = (0..10_000).map(|_| clock.job_id(now)).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].as_uuid().get_version_num(), 7);
        let (seconds, nanos) = ids[0].as_uuid().get_timestamp().unwrap().to_unix();
        assert_eq!((seconds * 1000 + u64::from(nanos / 1_000_000)).cast_signed(), now.as_millis());
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_moves_by_hand() {
        let clock = Clock::following_tokio(Timestamp::from_millis(1_000));
        assert_eq!(clock.now(), Timestamp::from_millis(1_000));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now(), Timestamp::from_millis(3_000));
        clock.jump(-500);
        assert_eq!((clock.now(), clock.elapsed()), (Timestamp::from_millis(2_500), Duration::from_secs(2)));
    }
}
