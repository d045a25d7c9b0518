//! Where the ids of jobs wait for a worker: the first of the two seams behind which a backend can be exchanged.
//!
//! A queue holds ids, not jobs. What is known of a job stands in the store, so that an id which surfaces here may
//! belong to a job that has been canceled meanwhile; whoever takes it asks the store.

mod memory;

pub mod conformance;

pub use memory::MemoryQueue;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::job::JobId;

/// A named waiting line with a bound.
pub trait Queue: Send + Sync + 'static {
    /// Waits for room for one id.
    ///
    /// # Errors
    ///
    /// When the queue is closed, or will be while waiting.
    ///
    /// # Cancel safety
    ///
    /// Safe: a wait that is dropped gives up its place, and the room if it had got it.
    fn reserve(&self) -> BoxFuture<'_, Result<Slot, Closed>>;

    /// Room for one id, if there is some at this very moment. Default: a backend that cannot tell says that there is none.
    fn try_reserve(&self) -> Option<Slot> {
        None
    }

    /// Waits for room for `count` ids at once: all or none.
    ///
    /// # Errors
    ///
    /// When the queue is closed, or when it could never hold so many.
    fn reserve_many(&self, count: usize) -> BoxFuture<'_, Result<Vec<Slot>, ReserveManyError>>;

    /// Takes part in emptying the queue. What several consumers receive is disjoint.
    fn consume(&self) -> Box<dyn Consumer>;

    /// The next id, if there is one at this very moment, whoever else waits for it. Unlike a [`Consumer::next`] that is
    /// polled and dropped, it leaves nothing behind that would be woken. Default: a backend that cannot tell says that there
    /// is none.
    fn try_next(&self) -> Option<Delivery> {
        None
    }

    /// Refuses further reservations; slots that were given out can still be used. Consumers receive what is left and
    /// then the end.
    fn close(&self);

    /// How many ids can wait.
    fn capacity(&self) -> usize;

    /// How many ids wait or have a slot.
    fn depth(&self) -> usize;

    /// How many ids are in front of this turn; none when the backend cannot tell.
    fn ahead(&self, turn: u64) -> Option<u64>;
}

/// The receiving end of a queue.
pub trait Consumer: Send {
    /// Waits for the next id; `None` when the queue is closed and empty.
    ///
    /// # Cancel safety
    ///
    /// Safe: an id that was received is never lost in a wait that is dropped.
    fn next(&mut self) -> BoxFuture<'_, Option<Delivery>>;
}

/// The queue takes no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the queue is closed")]
pub struct Closed;

/// Why there is no room for many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReserveManyError {
    /// The queue takes no more.
    #[error("the queue is closed")]
    Closed,
    /// The queue could never hold so many.
    #[error("the queue holds fewer")]
    TooMany,
}

/// Room for one id. Dropping it gives the room back.
#[must_use = "dropping a slot gives the room back"]
pub struct Slot(Box<dyn Room>);

/// What a backend does with a slot: pushing uses it up, dropping gives it back.
pub trait Room: Send {
    /// The place in the order of the queue: settled when it is first asked for, so that room which is given back without
    /// that was never in front of anybody.
    fn turn(&mut self) -> u64;
    /// Puts the id into the queue.
    fn push(self: Box<Self>, id: JobId);
}

impl Slot {
    /// A slot of a backend.
    pub fn new(room: Box<dyn Room>) -> Self {
        Self(room)
    }

    /// The place in the order of the queue. Ask for it right before the push.
    pub fn turn(&mut self) -> u64 {
        self.0.turn()
    }

    /// Puts an id into the room.
    pub fn push(self, id: JobId) {
        self.0.push(id);
    }
}

/// An id that a consumer has received. Dropping it without [`Delivery::ack`] gives it back to the queue.
#[must_use = "a delivery that is dropped is delivered again"]
pub struct Delivery {
    id: JobId,
    receipt: Option<Arc<dyn Receipt>>,
}

/// What a backend does when a delivery is done with. One that can do with the id alone gives out the same receipt for all.
pub trait Receipt: Send + Sync {
    /// The id needs no worker any more.
    fn ack(&self, id: JobId);
    /// The id needs another worker.
    fn release(&self, id: JobId);
}

impl Delivery {
    /// A delivery of a backend.
    pub fn new(id: JobId, receipt: Arc<dyn Receipt>) -> Self {
        Self { id, receipt: Some(receipt) }
    }

    /// The id that was received.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// The id needs no worker any more.
    pub fn ack(mut self) {
        if let Some(receipt) = self.receipt.take() {
            receipt.ack(self.id);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(receipt) = self.receipt.take() {
            receipt.release(self.id);
        }
    }
}
