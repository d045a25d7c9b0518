//! The life of one connection: its handshake, its calls, what it watches, its times, and its end.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;

use super::super::api::Api;
use super::calls;
use super::connection::Connection;
use super::inbox::Inbox;
use super::protocol::{self, Close, Message};
use super::pulse::{Due, Pulse};
use super::roll::Place;
use super::watching::{Told, Watching};

/// How long a client may take to come for the last thing that is said to it.
const LINGERING: Duration = Duration::from_secs(5);

/// The same when the server stops, which must not wait for it.
const HURRIED: Duration = Duration::from_secs(1);

/// What a client is told that has lost more than it may.
const LOST: &str = "events were lost because they were not taken in time";

/// Runs until its client leaves, is given up, or the server stops.
pub(super) struct Session {
    pub(super) api: Data<Api>,
    pub(super) watching: Watching,
    /// Submissions, which can wait for room; each is an answer, empty if none is wanted.
    pub(super) submissions: FuturesUnordered<BoxFuture<'static, Vec<u8>>>,
    place: Place,
    inbox: Inbox,
    pulse: Pulse,
    shaken: bool,
}

/// Why a session ends.
enum End {
    /// The client has left; nobody is there to be told.
    Left,
    /// The client wishes it.
    Wished,
    /// The server stops.
    Stopping,
    /// The client speaks no SignalR, or says too much.
    Fault(String),
    /// It did not go on, and may come again.
    Dropped(&'static str),
}

impl Session {
    pub(super) fn new(api: Data<Api>, place: Place, inbox: mpsc::Receiver<Bytes>) -> Self {
        let pulse = Pulse::new(place.connection().now());
        Self {
            api,
            watching: Watching::default(),
            submissions: FuturesUnordered::new(),
            place,
            inbox: Inbox::new(inbox),
            pulse,
            shaken: false,
        }
    }

    /// Its place among all connections is free when this completes or is dropped.
    pub(super) async fn run(mut self) {
        let (connection, closing) = (Arc::clone(self.place.connection()), self.api.closing.clone());
        // Whatever it waits for, nobody waits for it.
        let end = tokio::select! {
            biased;
            () = connection.left() => End::Left,
            () = closing.cancelled() => End::Stopping,
            end = self.serve() => end,
        };
        self.part(&connection, &end);
        connection.outbox().finish();
        self.inbox.close();
        if !matches!(end, End::Stopping) {
            // Nothing is accepted any more when the server stops.
            tokio::select! {
                biased;
                () = closing.cancelled() => {}
                () = self.hand_in(&end) => {}
            }
        }
        if !matches!(end, End::Left) {
            let patience = if matches!(end, End::Stopping) { HURRIED } else { LINGERING };
            tokio::select! {
                () = connection.left() => {}
                () = tokio::time::sleep(patience) => {}
                () = closing.cancelled(), if !matches!(end, End::Stopping) => {}
            }
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        self.place.connection()
    }

    /// Says something to the client.
    pub(super) fn tell(&mut self, record: Vec<u8>) {
        if !record.is_empty() {
            self.pulse.sent(self.connection().now());
            self.connection().tell(record);
        }
    }

    async fn serve(&mut self) -> End {
        let connection = Arc::clone(self.place.connection());
        loop {
            let pause = match self.pulse.due(&connection.signs(), connection.now()) {
                Due::Nothing(pause) => pause,
                Due::Ping => {
                    self.tell(protocol::ping());
                    continue;
                }
                Due::NotBegun => return End::Dropped("there was no handshake within 15 seconds"),
                Due::Silent => return End::Dropped("nothing was heard of the client for 30 seconds"),
                Due::Stuck => return End::Dropped(LOST),
            };
            // Without room nothing is taken that could make more: neither calls nor events, which then are lost where
            // it can be seen how many they are.
            let has_room = connection.outbox().has_room();
            tokio::select! {
                said = self.inbox.next(), if has_room => match said {
                    Ok(Some(record)) => {
                        if let Some(end) = self.hear(&record).await {
                            return end;
                        }
                    }
                    Ok(None) => return End::Left,
                    Err(too_long) => return End::Fault(too_long.to_string()),
                },
                told = self.watching.next(), if has_room => {
                    if !self.pass_on(told) {
                        return End::Dropped(LOST);
                    }
                }
                Some(answer) = self.submissions.next() => self.tell(answer),
                () = connection.outbox().room(), if !has_room => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Does what the client has said. One message at a time: each can make as much as there is room for.
    async fn hear(&mut self, record: &[u8]) -> Option<End> {
        if !self.shaken {
            return match protocol::request(record) {
                Ok(()) => {
                    self.tell(protocol::accepted());
                    self.shaken = true;
                    self.pulse.shaken();
                    None
                }
                Err(fault) => Some(End::Fault(fault.to_string())),
            };
        }
        match protocol::parse(record) {
            Ok(Message::Call(call)) => self.call(call).await,
            Ok(Message::Cancel(invocation)) => {
                if self.watching.leave_stream(&invocation) {
                    self.tell(protocol::settled(&invocation));
                }
            }
            Ok(Message::Ping | Message::Other) => {}
            Ok(Message::Close) => return Some(End::Wished),
            Err(fault) => return Some(End::Fault(fault.to_string())),
        }
        None
    }

    /// Sees to it that what was submitted before the end is not lost with it; waits as long as submissions do.
    async fn hand_in(&mut self, end: &End) {
        self.watching = Watching::default();
        if matches!(end, End::Left) {
            // It has left behind what it said last. Of that only submissions matter to anybody else.
            while let Some(record) = self.inbox.now() {
                if !self.shaken {
                    if protocol::request(&record).is_err() {
                        break;
                    }
                    self.shaken = true;
                    continue;
                }
                match protocol::parse(&record) {
                    Ok(Message::Call(call)) if calls::submits(&call) => self.call(call).await,
                    Ok(Message::Close) | Err(_) => break,
                    Ok(_) => {}
                }
            }
        }
        while self.submissions.next().await.is_some() {}
    }

    /// Tells the client what has happened. `false`: there is no telling what.
    fn pass_on(&mut self, told: Told) -> bool {
        let api = Data::clone(&self.api);
        let render = |event: &crate::event::Event| api.envelope(event.kind, event.at, &event.job);
        match told {
            Told::Updated(event) => {
                self.tell(protocol::invocation("JobUpdated", event.rendered(render)));
            }
            Told::Item(invocation, event) => {
                self.tell(protocol::item(&invocation, event.rendered(render)));
                if event.kind.is_terminal() {
                    self.tell(protocol::settled(&invocation));
                }
            }
            Told::Lost => return false,
        }
        true
    }

    /// Says the last thing.
    fn part(&mut self, connection: &Connection, end: &End) {
        let close = match end {
            End::Left | End::Wished => return,
            End::Stopping => {
                // What has happened is told before the end of the server is.
                while let Some(Some(answer)) = self.submissions.next().now_or_never() {
                    self.tell(answer);
                }
                while connection.outbox().has_room()
                    && let Some(told) = self.watching.now()
                    && self.pass_on(told)
                {}
                Close { error: None, allow_reconnect: true }
            }
            End::Fault(fault) => Close { error: Some(fault.clone()), allow_reconnect: false },
            End::Dropped(why) => Close { error: Some((*why).to_owned()), allow_reconnect: true },
        };
        if self.shaken {
            connection.tell(close.record());
        } else {
            let stopping = "the server is stopping; connect again later";
            connection.tell(protocol::refused(close.error.as_deref().unwrap_or(stopping)));
        }
    }
}
