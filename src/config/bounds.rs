//! Every range that a number, a duration or a size must be in: for what is read and for what is built in code.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::job::Unique;

type Durations = RangeInclusive<Duration>;

pub(super) const HTTP_WORKERS: RangeInclusive<usize> = 0..=256;
pub(super) const BODY_LIMIT: RangeInclusive<u64> = 1 << 10..=64 << 20;
pub(super) const HEADER_TIMEOUT: Durations = Duration::from_millis(10)..=Duration::from_mins(10);
pub(super) const BODY_TIMEOUT: Durations = Duration::from_millis(10)..=Duration::from_mins(10);
pub(super) const WRITE_TIMEOUT: Durations = Duration::from_millis(10)..=Duration::from_mins(10);
pub(super) const MAX_CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;
pub(super) const MAX_HUB_CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;
pub(super) const KEEP_ALIVE: Durations = Duration::ZERO..=Duration::from_hours(1);

pub(super) const NAMES: RangeInclusive<usize> = 0..=100;

/// Far below the most permits of a tokio semaphore (2^61), which would panic beyond.
pub(super) const CAPACITY: RangeInclusive<usize> = 1..=1_000_000;
pub(super) const CONCURRENCY: RangeInclusive<usize> = crate::job::CONCURRENCY;
pub(super) const ENQUEUE_WAIT: Durations = Duration::ZERO..=Duration::from_mins(1);

pub(super) const TIMEOUT: Durations = Duration::from_millis(1)..=Duration::from_hours(24);
pub(super) const CANCEL_GRACE: Durations = Duration::ZERO..=Duration::from_mins(5);

pub(super) const MAX_ATTEMPTS: RangeInclusive<u32> = 1..=100;
pub(super) const UNIQUE_BY: RangeInclusive<usize> = 0..=20;
pub(super) const UNIQUE_FOR: Durations = Duration::ZERO..=Unique::LONGEST_WINDOW;
/// One less than a job may have: the last one is the schedule's own.
pub(super) const SCHEDULE_TAGS: RangeInclusive<usize> = 0..=19;
pub(super) const SCHEDULES: RangeInclusive<usize> = 0..=1_000;
pub(super) const EXPIRES_IN: Durations = Duration::from_millis(1)..=Duration::from_hours(366 * 24);
pub(super) const FACTOR: RangeInclusive<f64> = 1.0..=100.0;
pub(super) const DELAY: Durations = Duration::ZERO..=Duration::from_hours(30 * 24);
pub(super) const DELAYS: RangeInclusive<usize> = 1..=100;

pub(super) const KEPT: Durations = Duration::ZERO..=Duration::from_hours(365 * 24);
pub(super) const MAX_FINISHED: RangeInclusive<usize> = 0..=10_000_000;

pub(super) const PAYLOAD: RangeInclusive<u64> = 1..=64 << 20;
pub(super) const RESULT: RangeInclusive<u64> = 1..=256 << 20;
/// Below the least a first job might not fit; above the most nobody has so much.
pub(super) const MEMORY: RangeInclusive<u64> = 1 << 20..=1 << 40;
pub(super) const JOBS: RangeInclusive<u64> = 1..=10_000_000;
pub(super) const BATCH: RangeInclusive<usize> = 1..=10_000;
pub(super) const IDEMPOTENCY_KEYS: RangeInclusive<usize> = 1..=10_000_000;
pub(super) const IDEMPOTENCY_MEMORY: RangeInclusive<u64> = 1 << 20..=64 << 30;

pub(super) const GRACE: Durations = Duration::ZERO..=Duration::from_hours(24);
pub(super) const READY_DELAY: Durations = Duration::ZERO..=Duration::from_mins(5);
