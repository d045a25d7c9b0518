//! A queue in the memory of this process: one bounded tokio channel.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use super::{Closed, Consumer, Delivery, Queue, Receipt, ReserveManyError, Room, Slot};
use crate::job::JobId;

/// A bounded queue that lives and dies with the process.
pub struct MemoryQueue {
    sender: mpsc::Sender<JobId>,
    shared: Arc<Shared>,
}

struct Shared {
    capacity: usize,
    /// The receiving end outlives its consumer, so that a dispatcher that died can be replaced.
    receiver: Arc<AsyncMutex<mpsc::Receiver<JobId>>>,
    closed: CancellationToken,
    /// Turns given out so far.
    given: AtomicU64,
    /// Turns that are no longer in front of anybody: received, or dropped unused.
    gone: AtomicU64,
    /// Ids that were received and given back. They go out again before all others.
    returned: Mutex<VecDeque<JobId>>,
    returned_some: Notify,
    /// Held by the one who gathers room for many.
    many: AsyncMutex<()>,
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
            receiver: Arc::new(AsyncMutex::new(receiver)),
            closed: CancellationToken::new(),
            given: AtomicU64::new(0),
            gone: AtomicU64::new(0),
            returned: Mutex::default(),
            returned_some: Notify::new(),
            many: AsyncMutex::default(),
        });
        Self { sender, shared }
    }

    fn slot(&self, permit: OwnedPermit<JobId>) -> Slot {
        Slot::new(Box::new(MemoryRoom {
            permit: Some(permit),
            turn: None,
            shared: Arc::clone(&self.shared),
        }))
    }
}

impl Queue for MemoryQueue {
    fn reserve(&self) -> BoxFuture<'_, Result<Slot, Closed>> {
        async move {
            if self.shared.closed.is_cancelled() {
                return Err(Closed);
            }
            let permit = match self.sender.clone().try_reserve_owned() {
                Ok(permit) => permit,
                Err(mpsc::error::TrySendError::Closed(_)) => return Err(Closed),
                Err(mpsc::error::TrySendError::Full(sender)) => tokio::select! {
                    biased;
                    () = self.shared.closed.cancelled() => return Err(Closed),
                    permit = sender.reserve_owned() => permit.map_err(|_| Closed)?,
                },
            };
            Ok(self.slot(permit))
        }
        .boxed()
    }

    fn reserve_many(&self, count: usize) -> BoxFuture<'_, Result<Vec<Slot>, ReserveManyError>> {
        async move {
            if self.shared.closed.is_cancelled() {
                return Err(ReserveManyError::Closed);
            }
            if count > self.shared.capacity {
                return Err(ReserveManyError::TooMany);
            }
            // One at a time: two that each hold half of the room would wait for each other.
            let _many = self.shared.many.lock().await;
            let mut slots = Vec::with_capacity(count);
            for _ in 0..count {
                slots.push(self.reserve().await.map_err(|Closed| ReserveManyError::Closed)?);
            }
            Ok(slots)
        }
        .boxed()
    }

    fn consume(&self) -> Box<dyn Consumer> {
        Box::new(MemoryConsumer {
            shared: Arc::clone(&self.shared),
            receiver: None,
        })
    }

    fn close(&self) {
        self.shared.closed.cancel();
    }

    fn capacity(&self) -> usize {
        self.shared.capacity
    }

    fn depth(&self) -> usize {
        let returned = self
            .shared
            .returned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len();
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
        *self
            .turn
            .get_or_insert_with(|| self.shared.given.fetch_add(1, Ordering::Relaxed))
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
        let (Some(_), Some(turn)) = (&self.permit, self.turn) else {
            return;
        };
        // The last turn is simply taken back. An earlier one counts as gone, which is one too many for those in front
        // of it until it would have been its turn.
        let given = &self.shared.given;
        if given
            .compare_exchange(turn + 1, turn, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            self.shared.gone.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct MemoryConsumer {
    shared: Arc<Shared>,
    /// Held from the first wait on, so that the order of one consumer is the order of the queue.
    receiver: Option<OwnedMutexGuard<mpsc::Receiver<JobId>>>,
}

impl MemoryConsumer {
    fn deliver(&self, id: JobId) -> Delivery {
        Delivery::new(id, Box::new(MemoryReceipt(Arc::clone(&self.shared))))
    }

    fn returned(&self) -> Option<Delivery> {
        let id = self
            .shared
            .returned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()?;
        Some(self.deliver(id))
    }
}

impl Consumer for MemoryConsumer {
    fn next(&mut self) -> BoxFuture<'_, Option<Delivery>> {
        async move {
            let shared = Arc::clone(&self.shared);
            if self.receiver.is_none() {
                self.receiver = Some(Arc::clone(&shared.receiver).lock_owned().await);
            }
            loop {
                if let Some(delivery) = self.returned() {
                    return Some(delivery);
                }
                let receiver = self.receiver.as_mut()?;
                if shared.closed.is_cancelled() {
                    // Slots that were given out can still be used: the channel ends when the last one is gone.
                    receiver.close();
                }
                let received = match receiver.try_recv() {
                    Ok(id) => Some(id),
                    Err(mpsc::error::TryRecvError::Empty) => tokio::select! {
                        biased;
                        id = receiver.recv() => id,
                        () = shared.closed.cancelled(), if !receiver.is_closed() => continue,
                        () = shared.returned_some.notified() => continue,
                    },
                    Err(mpsc::error::TryRecvError::Disconnected) => None,
                };
                return match received {
                    Some(id) => {
                        shared.gone.fetch_add(1, Ordering::Relaxed);
                        Some(self.deliver(id))
                    }
                    None => self.returned(),
                };
            }
        }
        .boxed()
    }

    fn try_next(&mut self) -> Option<Delivery> {
        if let Some(delivery) = self.returned() {
            return Some(delivery);
        }
        let id = self.receiver.as_mut()?.try_recv().ok()?;
        self.shared.gone.fetch_add(1, Ordering::Relaxed);
        Some(self.deliver(id))
    }
}

struct MemoryReceipt(Arc<Shared>);

impl Receipt for MemoryReceipt {
    fn ack(self: Box<Self>, _: JobId) {}

    fn release(self: Box<Self>, id: JobId) {
        self.0
            .returned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(id);
        self.0.returned_some.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn conforms() {
        super::super::conformance::check(|capacity| Box::new(MemoryQueue::new(capacity))).await;
    }
}
