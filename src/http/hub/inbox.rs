//! What the client has said and its session has not taken yet.

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::protocol::{Records, TooLong};

/// The end of the inbox from which its session reads, one message at a time.
pub(super) struct Inbox {
    chunks: mpsc::Receiver<Bytes>,
    records: Records,
}

impl Inbox {
    pub(super) fn new(chunks: mpsc::Receiver<Bytes>) -> Self {
        Self { chunks, records: Records::default() }
    }

    /// Waits for the next message. `None`: there is nobody any more who could say something.
    ///
    /// # Errors
    ///
    /// When it is too long. There is no going on after that.
    ///
    /// # Cancel safety
    ///
    /// Safe: a message is taken only when it is given back.
    pub(super) async fn next(&mut self) -> Result<Option<BytesMut>, TooLong> {
        // Many messages can come at once: in between others have their turn.
        tokio::task::consume_budget().await;
        loop {
            if let Some(record) = self.records.next()? {
                return Ok(Some(record));
            }
            match self.chunks.recv().await {
                Some(chunk) => self.records.push(&chunk),
                None => return Ok(None),
            }
        }
    }

    /// Nothing more can be said. What was said can still be taken.
    pub(super) fn close(&mut self) {
        self.chunks.close();
    }

    /// The next message, if it has been said already.
    pub(super) fn now(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(record) = self.records.next().ok()? {
                return Some(record);
            }
            self.records.push(&self.chunks.try_recv().ok()?);
        }
    }
}
