//! That the index of unique keys holds no more than the rows do.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::shelf::lock;
use super::{Bounds, MemoryStore, Retention, Store};
use crate::job::{
    AttemptOutcome, Change, Ending, Job, JobError, JobId, JobLog, JobResult, JobState, KindName, QueueName,
    ResultSlot, Spec, StateName, Timestamp, Unique, UniqueKey,
};

fn spec(id: JobId, queue: QueueName) -> Spec {
    Spec {
        id,
        kind: KindName::new("noop").unwrap(),
        queue,
        payload: serde_json::value::RawValue::from_string("{}".to_owned()).unwrap(),
        created_at: Timestamp::from_millis(0),
        max_attempts: 1,
        timeout: Duration::from_hours(1),
        tags: Box::default(),
        unique: None,
        trace: None,
        notices: None,
        log: JobLog::default(),
    }
}

#[tokio::test]
async fn keys_leave_nothing_behind() {
    let queue = QueueName::new("default").unwrap();
    let second = Duration::from_secs(1);
    let retention = Retention { completed: second, dead_lettered: second, max_finished: 10 };
    let store = MemoryStore::new([queue.clone()], retention);
    let endings =
        [Ending::Completed(ResultSlot::Null), Ending::Skipped { reason: "no need".into() }, Ending::Canceled];
    for n in 0..300_u32 {
        let at = Timestamp::from_millis(i64::from(n));
        let mut spec = spec(JobId::from_uuid(uuid::Uuid::from_u128(n.into())), queue.clone());
        let unique = Unique { key: UniqueKey::new(&n.to_string()).unwrap(), window: 2 * second };
        (spec.unique, spec.created_at) = (Some(Box::new(unique)), at);
        let id = spec.id;
        let state = JobState::Pending { turn: Some(0), since: at };
        store.insert(vec![Arc::new(Job::new(spec, state, None))]).await.unwrap();
        let run = store.apply(id, Change::Start, at).await.unwrap().runs;
        let ending = endings[n as usize % endings.len()].clone();
        store.apply(id, Change::Settle { run, ending }, at).await.unwrap();
        assert!(store.len() <= 10, "bounded by number");
        assert!(lock(&store.holders).len() <= store.len(), "no key without its row");
    }
    store.sweep(Timestamp::from_millis(10_000)).await.unwrap();
    assert_eq!((store.len(), lock(&store.holders).len(), lock(&store.finished).len()), (0, 0, 0));
}

const HOUR: Duration = Duration::from_hours(1);

/// A job that keeps its key for so long after its end; with nothing, one without a key.
fn job(n: u32, window: Option<Duration>) -> Arc<Job> {
    let at = Timestamp::from_millis(i64::from(n));
    let mut spec =
        spec(JobId::from_uuid(uuid::Uuid::from_u128(n.into())), QueueName::new("default").unwrap());
    let key = UniqueKey::new(&n.to_string()).unwrap();
    spec.unique = window.map(|window| Box::new(Unique { key, window }));
    spec.created_at = at;
    Arc::new(Job::new(spec, JobState::Pending { turn: Some(0), since: at }, None))
}

async fn finish(store: &MemoryStore, job: Arc<Job>, ending: Ending, at: i64) {
    let (id, at) = (job.id(), Timestamp::from_millis(at));
    store.insert(vec![job]).await.unwrap();
    let run = store.apply(id, Change::Start, at).await.unwrap().runs;
    store.apply(id, Change::Settle { run, ending }, at).await.unwrap();
}

fn stands(store: &MemoryStore, n: u32) -> Option<StateName> {
    store.rows.get(&JobId::from_uuid(uuid::Uuid::from_u128(n.into()))).map(|row| row.state())
}

/// Only a job that holds its key is kept longer than a dead letter. One that has let go is a finished job like any other.
#[tokio::test]
async fn who_has_let_go_of_its_key_makes_way_for_dead_letters() {
    let second = Duration::from_secs(1);
    let retention = Retention { completed: HOUR, dead_lettered: HOUR, max_finished: 3 };
    let store = MemoryStore::new([QueueName::new("default").unwrap()], retention);
    let completed = || Ending::Completed(ResultSlot::Null);
    let error = Arc::new(JobError { code: "x".into(), message: "x".into(), retryable: false });
    let retry_at = Timestamp::from_millis(0);
    let dead = Ending::Failed { outcome: AttemptOutcome::Failed, error, retry_at };
    finish(&store, job(1, None), dead, 1).await;
    finish(&store, job(2, Some(second)), completed(), 2).await;
    finish(&store, job(3, Some(second)), completed(), 3).await;
    store.sweep(Timestamp::from_millis(1_001)).await.unwrap();
    assert!([1, 2, 3].iter().all(|n| stands(&store, *n).is_some()), "nobody has to go yet");
    // At this time the second one lets go, and the third one holds its key.
    store.sweep(Timestamp::from_millis(1_002)).await.unwrap();
    finish(&store, job(4, Some(second)), completed(), 1_002).await;
    assert_eq!([1, 2, 3, 4].map(|n| stands(&store, n).is_some()), [true, false, true, true]);
    // One that keeps its key for no time at all never holds it after its end.
    finish(&store, job(5, Some(Duration::ZERO)), completed(), 1_002).await;
    assert_eq!([1, 3, 4, 5].map(|n| stands(&store, n).is_some()), [true, true, true, false]);
    finish(&store, job(6, Some(second)), completed(), 1_002).await;
    assert_eq!(
        [1, 3, 4, 6].map(|n| stands(&store, n).is_some()),
        [false, true, true, true],
        "keys are held longest"
    );
    // A retry, a removal and the end of its retention find it wherever it is by then.
    store.sweep(Timestamp::from_millis(1_003)).await.unwrap();
    assert_eq!(lock(&store.finished).len(), 3);
    store.sweep(Timestamp::from_millis(1_003).after(HOUR)).await.unwrap();
    assert_eq!((store.len(), lock(&store.holders).len(), lock(&store.finished).len()), (0, 0, 0));
}

/// What keeps others from the same work stays when memory is full; what does so no longer makes way.
#[tokio::test]
async fn who_has_let_go_of_its_key_makes_way_when_memory_is_full() {
    let minute = Duration::from_mins(1);
    let retention = Retention { completed: HOUR, dead_lettered: HOUR, max_finished: 100 };
    let memory = 2 * job(1, Some(minute)).weight() as u64;
    let queue = QueueName::new("default").unwrap();
    let store = MemoryStore::new([queue], retention).bounded_by(Bounds { memory, jobs: 100 });
    for n in [1, 2] {
        finish(&store, job(n, Some(minute)), Ending::Completed(ResultSlot::Null), n.into()).await;
    }
    let mut next = 2;
    let mut refused = async || {
        next += 1;
        store.insert(vec![job(next, Some(minute))]).await.is_err()
    };
    while !refused().await {}
    assert!([1, 2].iter().all(|n| stands(&store, *n).is_some()), "both hold their keys");
    store.sweep(Timestamp::from_millis(60_001)).await.unwrap();
    while !refused().await {}
    assert_eq!([1, 2].map(|n| stands(&store, n).is_some()), [false, true], "the first one has let go");
}

#[derive(Clone, Debug)]
enum Step {
    /// Jobs of these keys, each with this payload; of the last key is none.
    Insert(Vec<u8>, usize),
    Restore(u8),
    Run(Option<usize>),
    Fail,
    Skip,
    Cancel,
    Retry,
    Redrive,
    Remove,
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<(usize, u32, Step)>> {
    let bytes = || prop_oneof![0..50_usize, 1_000..5_000_usize];
    let step = prop_oneof![
        5 => (prop::collection::vec(0..5_u8, 1..4), bytes()).prop_map(|(keys, bytes)| Step::Insert(keys, bytes)),
        1 => (0..5_u8).prop_map(Step::Restore),
        4 => prop::option::of(bytes()).prop_map(Step::Run),
        2 => Just(Step::Fail),
        1 => Just(Step::Skip),
        1 => Just(Step::Cancel),
        2 => Just(Step::Retry),
        1 => Just(Step::Redrive),
        1 => Just(Step::Remove),
        2 => Just(Step::Sweep),
    ];
    prop::collection::vec((0..16_usize, 0..8_u32, step), 1..150)
}

fn jobs(store: &MemoryStore) -> Vec<Arc<Job>> {
    store.rows.iter().map(|row| row.job(*row.key())).collect()
}

/// What the counters of the budget must say: looked up row by row.
fn sums(store: &MemoryStore) -> [u64; 3] {
    store.rows.iter().fold([0; 3], |[held, spare, unfinished], row| {
        let (weight, state) = (row.keys().bytes, row.state());
        let can_go = state.is_terminal() && state != StateName::DeadLettered;
        [held + weight, spare + weight * u64::from(can_go), unfinished + u64::from(!state.is_terminal())]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Keys, memory and retention at once: whatever happens, each key has one holder, the one that the rows say, and every
    /// counter and index says what the rows do.
    #[test]
    fn keys_memory_and_retention_agree(memory in 6_000..60_000_u64, steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let retention = Retention {
            completed: Duration::from_millis(60), dead_lettered: Duration::from_millis(90), max_finished: 6,
        };
        let store = MemoryStore::new([QueueName::new("default").unwrap()], retention)
            .bounded_by(Bounds { memory, jobs: 9 });
        let (mut made, mut now) = (0, 1);
        for (who, pause, step) in steps {
            now += pause;
            let at = Timestamp::from_millis(now.into());
            let mut make = |key: u8, bytes| {
                made += 1;
                let window = Duration::from_millis(15 * u64::from(key % 3));
                let mut spec = spec(JobId::from_uuid(uuid::Uuid::from_u128(made)), QueueName::new("default").unwrap());
                let name = UniqueKey::new(&key.to_string()).unwrap();
                spec.unique = (key < 4).then(|| Box::new(Unique { key: name, window }));
                spec.payload = serde_json::value::RawValue::from_string(format!("{:?}", "x".repeat(bytes))).unwrap();
                spec.created_at = at;
                Arc::new(Job::new(spec, JobState::Pending { turn: Some(0), since: at }, None))
            };
            let ids: Vec<_> = lock(&store.order).iter().copied().collect();
            let id = ids.get(who % ids.len().max(1)).copied().unwrap_or(JobId::MIN);
            let apply = |change| runtime.block_on(store.apply(id, change, at));
            let run = |ending| {
                if let Ok(job) = apply(Change::Start) {
                    let _ = apply(Change::Settle { run: job.runs, ending });
                }
            };
            match step {
                Step::Insert(keys, bytes) => {
                    let jobs = keys.iter().map(|key| make(*key, bytes)).collect();
                    let _ = runtime.block_on(store.insert(jobs));
                }
                Step::Restore(key) => {
                    let _ = runtime.block_on(store.restore(vec![make(key, 10)]));
                }
                Step::Run(None) => run(Ending::Completed(ResultSlot::Null)),
                Step::Run(Some(bytes)) => {
                    let result = JobResult { media_type: "text/plain".into(), bytes: vec![b'x'; bytes].into() };
                    run(Ending::Completed(result.into()));
                }
                Step::Fail => {
                    let error = Arc::new(JobError { code: "x".into(), message: "x".into(), retryable: false });
                    run(Ending::Failed { outcome: AttemptOutcome::Failed, error, retry_at: at });
                }
                Step::Skip => run(Ending::Skipped { reason: "no need".into() }),
                Step::Cancel => drop(apply(Change::Cancel)),
                Step::Retry => drop(apply(Change::Retry { turn: 1 })),
                Step::Redrive => drop(apply(Change::Redrive { turn: 1 })),
                Step::Remove => drop(runtime.block_on(store.remove(id, StateName::DeadLettered))),
                Step::Sweep => {
                    runtime.block_on(store.sweep(at)).unwrap();
                    let past = |job: &Job| job.state.finished_at().is_some_and(|end| end.after(retention.completed) <= at);
                    let kept = |job: &Job| job.hold().at(at) || job.state.name() == StateName::DeadLettered;
                    prop_assert!(jobs(&store).iter().all(|job| !past(job) || kept(job)));
                }
            }
            prop_assert_eq!(store.budget.counters(), sums(&store));
            let finished = store.rows.iter().filter(|row| row.state().is_terminal()).count();
            prop_assert_eq!((lock(&store.finished).len(), lock(&store.order).len()), (finished, store.len()));
            prop_assert!(finished <= 6);
            for key in 0..4_u8 {
                let key = UniqueKey::new(&key.to_string()).unwrap();
                let is_its = |job: &Job| job.spec.unique.as_ref().is_some_and(|unique| unique.key == key);
                let holders: Vec<_> = jobs(&store).iter().filter(|job| is_its(job) && job.hold().at(at))
                    .map(|job| job.id()).collect();
                let known = store.holder_now(&KindName::new("noop").unwrap(), &key, at).map(|job| job.id());
                prop_assert!(holders.len() <= 1, "{:?} hold {:?}", holders, key);
                prop_assert_eq!(known, holders.first().copied());
            }
        }
    }
}

// On several threads, so that those who come at once really do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conforms() {
    super::conformance::check(|queues, retention| {
        Box::new(MemoryStore::new(queues, retention)) as Box<dyn Store>
    })
    .await;
}
