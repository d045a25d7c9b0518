//! Speaks to an SMTP server (RFC 5321) over a few connections that are used again.
//!
//! The pool is our own, on top of lettre's connection: lettre's pool takes a connection back whose conversation was cut
//! short by a timeout or a cancellation. Its late reply would then be read as the answer to the next mail. Here a
//! connection goes back only after a complete conversation; in every other case it is closed by being dropped.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;

use super::smtp_error::{judge, printable, transient};
use super::smtp_tls::trust;
use super::smtp_url::{Encryption, Server};
use crate::clock::Clock;
use crate::job::Timestamp;
use crate::mail::{MailFault, SendError, SmtpSettings};

/// How long an unused connection is worth keeping: servers close them after some minutes (RFC 5321 §4.5.3.2.7).
const IDLE: Duration = Duration::from_mins(1);

/// An SMTP server and the connections to it.
pub(in crate::mail) struct Smtp {
    server: Server,
    tls: Option<TlsParameters>,
    hello: ClientId,
    timeout: Duration,
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
    clock: Clock,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Timestamp,
}

/// Why a step of a conversation did not succeed.
enum Broken {
    Smtp(lettre::transport::smtp::Error),
    Here(SendError),
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
        let plain = server
            .as_ref()
            .is_ok_and(|server| server.encryption == Encryption::None);
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
            server,
            tls,
            hello: ClientId::default(),
            timeout: settings.timeout,
            permits: Semaphore::new(settings.pool_size as usize),
            idle: Mutex::default(),
            clock,
        })
    }

    /// Sends a message to all recipients of its envelope or to none; gives back the last reply.
    pub(super) async fn send(&self, envelope: &Envelope, message: &[u8]) -> Result<String, SendError> {
        let permit = self
            .within("waiting for a free connection", self.permits.acquire())
            .await;
        let _permit = permit.map_err(|broken| broken.judge(envelope))?;
        self.converse(envelope, message)
            .await
            .map_err(|broken| broken.judge(envelope))
    }

    async fn converse(&self, envelope: &Envelope, message: &[u8]) -> Result<String, Broken> {
        let mut connection = match self.take_idle().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        match self.deliver(&mut connection, envelope, message).await {
            Ok(response) => {
                self.put_back(connection);
                let text: Vec<&str> = response.message().collect();
                Ok(printable(&format!("{} {}", response.code(), text.join(" "))))
            }
            Err(broken) => {
                // A refused mail leaves a good connection; anything else a bad one.
                if broken.is_reply() && self.command(&mut connection, "RSET", Rset).await.is_ok() {
                    self.put_back(connection);
                }
                Err(broken)
            }
        }
    }

    async fn deliver(
        &self,
        connection: &mut AsyncSmtpConnection,
        envelope: &Envelope,
        message: &[u8],
    ) -> Result<Response, Broken> {
        let options = mail_options(connection, envelope, message)?;
        self.command(connection, "MAIL", Mail::new(envelope.from().cloned(), options))
            .await?;
        // All or none: a mail that reached half of its recipients could not be tried again without reaching them twice.
        for recipient in envelope.to() {
            self.command(connection, "RCPT", Rcpt::new(recipient.clone(), Vec::new()))
                .await?;
        }
        self.command(connection, "DATA", Data).await?;
        self.smtp("the reply to the message", connection.message(message))
            .await
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Broken> {
        let Server {
            host,
            port,
            encryption,
            login,
        } = &self.server;
        let implicit = self.tls.clone().filter(|_| *encryption == Encryption::Implicit);
        let address = (host.as_str(), *port);
        let connecting = AsyncSmtpConnection::connect_tokio1(address, None, &self.hello, implicit, None);
        let mut connection = self.smtp("connecting", connecting).await?;
        if let Some(tls) = &self.tls {
            let offered = connection.can_starttls();
            if *encryption == Encryption::Required && !offered {
                return Err(Broken::Here(transient(
                    "smtp-tls",
                    "the server does not offer STARTTLS",
                )));
            }
            if offered && matches!(encryption, Encryption::Required | Encryption::Opportunistic) {
                self.smtp("STARTTLS", connection.starttls(tls.clone(), &self.hello))
                    .await?;
            }
        }
        if let Some((user, password)) = login {
            if !self.server.may_log_in(connection.is_encrypted()) {
                let message = "the server offers no encryption, and the password is not sent without";
                return Err(Broken::Here(transient("smtp-tls", message)));
            }
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            self.smtp("AUTH", connection.auth(&mechanisms, &credentials))
                .await?;
        }
        Ok(connection)
    }

    /// A connection that still answers, if there is one.
    async fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let Idle {
                mut connection,
                since,
            } = self.idle().pop()?;
            let rested = self.clock.now().since(since);
            if rested <= IDLE && self.command(&mut connection, "NOOP", Noop).await.is_ok() {
                return Some(connection);
            }
        }
    }

    fn put_back(&self, connection: AsyncSmtpConnection) {
        let since = self.clock.now();
        let mut idle = self.idle();
        // The permit that the caller holds bounds their number.
        idle.retain(|other| since.since(other.since) <= IDLE);
        idle.push(Idle { connection, since });
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn command(
        &self,
        connection: &mut AsyncSmtpConnection,
        step: &str,
        command: impl std::fmt::Display,
    ) -> Result<Response, Broken> {
        self.smtp(step, connection.command(command)).await
    }

    async fn smtp<T>(
        &self,
        step: &str,
        work: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
    ) -> Result<T, Broken> {
        self.within(step, work).await
    }

    async fn within<T, E>(&self, step: &str, work: impl Future<Output = Result<T, E>>) -> Result<T, Broken>
    where
        Broken: From<E>,
    {
        if let Ok(result) = tokio::time::timeout(self.timeout, work).await {
            Ok(result?)
        } else {
            let timeout = crate::job::format_duration(self.timeout);
            Err(Broken::Here(transient(
                "smtp-timeout",
                &format!("{step} took longer than {timeout}"),
            )))
        }
    }
}

impl Broken {
    /// Whether the server said no, and the conversation can go on.
    fn is_reply(&self) -> bool {
        matches!(self, Self::Smtp(error) if error.status().is_some_and(|code| code.to_string() != "421"))
    }

    fn judge(&self, envelope: &Envelope) -> SendError {
        match self {
            Self::Smtp(error) => judge(error, envelope.to()),
            Self::Here(error) => error.clone(),
        }
    }
}

impl From<lettre::transport::smtp::Error> for Broken {
    fn from(error: lettre::transport::smtp::Error) -> Self {
        Self::Smtp(error)
    }
}

impl From<tokio::sync::AcquireError> for Broken {
    fn from(_: tokio::sync::AcquireError) -> Self {
        Self::Here(transient("smtp-connect", "the mailer is closed"))
    }
}

/// What the server must be told about a message (RFC 6531 §3.4, RFC 6152).
fn mail_options(
    connection: &AsyncSmtpConnection,
    envelope: &Envelope,
    message: &[u8],
) -> Result<Vec<MailParameter>, Broken> {
    let mut options = Vec::new();
    let plain = |address: &lettre::Address| AsRef::<str>::as_ref(address).is_ascii();
    if !envelope.to().iter().chain(envelope.from()).all(plain) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(Broken::Here(SendError {
                code: "smtp-utf8".into(),
                message: "an address is not ASCII, and the server does not offer SMTPUTF8".to_owned(),
                retryable: false,
            }));
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    if !message.is_ascii() {
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(options)
}
