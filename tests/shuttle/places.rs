//! The places of a queue and its pause, changed while jobs begin and end.

use std::sync::Arc;

use shuttle::future::{block_on, spawn};
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::check;
use crate::gate::{job, service};
use crate::job::JobId;
use crate::jobs::places::Places;
use crate::jobs::{Jobs, Patch, QueuePatch, Step};

pub(crate) fn no_more_are_taken_than_there_are() {
    check(|| {
        let places = Arc::new(Places::new(2));
        let (now, most, shrunk) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        let seen = Arc::new((now, most, shrunk));
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let (places, seen) = (Arc::clone(&places), Arc::clone(&seen));
                shuttle::thread::spawn(move || {
                    for _ in 0..2 {
                        let after = seen.2.load(Ordering::SeqCst);
                        let Some(place) = places.try_take() else { continue };
                        let now = seen.0.fetch_add(1, Ordering::SeqCst) + 1;
                        seen.1.fetch_max(now, Ordering::SeqCst);
                        // Whoever asked when there was only one, and none was taken then, is alone.
                        assert!(now <= if after { 1 } else { 2 }, "{now} at once");
                        seen.0.fetch_sub(1, Ordering::SeqCst);
                        drop(place);
                    }
                })
            })
            .collect();
        places.set_limit(1);
        if seen.0.load(Ordering::SeqCst) == 0 && places.try_take().is_some() {
            seen.2.store(true, Ordering::SeqCst);
        }
        for taker in takers {
            taker.join().unwrap();
        }
        assert!(places.try_take().is_some(), "all were given back");
        places.set_limit(2);
        let (one, two) = (places.try_take(), places.try_take());
        assert!(one.is_some() && two.is_some() && places.try_take().is_none());
    });
}

pub(crate) fn everybody_gets_a_place_in_the_end() {
    check(|| {
        block_on(async {
            let places = Arc::new(Places::new(1));
            let takers: Vec<_> = (0..3)
                .map(|_| {
                    let places = Arc::clone(&places);
                    // There is no other end to this wait: a wake-up that is lost is a deadlock.
                    spawn(async move { drop(places.take().await) })
                })
                .collect();
            let mover = spawn({
                let places = Arc::clone(&places);
                async move {
                    for limit in [2, 1, 3] {
                        places.set_limit(limit);
                    }
                }
            });
            for taker in takers {
                taker.await.unwrap();
            }
            mover.await.unwrap();
            let all: Vec<_> = std::iter::from_fn(|| places.try_take()).collect();
            assert_eq!(all.len(), 3, "all were given back");
        });
    });
}

async fn posted_after_a_pause(jobs: &Jobs) -> JobId {
    let pause = QueuePatch { paused: Patch::To(true), ..QueuePatch::default() };
    jobs.patch_queue("default", &pause).await.unwrap();
    jobs.submit(job()).await.unwrap().id()
}

pub(crate) fn what_comes_after_a_pause_does_not_begin() {
    check(|| {
        block_on(async {
            let jobs = service(4);
            let worker = spawn({
                let jobs = jobs.clone();
                async move {
                    let line = jobs.lines().next().unwrap();
                    let mut consumer = line.queue.consume();
                    let delivery = consumer.next().await.unwrap();
                    // As the dispatcher: one look, with the job in hand.
                    let begins = line.flow.is_free() || line.flow.step(delivery.id()) == Step::Go;
                    (delivery.id(), begins)
                }
            });
            let id = posted_after_a_pause(&jobs).await;
            assert_eq!(worker.await.unwrap(), (id, false), "posted after the pause, and begun");
            jobs.resume_queue("default").await.unwrap();
            assert!(jobs.lines().all(|line| line.flow.is_free()));
        });
    });
}

/// As an attempt that is over, and goes on with what waits.
pub(crate) fn what_comes_after_a_pause_is_not_taken_at_once() {
    check(|| {
        block_on(async {
            let jobs = service(4);
            let worker = spawn({
                let jobs = jobs.clone();
                async move {
                    let line = jobs.lines().next().unwrap();
                    for _ in 0..2 {
                        assert!(line.next_at_once().is_none(), "posted after the pause, and begun");
                        shuttle::future::yield_now().await;
                    }
                }
            });
            let id = posted_after_a_pause(&jobs).await;
            worker.await.unwrap();
            jobs.resume_queue("default").await.unwrap();
            let line = jobs.lines().next().unwrap();
            assert_eq!(
                line.next_at_once().map(|delivery| delivery.id()),
                Some(id),
                "given back, if it was taken"
            );
        });
    });
}
