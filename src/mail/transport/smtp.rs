//! Speaks to an SMTP server (RFC 5321) over a few connections that are used again.
//!
//! The pool is our own, with connections of our own: lettre's pool takes a connection back whose conversation was cut
//! short by a timeout or a cancellation. Its late reply would then be read as the answer to the next mail. Here a
//! connection goes back only after a complete conversation; in every other case it is closed by being dropped.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::extension::ClientId;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::smtp_connection::{Connection, Route};
use super::smtp_error::{Broken, printable, transient};
use super::smtp_reply::Reply;
use super::smtp_tls::trust;
use super::smtp_url::{Encryption, Server};
use crate::clock::Clock;
use crate::job::Timestamp;
use crate::mail::{MailFault, SendError, SmtpSettings};

/// How long an unused connection is worth keeping: servers close them after some minutes (RFC 5321 §4.5.3.2.7).
const IDLE: Duration = Duration::from_mins(1);

/// An SMTP server and the connections to it.
pub(in crate::mail) struct Smtp {
    route: Route,
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
    clock: Clock,
}

struct Idle {
    connection: Connection,
    since: Timestamp,
}

impl Smtp {
    pub(super) fn new(settings: &SmtpSettings, clock: Clock) -> Result<Self, Vec<MailFault>> {
        let mut faults = Vec::new();
        let server =
            Server::parse(&settings.url, settings.password.as_ref()).map_err(|found| faults.extend(found));
        if !(Duration::from_millis(1)..=Duration::from_mins(10)).contains(&settings.timeout) {
            faults.push(MailFault::new("mail.smtp_timeout", "must be 1ms to 10m"));
        }
        if !(1..=100).contains(&settings.pool_size) {
            faults.push(MailFault::new("mail.smtp_pool", "must be 1 to 100"));
        }
        let host = server.as_ref().map_or("localhost", |server| server.host.as_str());
        let plain = server.as_ref().is_ok_and(|server| server.encryption == Encryption::None);
        let tls = if plain && settings.ca_file.is_none() {
            None
        } else {
            trust(host, settings).map_err(|fault| faults.push(fault)).ok()
        };
        let server = match server {
            Ok(server) if faults.is_empty() => server,
            _ => return Err(faults),
        };
        Ok(Self {
            route: Route { server, tls, name: machine(), timeout: settings.timeout },
            permits: Semaphore::new(settings.pool_size as usize),
            idle: Mutex::default(),
            clock,
        })
    }

    /// Sends a message to all recipients of its envelope or to none; gives back the last reply. A cancellation stops it
    /// until it tells the server about the mail; from there on it goes on to the end.
    pub(super) async fn send(
        &self,
        envelope: &Envelope,
        message: &[u8],
        canceled: &CancellationToken,
    ) -> Result<String, SendError> {
        // Without a timeout: who waits for our own connections has not tried anything yet. The attempt has one.
        let permit = unless(canceled, async {
            let closed = |_| Broken::Here(transient("smtp-connect", "the mailer is closed"));
            self.permits.acquire().await.map_err(closed)
        });
        let sent = async {
            let _permit = permit.await?;
            self.converse(envelope, message, canceled).await
        };
        sent.await.map(|reply| printable(&reply.to_string())).map_err(|broken| {
            let mut error = broken.judge(envelope.to());
            if matches!(broken, Broken::Lost(_) | Broken::Tls(_)) {
                let server = &self.route.server;
                error.message = format!("{}:{}: {}", server.host, server.port, error.message);
            }
            error
        })
    }

    async fn converse(
        &self,
        envelope: &Envelope,
        message: &[u8],
        canceled: &CancellationToken,
    ) -> Result<Reply, Broken> {
        let rested = unless(canceled, async { Ok(self.take_idle().await) }).await?;
        let mut connection = match rested {
            None => self.open(canceled).await?,
            Some(mut connection) => match connection.begin(envelope, message).await {
                // The server has just given it up: that is no fault of the mail.
                Err(broken) if broken.is_gone() => self.open(canceled).await?,
                begun => return self.finish(connection, begun, envelope, message).await,
            },
        };
        let begun = connection.begin(envelope, message).await;
        self.finish(connection, begun, envelope, message).await
    }

    async fn open(&self, canceled: &CancellationToken) -> Result<Connection, Broken> {
        // Boxed: most mails find a connection that is open.
        unless(canceled, Box::pin(Connection::open(&self.route))).await
    }

    async fn finish(
        &self,
        mut connection: Connection,
        begun: Result<(), Broken>,
        envelope: &Envelope,
        message: &[u8],
    ) -> Result<Reply, Broken> {
        let delivered = match begun {
            Ok(()) => Box::pin(connection.finish(envelope, message)).await,
            Err(broken) => Err(broken),
        };
        // A refused mail leaves a good connection; anything else a bad one.
        let good = match &delivered {
            Ok(_) => true,
            Err(broken) => broken.is_reply() && connection.reset().await.is_ok(),
        };
        if good {
            self.put_back(connection);
        }
        delivered
    }

    /// A connection that still answers, if there is one.
    async fn take_idle(&self) -> Option<Connection> {
        loop {
            let Idle { mut connection, since } = self.idle().pop()?;
            if self.clock.now().since(since) > IDLE {
                continue;
            }
            match connection.noop().await {
                Ok(()) => return Some(connection),
                // What made this one silent, a firewall that forgot or a server that hangs, made them all silent.
                Err(broken) if broken.is_timeout() => self.idle().clear(),
                Err(_) => {}
            }
        }
    }

    fn put_back(&self, connection: Connection) {
        let since = self.clock.now();
        let mut idle = self.idle();
        // The permit that the caller holds bounds their number.
        idle.retain(|other| since.since(other.since) <= IDLE);
        idle.push(Idle { connection, since });
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does `work`, unless the attempt should stop.
async fn unless<T>(
    canceled: &CancellationToken,
    work: impl Future<Output = Result<T, Broken>>,
) -> Result<T, Broken> {
    tokio::select! {
        biased;
        () = canceled.cancelled() => {
            Err(Broken::Here(transient("canceled", "canceled before the mail was sent")))
        }
        done = work => done,
    }
}

/// The name of this machine, if others can look it up (RFC 5321 §4.1.1.1).
fn machine() -> Option<String> {
    match ClientId::default() {
        ClientId::Domain(name) => Some(name).filter(|name| is_public(name)),
        _ => None,
    }
}

fn is_public(name: &str) -> bool {
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    name.contains('.') && name.len() <= 255 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_can_look_up_is_not_said() {
        assert!(is_public("mx-1.example.com"));
        for name in ["", "localhost", "a1b2c3d4", ".", "a..b", "a.b\r\nMAIL", "a_b.c d"] {
            assert!(!is_public(name), "{name:?}");
        }
    }
}
