//! One conversation with an SMTP server (RFC 5321): exact replies, encryption, login, one mail after the other.
//!
//! It is our own, on top of lettre's stream: lettre's connection takes every reply of class 2 or 3 for a yes at every step
//! and reads on, after STARTTLS, in what was sent in the clear. A reply that somebody put there could make a refused mail
//! count as sent. Here each step names the codes that it takes, and no reply may come before its command.

use std::future::Future;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
use lettre::address::Envelope;
use lettre::transport::smtp::client::TlsParameters;
use secrecy::ExposeSecret as _;
use tokio::net::TcpStream;

use super::smtp_error::{Broken, transient};
use super::smtp_reply::{MAX_LINE_BYTES, Next, Reply};
use super::smtp_url::{Encryption, Server};
use crate::mail::SendError;

#[expect(
    deprecated,
    reason = "the only way to lettre's TLS without its reading of replies, and no other TLS stack is in the tree"
)]
type Stream = lettre::transport::smtp::client::AsyncNetworkStream;

/// Yes (RFC 5321 §4.2.1).
const DONE: RangeInclusive<u16> = 200..=299;
/// The recipient is taken, here or further on; not 252, which promises nothing (RFC 5321 §4.3.2).
const RECIPIENT: RangeInclusive<u16> = 250..=251;
/// Go on with the message.
const GO_ON: RangeInclusive<u16> = 354..=354;
/// Go on with the login (RFC 4954 §4).
const CHALLENGE: RangeInclusive<u16> = 334..=334;

/// How long a server may take to answer a question that costs it nothing.
const QUICK: Duration = Duration::from_secs(5);

/// How long a server may take to answer the end of a message, at the least. RFC 5321 §4.5.3.2.6 says ten minutes, because
/// who gives up earlier sends the mail twice; but an attempt has to end too.
const LAST_REPLY: Duration = Duration::from_mins(5);

/// How much of a message must leave within one timeout.
const CHUNK_BYTES: usize = 64 << 10;

/// Where to, and how.
pub(super) struct Route {
    pub(super) server: Server,
    pub(super) tls: Option<TlsParameters>,
    /// The name of this machine, if it has one that others can look up.
    pub(super) name: Option<String>,
    /// For each step.
    pub(super) timeout: Duration,
}

/// A connection that the server greeted and that is logged in, if that is asked for.
pub(super) struct Connection {
    stream: Stream,
    /// What came and was not looked at.
    unread: Vec<u8>,
    encrypted: bool,
    offers: Offers,
    timeout: Duration,
}

/// What the server said that it can do (RFC 5321 §4.1.1.1).
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "a list of what is there and what is not")]
struct Offers {
    starttls: bool,
    plain: bool,
    login: bool,
    eight_bit: bool,
    utf8: bool,
}

impl Connection {
    /// Connects, encrypts and logs in.
    pub(super) async fn open(route: &Route) -> Result<Self, Broken> {
        let Server { host, port, encryption, login } = &route.server;
        let connecting = async {
            let tcp = TcpStream::connect((host.as_str(), *port)).await?;
            // Commands are small, and each waits for its reply.
            tcp.set_nodelay(true)?;
            Ok((tcp.local_addr()?.ip(), tcp))
        };
        let (local, tcp) = within(route.timeout, "connecting", connecting).await?;
        let hello = route.name.clone().unwrap_or_else(|| literal(local));
        let mut connection = Self {
            stream: Stream::use_existing_tokio1(Box::new(tcp)),
            unread: Vec::new(),
            encrypted: false,
            offers: Offers::default(),
            timeout: route.timeout,
        };
        if let (Encryption::Implicit, Some(tls)) = (*encryption, &route.tls) {
            connection.encrypt(tls).await?;
        }
        connection.reply("the greeting", DONE).await?;
        connection.hello(&hello).await?;
        if let Some(tls) = &route.tls {
            let offered = connection.offers.starttls && !connection.encrypted;
            if *encryption == Encryption::Required && !offered {
                return Err(Broken::Here(transient("smtp-tls", "the server does not offer STARTTLS")));
            }
            if offered && matches!(encryption, Encryption::Required | Encryption::Opportunistic) {
                connection.command("STARTTLS", "STARTTLS", DONE).await?;
                connection.encrypt(tls).await?;
                // What was said in the clear counts for nothing (RFC 3207 §4.2).
                connection.hello(&hello).await?;
            }
        }
        if let Some((user, password)) = login {
            if !route.server.may_log_in(connection.encrypted) {
                let message = "the server offers no encryption, and the password is not sent without";
                return Err(Broken::Here(transient("smtp-tls", message)));
            }
            connection.log_in(user, password.expose_secret()).await?;
        }
        Ok(connection)
    }

    async fn hello(&mut self, name: &str) -> Result<(), Broken> {
        let reply = self.command("EHLO", &format!("EHLO {name}"), DONE).await?;
        self.offers = Offers::read(&reply);
        Ok(())
    }

    async fn encrypt(&mut self, tls: &TlsParameters) -> Result<(), Broken> {
        // Whoever sits in between can add to what is in the clear, to have it taken for secret.
        self.silent("STARTTLS")?;
        let handshake = self.stream.upgrade_tls(tls.clone());
        within(self.timeout, "the TLS handshake", async { handshake.await.map_err(Broken::Tls) }).await?;
        self.encrypted = true;
        Ok(())
    }

    /// PLAIN if the server has it (RFC 4616), else LOGIN.
    async fn log_in(&mut self, user: &str, password: &str) -> Result<(), Broken> {
        if self.offers.plain {
            let token = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
            self.command("AUTH", &format!("AUTH PLAIN {token}"), DONE).await?;
        } else if self.offers.login {
            self.command("AUTH", "AUTH LOGIN", CHALLENGE).await?;
            self.command("AUTH", &BASE64_STANDARD.encode(user), CHALLENGE).await?;
            self.command("AUTH", &BASE64_STANDARD.encode(password), DONE).await?;
        } else {
            let message = "the server offers neither AUTH PLAIN nor AUTH LOGIN";
            return Err(Broken::Here(transient("smtp-auth", message)));
        }
        Ok(())
    }

    /// Asks whether anybody is there.
    pub(super) async fn noop(&mut self) -> Result<(), Broken> {
        self.quick("NOOP").await
    }

    /// Forgets a mail that was begun.
    pub(super) async fn reset(&mut self) -> Result<(), Broken> {
        self.quick("RSET").await
    }

    async fn quick(&mut self, command: &str) -> Result<(), Broken> {
        let timeout = self.timeout.min(QUICK);
        let done = self.command(command, command, DONE);
        within(timeout, command, done).await.map(drop)
    }

    /// Says who the mail is from.
    pub(super) async fn begin(&mut self, envelope: &Envelope, message: &[u8]) -> Result<(), Broken> {
        let options = self.mail_options(envelope, message)?;
        let from = envelope.from().map_or("", AsRef::as_ref);
        self.command("MAIL", &format!("MAIL FROM:<{from}>{options}"), DONE).await.map(drop)
    }

    /// Says who it is for, and what it says; gives back the last reply.
    pub(super) async fn finish(&mut self, envelope: &Envelope, message: &[u8]) -> Result<Reply, Broken> {
        // All or none: a mail that reached half of its recipients could not be tried again without reaching them twice.
        for recipient in envelope.to() {
            self.command("RCPT", &format!("RCPT TO:<{recipient}>"), RECIPIENT).await?;
        }
        self.command("DATA", "DATA", GO_ON).await?;
        self.silent("DATA")?;
        for chunk in stuffed(message).chunks(CHUNK_BYTES) {
            within(self.timeout, "the message", write(&mut self.stream, chunk)).await?;
        }
        let timeout = self.timeout.max(LAST_REPLY);
        self.reply_within(timeout, "the message", DONE).await
    }

    /// What the server must be told about a message (RFC 6531 §3.4, RFC 6152).
    fn mail_options(&self, envelope: &Envelope, message: &[u8]) -> Result<String, Broken> {
        let mut options = String::new();
        let plain = |address: &lettre::Address| AsRef::<str>::as_ref(address).is_ascii();
        if !envelope.to().iter().chain(envelope.from()).all(plain) {
            if !self.offers.utf8 {
                return Err(Broken::Here(SendError {
                    code: "smtp-utf8".into(),
                    message: "an address is not ASCII, and the server does not offer SMTPUTF8".to_owned(),
                    retryable: false,
                }));
            }
            options.push_str(" SMTPUTF8");
        }
        if !message.is_ascii() && self.offers.eight_bit {
            options.push_str(" BODY=8BITMIME");
        }
        Ok(options)
    }

    /// Says `line` and waits for its reply, which must have one of the codes of `wanted`.
    async fn command(
        &mut self,
        step: &str,
        line: &str,
        wanted: RangeInclusive<u16>,
    ) -> Result<Reply, Broken> {
        self.silent(step)?;
        let line = format!("{line}\r\n");
        within(self.timeout, step, write(&mut self.stream, line.as_bytes())).await?;
        self.reply(step, wanted).await
    }

    /// Makes sure that the server said nothing that nobody asked for.
    fn silent(&self, step: &str) -> Result<(), Broken> {
        if self.unread.is_empty() {
            Ok(())
        } else {
            Err(protocol(&format!("the server answered {step} before it could")))
        }
    }

    async fn reply(&mut self, step: &str, wanted: RangeInclusive<u16>) -> Result<Reply, Broken> {
        self.reply_within(self.timeout, step, wanted).await
    }

    async fn reply_within(
        &mut self,
        timeout: Duration,
        step: &str,
        wanted: RangeInclusive<u16>,
    ) -> Result<Reply, Broken> {
        let reply = within(timeout, step, read_reply(&mut self.stream, &mut self.unread)).await?;
        match reply.code() {
            code if wanted.contains(&code) => Ok(reply),
            400..=599 => Err(Broken::Refused(reply)),
            code => {
                Err(protocol(&format!("the server answered {step} with {code}, which is no answer to it")))
            }
        }
    }
}

impl Offers {
    fn read(reply: &Reply) -> Self {
        let mut offers = Self::default();
        for line in reply.lines().skip(1) {
            let line = line.to_ascii_uppercase();
            // `AUTH=…` is how some servers wrote it before RFC 2554.
            let mut words = line.split([' ', '=']);
            match words.next().unwrap_or_default() {
                "STARTTLS" => offers.starttls = true,
                "8BITMIME" => offers.eight_bit = true,
                "SMTPUTF8" => offers.utf8 = true,
                "AUTH" => words.for_each(|mechanism| match mechanism {
                    "PLAIN" => offers.plain = true,
                    "LOGIN" => offers.login = true,
                    _ => {}
                }),
                _ => {}
            }
        }
        offers
    }
}

async fn write(stream: &mut Stream, bytes: &[u8]) -> Result<(), Broken> {
    stream.write_all(bytes).await?;
    Ok(stream.flush().await?)
}

async fn read_reply(stream: &mut Stream, unread: &mut Vec<u8>) -> Result<Reply, Broken> {
    let mut reply = Reply::new();
    let mut chunk = vec![0; 1_024];
    loop {
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            match reply.add(line.trim_ascii_end()) {
                Some(Next::Done) => return Ok(reply),
                Some(Next::More) => {}
                None => return Err(protocol("the server answered in a language that is not SMTP")),
            }
        }
        if unread.len() > MAX_LINE_BYTES {
            return Err(protocol("the server answered with a line that does not end"));
        }
        match stream.read(&mut chunk).await? {
            0 => return Err(std::io::Error::other("the server closed the connection").into()),
            read => unread.extend_from_slice(&chunk[..read]),
        }
    }
}

/// Waits for `work`, but not longer than `timeout`.
async fn within<T>(
    timeout: Duration,
    step: &str,
    work: impl Future<Output = Result<T, Broken>>,
) -> Result<T, Broken> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
        let timeout = crate::job::format_duration(timeout);
        let message = format!("{step} took longer than {timeout}");
        Err(Broken::Here(transient("smtp-timeout", &message)))
    })
}

/// The server does not keep to the rules; a mail that it may or may not have taken is sent again with the same `Message-ID`.
fn protocol(message: &str) -> Broken {
    Broken::Here(transient("smtp-protocol", message))
}

/// What a machine without a name that others can look up is called (RFC 5321 §4.1.3).
fn literal(local: IpAddr) -> String {
    match local.to_canonical() {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

/// The message as it goes over the wire: dots doubled where they begin a line (RFC 5321 §4.5.2), and with its end.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + message.len() / 64 + 8);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    if !wire.ends_with(b"\r\n") {
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_stuffed_and_the_end_is_one() {
        for (message, wire) in [
            (&b""[..], &b"\r\n.\r\n"[..]),
            (b"a", b"a\r\n.\r\n"),
            (b".\r\na.\r\n..b\r\n", b"..\r\na.\r\n...b\r\n.\r\n"),
        ] {
            assert_eq!(stuffed(message), wire);
        }
    }

    #[test]
    fn a_machine_without_a_name_is_called_by_its_address() {
        for (ip, name) in
            [("127.0.0.1", "[127.0.0.1]"), ("::1", "[IPv6:::1]"), ("::ffff:10.0.0.7", "[10.0.0.7]")]
        {
            assert_eq!(literal(ip.parse().unwrap()), name);
        }
    }
}
