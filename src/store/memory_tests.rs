//! Tests of the memory store: what it holds is what it says it holds, and never more than it may.

use std::{borrow::Cow, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::job::{
    AttemptOutcome, Ending, JobError, JobLog, JobResult, JobState, KindName, LogLevel, Progress, ResultSlot,
    Spec, Tag, Timestamp,
};
use crate::store::{Limit, pressure::LOG_GROWTH};

const HOUR: Duration = Duration::from_hours(1);
const RETENTION: Retention = Retention { completed: HOUR, dead_lettered: HOUR, max_finished: 8 };
fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn id(n: u128) -> JobId {
    JobId::from_uuid(uuid::Uuid::from_u128(n))
}

fn default() -> QueueName {
    QueueName::new("default").unwrap()
}

fn pending() -> JobState {
    JobState::Pending { turn: Some(0), since: at(0) }
}

fn job(n: u128, bytes: usize, state: JobState) -> Arc<Job> {
    let spec = Spec {
        id: id(n),
        kind: KindName::new("noop").unwrap(),
        queue: default(),
        payload: serde_json::value::RawValue::from_string(format!("{:?}", "x".repeat(bytes))).unwrap(),
        created_at: at(0),
        max_attempts: 3,
        timeout: HOUR,
        unique: None,
        trace: None,
        tags: (0..n % 3).map(|tag| Tag::new(&format!("tag {tag}")).unwrap()).collect(),
        notices: None,
        log: JobLog::default(),
    };
    Arc::new(Job::new(spec, state, None))
}

fn store(memory: u64, jobs: u64) -> MemoryStore {
    MemoryStore::new([default()], RETENTION).bounded_by(Bounds { memory, jobs })
}

fn result(bytes: usize) -> Ending {
    let result = JobResult { media_type: Cow::Owned("text/plain".into()), bytes: vec![b'x'; bytes].into() };
    Ending::Completed(ResultSlot::from(result))
}

fn failure(bytes: usize, retryable: bool) -> Ending {
    let error = JobError { code: "x".into(), message: "m".repeat(bytes).into(), retryable };
    Ending::Failed { outcome: AttemptOutcome::Failed, error: Arc::new(error), retry_at: at(5) }
}

fn run(store: &MemoryStore, n: u128, ending: Ending, now: i64) {
    let run = store.apply_now(id(n), Change::Start, at(now)).unwrap().runs;
    store.apply_now(id(n), Change::Settle { run, ending }, at(now)).unwrap();
}

fn full<T: std::fmt::Debug>(kept: Result<T, InsertError>) -> Limit {
    match kept {
        Err(InsertError::Full(limit)) => limit,
        other => panic!("{other:?}"),
    }
}

fn line(bytes: usize) -> LogLine {
    LogLine::new(at(0), 1, LogLevel::Info, &"l".repeat(bytes))
}

/// What the counters must say: looked up row by row.
fn sums(store: &MemoryStore) -> [u64; 3] {
    let mut sums = [0; 3];
    store.rows.iter().for_each(|row| {
        let (weight, state) = (row.keys().bytes, row.state());
        sums[0] += weight;
        if state.is_terminal() && state != StateName::DeadLettered {
            sums[1] += weight;
        }
        sums[2] += u64::from(!state.is_terminal());
    });
    sums
}

#[tokio::test]
async fn conforms() {
    crate::store::conformance::check(|queues, retention| {
        Box::new(MemoryStore::new(queues, retention)) as Box<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn retries_leave_nothing_behind() {
    let store = store(u64::MAX, u64::MAX);
    store.insert_now(&[job(1, 2, pending())], false).unwrap();
    let before = store.memory();
    for round in 1..=5_000 {
        run(&store, 1, Ending::Canceled, round);
        assert_eq!(lock(&store.finished).len(), 1);
        store.apply_now(id(1), Change::Retry { turn: 0 }, at(round)).unwrap();
        assert_eq!(lock(&store.finished).len(), 0);
    }
    assert_eq!(store.memory() - before, 0, "its history is within what it paid for");
}

#[test]
fn memory_is_full_at_the_limit_and_not_below() {
    let one = job(3, 100, pending()).weight() as u64;
    for (limit, fits) in [(3 * one - 1, false), (3 * one, true), (3 * one + 1, true)] {
        let store = store(limit, u64::MAX);
        store.insert_now(&[job(3, 100, pending()), job(6, 100, pending())], false).unwrap();
        let third = store.insert_now(&[job(9, 100, pending())], false);
        assert_eq!(third.is_ok(), fits, "{limit}");
        if !fits {
            assert_eq!(full(third), Limit::Memory(limit));
            assert_eq!((store.memory(), store.len()), (2 * one, 2), "nothing was kept");
        }
    }
}

#[test]
fn jobs_that_are_not_finished_are_counted() {
    let store = store(u64::MAX, 3);
    let later = || JobState::Scheduled { due: at(9) };
    store.insert_now(&[job(1, 0, pending()), job(2, 0, later())], false).unwrap();
    let two = [job(3, 0, pending()), job(4, 0, later())];
    assert_eq!(full(store.insert_now(&two, false)), Limit::Jobs(3), "all or none");
    store.insert_now(&two[..1], false).unwrap();
    for n in [1, 3] {
        assert_eq!(full(store.insert_now(&two[1..], false)), Limit::Jobs(3));
        // One that waits for its next attempt still counts; one that is finished does not.
        if n == 1 {
            run(&store, n, failure(1, true), 1);
        } else {
            run(&store, n, failure(1, false), 1);
            store.insert_now(&two[1..], false).unwrap();
        }
    }
    assert_eq!((store.budget.counters(), sums(&store)[2]), (sums(&store), 3));
}

#[test]
fn what_was_accepted_before_is_taken_up_beyond_every_limit() {
    let store = store(1, 1);
    store.insert_now(&[job(1, 100, pending()), job(2, 100, pending())], true).unwrap();
    assert_eq!((store.len(), store.budget.counters()), (2, sums(&store)));
    assert_eq!(full(store.insert_now(&[job(3, 0, pending())], false)), Limit::Memory(1));
    run(&store, 1, result(10), 1);
    assert_eq!(store.len(), 1, "it is brought back below the limit as soon as something is finished");
}

#[test]
fn an_insert_that_fails_gives_everything_back() {
    let store = store(u64::MAX, 10);
    store.insert_now(&[job(2, 50, pending())], false).unwrap();
    let before = store.budget.counters();
    let batch = [job(1, 5, pending()), job(2, 7, pending()), job(3, 9, pending())];
    assert!(matches!(store.insert_now(&batch, false), Err(InsertError::Taken(taken)) if taken == id(2)));
    assert_eq!((store.budget.counters(), sums(&store)), (before, before));
}

/// Results first, oldest first; then whole finished jobs, oldest first; never a dead letter; then nothing is accepted.
#[test]
fn what_is_finished_makes_way_in_order() {
    let jobs: Vec<_> = (1..=5).map(|n| job(n * 3, 1_000, pending())).collect();
    let unbounded = store(u64::MAX, u64::MAX);
    unbounded.insert_now(&jobs, false).unwrap();
    let endings = || [result(9_000), failure(10, false), Ending::Canceled, result(9_000)];
    for (n, ending) in (1..).zip(endings()) {
        run(&unbounded, n * 3, ending, i64::try_from(n).unwrap());
    }
    let store = store(unbounded.memory(), u64::MAX);
    store.insert_now(&jobs, true).unwrap();
    for (n, ending) in (1..).zip(endings()) {
        run(&store, n * 3, ending, i64::try_from(n).unwrap());
    }
    assert_eq!(store.memory(), unbounded.memory(), "it is full, and nothing had to go");
    let stands = |n: u128| store.rows.get(&id(n * 3)).map(|row| (row.state(), row.keys().has_result));
    let completed = |has_result| Some((StateName::Completed, has_result));
    let mut next = 100;
    let mut accept = |bytes| {
        next += 3;
        store.insert_now(&[job(next, bytes, pending())], false)
    };

    accept(1_000).unwrap();
    assert_eq!((stands(1), stands(4)), (completed(false), completed(true)), "the older result went");
    accept(8_000).unwrap();
    assert_eq!((stands(1), stands(4)), (completed(false), completed(false)));
    accept(8_500).unwrap();
    assert_eq!((stands(1), stands(3), stands(4)), (None, None, completed(false)), "then the oldest jobs");
    let dead = Some((StateName::DeadLettered, false));
    let held = store.memory();
    assert_eq!(full(accept(9_000)), store.budget.full());
    assert_eq!((store.memory(), stands(4)), (held, completed(false)), "nothing goes in vain");
    while accept(1_000).is_ok() || accept(0).is_ok() {}
    assert_eq!((stands(4), stands(2), stands(5)), (None, dead, Some((StateName::Pending, false))));
    assert_eq!(store.budget.counters(), sums(&store));
}

#[test]
fn a_settle_is_never_refused_and_memory_comes_back_below_the_limit() {
    let jobs: Vec<_> = (1..=4).map(|n| job(n * 3, 1_000, pending())).collect();
    let limit: u64 = jobs.iter().map(|job| job.weight() as u64).sum();
    let store = store(limit, u64::MAX);
    store.insert_now(&jobs, false).unwrap();
    for (n, ending) in [
        (3, result(1 << 20)),
        (6, failure(2_048, false)),
        (9, failure(2_048, true)),
        (12, Ending::Snoozed { until: at(9) }),
    ] {
        run(&store, n, ending, 1);
        assert!(store.memory() <= limit, "{} of {limit} after {n}", store.memory());
    }
    let states: Vec<_> =
        [3, 6, 9, 12].iter().map(|n| store.rows.get(&id(*n)).map(|row| row.state())).collect();
    let kept = [StateName::DeadLettered, StateName::Failed, StateName::Scheduled].map(Some);
    assert_eq!(states[1..], kept, "none but the completed one can be gone");
    let dead = store.rows.get(&id(6)).unwrap().job(id(6));
    assert!(dead.error.as_ref().unwrap().message.starts_with("mmm"), "its last error is kept, cut");
    assert_eq!(dead.attempts.len(), 1);
}

#[test]
fn log_lines_grow_no_further_than_the_limit() {
    let (one, two) = (job(3, 10, pending()), job(6, 10, pending()));
    let limit = (one.weight() + two.weight() + 2 * LOG_GROWTH) as u64;
    let store = store(limit, u64::MAX);
    store.insert_now(&[one, two], false).unwrap();
    for n in [3, 6] {
        store.apply_now(id(n), Change::Start, at(1)).unwrap();
    }
    store.log_now(id(3), 2, line(9));
    assert_eq!(store.rows.get(&id(3)).unwrap().job(id(3)).log.lines().len(), 0, "of another run");
    for n in 0..100 {
        store.log_now(id(3), 1, line(1_000 + n % 2));
        assert!(store.memory() <= limit);
    }
    store.log_now(id(6), 1, line(5));
    let lines = |n: u128| store.rows.get(&id(n)).unwrap().job(id(n)).log.lines();
    assert!((5..20).contains(&lines(3).len()), "{} lines", lines(3).len());
    assert_eq!(lines(3).last().unwrap().message.len(), 1_001, "the newest are kept");
    assert_eq!(lines(6).len(), 0, "no room is left for the first line of another job");
    assert_eq!(store.budget.counters(), sums(&store));
}

#[tokio::test]
async fn the_oldest_pending_job_is_known_without_a_search() {
    let store = store(u64::MAX, u64::MAX);
    let since = |millis| JobState::Pending { turn: None, since: at(millis) };
    let jobs = [job(1, 0, since(7)), job(2, 0, since(5)), job(3, 0, since(5)), job(4, 0, since(6))];
    store.insert_now(&jobs, false).unwrap();
    for (started, oldest) in [(2, Some(5)), (3, Some(6)), (1, Some(6)), (4, None)] {
        store.apply_now(id(started), Change::Start, at(9)).unwrap();
        assert_eq!(store.oldest_pending(&default()).await.unwrap(), oldest.map(at));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, bool),
    Restore(usize),
    Twins,
    Enqueue,
    Start,
    Complete(usize),
    Fail(usize, bool),
    End(usize),
    Progress(usize),
    Cancel,
    Retry,
    Log(usize),
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<(u128, Step)>> {
    let bytes = || prop_oneof![0..50_usize, 1_000..9_000_usize];
    let step = prop_oneof![
        3 => (bytes(), any::<bool>()).prop_map(|(bytes, later)| Step::Insert(bytes, later)),
        1 => bytes().prop_map(Step::Restore),
        1 => Just(Step::Twins),
        1 => Just(Step::Enqueue),
        5 => Just(Step::Start),
        3 => bytes().prop_map(Step::Complete),
        3 => (0..2_048_usize, any::<bool>()).prop_map(|(bytes, again)| Step::Fail(bytes, again)),
        1 => (0..3_usize).prop_map(Step::End),
        1 => (0..300_usize).prop_map(Step::Progress),
        1 => Just(Step::Cancel),
        2 => Just(Step::Retry),
        3 => (0..1_500_usize).prop_map(Step::Log),
        1 => Just(Step::Sweep),
    ];
    prop::collection::vec((1..12_u128, step), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// After whatever has happened the counters say what the rows say, and no more is held than may be, but for what was
    /// taken up beyond the limit.
    #[test]
    fn the_counters_are_the_sums_of_the_rows(memory in 4_000..60_000_u64, jobs in 1..8_u64, steps in steps()) {
        let store = store(memory, jobs);
        let mut extra = 0;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (n, (who, step)) in steps.into_iter().enumerate() {
            let now = at(i64::try_from(n).unwrap());
            let state = |later| if later { JobState::Scheduled { due: at(3) } } else { pending() };
            let apply = |change| store.apply_now(id(who), change, now).map(drop);
            let run = store.rows.get(&id(who)).map_or(0, |row| row.job(id(who)).runs);
            let settle = |ending| apply(Change::Settle { run, ending });
            let _ = match step {
                Step::Insert(bytes, later) => {
                    let held = store.budget.counters();
                    let kept = store.insert_now(&[job(who, bytes, state(later))], false);
                    if kept.is_ok() {
                        prop_assert!(store.budget.counters()[2] <= jobs.max(held[2]));
                    }
                    Ok(())
                }
                Step::Restore(bytes) => {
                    let restored = job(who, bytes, pending());
                    let weight = restored.weight() as u64;
                    if store.insert_now(&[restored], true).is_ok() {
                        extra += weight;
                    }
                    Ok(())
                }
                Step::Twins => {
                    let twins = [job(50, 10, pending()), job(50, 20, pending())];
                    prop_assert!(store.insert_now(&twins, false).is_err());
                    Ok(())
                }
                Step::Enqueue => apply(Change::Enqueue { turn: 1 }),
                Step::Start => apply(Change::Start),
                Step::Complete(bytes) => settle(result(bytes)),
                Step::Fail(bytes, again) => settle(failure(bytes, again)),
                Step::End(0) => settle(Ending::Skipped { reason: "r".repeat(900).into() }),
                Step::End(1) => settle(Ending::Interrupted),
                Step::End(_) => settle(Ending::Snoozed { until: now }),
                Step::Progress(bytes) => {
                    apply(Change::Progress { run, progress: Some(Progress::new(1, Some(&"p".repeat(bytes)))), told: true })
                }
                Step::Cancel => apply(Change::Cancel),
                Step::Retry => apply(Change::Retry { turn: 1 }),
                Step::Log(bytes) => {
                    store.log_now(id(who), run, line(bytes));
                    Ok(())
                }
                Step::Sweep => {
                    runtime.block_on(store.sweep_now(now));
                    Ok(())
                }
            };
            prop_assert_eq!(store.budget.counters(), sums(&store));
            prop_assert!(store.memory() <= memory + extra, "{} of {memory} + {extra}", store.memory());
            let index = lock(&store.finished).len();
            let finished = store.rows.iter().filter(|row| row.state().is_terminal()).count();
            prop_assert_eq!(index, finished);
        }
    }
}

/// Many threads at once: none of them counts for another.
#[test]
fn the_counters_hold_under_many_hands() {
    let store = store(30_000, 50);
    std::thread::scope(|scope| {
        for hand in 0..4_u128 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..500_u128 {
                    let n = 1 + hand * 1_000 + round;
                    let now = i64::try_from(round).unwrap();
                    if store.insert_now(&[job(n, 500, pending())], false).is_err() {
                        continue;
                    }
                    let run = store.apply_now(id(n), Change::Start, at(now)).unwrap().runs;
                    store.log_now(id(n), run, line(300));
                    let ending = if round % 7 == 0 { failure(99, false) } else { result(2_000) };
                    store.apply_now(id(n), Change::Settle { run, ending }, at(now)).unwrap();
                }
            });
        }
    });
    assert_eq!(store.budget.counters(), sums(&store));
    assert!(store.memory() <= 30_000, "{}", store.memory());
    assert!((1..=8).contains(&store.len()), "{} are kept", store.len());
}
