//! What every queue must do. A backend is a queue when it passes [`check`].

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::{Closed, Consumer, Queue, ReserveManyError};
use crate::job::JobId;

/// The longest that a step of the suite may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the whole suite; `make` builds an empty queue of the given capacity.
///
/// # Panics
///
/// When the queue does not do what it must.
pub async fn check(make: impl Fn(usize) -> Box<dyn Queue>) {
    keeps_the_order(&*make(10)).await;
    is_bounded(&*make(2)).await;
    gives_back_dropped_slots(&*make(1)).await;
    wakes_who_waits_for_room(&*make(1)).await;
    reserves_many_or_none(&*make(3)).await;
    waits_for_many_without_holding_any(&*make(3)).await;
    delivers_again_what_was_not_acked(&*make(3)).await;
    loses_nothing_in_a_dropped_wait(&*make(3)).await;
    can_be_asked_without_waiting(&*make(3)).await;
    wakes_who_waits_although_others_ask(&*make(3)).await;
    can_be_asked_for_room_without_waiting(&*make(2)).await;
    survives_its_consumer(&*make(3)).await;
    closes_in_order(&*make(3)).await;
    closing_wakes_everybody(&*make(1)).await;
    counts_who_is_in_front(&*make(5)).await;
}

fn id(n: u128) -> JobId {
    JobId::from_uuid(uuid::Uuid::from_u128(n))
}

async fn in_time<T>(step: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{step} takes too long"))
}

/// Whether a future is still waiting after it was asked once.
async fn waits<F: Future>(future: &mut std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

async fn push(queue: &dyn Queue, n: u128) {
    in_time("room", queue.reserve()).await.expect("the queue is open").push(id(n));
}

async fn take(consumer: &mut dyn Consumer) -> JobId {
    let delivery = in_time("the next id", consumer.next()).await.expect("the queue is not at its end");
    let id = delivery.id();
    delivery.ack();
    id
}

async fn keeps_the_order(queue: &dyn Queue) {
    for n in 0..10 {
        push(queue, n).await;
    }
    let mut consumer = queue.consume();
    for n in 0..10 {
        assert_eq!(take(&mut *consumer).await, id(n), "first in, first out");
    }
}

async fn is_bounded(queue: &dyn Queue) {
    assert_eq!(queue.capacity(), 2);
    push(queue, 1).await;
    assert_eq!(queue.depth(), 1);
    let slot = in_time("the last room", queue.reserve()).await.expect("there is room for two");
    assert_eq!(queue.depth(), 2, "a slot counts as soon as it is given out");
    assert!(waits(&mut pin!(queue.reserve())).await, "a third one must wait");
    slot.push(id(2));
    assert!(waits(&mut pin!(queue.reserve())).await, "a third one must wait");
    assert_eq!(take(&mut *queue.consume()).await, id(1));
    assert_eq!(queue.depth(), 1);
    push(queue, 3).await;
}

/// Asking without waiting may find nothing although there is something, but takes nothing twice and loses nothing.
async fn can_be_asked_without_waiting(queue: &dyn Queue) {
    let mut consumer = queue.consume();
    assert!(queue.try_next().is_none());
    for n in 1..=3 {
        push(queue, n).await;
    }
    let mut seen = vec![take(&mut *consumer).await];
    match queue.try_next() {
        Some(delivery) => {
            seen.push(delivery.id());
            delivery.ack();
        }
        None => seen.push(take(&mut *consumer).await),
    }
    // What is given back is found by whoever asks next.
    if let Some(delivery) = queue.try_next() {
        assert_eq!(delivery.id(), id(3));
        drop(delivery);
    }
    seen.push(take(&mut *consumer).await);
    assert_eq!(seen, [id(1), id(2), id(3)]);
    assert!(queue.try_next().is_none());
}

/// Whoever waits for an id is not kept waiting by others who ask without waiting.
async fn wakes_who_waits_although_others_ask(queue: &dyn Queue) {
    let mut consumer = queue.consume();
    let mut waiting = pin!(consumer.next());
    assert!(waits(&mut waiting).await);
    assert!(queue.try_next().is_none());
    push(queue, 1).await;
    if let Some(delivery) = queue.try_next() {
        delivery.ack();
        assert!(waits(&mut waiting).await, "it was taken by another one");
        push(queue, 2).await;
    }
    in_time("the next id", waiting).await.expect("the queue is not at its end").ack();
}

async fn gives_back_dropped_slots(queue: &dyn Queue) {
    for _ in 0..3 {
        drop(in_time("room", queue.reserve()).await.expect("the room was given back"));
    }
    assert_eq!(queue.depth(), 0);
}

async fn wakes_who_waits_for_room(queue: &dyn Queue) {
    push(queue, 1).await;
    let mut waiting = pin!(queue.reserve());
    assert!(waits(&mut waiting).await);
    let mut consumer = queue.consume();
    assert_eq!(take(&mut *consumer).await, id(1));
    in_time("the wake-up", waiting).await.expect("there is room again").push(id(2));
    assert_eq!(take(&mut *consumer).await, id(2));
}

async fn reserves_many_or_none(queue: &dyn Queue) {
    assert_eq!(queue.reserve_many(4).await.err(), Some(ReserveManyError::TooMany));
    push(queue, 1).await;
    {
        let mut waiting = pin!(queue.reserve_many(3));
        assert!(waits(&mut waiting).await, "there is room for two only");
    }
    assert_eq!(queue.depth(), 1, "who gives up keeps nothing");
    let slots = in_time("two slots", queue.reserve_many(2)).await.expect("there is room for two");
    for (slot, n) in slots.into_iter().zip(2..) {
        slot.push(id(n));
    }
    let mut consumer = queue.consume();
    for n in 1..=3 {
        assert_eq!(take(&mut *consumer).await, id(n));
    }
}

/// Who waits for room for many holds none of it meanwhile, and is told when there is enough.
async fn waits_for_many_without_holding_any(queue: &dyn Queue) {
    push(queue, 1).await;
    let mut waiting = pin!(queue.reserve_many(3));
    assert!(waits(&mut waiting).await);
    push(queue, 2).await;
    push(queue, 3).await;
    let mut consumer = queue.consume();
    for n in 1..=3 {
        assert!(waits(&mut waiting).await, "there is no room for three yet");
        assert_eq!(take(&mut *consumer).await, id(n));
    }
    let slots = in_time("the wake-up", waiting).await.expect("there is room for three");
    assert_eq!(slots.len(), 3);
    let mut waiting = pin!(queue.reserve_many(1));
    assert!(waits(&mut waiting).await);
    drop(slots);
    in_time("the wake-up", waiting).await.expect("room was given back");
}

async fn delivers_again_what_was_not_acked(queue: &dyn Queue) {
    push(queue, 1).await;
    push(queue, 2).await;
    let mut consumer = queue.consume();
    let delivery = in_time("the first", consumer.next()).await.expect("there are two");
    assert_eq!(delivery.id(), id(1));
    drop(delivery);
    let mut seen = [take(&mut *consumer).await, take(&mut *consumer).await];
    seen.sort();
    assert_eq!(seen, [id(1), id(2)]);

    push(queue, 3).await;
    let delivery = in_time("the third", consumer.next()).await.expect("there is one");
    let mut waiting = pin!(consumer.next());
    assert!(waits(&mut waiting).await, "an id that is being worked on is nobody else's");
    drop(delivery);
    let again = in_time("the wake-up", waiting).await.expect("it was given back");
    assert_eq!(again.id(), id(3));
    again.ack();
}

async fn loses_nothing_in_a_dropped_wait(queue: &dyn Queue) {
    let mut consumer = queue.consume();
    {
        let mut waiting = pin!(consumer.next());
        assert!(waits(&mut waiting).await);
        push(queue, 1).await;
    }
    assert_eq!(take(&mut *consumer).await, id(1));
}

/// A queue that cannot tell says that there is no room; what it gives is as good as any other slot.
async fn can_be_asked_for_room_without_waiting(queue: &dyn Queue) {
    let Some(slot) = queue.try_reserve() else { return };
    assert_eq!(queue.depth(), 1, "such a slot counts as well");
    drop(slot);
    push(queue, 1).await;
    queue.try_reserve().expect("one is left").push(id(2));
    assert!(queue.try_reserve().is_none(), "there is no room for three");
    let mut consumer = queue.consume();
    assert_eq!(take(&mut *consumer).await, id(1));
    assert_eq!(take(&mut *consumer).await, id(2));
    queue.close();
    assert!(queue.try_reserve().is_none(), "a closed queue takes no more");
}

async fn survives_its_consumer(queue: &dyn Queue) {
    push(queue, 1).await;
    push(queue, 2).await;
    let mut consumer = queue.consume();
    assert_eq!(take(&mut *consumer).await, id(1));
    drop(consumer);
    assert_eq!(take(&mut *queue.consume()).await, id(2));
}

async fn closes_in_order(queue: &dyn Queue) {
    push(queue, 1).await;
    let slot = in_time("room", queue.reserve()).await.expect("the queue is open");
    queue.close();
    assert_eq!(queue.reserve().await.err(), Some(Closed));
    assert_eq!(queue.reserve_many(1).await.err(), Some(ReserveManyError::Closed));
    let mut consumer = queue.consume();
    assert_eq!(take(&mut *consumer).await, id(1), "what waits is still delivered");
    {
        let mut waiting = pin!(consumer.next());
        assert!(waits(&mut waiting).await, "a slot that was given out can still be used");
        slot.push(id(2));
        let delivery = in_time("the last id", waiting).await.expect("it was pushed");
        assert_eq!(delivery.id(), id(2));
        delivery.ack();
    }
    assert!(in_time("the end", consumer.next()).await.is_none());
    assert!(in_time("the end", consumer.next()).await.is_none(), "the end is the end");
}

async fn closing_wakes_everybody(queue: &dyn Queue) {
    let mut consumer = queue.consume();
    let mut receiving = pin!(consumer.next());
    assert!(waits(&mut receiving).await);
    let slot = in_time("room", queue.reserve()).await.expect("the queue is open");
    let mut reserving = pin!(queue.reserve());
    assert!(waits(&mut reserving).await);
    queue.close();
    assert_eq!(in_time("the refusal", reserving).await.err(), Some(Closed));
    drop(slot);
    assert!(in_time("the end", receiving).await.is_none());
}

async fn counts_who_is_in_front(queue: &dyn Queue) {
    let mut turns = Vec::new();
    for n in 0..3 {
        let mut slot = in_time("room", queue.reserve()).await.expect("the queue is open");
        turns.push(slot.turn());
        slot.push(id(n));
    }
    if turns.iter().any(|turn| queue.ahead(*turn).is_none()) {
        return; // This backend cannot tell, which is allowed.
    }
    let ahead = || turns.iter().map(|turn| queue.ahead(*turn).unwrap_or(u64::MAX)).collect::<Vec<_>>();
    assert_eq!(ahead(), [0, 1, 2]);
    drop(in_time("room", queue.reserve()).await.expect("the queue is open"));
    let mut slot = in_time("room", queue.reserve()).await.expect("the queue is open");
    slot.turn();
    drop(slot);
    assert_eq!(ahead(), [0, 1, 2], "a slot that was given back was in front of nobody");
    let mut consumer = queue.consume();
    take(&mut *consumer).await;
    assert_eq!(ahead(), [0, 0, 1]);
    drop(in_time("room", queue.reserve()).await.expect("the queue is open"));
    let mut last = in_time("room", queue.reserve()).await.expect("the queue is open");
    assert_eq!(queue.ahead(last.turn()), Some(2), "a slot that was given back is not in front of anybody");
}
