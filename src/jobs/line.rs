//! A queue as the service sees it: the waiting line itself, what lets its jobs begin, what is known of its speed, and the
//! bell of its due loop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::flow::{Configured, Flow};
use crate::clock::Clock;
use crate::job::{NOTICES, QueueName, RateLimit};
use crate::metrics::QueueMeter;
use crate::queue::{Delivery, Queue};
use crate::sync::atomic::{AtomicU64, Ordering};

/// How much the newest second weighs in the measured throughput.
const WEIGHT: f64 = 0.3;

/// What holds for one queue.
#[derive(Clone, PartialEq, Debug)]
pub struct QueueSettings {
    /// How many jobs can wait: 1 or more.
    pub capacity: usize,
    /// How many run at once: 1 or more.
    pub concurrency: usize,
    /// How long a submission waits for room before it is refused.
    pub enqueue_wait: Duration,
    /// How fast they may begin; `None` is as fast as they can.
    pub rate_limit: Option<RateLimit>,
}

pub(crate) struct Line {
    pub(crate) name: QueueName,
    pub(crate) queue: Arc<dyn Queue>,
    /// How long a submission waits for room.
    pub(crate) enqueue_wait: Duration,
    /// What lets its jobs begin.
    pub(crate) flow: Flow,
    /// What Prometheus is told of it.
    pub(crate) meter: QueueMeter,
    /// Rung when a job gets another due time.
    pub(crate) due_changed: Notify,
    /// Jobs that were taken out of it to be run.
    taken: AtomicU64,
    finished: AtomicU64,
    measured: AtomicU64,
    /// Jobs per second, as the bits of an `f64`.
    throughput: AtomicU64,
}

impl Line {
    pub(crate) fn new(
        name: QueueName,
        queue: Arc<dyn Queue>,
        settings: &QueueSettings,
        clock: &Clock,
        meter: QueueMeter,
    ) -> Self {
        let QueueSettings { concurrency, rate_limit, enqueue_wait, capacity: _ } = *settings;
        Self {
            name,
            queue,
            enqueue_wait,
            flow: Flow::new(Configured { concurrency, rate_limit }, clock),
            meter,
            due_changed: Notify::new(),
            taken: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            measured: AtomicU64::new(0),
            throughput: AtomicU64::new(0),
        }
    }

    /// Whether notices wait here, and nothing else.
    pub(crate) fn is_of_notices(&self) -> bool {
        self.name.as_str() == NOTICES
    }

    /// The next job, if one waits and may begin without a further look. All others are left to the dispatcher.
    pub(crate) fn next_at_once(&self) -> Option<Delivery> {
        if !self.flow.is_free() {
            return None;
        }
        let delivery = self.queue.try_next()?;
        // Once more: the queue may have been paused before that job came. The drop gives it back.
        if !self.flow.is_free() {
            return None;
        }
        self.note_taken();
        Some(delivery)
    }

    /// A job was taken out of this queue to be run.
    pub(crate) fn note_taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// How many jobs were taken out of it since the start.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// A job of this queue came to its end.
    pub(crate) fn finished_one(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the measure of the throughput; called once for every `elapsed`.
    pub(crate) fn measure(&self, elapsed: Duration) {
        let finished = self.finished.load(Ordering::Relaxed);
        let newly = finished - self.measured.swap(finished, Ordering::Relaxed);
        let now = newly as f64 / elapsed.as_secs_f64().max(0.001);
        let before = self.throughput_per_second();
        let smoothed = if before == 0.0 { now } else { before + WEIGHT * (now - before) };
        // Below one job in a quarter of an hour it is idle rather than slow.
        let smoothed = if smoothed < 0.001 { 0.0 } else { smoothed };
        self.throughput.store(smoothed.to_bits(), Ordering::Relaxed);
    }

    /// Jobs that came to their end per second, over the last few seconds.
    pub(crate) fn throughput_per_second(&self) -> f64 {
        f64::from_bits(self.throughput.load(Ordering::Relaxed))
    }

    /// Whole seconds until `jobs` more have come to their end, if that can be said.
    pub(crate) fn seconds_for(&self, jobs: u64) -> Option<u64> {
        let rate = self.throughput_per_second();
        (rate > 0.0).then(|| (jobs as f64 / rate).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::MemoryQueue;

    #[test]
    fn throughput_follows_what_finished() {
        let settings =
            QueueSettings { capacity: 1, concurrency: 1, enqueue_wait: Duration::ZERO, rate_limit: None };
        let name = QueueName::new("default").unwrap();
        let meter = crate::metrics::Metrics::off().queue(&name);
        let line = Line::new(name, Arc::new(MemoryQueue::new(1)), &settings, &Clock::system(), meter);
        assert_eq!(line.seconds_for(10), None);
        for _ in 0..20 {
            line.finished_one();
        }
        line.measure(Duration::from_secs(2));
        assert!((line.throughput_per_second() - 10.0).abs() < 1e-9);
        assert_eq!(line.seconds_for(25), Some(3));
        for _ in 0..100 {
            line.measure(Duration::from_secs(1));
        }
        assert_eq!(line.seconds_for(25), None, "an idle queue promises nothing");
    }
}
