//! What every store must do when jobs are forgotten: by age, by number, on request.

use std::sync::Arc;

use super::conformance::{at, completed, failed, finish, id, ids, insert, job, query, queue, state};
use super::{ApplyError, Filter, Store};
use crate::job::{Change, StateName};

pub(super) async fn forgets_by_age(store: &dyn Store) {
    insert(store, job(1, "default", "noop", &[])).await;
    insert(store, job(2, "default", "noop", &[])).await;
    insert(store, job(3, "default", "noop", &[])).await;
    finish(store, id(1), completed(), 0).await;
    finish(store, id(2), failed(false, 0), 0).await;
    assert_eq!(store.sweep(at(9_999)).await.expect("an answer"), 0);
    assert_eq!(store.sweep(at(10_000)).await.expect("an answer"), 1);
    assert!(store.get(id(1)).await.expect("an answer").is_none(), "its time is up");
    assert_eq!(state(store, id(2)).await, StateName::DeadLettered);
    // A job that was retried in time is not forgotten at the time of its first end.
    store.apply(id(2), Change::Retry { turn: 1 }, at(99_000)).await.expect("a dead letter is retried");
    assert_eq!(store.sweep(at(100_000)).await.expect("an answer"), 0);
    finish(store, id(2), failed(false, 0), 101_000).await;
    assert_eq!(store.sweep(at(200_999)).await.expect("an answer"), 0);
    assert_eq!(store.sweep(at(201_000)).await.expect("an answer"), 1);
    assert_eq!(state(store, id(3)).await, StateName::Pending, "only finished jobs are forgotten");
    assert_eq!(ids(store, query(Filter::default(), None, 9)).await.0, [3]);
}

pub(super) async fn forgets_by_number(store: &dyn Store) {
    for n in 1..=5 {
        insert(store, job(n, "default", "noop", &[])).await;
    }
    finish(store, id(1), failed(false, 0), 1).await;
    for (n, left) in [(2, vec![5, 4, 3, 2, 1]), (3, vec![5, 4, 3, 2, 1]), (4, vec![5, 4, 3, 1])] {
        finish(store, id(n), completed(), i64::try_from(n).expect("a small number")).await;
        assert_eq!(
            ids(store, query(Filter::default(), None, 9)).await.0,
            left,
            "three are kept, dead letters longest"
        );
    }
}

pub(super) async fn removes_what_is_as_expected(store: &dyn Store) {
    let dead = StateName::DeadLettered;
    let remove = async |n, state| store.remove(id(n), state).await.expect("an answer");
    for n in 1..=3 {
        insert(store, job(n, "default", "noop", &[])).await;
    }
    finish(store, id(1), failed(false, 0), 1).await;
    finish(store, id(2), failed(false, 0), 2).await;
    assert!(!remove(9, dead).await, "there is no such job");
    assert!(!remove(3, dead).await, "it is pending");
    assert!(!remove(1, StateName::Completed).await, "it is in another state");
    assert_eq!(ids(store, query(Filter::default(), None, 9)).await.0, [3, 2, 1], "nothing has changed");
    assert!(remove(1, dead).await);
    assert!(!remove(1, dead).await, "once");
    assert!(store.get(id(1)).await.expect("an answer").is_none());
    assert_eq!(ids(store, query(Filter::default(), None, 9)).await.0, [3, 2]);
    let counts = store.counts(&queue("default")).await.expect("an answer");
    assert_eq!((counts.get(dead), counts.get(StateName::Pending)), (1, 1), "what is gone is not counted");
    assert!(matches!(
        store.apply(id(1), Change::Redrive { turn: 1 }, at(3)).await,
        Err(ApplyError::NotFound)
    ));
    // Somebody sent it round in between.
    store.apply(id(2), Change::Redrive { turn: 1 }, at(3)).await.expect("a dead letter is redriven");
    assert!(!remove(2, dead).await);
    assert_eq!(state(store, id(2)).await, StateName::Pending);
    // What was removed takes nobody else's place among those that are kept.
    for n in 11..=13 {
        insert(store, job(n, "default", "noop", &[])).await;
        finish(store, id(n), completed(), 20).await;
    }
    assert_eq!(ids(store, query(Filter::default(), None, 9)).await.0, [13, 12, 11, 3, 2]);
    insert(store, job(1, "default", "noop", &[])).await;
    assert_eq!(state(store, id(1)).await, StateName::Pending, "nothing is left of the first one");
}

/// However many remove the same job at once, one of them is told that it did.
pub(super) async fn one_of_many_removes(store: Arc<dyn Store>) {
    let id = insert(&*store, job(1, "default", "noop", &[])).await;
    finish(&*store, id, failed(false, 0), 1).await;
    let removers: Vec<_> = (0..16)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                if n % 2 == 0 {
                    store.remove(id, StateName::DeadLettered).await.expect("an answer")
                } else {
                    store.apply(id, Change::Redrive { turn: 0 }, at(2)).await.is_ok()
                }
            })
        })
        .collect();
    let mut winners = 0;
    for remover in removers {
        winners += usize::from(remover.await.expect("it does not panic"));
    }
    assert_eq!(winners, 1);
}
