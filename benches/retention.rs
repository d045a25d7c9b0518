//! What a job costs the store when many finished jobs are kept, against when few are; and what each thread's share of the
//! locks costs.
//!
//! Prints nanoseconds of a whole life (insert, start, settle, be forgotten) and the ratios, measured in turns, and ends
//! with 1 when a ratio is beyond its bound: the cost must not grow with the number of jobs that are kept.
//!
//! ```sh
//! cargo bench --bench retention
//! ```

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backroom::job::{
    Change, Ending, Job, JobId, JobLog, JobResult, JobState, KindName, QueueName, ResultSlot, Spec, Timestamp,
};
use backroom::store::{Bounds, MemoryStore, Retention, Store as _};
use serde_json::value::RawValue;

const ROUNDS: usize = 7;
const LIVES: u64 = 60_000;
const FEW: usize = 1_000;
const MANY: usize = 100_000;
/// Trees of 100,000 entries are a few steps deeper than trees of 1,000 and do not fit into the nearest caches.
const BOUND: f64 = 4.0;

fn main() {
    let mut costs: [(&str, usize, Vec<f64>); 2] = [("few", FEW, vec![]), ("many", MANY, vec![])];
    for _ in 0..ROUNDS {
        for (_, kept, nanos) in &mut costs {
            nanos.push(measure(*kept, 1));
        }
    }
    let mut shared: Vec<f64> = (0..ROUNDS).map(|_| measure(MANY, 2)).collect();
    for (name, kept, nanos) in &mut costs {
        println!("{name:<5} {kept:>7} kept: {:>6.0} ns a life", median(nanos));
    }
    println!("two threads, {MANY} kept: {:>6.0} ns a life and thread", median(&mut shared));
    let ratio = median(&mut costs[1].2) / median(&mut costs[0].2);
    println!("ratio {ratio:.2} (at most {BOUND})");
    std::process::exit(i32::from(ratio > BOUND));
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Nanoseconds of a life in a store that holds so many finished jobs.
#[expect(clippy::disallowed_methods, reason = "this measures real time")]
fn measure(kept: usize, threads: u64) -> f64 {
    let queue = QueueName::new("default").expect("a name");
    let hour = Duration::from_hours(1);
    let retention = Retention { completed: hour, dead_lettered: hour, max_finished: kept };
    let bounds = Bounds { memory: 1 << 40, jobs: 1_000_000 };
    let store = MemoryStore::new([queue.clone()], retention).bounded_by(bounds);
    let names = (KindName::new("noop").expect("a name"), queue);
    for n in 0..kept as u64 {
        live(&store, &names, n);
    }
    let began = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (store, names) = (&store, &names);
            scope.spawn(move || {
                for n in 0..LIVES {
                    live(store, names, kept as u64 + n * threads + thread);
                }
            });
        }
    });
    assert_eq!(store.len(), kept);
    began.elapsed().as_secs_f64() * 1e9 / LIVES as f64
}

fn live(store: &MemoryStore, (kind, queue): &(KindName, QueueName), n: u64) {
    // As a server at 50,000 jobs a second makes them: 50 in each millisecond.
    let at = Timestamp::from_millis(i64::try_from(n / 50).expect("a small number"));
    let id = JobId::from_uuid(uuid::Uuid::from_u64_pair(n, n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let spec = Spec {
        id,
        kind: kind.clone(),
        queue: queue.clone(),
        payload: RawValue::from_string("{\"to\":\"ada@example.com\"}".to_owned()).expect("JSON"),
        created_at: at,
        max_attempts: 3,
        timeout: Duration::from_mins(1),
        tags: Box::default(),
        unique: None,
        trace: None,
        notices: None,
        log: JobLog::default(),
    };
    let job = Arc::new(Job::new(spec, JobState::Pending { turn: Some(n), since: at }, None));
    now(store.insert(vec![job])).expect("it is new");
    let run = now(store.apply(id, Change::Start, at)).expect("it is pending").runs;
    let result =
        JobResult { media_type: Cow::Borrowed("application/json"), bytes: b"{\"ok\":1}".to_vec().into() };
    let ending = Ending::Completed(ResultSlot::from(result));
    now(store.apply(id, Change::Settle { run, ending }, at)).expect("it runs");
}

/// The answer of a store that answers at once.
fn now<T>(answer: backroom::store::Answer<'_, T>) -> T {
    use futures_util::FutureExt as _;
    answer.now_or_never().expect("memory answers at once")
}
