//! Server-sent events (WHATWG): how a stream is written, and how it ends.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::ready;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use crate::event::{Event, JobWatcher, Watcher};

/// How often something is sent, so that no proxy takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a stream begins with: how long a client waits before it comes again, in milliseconds.
pub(super) const HELLO: &str = "retry: 3000\n\n";

/// What it ends with when the server stops: a start takes longer.
const LATER: &str = "retry: 5000\n\n";

/// What a client is told that has lost more than it may.
const TOO_SLOW: &str = ": events were lost because they were not read in time; come again\n\n";

/// How long events of many jobs are collected after some were sent: each watcher is woken a hundred times a second at
/// most, however much happens.
const PAUSE: Duration = Duration::from_millis(10);

/// How much is sent at once. actix takes no more from a stream before the client has taken most of it.
const CHUNK: usize = 16 << 10;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Makes the JSON of an event.
pub(super) type Render = Box<dyn Fn(&Event) -> Vec<u8>>;

/// The answer of a stream. Whatever comes after a stream is another connection: a client that has been quiet for hours
/// says nothing about how long the head of its next request may take.
pub(super) fn response(
    request: &HttpRequest,
    events: impl Stream<Item = Result<Bytes, Infallible>> + 'static,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .insert_header((header::CONTENT_ENCODING, HeaderValue::from_static("identity")))
        .insert_header((X_ACCEL_BUFFERING, HeaderValue::from_static("no")))
        .force_close();
    if *request.method() == Method::HEAD {
        // actix would wait for the end of a body that it does not send.
        return response.streaming(stream::empty::<Result<Bytes, Infallible>>());
    }
    response.streaming(events)
}

/// Writes one event. JSON has no line breaks of its own, so that its data is one line.
pub(super) fn write(id: u64, kind: impl Display, json: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(format!("id: {id}\nevent: {kind}\ndata: ").as_bytes());
    into.extend_from_slice(json);
    into.extend_from_slice(b"\n\n");
}

/// What both kinds of streams have.
struct Common {
    /// What is sent before everything else.
    first: Option<Vec<u8>>,
    closing: CancellationToken,
    heartbeat: Pin<Box<Sleep>>,
    over: bool,
    render: Render,
}

impl Common {
    fn new(first: Vec<u8>, closing: CancellationToken, render: Render) -> Self {
        let heartbeat = Box::pin(tokio::time::sleep(HEARTBEAT));
        Self { first: Some(first), closing, heartbeat, over: false, render }
    }

    fn event(&self, id: u64, event: &Event, into: &mut Vec<u8>) {
        write(id, event.kind, event.rendered(&self.render), into);
    }
}

/// Completes when it is time for a comment, and begins anew.
async fn beat(heartbeat: &mut Pin<Box<Sleep>>) {
    poll_fn(|cx| {
        ready!(heartbeat.as_mut().poll(cx));
        heartbeat.set(tokio::time::sleep(HEARTBEAT));
        std::task::Poll::Ready(())
    })
    .await;
}

/// The stream of one job: `first`, then everything that its watcher hears of, up to its end.
pub(super) fn of_job(
    first: Vec<u8>,
    ended: bool,
    watcher: JobWatcher,
    closing: CancellationToken,
    render: Render,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let mut common = Common::new(first, closing, render);
    common.over = ended;
    stream::unfold((common, watcher), |(mut common, mut watcher)| async move {
        let chunk = next_of_job(&mut common, &mut watcher).await?;
        Some((Ok(chunk.into()), (common, watcher)))
    })
}

async fn next_of_job(common: &mut Common, watcher: &mut JobWatcher) -> Option<Vec<u8>> {
    if let Some(first) = common.first.take() {
        return Some(first);
    }
    if common.over {
        return None;
    }
    let mut chunk = Vec::new();
    tokio::select! {
        // What has happened is told before the end of the server is.
        biased;
        event = watcher.recv() => match event {
            Ok(event) => {
                common.event(event.job.sequence, &event, &mut chunk);
                common.over = event.kind.is_terminal();
            }
            Err(_) => {
                chunk.extend_from_slice(TOO_SLOW.as_bytes());
                common.over = true;
            }
        },
        () = common.closing.cancelled() => {
            while let Some(event) = watcher.try_recv() {
                common.event(event.job.sequence, &event, &mut chunk);
            }
            chunk.extend_from_slice(LATER.as_bytes());
            common.over = true;
        }
        () = beat(&mut common.heartbeat) => chunk.extend_from_slice(b":\n\n"),
    }
    Some(chunk)
}

/// The stream of all jobs: every event that `wanted` lets through.
pub(super) fn of_all(
    first: Vec<u8>,
    watcher: Watcher,
    wanted: impl Fn(&Event) -> bool + 'static,
    closing: CancellationToken,
    render: Render,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let all = All { watcher, wanted, pause: Box::pin(tokio::time::sleep(Duration::ZERO)) };
    stream::unfold((Common::new(first, closing, render), all), |(mut common, mut all)| async move {
        let chunk = next_of_all(&mut common, &mut all).await?;
        Some((Ok(chunk.into()), (common, all)))
    })
}

struct All<F> {
    watcher: Watcher,
    wanted: F,
    /// Until it is over nothing is taken.
    pause: Pin<Box<Sleep>>,
}

impl<F: Fn(&Event) -> bool> All<F> {
    /// The next event, but not too soon after the last ones.
    async fn recv(&mut self) -> Result<Event, RecvError> {
        if !self.pause.is_elapsed() {
            self.pause.as_mut().await;
        }
        self.watcher.recv().await
    }

    /// Adds an event, if it is wanted; progress only when nothing that matters more has to wait for it.
    fn take(&self, common: &Common, event: &Event, chunk: &mut Vec<u8>) {
        let left_out = event.kind == crate::event::EventKind::Progress && self.watcher.is_slow();
        if !left_out && (self.wanted)(event) {
            common.event(event.number, event, chunk);
        }
    }

    /// Takes what has happened already, up to `most` bytes; says whether events were lost.
    fn take_more(&mut self, common: &Common, most: usize, chunk: &mut Vec<u8>) -> bool {
        while chunk.len() < most {
            match self.watcher.try_recv() {
                Ok(event) => self.take(common, &event, chunk),
                Err(TryRecvError::Lagged(_)) => return true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        false
    }
}

async fn next_of_all<F: Fn(&Event) -> bool>(common: &mut Common, all: &mut All<F>) -> Option<Vec<u8>> {
    if let Some(first) = common.first.take() {
        return Some(first);
    }
    if common.over {
        return None;
    }
    let mut chunk = Vec::new();
    while chunk.is_empty() {
        tokio::select! {
            biased;
            // First: while much happens there is always an event.
            () = common.closing.cancelled() => {
                common.over = true;
                if all.take_more(common, usize::MAX, &mut chunk) {
                    chunk.extend_from_slice(TOO_SLOW.as_bytes());
                }
                chunk.extend_from_slice(LATER.as_bytes());
            }
            () = beat(&mut common.heartbeat) => chunk.extend_from_slice(b":\n\n"),
            event = all.recv() => {
                let lost = match event {
                    Ok(event) => {
                        all.take(common, &event, &mut chunk);
                        all.take_more(common, CHUNK, &mut chunk)
                    }
                    Err(_) => true,
                };
                if lost {
                    chunk.extend_from_slice(TOO_SLOW.as_bytes());
                    common.over = true;
                }
                all.pause.set(tokio::time::sleep(PAUSE));
            }
        }
    }
    Some(chunk)
}
