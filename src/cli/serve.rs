//! `backroom serve`: run until told to stop, then account for everything.

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::notify::Notify;
use super::reload::Reloading;
use super::{Ended, exit};
use crate::config::{AuthMode, Loaded, MailTransport, Refused};
use crate::server::{Backroom, Server};
use crate::telemetry;

/// Serves until SIGTERM, SIGINT, or a failure that no restart of a part can mend. Jobs run on `workers`, which should not
/// be the runtime that this is called on: signals and the deadlines of the drain are seen on that one, and handlers can
/// block every thread that they are given. SIGHUP has the configuration `read` again.
///
/// # Errors
///
/// With the exit code of the contract: 1, 3 or 78.
pub async fn serve(
    loaded: Loaded,
    read: impl Fn() -> Result<Loaded, Box<Refused>>,
    workers: Handle,
) -> Result<(), Ended> {
    let config = loaded.config;
    // Kept to the end: then the last spans are sent.
    let (level, _telemetry) = telemetry::init(&config.log)?;
    let mut reloading = Reloading::new(read, level, &config, loaded.effective);
    // Before anything is taken in: a signal that comes early must not kill.
    let mut signals = Signals::new()?;
    let notify = Notify::from_environment();
    let open = config.auth.mode == AuthMode::None && !config.server.bind.ip().is_loopback();
    let mail = match config.mail.transport {
        MailTransport::Capture => "capture",
        MailTransport::Smtp => "smtp",
        MailTransport::File => "file",
    };
    let server = Server::start(Backroom::builder(config).workers_on(workers)).await?;
    let (address, scheme, version) = (server.address(), server.scheme(), env!("CARGO_PKG_VERSION"));
    tracing::info!(%address, scheme, version, durability = "memory", mail, "listening");
    if open {
        tracing::warn!(
            "auth.mode is \"none\": everybody who can connect can submit, read, cancel, retry and delete jobs"
        );
    }

    notify.ready(&format!("listening on {scheme}://{address}"));

    let reason = tokio::select! {
        name = signals.next(|| reloading.run(server.reload())) => name,
        () = server.backroom().pool().failed() => "a part of the pool keeps dying",
    };
    tracing::info!(reason, hint = "a second signal skips the waiting", "stopping");
    notify.stopping();
    let failed = server.backroom().pool().has_failed();
    let hurry = CancellationToken::new();
    let report = {
        let stopping = server.stop(&hurry);
        let mut stopping = std::pin::pin!(stopping);
        loop {
            tokio::select! {
                report = &mut stopping => break report,
                name = signals.next(|| tracing::warn!("SIGHUP ignored: stopping")) => {
                    if !hurry.is_cancelled() {
                        tracing::warn!(reason = name, "second signal: stopping at once");
                    }
                    hurry.cancel();
                }
            }
        }
    };
    report.log();
    match (report.lost.is_empty(), failed) {
        (true, false) => Ok(()),
        (true, true) => Err(Ended { code: exit::FAILED, message: String::new() }),
        (false, _) => Err(Ended { code: exit::LOST, message: String::new() }),
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal that means: stop. Until then does what SIGHUP means.
    async fn next(&mut self, mut hangup: impl FnMut()) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => hangup(),
            }
        }
    }
}
