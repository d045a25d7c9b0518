//! The store.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use shuttle::future::block_on;
use shuttle::thread;

use crate::check;
use crate::job::{
    AttemptOutcome, Change, Ending, Job, JobError, JobId, JobLog, JobState, KindName, QueueName, ResultSlot,
    Spec, StateName, Timestamp,
};
use crate::store::{Filter, ListQuery, MemoryStore, Retention, Store as _};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn queue() -> QueueName {
    QueueName::new("default").unwrap()
}

fn id(n: u128) -> JobId {
    JobId::from_uuid(uuid::Uuid::from_u128(n))
}

fn store(max_finished: usize) -> Arc<MemoryStore> {
    let hour = Duration::from_hours(1);
    Arc::new(MemoryStore::new([queue()], Retention { completed: hour, dead_lettered: hour, max_finished }))
}

fn job(n: u128, expires_at: Option<i64>) -> Arc<Job> {
    let spec = Spec {
        id: id(n),
        kind: KindName::new("noop").unwrap(),
        queue: queue(),
        payload: RawValue::from_string("{}".to_owned()).unwrap(),
        created_at: at(0),
        max_attempts: 2,
        timeout: Duration::from_mins(1),
        unique: None,
        trace: None,
        tags: Box::default(),
        notices: None,
        log: JobLog::default(),
    };
    Arc::new(Job::new(spec, JobState::Pending { turn: None, since: at(0) }, expires_at.map(at)))
}

fn failed() -> Ending {
    let error = Arc::new(JobError { code: "x".into(), message: "y".into(), retryable: true });
    Ending::Failed { outcome: AttemptOutcome::Failed, error, retry_at: at(50) }
}

fn settle(run: u32, ending: Ending) -> Change {
    Change::Settle { run, ending }
}

/// Makes these changes at once; says which were allowed.
fn at_once(store: &Arc<MemoryStore>, changes: Vec<(JobId, Change, i64)>) -> Vec<bool> {
    let threads: Vec<_> = changes
        .into_iter()
        .map(|(id, change, now)| {
            let store = Arc::clone(store);
            thread::spawn(move || block_on(store.apply(id, change, at(now))).is_ok())
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// Every index says what the rows say.
fn is_consistent(store: &MemoryStore) {
    let everything = ListQuery { filter: Filter::default(), before: None, limit: 100 };
    let rows = block_on(store.list(&everything)).unwrap().jobs;
    assert_eq!(rows.len(), store.len());
    let counts = block_on(store.counts(&queue())).unwrap();
    for state in StateName::ALL {
        let recount = rows.iter().filter(|job| job.state.name() == state).count();
        assert_eq!(counts.get(state), recount as u64, "{state}");
    }
    let mut sleepers: Vec<_> =
        rows.iter().filter_map(|job| job.wakes_at().map(|at| (at, job.id()))).collect();
    sleepers.sort_unstable();
    let due = block_on(store.due(&queue(), Timestamp::MAX, 100)).unwrap();
    assert_eq!(due.ids, sleepers.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
    // What has finished is forgotten in time, and nothing else.
    let left = rows.iter().filter(|job| !job.state.is_terminal()).count();
    block_on(store.sweep(Timestamp::MAX)).unwrap();
    assert_eq!(store.len(), left);
}

pub(crate) fn a_run_is_settled_once_whoever_comes() {
    check(|| {
        let store = store(10);
        block_on(store.insert(vec![job(1, Some(1_000))])).unwrap();
        let run = block_on(store.apply(id(1), Change::Start, at(1))).unwrap().runs;
        let sweeper = thread::spawn({
            let store = Arc::clone(&store);
            move || block_on(store.sweep(at(20))).unwrap()
        });
        let allowed = at_once(
            &store,
            vec![
                (id(1), settle(run, Ending::Completed(ResultSlot::Null)), 10),
                (id(1), settle(run, failed()), 11),
                (id(1), settle(run, Ending::Interrupted), 12),
                (id(1), Change::Cancel, 13),
                (id(1), Change::Expire, 2_000),
            ],
        );
        assert_eq!(sweeper.join().unwrap(), 0);
        let settled = allowed[..3].iter().filter(|allowed| **allowed).count();
        assert_eq!(settled, 1, "a run ends once");
        let job = block_on(store.get(id(1))).unwrap().unwrap();
        assert_eq!((job.attempts.len(), job.runs), (1, 1));
        let changes = 2 + allowed.iter().filter(|allowed| **allowed).count() as u64;
        assert_eq!(job.sequence, changes, "what was refused left no trace, and what was not was not lost");
        is_consistent(&store);
    });
}

pub(crate) fn waiting_jobs_leave_once() {
    check(|| {
        let store = store(10);
        block_on(store.insert(vec![job(1, Some(100)), job(2, None)])).unwrap();
        let allowed = at_once(
            &store,
            vec![
                (id(1), Change::Enqueue { turn: 1 }, 10),
                (id(1), Change::Start, 11),
                (id(1), Change::Cancel, 12),
                (id(1), Change::Expire, 200),
                (id(2), Change::Start, 10),
                (id(2), Change::Start, 11),
            ],
        );
        assert!(allowed[4] ^ allowed[5], "a job is started once");
        let job = block_on(store.get(id(1))).unwrap().unwrap();
        // That it got its place in the queue is not told: it was pending before.
        assert_eq!(job.sequence, 1 + allowed[1..4].iter().filter(|allowed| **allowed).count() as u64);
        assert!(job.state.is_terminal() || job.state.is_cancel_requested(), "the cancel or the expiry came");
        is_consistent(&store);
    });
}

pub(crate) fn retention_never_exceeds_its_bound() {
    check(|| {
        let store = store(2);
        block_on(store.insert((1..=4).map(|n| job(n, None)).collect())).unwrap();
        let cancel = |n| (id(n), Change::Cancel, 10 + i64::try_from(n).unwrap());
        let retrier = thread::spawn({
            let store = Arc::clone(&store);
            move || {
                let retry = Change::Retry { turn: 1 };
                usize::from(block_on(store.apply(id(1), retry, at(30))).is_ok())
            }
        });
        at_once(&store, (1..=4).map(cancel).collect());
        let retried = retrier.join().unwrap();
        let counts = block_on(store.counts(&queue())).unwrap();
        assert!(counts.get(StateName::Canceled) <= 2);
        assert_eq!(
            counts.get(StateName::Pending),
            retried as u64,
            "who was sent round again is not forgotten"
        );
        is_consistent(&store);
    });
}

/// Dead letters leave last, even while somebody looks through the entries of finished jobs for stale ones.
pub(crate) fn dead_letters_leave_last() {
    let many = 1_100;
    let test = move || {
        let store = store(2);
        let dead = job(1, None);
        block_on(store.insert(vec![dead, job(2, None), job(3, None), job(4, None)])).unwrap();
        let run = block_on(store.apply(id(1), Change::Start, at(1))).unwrap().runs;
        let error = Arc::new(JobError { code: "x".into(), message: "y".into(), retryable: false });
        let never = Ending::Failed { outcome: AttemptOutcome::Failed, error, retry_at: at(0) };
        block_on(store.apply(id(1), settle(run, never), at(2))).unwrap();
        // Sent round again and canceled so often that most entries are stale.
        for n in 0..many {
            block_on(store.apply(id(2), Change::Cancel, at(10 + n))).unwrap();
            block_on(store.apply(id(2), Change::Retry { turn: 1 }, at(10 + n))).unwrap();
        }
        block_on(store.apply(id(3), Change::Cancel, at(5_000))).unwrap();
        let sweeper = thread::spawn({
            let store = Arc::clone(&store);
            move || block_on(store.sweep(at(5_001))).unwrap()
        });
        block_on(store.apply(id(4), Change::Cancel, at(5_002))).unwrap();
        sweeper.join().unwrap();
        assert!(block_on(store.get(id(1))).unwrap().is_some(), "a dead letter left before a canceled job");
        is_consistent(&store);
    };
    shuttle::check_random(test, 60);
}
