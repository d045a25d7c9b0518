//! Many jobs, one after the other, in a process that must not grow. The long form of it is `scripts/soak`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backroom::clock::Clock;
use backroom::handler::{KindSettings, Registry};
use backroom::job::{
    Backoff, Change, Ending, Job, JobId, JobLog, JobResult, JobState, KindName, NewJob, QueueName,
    ResultSlot, RetryPolicy, Spec, Tag, Timestamp,
};
use backroom::jobs::{Jobs, Limits, QueueSettings};
use backroom::kinds::NoopHandler;
use backroom::queue::{MemoryQueue, Queue};
use backroom::store::{Answer, Bounds, MemoryStore, Retention, Store as _};
use backroom::worker::{Pool, Stop};
use futures_util::FutureExt as _;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(50);
const BATCH: usize = 500;
const WARM: usize = 10_000;
const JOBS: usize = 50_000;
const MEMORY: u64 = 3 << 20;
const CONCURRENCY: usize = 16;
const RESULT: usize = 10_000;

/// The memory of a process is measured by one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// What of this process is in memory, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number") * 1024
}

fn queue() -> QueueName {
    QueueName::new("default").expect("a name")
}

fn retention(max_finished: usize) -> Retention {
    let hour = Duration::from_hours(1);
    Retention { completed: hour, dead_lettered: hour, max_finished }
}

#[test]
fn fifty_thousand_jobs_leave_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(soak());
}

async fn soak() {
    let mut registry = Registry::new();
    let retry = RetryPolicy { max_attempts: 1, backoff: Backoff::Delays(vec![Duration::ZERO]) };
    let settings = KindSettings {
        queue: queue(),
        timeout: PATIENCE,
        retry,
        cancel_grace: Duration::ZERO,
        sensitive: Vec::new(),
        unique_by: backroom::handler::UniqueBy::default(),
        retry_profile: "test".into(),
    };
    registry.register(NoopHandler, settings).unwrap();
    let bounds = Bounds { memory: MEMORY, jobs: 2_000 };
    let store = Arc::new(MemoryStore::new([queue()], retention(2_000)).bounded_by(bounds));
    let settings =
        QueueSettings { capacity: 1_000, concurrency: CONCURRENCY, enqueue_wait: PATIENCE, rate_limit: None };
    let line = (queue(), Arc::new(MemoryQueue::new(settings.capacity)) as Arc<dyn Queue>, settings);
    let limits = Limits { payload: 10_000, result: RESULT, batch: BATCH };
    let jobs = Jobs::new(Clock::system(), Arc::new(registry), store.clone(), [line], limits);
    let stop = Stop::default();
    let pool = Pool::start(jobs.clone(), stop.clone());

    // Memory is full before as many finished jobs are there as are kept: results make way, and then whole jobs go by number.
    let payload = json!({ "text": "x".repeat(1_000) });
    let mut warm = 0;
    let working = async {
        for begun in (0..JOBS).step_by(BATCH) {
            if begun == WARM {
                warm = resident();
            }
            let batch = (0..BATCH).map(|_| NewJob::new("noop", &payload).unwrap()).collect();
            let accepted = jobs.submit_all(batch).await.unwrap();
            let last = accepted.last().unwrap().id();
            jobs.wait(last, PATIENCE, std::future::pending()).await.unwrap();
            // What is just being settled can be beyond it for a moment: as many results as run at once.
            let most = MEMORY + (CONCURRENCY * RESULT) as u64;
            assert!(store.memory() <= most, "{} bytes are held", store.memory());
        }
        while jobs.finished() < JOBS as u64 {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, working).await.is_ok();
    assert!(in_time, "{} jobs finished", jobs.finished());
    assert_eq!(jobs.finished(), JOBS as u64, "each finished once");
    let end = resident();
    assert!((1..=2_000).contains(&store.len()), "{} are kept", store.len());
    assert!(store.memory() <= MEMORY, "{} bytes are held, and nothing runs", store.memory());
    assert!(store.memory() > MEMORY / 10 * 9, "memory was never full: {}", store.memory());
    // Forty thousand jobs that leave 150 bytes each would be noticed.
    assert!(end <= warm + (6 << 20), "{warm} bytes when warm, {end} at the end");

    stop.soft.cancel();
    jobs.close_intake().await;
    assert!(tokio::time::timeout(PATIENCE, pool.finished()).await.is_ok(), "the pool ends");
}

/// What a store says that it holds is not less than what it takes.
#[test]
fn what_is_counted_is_what_is_taken() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // As they are kept when they are done and there is little to say of them, and as all others are.
    let tag = || Box::from([Tag::new("x").unwrap()]);
    counts_what_it_takes(Box::default);
    counts_what_it_takes(tag);
}

fn counts_what_it_takes(tags: impl Fn() -> Box<[Tag]>) {
    let store = MemoryStore::new([queue()], retention(usize::MAX));
    let before = resident();
    for n in 0..50_000_u64 {
        let at = Timestamp::from_millis(i64::try_from(n / 50).unwrap());
        let id = JobId::from_uuid(uuid::Uuid::from_u64_pair(n, n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let spec = Spec {
            id,
            kind: KindName::new("noop").unwrap(),
            queue: queue(),
            payload: serde_json::value::RawValue::from_string("{\"to\":\"ada@example.com\"}".to_owned())
                .unwrap(),
            created_at: at,
            max_attempts: 3,
            timeout: PATIENCE,
            tags: tags(),
            unique: None,
            trace: None,
            notices: None,
            log: JobLog::default(),
        };
        let job = Job::new(spec, JobState::Pending { turn: Some(n), since: at }, None);
        now(store.insert(vec![Arc::new(job)])).unwrap();
        let run = now(store.apply(id, Change::Start, at)).unwrap().runs;
        let result = JobResult { media_type: "text/plain".into(), bytes: vec![b'x'; 20].into() };
        let ending = Ending::Completed(ResultSlot::from(result));
        now(store.apply(id, Change::Settle { run, ending }, at)).unwrap();
    }
    let (taken, counted) = (resident() - before, store.memory());
    println!("{} bytes a job are taken, {} counted", taken / 50_000, counted / 50_000);
    assert!(taken <= counted + counted / 10, "{taken} bytes are taken, {counted} counted");
    assert!(counted <= 3 * taken || taken < counted / 100, "{taken} bytes are taken, {counted} counted");
    // The next one is to find none of its memory.
    std::mem::forget(store);
}

/// The answer of a store that answers at once.
fn now<T>(answer: Answer<'_, T>) -> T {
    answer.now_or_never().expect("memory answers at once")
}
