//! What every store must do with jobs that are the same work.

use std::sync::Arc;
use std::time::Duration;

use super::conformance::{at, completed, failed, finish, id, job, queue, state};
use super::{ApplyError, Duplicate, Store};
use crate::job::{Change, Ending, Job, JobId, KindName, StateName, Timestamp, Unique, UniqueKey};

/// A job with a unique key that was made at this time and keeps others away for five seconds after its end.
fn same(n: u128, kind: &str, name: &str, made: i64) -> Arc<Job> {
    let mut job = job(n, "default", kind, &[]);
    let spec = Arc::get_mut(&mut job.spec).expect("nobody else has it yet");
    spec.created_at = at(made);
    spec.unique = Some(Box::new(Unique { key: key(name), window: Duration::from_secs(5) }));
    Arc::new(job)
}

fn key(name: &str) -> UniqueKey {
    UniqueKey::new(name).expect("a valid key")
}

async fn insert(store: &dyn Store, jobs: Vec<Arc<Job>>) -> Vec<(usize, JobId)> {
    let duplicates = store.insert(jobs).await.expect("new ids");
    duplicates.iter().map(|Duplicate { index, holder }| (*index, holder.id())).collect()
}

async fn holder(store: &dyn Store, name: &str, now: i64) -> Option<JobId> {
    let kind = KindName::new("noop").expect("a valid name");
    store.holder(&kind, &key(name), at(now)).await.expect("an answer").map(|job| job.id())
}

pub(super) async fn keeps_one_of_the_same_work(store: &dyn Store) {
    assert_eq!(holder(store, "a", 1).await, None);
    assert_eq!(insert(store, vec![same(1, "noop", "a", 1)]).await, []);
    assert_eq!(holder(store, "a", 1).await, Some(id(1)));
    assert_eq!(insert(store, vec![same(2, "noop", "a", 2)]).await, [(0, id(1))]);
    assert!(store.get(id(2)).await.expect("an answer").is_none(), "no second one is kept");
    assert_eq!(insert(store, vec![same(3, "email", "a", 3)]).await, [], "the key belongs to the kind");
    let plain = Arc::new(job(4, "default", "noop", &[]));
    let batch = vec![plain, same(5, "noop", "a", 5), same(6, "noop", "b", 5), same(7, "noop", "b", 5)];
    assert_eq!(insert(store, batch).await, [(1, id(1)), (3, id(6))], "the others of the batch are kept");
    let kept: Vec<u128> = super::conformance::all(store).await;
    assert_eq!(kept, [6, 4, 3, 1]);
    let pending = store.counts(&queue("default")).await.expect("an answer").get(StateName::Pending);
    assert_eq!(pending, 4, "what is not kept is not counted");

    // What was not kept for another reason has taken no key.
    let taken = vec![same(8, "noop", "c", 5), same(1, "noop", "d", 5)];
    assert!(store.insert(taken).await.is_err());
    assert_eq!((holder(store, "c", 5).await, holder(store, "d", 5).await), (None, None));
}

pub(super) async fn lets_go_of_a_key(store: &dyn Store) {
    // For a while after it was completed or skipped, at once when it was canceled or given up.
    for (n, ending, until) in [
        (10, completed(), Some(5_020)),
        (20, Ending::Skipped { reason: "no need".into() }, Some(5_020)),
        (30, Ending::Canceled, None),
        (40, failed(false, 0), None),
    ] {
        let name = n.to_string();
        insert(store, vec![same(n, "noop", &name, 1)]).await;
        finish(store, id(n), ending, 20).await;
        let again = |made| insert(store, vec![same(n + 1, "noop", &name, made)]);
        if let Some(until) = until {
            assert_eq!(again(until - 1).await, [(0, id(n))]);
            assert_eq!(holder(store, &name, until - 1).await, Some(id(n)));
            assert_eq!(holder(store, &name, until).await, None);
            assert_eq!(again(until).await, [], "as long ago as the window");
        } else {
            assert_eq!(holder(store, &name, 20).await, None);
            assert_eq!(again(20).await, []);
        }
        assert_eq!(holder(store, &name, 6_000).await, Some(id(n + 1)));
    }
    // An attempt that failed is not an end.
    insert(store, vec![same(50, "noop", "50", 1)]).await;
    finish(store, id(50), failed(true, 9_000), 20).await;
    assert_eq!(insert(store, vec![same(51, "noop", "50", 8_000)]).await, [(0, id(50))]);
    // Nor does the end of a predecessor that is forgotten take the key from its successor.
    store.sweep(at(15_000)).await.expect("an answer");
    assert!(store.get(id(10)).await.expect("an answer").is_none());
    assert_eq!(holder(store, "10", 15_000).await, Some(id(11)));
}

pub(super) async fn takes_a_key_again_on_retry(store: &dyn Store) {
    let retry = |n| store.apply(id(n), Change::Retry { turn: 1 }, at(30));
    insert(store, vec![same(1, "noop", "a", 1)]).await;
    finish(store, id(1), failed(false, 0), 20).await;
    retry(1).await.expect("a dead letter is retried");
    assert_eq!(insert(store, vec![same(2, "noop", "a", 30)]).await, [(0, id(1))], "it has its key again");
    store.apply(id(1), Change::Cancel, at(31)).await.expect("it waits");
    assert_eq!(insert(store, vec![same(3, "noop", "a", 32)]).await, []);
    let refused = retry(1).await;
    assert!(matches!(refused, Err(ApplyError::KeyHeld(holder)) if holder == id(3)), "{refused:?}");
    assert_eq!(state(store, id(1)).await, StateName::Canceled, "nothing was written");
    store.apply(id(3), Change::Cancel, at(33)).await.expect("it waits");
    retry(1).await.expect("the key is free again");
    assert_eq!(holder(store, "a", 33).await, Some(id(1)));
    // A retry that is refused for what the job is takes no key.
    insert(store, vec![same(4, "noop", "b", 1)]).await;
    finish(store, id(4), completed(), 2).await;
    let late: Timestamp = at(6_000);
    assert!(store.apply(id(4), Change::Retry { turn: 1 }, late).await.is_err());
    assert_eq!(insert(store, vec![same(5, "noop", "b", 6_000)]).await, []);
    // Redriven is retried with others.
    let redrive = |n| store.apply(id(n), Change::Redrive { turn: 1 }, late);
    insert(store, vec![same(6, "noop", "c", 1)]).await;
    finish(store, id(6), failed(false, 0), 20).await;
    insert(store, vec![same(7, "noop", "c", 6_000)]).await;
    let refused = redrive(6).await;
    assert!(matches!(refused, Err(ApplyError::KeyHeld(holder)) if holder == id(7)), "{refused:?}");
    store.apply(id(7), Change::Cancel, late).await.expect("it waits");
    redrive(6).await.expect("the key is free again");
    assert_eq!(holder(store, "c", 6_000).await, Some(id(6)));
}

/// The suite keeps finished jobs for ten seconds and three at most; these hold their key for five.
pub(super) async fn forgets_holders_last(store: &dyn Store) {
    let long = |n: u128, made| {
        let mut job = same(n, "noop", &n.to_string(), made);
        let spec = Arc::get_mut(&mut Arc::get_mut(&mut job).expect("alone").spec).expect("alone");
        spec.unique.as_mut().expect("it has one").window = Duration::from_mins(1);
        job
    };
    insert(store, vec![long(1, 0), long(2, 0)]).await;
    finish(store, id(1), completed(), 0).await;
    finish(store, id(2), completed(), 1).await;
    store.sweep(at(59_999)).await.expect("an answer");
    assert_eq!(super::conformance::all(store).await, [2, 1], "longer than others are kept");
    assert_eq!(store.sweep(at(60_000)).await.expect("an answer"), 1);
    assert_eq!(super::conformance::all(store).await, [2]);
    store.sweep(at(60_001)).await.expect("an answer");
    assert_eq!(super::conformance::all(store).await, [0; 0]);

    // A window that is shorter than the retention leaves the job to the retention.
    insert(store, vec![same(3, "noop", "c", 0)]).await;
    finish(store, id(3), completed(), 0).await;
    assert_eq!(store.sweep(at(9_999)).await.expect("an answer"), 0);
    assert_eq!(store.sweep(at(10_000)).await.expect("an answer"), 1);

    // For want of room: first the others, then dead letters, then those whose time is over first.
    let plain = |n| Arc::new(job(n, "default", "noop", &[]));
    insert(store, vec![long(10, 0), same(11, "noop", "x", 0), plain(12), plain(13), plain(14), long(15, 0)])
        .await;
    finish(store, id(10), completed(), 100).await;
    finish(store, id(11), completed(), 101).await;
    for (n, ending, left) in [
        (12, failed(false, 0), [15, 14, 13, 12, 11, 10].as_slice()),
        (13, completed(), &[15, 14, 12, 11, 10]),
        (14, failed(false, 0), &[15, 14, 11, 10]),
        (15, completed(), &[15, 11, 10]),
    ] {
        finish(store, id(n), ending, 100 + i64::try_from(n).expect("a small number")).await;
        assert_eq!(super::conformance::all(store).await, left, "after {n}");
    }
    insert(store, vec![long(16, 0)]).await;
    finish(store, id(16), completed(), 200).await;
    assert_eq!(super::conformance::all(store).await, [16, 15, 10], "its time is over first");
}

/// However many bring the same work at once, it is made once, and everybody is told the same job.
pub(super) async fn makes_one_of_many(store: Arc<dyn Store>) {
    const MANY: u128 = 1_000;
    let inserters: Vec<_> = (1..=MANY)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let duplicates = insert(&*store, vec![same(n, "noop", "a", 1)]).await;
                duplicates.first().map_or(id(n), |(_, holder)| *holder)
            })
        })
        .collect();
    let mut told = std::collections::BTreeSet::new();
    for inserter in inserters {
        told.insert(inserter.await.expect("it does not panic"));
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(super::conformance::all(&*store).await.len(), 1);
}
