//! Room in a queue for jobs that are about to be accepted, and how long it is waited for.

use std::task::Poll;

use super::Jobs;
use super::line::Line;
use super::submit_error::SubmitError;
use crate::queue::{Closed, ReserveManyError, Slot};

impl Jobs {
    pub(super) async fn room_for_one(&self, line: &Line) -> Result<Slot, SubmitError> {
        // There is room most of the time.
        if let Some(slot) = line.queue.try_reserve() {
            return Ok(slot);
        }
        // Once more before a timer is made: it may be closed, or be one that cannot tell at once.
        let mut reserving = line.queue.reserve();
        let reserved = match futures_util::poll!(reserving.as_mut()) {
            Poll::Ready(reserved) => Ok(reserved),
            Poll::Pending if line.enqueue_wait.is_zero() => return Err(self.full(line)),
            // Apart, so that those who need no timer do not carry it.
            Poll::Pending => Box::pin(tokio::time::timeout(line.enqueue_wait, reserving)).await,
        };
        match reserved {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(Closed)) => Err(SubmitError::Draining),
            Err(_) => Err(self.full(line)),
        }
    }

    pub(super) async fn room_for_many(&self, line: &Line, count: usize) -> Result<Vec<Slot>, SubmitError> {
        match tokio::time::timeout(line.enqueue_wait, line.queue.reserve_many(count)).await {
            Ok(Ok(slots)) => Ok(slots),
            Ok(Err(ReserveManyError::Closed)) => Err(SubmitError::Draining),
            Ok(Err(ReserveManyError::TooMany)) | Err(_) => Err(self.full(line)),
        }
    }

    fn full(&self, line: &Line) -> SubmitError {
        SubmitError::QueueFull {
            queue: line.name.clone(),
            capacity: line.queue.capacity(),
            retry_after: self.full_pause(line),
        }
    }
}
