//! That the index of unique keys holds no more than the rows do.

use std::sync::Arc;
use std::time::Duration;

use super::shelf::lock;
use super::{MemoryStore, Retention, Store};
use crate::job::{
    Change, Ending, Job, JobId, JobLog, JobState, KindName, QueueName, ResultSlot, Spec, Timestamp, Unique,
    UniqueKey,
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

// On several threads, so that those who come at once really do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conforms() {
    super::conformance::check(|queues, retention| {
        Box::new(MemoryStore::new(queues, retention)) as Box<dyn Store>
    })
    .await;
}
