//! What a session and its transport share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::caller::Caller;
use super::outbox::Outbox;
use super::protocol::{Version, part};
use super::pulse::Signs;
use super::rights::Rights;
use super::roll::{Counted, Hub, Transport};
use crate::jobs::Jobs;
use crate::metrics::Connected;

/// One connection: an inbox that its session reads, and an outbox that its transport reads.
pub(super) struct Connection {
    id: String,
    token: String,
    version: Version,
    rights: Rights,
    /// For its clock.
    jobs: Jobs,
    /// One chunk may wait in it, a small one: a client that says more than its session takes has to wait.
    inbox: mpsc::Sender<Bytes>,
    outbox: Outbox,
    /// The client has left, or the transport has delivered the end.
    left: CancellationToken,
    presence: Mutex<Presence>,
}

#[derive(Default)]
struct Presence {
    opened: Option<(Transport, Duration)>,
    counted: Option<(Counted, Connected)>,
    heard: Duration,
    /// The poll that waits here.
    poll: Option<CancellationToken>,
}

/// How a transport finds a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Opening {
    /// It is now open over this transport.
    First,
    /// It was already, over this same transport.
    Again,
    /// It is open over another one.
    Other,
}

impl Connection {
    pub(super) fn new(
        id: String,
        token: String,
        version: Version,
        rights: Rights,
        jobs: Jobs,
    ) -> (Self, mpsc::Receiver<Bytes>) {
        let (inbox, receiver) = mpsc::channel(1);
        let presence = Mutex::new(Presence { heard: jobs.clock().elapsed(), ..Presence::default() });
        let (outbox, left) = (Outbox::default(), CancellationToken::new());
        (Self { id, token, version, rights, jobs, inbox, outbox, left, presence }, receiver)
    }

    /// What it may be called in front of everybody.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What only its client knows.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Under which of the two it is asked for.
    pub(super) fn name(&self) -> &str {
        match self.version {
            Version::Zero => &self.id,
            Version::One => &self.token,
        }
    }

    pub(super) fn rights(&self) -> &Rights {
        &self.rights
    }

    pub(super) fn belongs_to(&self, caller: &Caller) -> bool {
        self.rights.caller() == *caller
    }

    /// A transport takes it. It is open over one, for good.
    pub(super) fn open(&self, transport: Transport, hub: &Hub) -> Opening {
        let now = self.now();
        let mut presence = self.lock();
        match presence.opened {
            None => {
                presence.opened = Some((transport, now));
                presence.heard = now;
                let metered = self.jobs.metrics().connected(transport.metered());
                presence.counted = Some((hub.count(transport), metered));
                Opening::First
            }
            Some((open, _)) if open == transport => Opening::Again,
            Some(_) => Opening::Other,
        }
    }

    pub(super) fn transport(&self) -> Option<Transport> {
        self.lock().opened.map(|(transport, _)| transport)
    }

    /// The client has said something; waits until the session has taken what it said before. `false`: the session is
    /// over.
    pub(super) async fn say(&self, mut bytes: Bytes) -> bool {
        self.hear();
        while !bytes.is_empty() {
            let part = part(&mut bytes);
            let said = tokio::select! {
                biased;
                () = self.left.cancelled() => false,
                said = self.inbox.send(part) => said.is_ok(),
            };
            if !said {
                return false;
            }
            self.hear();
        }
        true
    }

    /// The client is there.
    pub(super) fn hear(&self) {
        let now = self.now();
        self.lock().heard = now;
    }

    /// Records for the client, whole ones; waits for the first. `None`: that was all.
    pub(super) async fn take(&self) -> Option<Vec<u8>> {
        self.outbox.take(|| self.now()).await
    }

    /// Something for the client.
    pub(super) fn tell(&self, record: Vec<u8>) {
        self.outbox.push(record, self.now());
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// A poll comes to wait. One that waited before waits no longer: its client has given it up.
    pub(super) fn begin_poll(&self) -> Poll<'_> {
        let superseded = CancellationToken::new();
        if let Some(before) = self.lock().poll.replace(superseded.clone()) {
            before.cancel();
        }
        Poll { connection: self, superseded }
    }

    /// The client has left, or has been told that this was all.
    pub(super) fn leave(&self) {
        self.left.cancel();
        self.lock().counted = None;
    }

    /// Completes when the client has left.
    pub(super) async fn left(&self) {
        self.left.cancelled().await;
    }

    /// The session is over.
    pub(super) fn end(&self) {
        self.outbox.finish();
        self.left.cancel();
        self.lock().counted = None;
    }

    pub(super) fn signs(&self) -> Signs {
        let stuck = self.outbox.stuck(self.now());
        let presence = self.lock();
        Signs {
            opened: presence.opened.map(|(_, at)| at),
            heard: presence.poll.is_none().then_some(presence.heard),
            comes_and_goes: presence.opened.is_some_and(|(open, _)| open == Transport::LongPolling),
            stuck,
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.jobs.clock().elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A poll that waits.
pub(super) struct Poll<'a> {
    connection: &'a Connection,
    superseded: CancellationToken,
}

impl Poll<'_> {
    /// Completes when another poll has come.
    pub(super) async fn superseded(&self) {
        self.superseded.cancelled().await;
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        let now = self.connection.now();
        let mut presence = self.connection.lock();
        presence.heard = now;
        // Another one that waits meanwhile goes on waiting.
        if !self.superseded.is_cancelled() {
            presence.poll = None;
        }
    }
}
