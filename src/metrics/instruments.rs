//! Counters and histograms: plain atomics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds of the histograms of jobs, in microseconds: 5 ms to an hour.
pub(super) const OF_JOBS: &[u64] = &[
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
    3_600_000_000,
];

/// Bounds of the histograms of requests, in microseconds: 1 ms to a minute, which is as long as `Prefer: wait` waits.
pub(super) const OF_REQUESTS: &[u64] = &[
    1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];

/// Counts what has happened. It never falls.
#[derive(Default, Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// It has happened once more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has happened.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sorts durations into buckets with fixed bounds.
#[derive(Debug)]
pub struct Histogram {
    /// The upper bounds in microseconds; a duration belongs to the first that is not below it.
    bounds: &'static [u64],
    /// One for each bound, and one for what is above all of them.
    buckets: Box<[AtomicU64]>,
    sum_micros: AtomicU64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [u64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, sum_micros: AtomicU64::new(0) }
    }

    /// Notes one duration.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.bounds.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The upper bound of each bucket in seconds, and how many durations are in it and in none before it.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        bounds.zip(self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed))).collect()
    }

    /// All durations together, in seconds.
    pub(super) fn sum(&self) -> f64 {
        self.sum_micros.load(Ordering::Relaxed) as f64 / 1e6
    }

    /// Whether there is any duration in it.
    pub(super) fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.load(Ordering::Relaxed) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_belongs_to_the_first_bound_that_is_not_below_it() {
        let histogram = Histogram::new(&[1_000, 5_000]);
        assert!(histogram.is_empty());
        for micros in [0, 999, 1_000, 1_001, 5_000, 5_001, 60_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        assert_eq!(histogram.buckets(), [(0.001, 3), (0.005, 2), (f64::INFINITY, 2)]);
        assert!((histogram.sum() - 60.013_001).abs() < 1e-9, "{}", histogram.sum());
        assert!(!histogram.is_empty());
    }

    #[test]
    fn bounds_rise() {
        for bounds in [OF_JOBS, OF_REQUESTS] {
            assert!(bounds.is_sorted_by(|a, b| a < b));
        }
    }
}
