//! The queue.

use std::sync::Arc;

use shuttle::future::{block_on, spawn};

use crate::check;
use crate::job::JobId;
use crate::queue::{Consumer as _, MemoryQueue, Queue as _};

fn id(n: u128) -> JobId {
    JobId::from_uuid(uuid::Uuid::from_u128(n))
}

/// Takes everything until the end.
async fn empty(queue: &MemoryQueue) -> Vec<JobId> {
    let mut consumer = queue.consume();
    let mut seen = Vec::new();
    while let Some(delivery) = consumer.next().await {
        seen.push(delivery.id());
        delivery.ack();
    }
    seen
}

pub(crate) fn every_id_arrives_once_and_the_end_is_seen() {
    check(|| {
        block_on(async {
            let queue = Arc::new(MemoryQueue::new(2));
            let producers: Vec<_> = (0..2_u128)
                .map(|producer| {
                    let queue = Arc::clone(&queue);
                    spawn(async move {
                        let mut pushed = Vec::new();
                        for n in 0..3 {
                            let Ok(mut slot) = queue.reserve().await else { break };
                            // One is given back unused, with its turn.
                            slot.turn();
                            if n != 1 {
                                let id = id(producer * 10 + n);
                                slot.push(id);
                                pushed.push(id);
                            }
                        }
                        pushed
                    })
                })
                .collect();
            let consumer = spawn({
                let queue = Arc::clone(&queue);
                async move { empty(&queue).await }
            });
            let closer = spawn({
                let queue = Arc::clone(&queue);
                async move {
                    shuttle::future::yield_now().await;
                    queue.close();
                }
            });
            let mut pushed = Vec::new();
            for producer in producers {
                pushed.extend(producer.await.unwrap());
            }
            closer.await.unwrap();
            let mut seen = consumer.await.unwrap();
            seen.sort();
            pushed.sort();
            assert_eq!(seen, pushed, "what was pushed has arrived, once");
            assert_eq!(queue.depth(), 0, "no slot was leaked");
        });
    });
}

pub(crate) fn who_waits_and_who_only_looks_share_what_comes() {
    check(|| {
        block_on(async {
            let queue = Arc::new(MemoryQueue::new(2));
            let producer = spawn({
                let queue = Arc::clone(&queue);
                async move {
                    for n in 0..4 {
                        queue.reserve().await.unwrap().push(id(n));
                    }
                    queue.close();
                }
            });
            let looker = spawn({
                let queue = Arc::clone(&queue);
                async move {
                    let mut seen = Vec::new();
                    for _ in 0..3 {
                        if let Some(delivery) = queue.try_next() {
                            seen.push(delivery.id());
                            delivery.ack();
                        }
                        shuttle::future::yield_now().await;
                    }
                    seen
                }
            });
            // Whoever waits sees the end, however much the other one has taken from under its eyes.
            let mut seen = empty(&queue).await;
            seen.extend(looker.await.unwrap());
            producer.await.unwrap();
            seen.sort();
            assert_eq!(seen, [id(0), id(1), id(2), id(3)], "each has arrived, once");
        });
    });
}

pub(crate) fn who_waits_for_room_is_woken() {
    check(|| {
        block_on(async {
            let queue = Arc::new(MemoryQueue::new(2));
            let held = queue.reserve().await.unwrap();
            queue.reserve().await.unwrap().push(id(1));
            let many: Vec<_> = (0..2)
                .map(|_| {
                    let queue = Arc::clone(&queue);
                    spawn(async move { queue.reserve_many(2).await.unwrap().len() })
                })
                .collect();
            let dropper = spawn(async move { drop(held) });
            let taker = spawn({
                let queue = Arc::clone(&queue);
                async move {
                    let mut consumer = queue.consume();
                    consumer.next().await.unwrap().ack();
                }
            });
            // A wake-up that was lost would leave somebody waiting when nobody else is left: shuttle calls that a deadlock.
            for waiting in many {
                assert_eq!(waiting.await.unwrap(), 2);
            }
            dropper.await.unwrap();
            taker.await.unwrap();
            assert_eq!(queue.depth(), 0);
        });
    });
}

pub(crate) fn what_was_given_back_is_delivered_again() {
    check(|| {
        block_on(async {
            let queue = Arc::new(MemoryQueue::new(3));
            let consumer = spawn({
                let queue = Arc::clone(&queue);
                async move {
                    let mut consumer = queue.consume();
                    let mut workers = Vec::new();
                    let mut done = 0;
                    // Each of two ids is given back once by whoever got it, while the next one is waited for.
                    for n in 0..4 {
                        let delivery = consumer.next().await.unwrap();
                        if n < 2 {
                            workers.push(spawn(async move { drop(delivery) }));
                        } else {
                            delivery.ack();
                            done += 1;
                        }
                    }
                    for worker in workers {
                        worker.await.unwrap();
                    }
                    done
                }
            });
            for n in 0..2 {
                queue.reserve().await.unwrap().push(id(n));
            }
            assert_eq!(consumer.await.unwrap(), 2);
            assert_eq!(queue.depth(), 0);
        });
    });
}
