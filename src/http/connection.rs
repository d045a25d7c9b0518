//! A connection, and the deadlines that actix does not keep.
//!
//! actix bounds the first head of a connection and the rest between requests. It does not bound the heads after the
//! first one, nor a client that takes none of its answer; either would hold its connection for ever.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

/// What is said to a client whose head does not come: the status alone, as actix says it for the first one.
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The same for a head that is too large.
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The largest head, in bytes. actix would take twice as much.
const LARGEST_HEAD: usize = 64 << 10;

/// The longest name of a header, in bytes. actix panics at one with more than 65,535, which [`LARGEST_HEAD`] alone does
/// not rule out: behind a request that is being answered comes the head of the next, and how much of it has been read
/// nobody here knows.
const LONGEST_NAME: usize = 40 << 10;

/// How much is read before the dispatcher looks at it. A name that is longer by one of these is still none to panic at.
const STRETCH: usize = 16 << 10;

/// How much is read behind the request that is being answered. actix asks without a pause for the rest once it has 128 KiB.
const MOST_AHEAD: usize = 32 << 10;

/// How long what a refused client still sends is read away, so that it sees its answer.
pub(super) const LINGERING: Duration = Duration::from_secs(1);

/// How long a client may keep a connection waiting.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// For the whole head of a request, once its first byte has come.
    pub(super) head: Duration,
    /// For taking any part of an answer.
    pub(super) write: Duration,
}

/// What a connection is occupied with: told by the envelope, which sees requests, to the connection, which sees bytes.
#[derive(Default)]
pub(super) struct Traffic {
    /// A request is being answered, or an answer without a known end is being sent.
    busy: Cell<bool>,
    /// The latter.
    streaming: Cell<bool>,
    /// The body of the request that is being answered has come as a whole: what still comes belongs to the next one.
    body_read: Cell<bool>,
    /// How many bytes have come since the last end of a line, if all of them could be of one name.
    name: Cell<Option<usize>>,
    /// How many bytes have come for the next requests while this one is being answered.
    ahead: Cell<usize>,
    /// Bytes have come that were not yet a whole head.
    head_begun: Cell<bool>,
    /// How many, what came behind the head in the same moment included.
    head_bytes: Cell<usize>,
    /// The last answer has been made; what still comes is read away for a moment, so that the client sees the answer.
    closing: Cell<bool>,
    /// How many whole heads have come, and closings: each has a deadline of its own.
    turns: Cell<u64>,
}

/// A request that is being answered; dropping it says that the answer is made.
pub(super) struct Answering {
    traffic: Rc<Traffic>,
    streams: bool,
}

impl Traffic {
    /// A whole head has come.
    pub(super) fn begin(self: Rc<Self>) -> Answering {
        self.busy.set(true);
        self.streaming.set(false);
        self.body_read.set(false);
        self.head_begun.set(false);
        self.head_bytes.set(0);
        self.turn();
        Answering { traffic: self, streams: false }
    }

    /// The whole body of the request that is being answered has come, or no more of it is wanted.
    pub(super) fn body_read(&self) {
        self.body_read.set(true);
        // What went before was of the body, but for what may have come with its end.
        self.name.set(self.name.get().map(|length| length.min(STRETCH)));
    }

    /// Whether so much has come for the next request that no more of it is taken before its turn.
    fn is_ahead(&self) -> bool {
        self.awaits_turn() && (self.name_is_too_long() || self.ahead.get() >= MOST_AHEAD)
    }

    /// Whether what comes now belongs to the next request.
    fn awaits_turn(&self) -> bool {
        self.busy.get() && self.body_read.get()
    }

    fn name_is_too_long(&self) -> bool {
        self.name.get().is_some_and(|length| length > LONGEST_NAME)
    }

    /// Bytes have come.
    fn came(&self, bytes: &[u8]) {
        // Most requests end with the end of a line or of an object: one byte is looked at.
        let name = match bytes.iter().rposition(|byte| !is_of_name(*byte)) {
            Some(last) => (bytes[last] == b'\n').then_some(bytes.len() - last - 1),
            None => self.name.get().map(|length| length + bytes.len()),
        };
        self.name.set(name);
        self.ahead.set(if self.awaits_turn() { self.ahead.get() + bytes.len() } else { 0 });
    }

    fn turn(&self) {
        self.turns.set(self.turns.get().wrapping_add(1));
    }

    /// How long may be waited for what comes next, if that has a bound of its own.
    fn patience(&self, patience: Patience) -> Option<Duration> {
        match (self.closing.get(), self.head_begun.get()) {
            (true, _) => Some(LINGERING),
            (false, true) => Some(patience.head),
            (false, false) => None,
        }
    }
}

impl Answering {
    /// The answer is a stream: until the next request nothing that the client sends is taken for the head of one.
    pub(super) fn streams(mut self) {
        self.streams = true;
    }

    /// The answer is the last one. actix would wait without end for the rest of a chunked body that nobody reads.
    pub(super) fn closes(self) {
        self.traffic.closing.set(true);
        self.traffic.turn();
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.traffic.busy.set(self.streams);
        self.traffic.streaming.set(self.streams);
    }
}

/// Whether a byte can be in the name of a header (RFC 9110 §5.6.2).
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The bytes of a connection, with deadlines.
pub(super) struct Connection {
    socket: Socket,
    traffic: Rc<Traffic>,
    patience: Patience,
    next: Deadline,
    /// The turn to which `next` belongs.
    turn: u64,
    /// The turn whose largest head has been handed over.
    full: Option<u64>,
    /// How much has been read since the dispatcher last looked at it.
    unseen: usize,
    /// Nothing was read, because too much had been read ahead.
    stalled: bool,
    write: Deadline,
}

impl Connection {
    pub(super) fn plain(stream: TcpStream, patience: Patience) -> Self {
        Self::new(Socket::Plain(stream), patience)
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>, patience: Patience) -> Self {
        Self::new(Socket::Tls(Box::new(stream)), patience)
    }

    fn new(socket: Socket, patience: Patience) -> Self {
        let (traffic, next, write) = (Rc::default(), Deadline::default(), Deadline::default());
        Self { socket, traffic, patience, next, turn: 0, full: None, unseen: 0, stalled: false, write }
    }

    pub(super) fn traffic(&self) -> Rc<Traffic> {
        Rc::clone(&self.traffic)
    }

    fn socket(&mut self) -> Pin<&mut dyn Duplex> {
        let socket: &mut dyn Duplex = match &mut self.socket {
            Socket::Plain(stream) => stream,
            Socket::Tls(stream) => &mut **stream,
        };
        Pin::new(socket)
    }

    /// Reads at most so many bytes.
    fn receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        most: usize,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = if buffer.remaining() <= most {
            self.socket().poll_read(cx, buffer)
        } else {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
            let read = self.socket().poll_read(cx, &mut part);
            let count = part.filled().len();
            buffer.advance(count);
            read
        };
        let bytes = &buffer.filled()[before..];
        self.traffic.came(bytes);
        self.unseen += bytes.len();
        read
    }

    /// Holds what the socket says about sending against the deadline: progress ends it, waiting begins it.
    fn sending<T>(&mut self, cx: &mut Context<'_>, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.write.end();
            return sent;
        }
        ready!(self.write.poll(cx, self.patience.write));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes none of its answer")))
    }
}

/// Both directions of a socket.
trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let idle = !self.traffic.busy.get();
        // The timer is set in `poll_flush`, which the dispatcher calls after it has looked for a whole head: most heads
        // come in one piece and need none.
        let over = idle
            && self.traffic.patience(self.patience).is_some()
            && self.turn == self.traffic.turns.get()
            && self.next.is_over(cx);
        if self.traffic.closing.get() {
            // Not even a client that never pauses may go on.
            return if over { Poll::Ready(Ok(())) } else { self.socket().poll_read(cx, buffer) };
        }
        // What has come is to be looked at before more is taken: only then is it known what it was.
        if self.unseen >= STRETCH {
            self.unseen = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !idle {
            self.stalled = self.traffic.is_ahead();
            if self.stalled {
                return Poll::Pending;
            }
            let before = buffer.filled().len();
            ready!(self.receive(cx, buffer, STRETCH))?;
            // actix would send on to a client that has left, until that fails: a quiet stream would outlive it for long.
            if self.traffic.streaming.get() && buffer.filled().len() == before {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            return Poll::Ready(Ok(()));
        }
        let room = LARGEST_HEAD.saturating_sub(self.traffic.head_bytes.get());
        if room == 0 || self.traffic.name_is_too_long() {
            let turn = self.traffic.turns.get();
            if self.full.replace(turn) != Some(turn) {
                // Whether there is a whole head in it is seen when the dispatcher looks at it, before it reads again.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let _ = self.socket().poll_write(cx, TOO_LARGE);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = self.receive(cx, buffer, room.min(STRETCH));
        let count = buffer.filled().len() - before;
        if count > 0 {
            self.traffic.head_begun.set(true);
            self.traffic.head_bytes.set(self.traffic.head_bytes.get() + count);
        }
        if over && read.is_pending() {
            // Nothing of an answer is under way, so this is one; whether it arrives is the client's business.
            let _ = self.socket().poll_write(cx, TOO_SLOW);
            let _ = self.socket().poll_flush(cx);
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = self.socket().poll_write(cx, bytes);
        self.sending(cx, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = self.socket().poll_write_vectored(cx, bytes);
        self.sending(cx, sent)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(stream) => stream.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let turn = self.traffic.turns.get();
        if self.turn != turn {
            self.turn = turn;
            self.next.end();
        }
        match self.traffic.patience(self.patience) {
            Some(patience) if !self.next.over && self.next.poll(cx, patience).is_ready() => {
                // To read once more, which is where it is acted upon.
                cx.waker().wake_by_ref();
            }
            Some(_) => {}
            None => self.next.end(),
        }
        if self.stalled && !self.traffic.is_ahead() {
            // Nobody else would say that there is something to read.
            self.stalled = false;
            cx.waker().wake_by_ref();
        }
        let sent = self.socket().poll_flush(cx);
        self.sending(cx, sent)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.socket().poll_shutdown(cx);
        self.sending(cx, sent)
    }
}

/// A point in time that is set by the first poll. The timer is kept for the next time, because a connection that was
/// slow once is often slow again.
#[derive(Default)]
struct Deadline {
    timer: Option<Pin<Box<Sleep>>>,
    running: bool,
    over: bool,
}

impl Deadline {
    fn poll(&mut self, cx: &mut Context<'_>, patience: Duration) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if !self.running {
            timer.as_mut().set(tokio::time::sleep(patience));
            self.running = true;
        }
        self.over = self.over || timer.as_mut().poll(cx).is_ready();
        if self.over { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether it was set and has passed; never sets it.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        if let (true, false, Some(timer)) = (self.running, self.over, &mut self.timer) {
            self.over = timer.as_mut().poll(cx).is_ready();
        }
        self.over
    }

    fn end(&mut self) {
        (self.running, self.over) = (false, false);
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
