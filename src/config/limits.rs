//! `[retention]` and `[limits]`: what bounds memory.

use std::time::Duration;

use super::bounds;
use super::reader::Reader;

/// Says how long finished jobs are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Those that are completed, skipped or canceled, result included: nothing to 365 days.
    pub completed: Duration,
    /// Those that are dead-lettered: nothing to 365 days.
    pub dead_lettered: Duration,
    /// The most of them all, whatever their age: 0 to 10,000,000. The oldest go first, dead letters last.
    pub max_finished: usize,
}

/// Says how large things may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The payload of one job, in bytes: 1 to 64 MiB. More than [`Server::body_limit`](super::Server::body_limit) cannot
    /// arrive over HTTP.
    pub payload: usize,
    /// The result of one job, in bytes: 1 to 256 MiB. A job that returns more becomes a dead letter.
    pub result: usize,
    /// The memory of all jobs together, in bytes: 1 MiB to 1 TiB. When it is reached, finished jobs make way, results
    /// first; when there are none, no job is accepted.
    pub memory: u64,
    /// Jobs that are not finished, of all queues: 1 to 10,000,000. Jobs for later and jobs that wait for another attempt
    /// count.
    pub jobs: u64,
    /// Jobs in one batch: 1 to 10,000.
    pub batch: usize,
    /// Idempotency keys that are remembered, each for 24 hours: 1 to 10,000,000.
    pub idempotency_keys: usize,
    /// The answers that are remembered with them, in bytes: 1 MiB to 64 GiB.
    pub idempotency_memory: usize,
}

impl Retention {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.section("retention", |s| Self {
            completed: s.duration("completed", bounds::KEPT),
            dead_lettered: s.duration("dead_lettered", bounds::KEPT),
            max_finished: s.integer("max_finished", bounds::MAX_FINISHED),
        })
    }
}

impl Limits {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.section("limits", |s| Self {
            payload: s.size("payload", bounds::PAYLOAD) as usize,
            result: s.size("result", bounds::RESULT) as usize,
            memory: s.size("memory", bounds::MEMORY),
            jobs: s.integer("jobs", bounds::JOBS),
            batch: s.integer("batch", bounds::BATCH),
            idempotency_keys: s.integer("idempotency_keys", bounds::IDEMPOTENCY_KEYS),
            idempotency_memory: s.size("idempotency_memory", bounds::IDEMPOTENCY_MEMORY) as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{config, faults};

    #[test]
    fn the_shipped_bounds_are_those_of_the_contract() {
        let config = config(&[]);
        let (hour, week) = (Duration::from_hours(1), Duration::from_hours(7 * 24));
        assert_eq!(
            config.retention,
            Retention { completed: hour, dead_lettered: week, max_finished: 100_000 }
        );
        let limits = Limits {
            payload: 256 << 10,
            result: 4 << 20,
            memory: 256 << 20,
            jobs: 100_000,
            batch: 1000,
            idempotency_keys: 100_000,
            idempotency_memory: 128 << 20,
        };
        assert_eq!(config.limits, limits);
    }

    #[test]
    fn sizes_have_units_of_both_kinds() {
        let payload = |text: &str| config(&[&format!("limits.payload={text}")]).limits.payload;
        assert_eq!(payload("1MiB"), 1 << 20);
        assert_eq!(payload("1MB"), 1_000_000);
        assert_eq!(payload("1.5 KiB"), 1536);
        assert_eq!(payload("2048"), 2048);
        for bad in ["", "big", "-1", "1XB", "[1]"] {
            assert_eq!(faults(&[&format!("limits.payload={bad}")]).len(), 1, "{bad:?}");
        }
    }
}
