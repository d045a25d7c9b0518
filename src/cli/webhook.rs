//! `backroom webhook listen`: receive webhooks while developing.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::Ended;
use super::client::{clean, json_line};
use crate::config::webhook_verifier;
use crate::server::{Delivery, Receiver};

/// Where a server keeps a secret that it had to make, in its working folder.
const MADE_SECRET: &str = "backroom.webhook-secret";

const HELP: &str = "\
Every delivery is verified as Standard Webhooks says, shown, and answered: with --status when it is verified,
else with 401. Ends with 0 on Ctrl-C, and with --once after the first delivery: 0 when it was verified, else 1.

Examples:
  backroom webhook listen
  backroom enqueue noop --callback-url http://127.0.0.1:8090/hooks
  backroom webhook listen --secret-file webhook-secret --status 500     see how deliveries are tried again";

/// Says what to do with webhooks.
#[derive(Clone, Args, Debug)]
pub struct WebhookArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: WebhookCommand,
}

/// Names what to do with webhooks.
#[derive(Clone, Subcommand, Debug)]
pub enum WebhookCommand {
    /// Receive, verify and show webhooks
    #[command(after_help = HELP)]
    Listen(ListenArgs),
}

/// Says where to receive webhooks, and how.
#[derive(Clone, Args, Debug)]
pub struct ListenArgs {
    /// Where to listen; port 0 picks one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub bind: SocketAddr,
    /// A secret, whsec_…; can be repeated while it is rotated. Others on this host can see command lines
    #[arg(long = "secret", value_name = "whsec_…", value_parser = secret, conflicts_with = "secret_file")]
    pub secrets: Vec<SecretString>,
    /// File with the secrets, one on a line [default: ./backroom.webhook-secret, which a server makes]
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// The status that a verified delivery is answered with
    #[arg(long, value_name = "STATUS", default_value_t = 204, value_parser = clap::value_parser!(u16).range(200..=599))]
    pub status: u16,
    /// End after the first delivery
    #[arg(long)]
    pub once: bool,
    /// A JSON object on a line for each: {"at","path","id","timestamp","verified","reason","status","body"}
    #[arg(long)]
    pub json: bool,
}

/// Receives webhooks until it is interrupted.
///
/// # Errors
///
/// With exit code 2 when there is no secret to verify by, and 1 when it cannot listen, or when `--once` gets a delivery
/// that is not to be believed.
pub async fn webhook(args: WebhookArgs) -> Result<(), Ended> {
    let WebhookCommand::Listen(args) = args.command;
    let verifier = webhook_verifier(secrets(&args)?.expose_secret())
        .map_err(|reason| Ended::usage(format!("error: the secret {reason}")))?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut receiver = Receiver::start(args.bind, verifier, args.status)?;
    let _ = writeln!(
        io::stderr(),
        "listening on http://{}; verified deliveries are answered with {}; Ctrl-C ends",
        receiver.address(),
        args.status
    );
    let ended = loop {
        let delivery = tokio::select! {
            delivery = receiver.next() => delivery,
            _ = interrupt.recv() => break Ok(()),
            _ = terminate.recv() => break Ok(()),
        };
        let Some(delivery) = delivery else { break Ok(()) };
        if let Err(error) = show(&delivery, args.json, &mut io::stdout()) {
            break Err(error.into());
        }
        if args.once {
            let unverified = Ended::failed(String::new());
            break delivery.verdict.map_err(|_| unverified);
        }
    };
    receiver.stop().await;
    ended
}

/// The secrets as they stand in the arguments or in a file.
fn secrets(args: &ListenArgs) -> Result<SecretString, Ended> {
    if !args.secrets.is_empty() {
        let texts: Vec<&str> = args.secrets.iter().map(ExposeSecret::expose_secret).collect();
        return Ok(texts.join(",").into());
    }
    let file = args.secret_file.as_deref().unwrap_or(Path::new(MADE_SECRET));
    std::fs::read_to_string(file).map(Into::into).map_err(|error| {
        let hint =
            if args.secret_file.is_some() { "" } else { "; name the secret with --secret-file or --secret" };
        Ended::usage(format!("error: {} cannot be read: {error}{hint}", file.display()))
    })
}

/// Shows a delivery: what it says of itself, whether that is so, and its body.
fn show(delivery: &Delivery, json: bool, out: &mut impl Write) -> io::Result<()> {
    let text = String::from_utf8_lossy(&delivery.body);
    let body: Value = serde_json::from_slice(&delivery.body).unwrap_or_else(|_| text.as_ref().into());
    let reason = delivery.verdict.as_ref().err().map(ToString::to_string);
    if json {
        let line = json!({
            "at": delivery.at, "path": delivery.path, "id": delivery.id, "timestamp": delivery.timestamp,
            "verified": reason.is_none(), "reason": reason, "status": delivery.status, "body": body,
        });
        writeln!(out, "{}", json_line(&line.to_string()))?;
        return out.flush();
    }
    let verdict = reason.map_or_else(|| "verified".to_owned(), |reason| format!("NOT VERIFIED: {reason}"));
    let kind = body["type"].as_str().unwrap_or("no type");
    let id = delivery.id.as_deref().unwrap_or("no id");
    let (at, path, status) = (delivery.at, clean(&delivery.path), delivery.status);
    writeln!(out, "{at}  {}  {path}  {}  {verdict}; answered with {status}", clean(kind), clean(id))?;
    let pretty = match &body {
        Value::String(text) => text.clone(),
        body => serde_json::to_string_pretty(body)?,
    };
    for line in pretty.lines() {
        writeln!(out, "    {}", clean(line))?;
    }
    out.flush()
}

#[expect(clippy::unnecessary_wraps, reason = "the form that clap asks for")]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(text.into())
}
