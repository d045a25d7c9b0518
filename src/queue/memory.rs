//! A queue in the memory of this process: one bounded tokio channel.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use super::{Closed, Consumer, Delivery, Queue, Receipt, ReserveManyError, Room, Slot};
use crate::job::JobId;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// A bounded queue that lives and dies with the process.
pub struct MemoryQueue {
    sender: mpsc::Sender<JobId>,
    shared: Arc<Shared>,
}

struct Shared {
    capacity: usize,
    /// Held for a poll or a look, never while somebody waits; but for the moment in which a sender that has begun ends.
    receiver: Mutex<mpsc::Receiver<JobId>>,
    /// Whose turn it is to wait at the receiver, which wakes only who asked last. It outlives its consumer, so that a
    /// dispatcher that died can be replaced.
    waits: Arc<AsyncMutex<()>>,
    closed: CancellationToken,
    /// Turns given out so far.
    given: AtomicU64,
    /// Turns that are no longer in front of anybody: received, or dropped unused.
    gone: AtomicU64,
    /// Ids that were received and given back. They go out again before all others.
    returned: Mutex<VecDeque<JobId>>,
    returned_some: Notify,
    /// How many wait for room for many, and what wakes them.
    many_wait: AtomicUsize,
    room_freed: Notify,
}

impl Shared {
    fn receiver(&self) -> MutexGuard<'_, mpsc::Receiver<JobId>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An id was received: it is in front of nobody, and its place is free.
    fn received(self: &Arc<Self>, id: JobId) -> Delivery {
        self.gone.fetch_add(1, Ordering::Relaxed);
        self.freed();
        self.deliver(id)
    }

    /// What was given back, if something was.
    fn returned(self: &Arc<Self>) -> Option<Delivery> {
        let id = self.returned.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
        Some(self.deliver(id))
    }

    fn deliver(self: &Arc<Self>, id: JobId) -> Delivery {
        let receipt: Arc<Self> = Arc::clone(self);
        Delivery::new(id, receipt)
    }

    /// A place has become free.
    fn freed(&self) {
        if self.many_wait.load(Ordering::SeqCst) > 0 {
            self.room_freed.notify_waiters();
        }
    }
}

/// Somebody who waits for room for many.
struct Waiting<'a>(&'a Shared);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.many_wait.fetch_sub(1, Ordering::SeqCst);
    }
}

impl MemoryQueue {
    /// A queue with room for `capacity` ids (1 or more).
    ///
    /// # Panics
    ///
    /// When `capacity` is 0 or beyond tokio's limit for channels.
    pub fn new(capacity: usize) -> Self {
        let (sender, receiver) = mpsc::channel(capacity);
        let shared = Arc::new(Shared {
            capacity,
            receiver: Mutex::new(receiver),
            waits: Arc::default(),
            closed: CancellationToken::new(),
            given: AtomicU64::new(0),
            gone: AtomicU64::new(0),
            returned: Mutex::default(),
            returned_some: Notify::new(),
            many_wait: AtomicUsize::new(0),
            room_freed: Notify::new(),
        });
        Self { sender, shared }
    }

    fn try_reserve_many(&self, count: usize) -> Option<Vec<Slot>> {
        if self.sender.capacity() < count {
            return None;
        }
        let permits: Result<Vec<_>, _> =
            (0..count).map(|_| self.sender.clone().try_reserve_owned()).collect();
        let Ok(permits) = permits else {
            // What had been got was given back, perhaps from under the eyes of another one.
            self.shared.freed();
            return None;
        };
        Some(permits.into_iter().map(|permit| self.slot(permit)).collect())
    }

    fn slot(&self, permit: OwnedPermit<JobId>) -> Slot {
        Slot::new(Box::new(MemoryRoom { permit: Some(permit), turn: None, shared: Arc::clone(&self.shared) }))
    }
}

impl Queue for MemoryQueue {
    fn reserve(&self) -> BoxFuture<'_, Result<Slot, Closed>> {
        async move {
            if let Some(slot) = self.try_reserve() {
                return Ok(slot);
            }
            let permit = tokio::select! {
                biased;
                () = self.shared.closed.cancelled() => return Err(Closed),
                permit = self.sender.clone().reserve_owned() => permit.map_err(|_| Closed)?,
            };
            Ok(self.slot(permit))
        }
        .boxed()
    }

    fn try_reserve(&self) -> Option<Slot> {
        if self.shared.closed.is_cancelled() {
            return None;
        }
        self.sender.clone().try_reserve_owned().ok().map(|permit| self.slot(permit))
    }

    fn reserve_many(&self, count: usize) -> BoxFuture<'_, Result<Vec<Slot>, ReserveManyError>> {
        async move {
            if self.shared.closed.is_cancelled() {
                return Err(ReserveManyError::Closed);
            }
            if count > self.shared.capacity {
                return Err(ReserveManyError::TooMany);
            }
            // All at once or nothing: who held a part of the room and waited for the rest would keep everybody else out.
            self.shared.many_wait.fetch_add(1, Ordering::SeqCst);
            let _waiting = Waiting(&self.shared);
            loop {
                let freed = self.shared.room_freed.notified();
                let mut freed = std::pin::pin!(freed);
                freed.as_mut().enable();
                if let Some(slots) = self.try_reserve_many(count) {
                    return Ok(slots);
                }
                tokio::select! {
                    biased;
                    () = self.shared.closed.cancelled() => return Err(ReserveManyError::Closed),
                    () = freed => {}
                }
            }
        }
        .boxed()
    }

    fn consume(&self) -> Box<dyn Consumer> {
        Box::new(MemoryConsumer { shared: Arc::clone(&self.shared), turn: None })
    }

    fn try_next(&self) -> Option<Delivery> {
        if let Some(delivery) = self.shared.returned() {
            return Some(delivery);
        }
        // Not in one expression: the receiver would be held while others are woken.
        let id = self.shared.receiver().try_recv().ok()?;
        Some(self.shared.received(id))
    }

    fn close(&self) {
        self.shared.closed.cancel();
    }

    fn capacity(&self) -> usize {
        self.shared.capacity
    }

    fn depth(&self) -> usize {
        let returned = self.shared.returned.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.shared.capacity - self.sender.capacity() + returned
    }

    fn ahead(&self, turn: u64) -> Option<u64> {
        Some(turn.saturating_sub(self.shared.gone.load(Ordering::Relaxed)))
    }
}

struct MemoryRoom {
    permit: Option<OwnedPermit<JobId>>,
    turn: Option<u64>,
    shared: Arc<Shared>,
}

impl Room for MemoryRoom {
    fn turn(&mut self) -> u64 {
        *self.turn.get_or_insert_with(|| self.shared.given.fetch_add(1, Ordering::Relaxed))
    }

    fn push(mut self: Box<Self>, id: JobId) {
        // What is received counts as gone, so that it must have had a turn.
        self.turn();
        if let Some(permit) = self.permit.take() {
            permit.send(id);
        }
    }
}

impl Drop for MemoryRoom {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        if let Some(turn) = self.turn {
            // The last turn is simply taken back. An earlier one counts as gone, which is one too many for those in
            // front of it until it would have been its turn.
            let taken_back =
                self.shared.given.compare_exchange(turn + 1, turn, Ordering::Relaxed, Ordering::Relaxed);
            if taken_back.is_err() {
                self.shared.gone.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(permit);
        self.shared.freed();
    }
}

struct MemoryConsumer {
    shared: Arc<Shared>,
    /// Held from the first wait on.
    turn: Option<OwnedMutexGuard<()>>,
}

impl Consumer for MemoryConsumer {
    fn next(&mut self) -> BoxFuture<'_, Option<Delivery>> {
        async move {
            let shared = &self.shared;
            if self.turn.is_none() {
                self.turn = Some(Arc::clone(&shared.waits).lock_owned().await);
            }
            loop {
                if let Some(delivery) = shared.returned() {
                    return Some(delivery);
                }
                let is_closed = shared.closed.is_cancelled();
                if is_closed {
                    // Slots that were given out can still be used: the channel ends when the last one is gone.
                    shared.receiver().close();
                }
                let received = tokio::select! {
                    biased;
                    id = poll_fn(|cx| shared.receiver().poll_recv(cx)) => id,
                    () = shared.closed.cancelled(), if !is_closed => continue,
                    () = shared.returned_some.notified() => continue,
                };
                return match received {
                    Some(id) => Some(shared.received(id)),
                    None => shared.returned(),
                };
            }
        }
        .boxed()
    }
}

impl Receipt for Shared {
    fn ack(&self, _: JobId) {}

    fn release(&self, id: JobId) {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).push_back(id);
        self.returned_some.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_given_back_goes_out_first() {
        let queue = MemoryQueue::new(3);
        let id = |n| JobId::from_uuid(uuid::Uuid::from_u128(n));
        for n in 1..=3 {
            queue.reserve().await.unwrap().push(id(n));
        }
        drop(queue.try_next().unwrap());
        assert_eq!(queue.depth(), 3);
        drop(queue.consume().next().await.unwrap());
        for n in 1..=3 {
            let delivery = queue.try_next().unwrap();
            assert_eq!(delivery.id(), id(n));
            delivery.ack();
        }
    }

    #[tokio::test]
    async fn conforms() {
        super::super::conformance::check(|capacity| Box::new(MemoryQueue::new(capacity))).await;
        assert!(MemoryQueue::new(1).try_reserve().is_some(), "it can tell");
    }
}
