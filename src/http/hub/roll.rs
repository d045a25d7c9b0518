//! All connections of the hub, by the names under which they are asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::web::Data;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio_util::task::TaskTracker;

use super::super::api::Api;
use super::connection::Connection;
use super::protocol::Version;
use super::rights::Rights;
use super::session::Session;
use crate::metrics;

/// The connections of the hub. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    /// How many there may be, those that are not opened yet included.
    most: usize,
    connections: Mutex<HashMap<String, Arc<Connection>>>,
    /// How many are open, by transport.
    open: [AtomicUsize; Transport::ALL.len()],
    sessions: TaskTracker,
}

/// How the bytes of a connection travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// One connection in both directions.
    WebSockets,
    /// A stream to the client, and a request for each of its messages.
    ServerSentEvents,
    /// Requests in both directions.
    LongPolling,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 3] = [Self::WebSockets, Self::ServerSentEvents, Self::LongPolling];

    /// What Prometheus is told that it is.
    pub(super) const fn metered(self) -> metrics::Transport {
        match self {
            Self::WebSockets => metrics::Transport::WebSocket,
            Self::ServerSentEvents => metrics::Transport::ServerSentEvents,
            Self::LongPolling => metrics::Transport::LongPolling,
        }
    }
}

impl Hub {
    /// A hub that takes at most so many connections.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Inner {
            most,
            connections: Mutex::default(),
            open: Default::default(),
            sessions: TaskTracker::new(),
        }))
    }

    /// How many connections are open over this transport.
    pub fn open(&self, transport: Transport) -> usize {
        self.0.open[transport as usize].load(Ordering::SeqCst)
    }

    /// How many connections there are, those included that are negotiated and not open, or that are just ending.
    pub fn connections(&self) -> usize {
        self.lock().len()
    }

    /// Makes a connection, which somebody has to open soon, and says under which name. `None`: there are as many as there
    /// may be.
    pub(super) fn admit(&self, api: &Data<Api>, rights: Rights, version: Version) -> Option<Arc<Connection>> {
        // The id is shown around and the token is not; each has 128 bits that nobody can guess.
        let secret = api.jobs.clock().secret();
        let [id, token] = [&secret[..16], &secret[16..]].map(|half| URL_SAFE_NO_PAD.encode(half));
        let (connection, inbox) = Connection::new(id, token, version, rights, api.jobs.clone());
        let connection = Arc::new(connection);
        {
            let mut connections = self.lock();
            if connections.len() >= self.0.most {
                return None;
            }
            connections.insert(connection.name().to_owned(), Arc::clone(&connection));
        }
        let place = Place { hub: self.clone(), connection: Arc::clone(&connection) };
        self.0.sessions.spawn(Session::new(Data::clone(api), place, inbox).run());
        Some(connection)
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Connection>> {
        self.lock().get(name).cloned()
    }

    /// Counts a connection in; out again when it is dropped. The one place where open connections are counted.
    pub(super) fn count(&self, transport: Transport) -> Counted {
        self.0.open[transport as usize].fetch_add(1, Ordering::SeqCst);
        Counted { hub: self.clone(), transport }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Connection>>> {
        self.0.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is open.
pub(super) struct Counted {
    hub: Hub,
    transport: Transport,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.hub.0.open[self.transport as usize].fetch_sub(1, Ordering::SeqCst);
    }
}

/// The place of a connection among all. Its session holds it; with that it goes.
pub(super) struct Place {
    hub: Hub,
    connection: Arc<Connection>,
}

impl Place {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.lock().remove(self.connection.name());
        self.connection.end();
    }
}
