//! An SMTP server that does what a test tells it: refuses, stalls, hangs up, encrypts, and remembers what it took.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How long a test waits for a mail before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server offers. Default: plain SMTP on a free port of 127.0.0.1, without login.
#[derive(Clone, Default)]
pub(crate) struct Options {
    /// Offers STARTTLS.
    pub(crate) starttls: bool,
    /// Speaks TLS from the first byte.
    pub(crate) implicit_tls: bool,
    /// Demands this user and password.
    pub(crate) login: Option<(&'static str, &'static str)>,
    /// Offers LOGIN alone, not PLAIN.
    pub(crate) login_mechanism_only: bool,
    /// How long it thinks before it answers MAIL.
    pub(crate) slow: Duration,
}

/// What the server does instead of agreeing.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers this line.
    Reply(&'static str),
    /// Answers these bytes, and agrees.
    Agree(&'static [u8]),
    /// Agrees, and hangs up afterwards.
    AgreeAndClose,
    /// Hangs up without an answer.
    Close,
    /// Takes the mail, and hangs up without saying so.
    TakeAndClose,
    /// Never answers.
    Hang,
    /// Agrees, but only when the client has gone on without waiting.
    Late,
    /// Agrees, but only after [`Server::release_held`].
    Held,
}

/// A mail that the server took.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The address in MAIL FROM.
    pub(crate) from: String,
    /// The addresses in RCPT TO.
    pub(crate) to: Vec<String>,
    /// The message, with its dots unstuffed.
    pub(crate) message: String,
    /// Whether it came encrypted.
    pub(crate) encrypted: bool,
}

/// The server. Ends with its connections when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    ca: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

struct Shared {
    options: Options,
    tls: TlsAcceptor,
    /// What to do at the next step of this name (`CONNECT`, `EHLO`, `AUTH`, `MAIL`, `RCPT`, `DATA`, `MESSAGE`, `NOOP`, …).
    script: Mutex<VecDeque<(&'static str, Act)>>,
    /// The step that is not answered for now.
    held: watch::Sender<Option<&'static str>>,
    /// How many conversations wait there.
    waiting: watch::Sender<usize>,
    lines: watch::Sender<Vec<String>>,
    connections: Mutex<usize>,
    received: watch::Sender<Vec<Received>>,
    released: watch::Sender<bool>,
}

impl Server {
    /// Starts a server on a free port.
    pub(crate) async fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_on(listener, options)
    }

    /// Starts a server.
    pub(crate) fn start_on(listener: TcpListener, options: Options) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        let ca = tempfile::tempdir().unwrap();
        std::fs::write(ca.path().join("ca.pem"), certified.cert.pem()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            options,
            tls: Arc::new(config).into(),
            script: Mutex::default(),
            held: watch::Sender::default(),
            waiting: watch::Sender::default(),
            lines: watch::Sender::default(),
            connections: Mutex::default(),
            received: watch::Sender::default(),
            released: watch::Sender::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, ca, _tasks: tasks }
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its certificate, as a PEM file to trust.
    pub(crate) fn ca_file(&self) -> PathBuf {
        Path::join(self.ca.path(), "ca.pem")
    }

    /// Does `act` at the next step of this name; several for one step are done one after the other.
    pub(crate) fn script(&self, step: &'static str, act: Act) {
        self.shared.script.lock().unwrap().push_back((step, act));
    }

    /// Answers no further step of this name until [`Self::release`].
    pub(crate) fn hold(&self, step: &'static str) {
        self.shared.waiting.send_replace(0);
        self.shared.held.send_replace(Some(step));
    }

    /// Waits until so many conversations have come to the step that is held.
    pub(crate) async fn holds(&self, n: usize) {
        let mut waiting = self.shared.waiting.subscribe();
        let waiting = waiting.wait_for(|waiting| *waiting >= n);
        tokio::time::timeout(PATIENCE, waiting).await.expect("the conversations came in time").unwrap();
    }

    /// Answers again.
    pub(crate) fn release(&self) {
        self.shared.held.send_replace(None);
    }

    /// Waits for the `n`-th mail, counted from 1. Fails the test when it does not come in time.
    pub(crate) async fn nth(&self, n: usize) -> Received {
        let mut received = self.shared.received.subscribe();
        let waiting = received.wait_for(|all| all.len() >= n);
        let all = tokio::time::timeout(PATIENCE, waiting).await.expect("the mail came in time").unwrap();
        all[n - 1].clone()
    }

    /// Every mail so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.borrow().clone()
    }

    /// Every command so far, the messages left out.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.shared.lines.borrow().clone()
    }

    /// Waits for a command. Fails the test when it does not come in time.
    pub(crate) async fn line(&self, wanted: &str) {
        let mut lines = self.shared.lines.subscribe();
        let waiting = lines.wait_for(|all| all.iter().any(|line| line == wanted));
        tokio::time::timeout(PATIENCE, waiting).await.expect("the command came in time").unwrap();
    }

    /// Waits until there are more commands than these. Fails the test when none comes in time.
    pub(crate) async fn more_lines(&self, than: usize) {
        let mut lines = self.shared.lines.subscribe();
        let waiting = lines.wait_for(|all| all.len() > than);
        tokio::time::timeout(PATIENCE, waiting).await.expect("a command came in time").unwrap();
    }

    /// Lets what is held go on.
    pub(crate) fn release_held(&self) {
        self.shared.released.send_replace(true);
    }

    /// How many connections were opened so far.
    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        *shared.connections.lock().unwrap() += 1;
        let shared = Arc::clone(&shared);
        // A connection that breaks is what some tests are about.
        connections.spawn(async move {
            if shared.options.implicit_tls {
                if let Ok(stream) = shared.tls.accept(stream).await {
                    let _ = talk(stream, &shared, true, true).await;
                }
            } else if let Ok(Some(stream)) = talk(stream, &shared, false, true).await
                && let Ok(stream) = shared.tls.accept(stream).await
            {
                let _ = talk(stream, &shared, true, false).await;
            }
        });
    }
}

/// Speaks with one client until it leaves; gives the stream back when it wants STARTTLS.
async fn talk<S>(stream: S, shared: &Shared, encrypted: bool, greet: bool) -> std::io::Result<Option<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    let mut known = shared.options.login.is_none();
    let mut envelope: Option<Received> = None;
    if greet && !answer(&mut stream, shared, "CONNECT", "220 test ESMTP").await? {
        return Ok(None);
    }
    while let Some(line) = read_line(&mut stream).await? {
        shared.lines.send_modify(|all| all.push(line.clone()));
        let step = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let reply = match step.as_str() {
            "EHLO" => {
                let mut reply = "250-test\r\n250-8BITMIME\r\n".to_owned();
                if shared.options.starttls && !encrypted {
                    reply += "250-STARTTLS\r\n";
                }
                if shared.options.login.is_some() {
                    let plain = if shared.options.login_mechanism_only { "" } else { " PLAIN" };
                    reply += "250-AUTH";
                    reply += plain;
                    reply += " LOGIN\r\n";
                }
                reply + "250 SMTPUTF8"
            }
            "STARTTLS" if shared.options.starttls && !encrypted => {
                return Ok(answer(&mut stream, shared, "STARTTLS", "220 go")
                    .await?
                    .then(|| stream.into_inner()));
            }
            "AUTH" => {
                known = log_in(&mut stream, shared, &line).await?;
                if known { "235 2.7.0 welcome" } else { "535 5.7.8 who are you?" }.to_owned()
            }
            "MAIL" | "RCPT" | "DATA" if !known => "530 5.7.0 log in first".to_owned(),
            "MAIL" => {
                let mail =
                    Received { from: address(&line), to: Vec::new(), message: String::new(), encrypted };
                envelope = Some(mail);
                "250 2.1.0 ok".to_owned()
            }
            "RCPT" => match &mut envelope {
                Some(envelope) => {
                    envelope.to.push(address(&line));
                    "250 2.1.5 ok".to_owned()
                }
                None => "503 5.5.1 MAIL first".to_owned(),
            },
            "DATA" if envelope.as_ref().is_some_and(|envelope| !envelope.to.is_empty()) => {
                if !take(&mut stream, shared, envelope.take()).await? {
                    return Ok(None);
                }
                continue;
            }
            "RSET" => {
                envelope = None;
                "250 2.0.0 ok".to_owned()
            }
            "NOOP" => "250 2.0.0 ok".to_owned(),
            "QUIT" => "221 2.0.0 bye".to_owned(),
            _ => "502 5.5.1 what?".to_owned(),
        };
        if !answer(&mut stream, shared, &step, &reply).await? || step == "QUIT" {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Takes a message after DATA; `false` when the connection is over.
async fn take<S>(
    stream: &mut BufReader<S>,
    shared: &Shared,
    envelope: Option<Received>,
) -> std::io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let refused = matches!(peek(shared, "DATA"), Some(Act::Reply(_)));
    if !answer(stream, shared, "DATA", "354 go on").await? {
        return Ok(false);
    }
    let Some(mut mail) = envelope.filter(|_| !refused) else {
        return Ok(true);
    };
    mail.message = read_message(stream).await?;
    if mail.message.contains('\0') || mail.message.replace("\r\n", "").contains(['\r', '\n']) {
        // As real servers do: what is a line to one of them is none to another.
        return answer(stream, shared, "MESSAGE", "550 5.6.11 bare line end").await;
    }
    let number = shared.received.borrow().len() + 1;
    let taken = format!("250 2.0.0 queued as {number}");
    if peek(shared, "MESSAGE")
        .is_none_or(|act| matches!(act, Act::Agree(_) | Act::AgreeAndClose | Act::TakeAndClose | Act::Held))
    {
        shared.received.send_modify(|all| all.push(mail));
    }
    answer(stream, shared, "MESSAGE", &taken).await
}

fn peek(shared: &Shared, step: &str) -> Option<Act> {
    shared.script.lock().unwrap().iter().find(|(name, _)| *name == step).map(|(_, act)| act.clone())
}

/// Says `reply`, or does what the script has for this step; `false` when the connection is over.
async fn answer<S>(
    stream: &mut BufReader<S>,
    shared: &Shared,
    step: &str,
    reply: &str,
) -> std::io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if step == "MAIL" && !shared.options.slow.is_zero() {
        // sleep: the server is slow; nothing is awaited by it.
        tokio::time::sleep(shared.options.slow).await;
    }
    let mut held = shared.held.subscribe();
    if *held.borrow_and_update() == Some(step) {
        shared.waiting.send_modify(|waiting| *waiting += 1);
        let _ = held.wait_for(|held| *held != Some(step)).await;
    }
    let act = {
        let mut script = shared.script.lock().unwrap();
        let next = script.iter().position(|(name, _)| *name == step);
        next.and_then(|next| script.remove(next)).map(|(_, act)| act)
    };
    let reply = reply.as_bytes();
    let (reply, go_on) = match act {
        None => (reply, true),
        Some(Act::Reply(other)) => (other.as_bytes(), true),
        Some(Act::Agree(bytes)) => (bytes, true),
        Some(Act::AgreeAndClose) => (reply, false),
        Some(Act::Close | Act::TakeAndClose) => return Ok(false),
        Some(Act::Hang) => std::future::pending().await,
        Some(Act::Held) => {
            let _ = shared.released.subscribe().wait_for(|released| *released).await;
            (reply, true)
        }
        Some(Act::Late) => {
            let gone = stream.fill_buf().await?.is_empty();
            (reply, !gone)
        }
    };
    stream.write_all(&[reply, b"\r\n"].concat()).await?;
    stream.flush().await?;
    Ok(go_on)
}

async fn log_in<S>(stream: &mut BufReader<S>, shared: &Shared, line: &str) -> std::io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let decode =
        |text: &str| String::from_utf8(BASE64_STANDARD.decode(text).unwrap_or_default()).unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let (user, password) = match words.as_slice() {
        [_, "PLAIN", token] => {
            let token = decode(token);
            let mut parts = token.split('\0').skip(1).map(str::to_owned);
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        }
        [_, "LOGIN"] => {
            let mut said = Vec::new();
            for prompt in ["Username:", "Password:"] {
                stream.write_all(format!("334 {}\r\n", BASE64_STANDARD.encode(prompt)).as_bytes()).await?;
                stream.flush().await?;
                said.push(decode(&read_line(stream).await?.unwrap_or_default()));
            }
            (said.remove(0), said.remove(0))
        }
        _ => return Ok(false),
    };
    Ok(shared.options.login == Some((user.as_str(), password.as_str())))
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await?;
    Ok((read > 0).then(|| line.trim_end().to_owned()))
}

async fn read_message<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<String> {
    let mut message = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(message);
        }
        message += line.strip_prefix('.').unwrap_or(&line);
    }
}

/// The address between angle brackets.
fn address(line: &str) -> String {
    line.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}
