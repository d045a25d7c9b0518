//! What a program is told, and what it says on its standard output.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::ChildStdin;

use crate::kinds::Raw;

/// Writes the payload, and closes the pipe. A program need not read it.
pub(super) async fn feed(mut stdin: ChildStdin, payload: Raw) {
    // It fails when the other end is closed, which is the program's own affair.
    let _ = stdin.write_all(payload.get().as_bytes()).await;
}

/// The output, as far as it may be one.
pub(super) struct Output {
    bytes: Vec<u8>,
    limit: usize,
}

/// There is more of it than a result may have.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct TooLarge;

impl Output {
    pub(super) const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// Reads until the end, or until it is too much.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was read is kept.
    pub(super) async fn collect(&mut self, stdout: impl AsyncRead + Unpin) -> Result<(), TooLarge> {
        let mut stdout = stdout.take(self.limit as u64 + 1);
        while matches!(stdout.read_buf(&mut self.bytes).await, Ok(1..)) {
            // A program that never stops writing would otherwise use up what this task may do in one go, and its
            // timeout would never come up.
            tokio::task::yield_now().await;
        }
        if self.bytes.len() > self.limit { Err(TooLarge) } else { Ok(()) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Without the room that was not needed: a result is kept for long.
    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes.into_boxed_slice().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    /// The timeout of the attempt is looked at between two polls.
    #[test]
    fn who_never_stops_writing_lets_others_have_their_turn() {
        let (mut output, text) = (Output::new(1_000_000), vec![b'x'; 100_000]);
        let mut collecting = pin!(output.collect(&text[..]));
        let mut poll = || collecting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending() && poll().is_pending());
        assert!((0..100).any(|_| poll().is_ready()));
    }

    #[tokio::test]
    async fn the_limit_itself_may_be_reached() {
        for (length, limit, want) in
            [(9, 10, Ok(())), (10, 10, Ok(())), (11, 10, Err(TooLarge)), (0, 10, Ok(()))]
        {
            let mut output = Output::new(limit);
            assert_eq!(output.collect(&vec![b'x'; length][..]).await, want);
            assert_eq!(output.bytes().len(), length.min(limit + 1));
        }
        // It does not read on for ever.
        let mut endless = Output::new(100_000);
        assert_eq!(endless.collect(tokio::io::repeat(b'x')).await, Err(TooLarge));
        assert_eq!(endless.bytes().len(), 100_001);
    }
}
