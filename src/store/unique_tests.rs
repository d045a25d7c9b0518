//! That the index of unique keys holds no more than the rows do.

use std::sync::Arc;
use std::time::Duration;

use super::shelf::lock;
use super::{Bounds, MemoryStore, Retention, Store};
use crate::job::{
    AttemptOutcome, Change, Ending, Job, JobError, JobId, JobLog, JobState, KindName, QueueName, ResultSlot,
    Spec, StateName, Timestamp, Unique, UniqueKey,
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
    store.rows.get(&JobId::from_uuid(uuid::Uuid::from_u128(n.into()))).map(|row| row.state.name())
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

// On several threads, so that those who come at once really do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conforms() {
    super::conformance::check(|queues, retention| {
        Box::new(MemoryStore::new(queues, retention)) as Box<dyn Store>
    })
    .await;
}
