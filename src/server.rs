//! The composition root: from a configuration to a server that runs, and to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::ServiceConfig;
use tokio::task::JoinHandle;

/// Tells a drain to hurry; the type that [`Backroom::drain`] takes.
pub use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Config, MailTransport};
use crate::handler::{Handler, Payload, Registry, RegistryError};
use crate::http::{self, Api, CLOSING, Threads, http_server, listener, write_address};
use crate::jobs::{Jobs, Limits, QueueSettings};
use crate::kinds::{EmailHandler, NoopHandler};
use crate::mail::{self, Mailer};
use crate::queue::{MemoryQueue, Queue};
use crate::redact::Redactor;
use crate::shutdown::{self, DrainReport, Patience, Phase};
use crate::spill::{SpillError, SpillFile};
use crate::store::{MemoryStore, Retention, Store};
use crate::worker::{Pool, Stop};

/// The kinds that every server has.
pub const BUILT_IN_KINDS: [&str; 2] = ["email", "noop"];

/// A server without HTTP of its own: jobs, workers, spill file.
pub struct Backroom {
    api: Api,
    pool: Pool,
    stop: Stop,
    spill: Option<SpillFile>,
    patience: Patience,
    drained: AtomicBool,
}

/// Collects handlers for a [`Backroom`].
pub struct Builder {
    config: Config,
    clock: Clock,
    registry: Registry,
    faults: Vec<String>,
}

/// A [`Backroom`] that listens.
pub struct Server {
    backroom: Backroom,
    address: SocketAddr,
    handle: ServerHandle,
    serving: Serving,
}

/// Why a server did not start. Nothing was taken in, and a spill file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be followed; every reason is named.
    #[error("{}", .0.join("\n"))]
    Config(Vec<String>),
    /// The spill file cannot be used.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Something else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl Builder {
    /// Adds a handler. What holds for its kind stands in the configuration under `kinds.<name>`.
    #[must_use]
    pub fn handler<H: Handler>(mut self, handler: H) -> Self {
        let settings = self.config.kind_settings(<H::Input as Payload>::KIND);
        self.note(|registry| registry.register(handler, settings));
        self
    }

    /// Uses another clock: for tests that hold the time.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    fn note(&mut self, register: impl FnOnce(&mut Registry) -> Result<(), RegistryError>) {
        if let Err(error) = register(&mut self.registry) {
            self.faults.push(error.to_string());
        }
    }

    /// Checks everything that a start would check, and changes nothing. Returns the mailer, whose templates can be
    /// rendered.
    ///
    /// # Errors
    ///
    /// Every fault that is found.
    pub fn check(self) -> Result<Mailer, StartError> {
        let (mailer, _, _) = self.parts()?;
        Ok(mailer)
    }

    fn parts(mut self) -> Result<(Mailer, Registry, Config), StartError> {
        // What was loaded was checked when it was; what was made in code was not.
        self.faults.extend(self.config.faults());
        let mailer = match Mailer::new(mail_settings(&self.config), self.clock.clone()) {
            Ok(mailer) => Some(mailer),
            Err(faults) => {
                self.faults
                    .extend(faults.into_iter().map(|fault| format!("{}: {}", fault.key, fault.reason)));
                None
            }
        };
        if let Some(mailer) = mailer.clone() {
            self = self.handler(EmailHandler { mailer }).handler(NoopHandler);
        }
        match mailer {
            Some(mailer) if self.faults.is_empty() => Ok((mailer, self.registry, self.config)),
            _ => Err(StartError::Config(self.faults)),
        }
    }

    /// Starts the workers, with what the last drain left, on the runtime that this is called on.
    ///
    /// # Errors
    ///
    /// [`StartError`]. Nothing was taken in, and a spill file is as it was.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn start(self) -> Result<Backroom, StartError> {
        self.prepare()?.begin().await
    }

    /// Everything that can go wrong and changes nothing.
    fn prepare(self) -> Result<Prepared, StartError> {
        let clock = self.clock.clone();
        let (mailer, registry, config) = self.parts()?;
        let spill = config.shutdown.spill_file.as_deref().map(SpillFile::open).transpose()?;
        let api = Api {
            jobs: service(&config, clock.clone(), registry),
            phase: Phase::default(),
            closing: CancellationToken::new(),
            mailer,
            redactor: Redactor::new(&clock.secret()),
            base_url: config.server.public_url.clone().unwrap_or_default(),
            body_limit: config.server.body_limit,
        };
        let patience = Patience { ready_delay: config.shutdown.ready_delay, grace: config.shutdown.grace };
        Ok(Prepared { api, spill, patience })
    }
}

/// A server that has only to begin.
struct Prepared {
    api: Api,
    spill: Option<SpillFile>,
    patience: Patience,
}

impl Prepared {
    async fn begin(self) -> Result<Backroom, StartError> {
        let Self { api, spill, patience } = self;
        if let Some(spill) = &spill {
            shutdown::take_up(&api.jobs, spill).await.map_err(|error| {
                match error.downcast::<SpillError>() {
                    Ok(error) => StartError::Spill(error),
                    Err(error) => StartError::Other(error),
                }
            })?;
            // From here on the jobs are in memory, and nobody may run them a second time.
            spill.clear()?;
        }
        let stop = Stop::default();
        let pool = Pool::start(api.jobs.clone(), stop.clone());
        api.phase.ready();
        Ok(Backroom { api, pool, stop, spill, patience, drained: AtomicBool::new(false) })
    }
}

impl Backroom {
    /// Begins with a configuration and the built-in kinds.
    pub fn builder(config: Config) -> Builder {
        Builder { config, clock: Clock::system(), registry: Registry::new(), faults: Vec::new() }
    }

    /// The service: submit, ask, cancel.
    pub fn jobs(&self) -> &Jobs {
        &self.api.jobs
    }

    /// The HTTP API, for `App::configure`. It answers every path below its scope, so register your own services first.
    pub fn routes(&self) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
        http::routes(self.api.clone())
    }

    /// The pool that runs the jobs.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Where mail goes.
    pub fn mailer(&self) -> &Mailer {
        &self.api.mailer
    }

    /// Stops the work, and accounts for it: see [`shutdown::drain`]. HTTP goes on answering until [`Self::close`];
    /// `hurry` skips the waiting.
    ///
    /// # Cancel safety
    ///
    /// Not safe: when the future is dropped, intake stays refused and nothing is spilled or reported.
    pub async fn drain(&self, hurry: &CancellationToken) -> DrainReport {
        let Self { api, pool, stop, spill, patience, drained } = self;
        let report =
            shutdown::drain(&api.jobs, pool, stop, &api.phase, *patience, spill.as_ref(), hurry).await;
        drained.store(true, Ordering::SeqCst);
        report
    }

    /// Drains, closes, and logs the report: all that is to be done at the end, when HTTP is served by somebody else.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::drain`].
    pub async fn stop(self) -> DrainReport {
        let report = self.drain(&CancellationToken::new()).await;
        self.close();
        report.log();
        report
    }

    /// Answers who still waits for the end of a job with what is known, so that connections can be closed.
    pub fn close(&self) {
        self.api.closing.cancel();
    }
}

impl Drop for Backroom {
    fn drop(&mut self) {
        if !self.drained.load(Ordering::SeqCst) {
            let jobs = self.api.jobs.volatile().iter().filter(|job| !job.state.is_terminal()).count();
            if jobs > 0 {
                tracing::error!(jobs, "dropped without a drain: these jobs are lost");
            }
        }
    }
}

impl Server {
    /// Starts a [`Backroom`] and listens.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(builder: Builder) -> Result<Self, StartError> {
        let settings = builder.config.server.clone();
        let listen = |source| StartError::Listen { address: settings.bind, source };
        let listener = listener(settings.bind).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let prepared = builder.prepare()?;
        let threads = Threads {
            number: settings.http_workers,
            keep_alive: settings.keep_alive,
            header_timeout: settings.header_timeout,
        };
        let http = http_server(http::routes(prepared.api.clone()), listener, &threads).map_err(listen)?;
        if let Some(file) = &settings.address_file {
            write_address(file, address).map_err(|error| {
                anyhow::anyhow!("server.address_file: cannot write {}: {error}", file.display())
            })?;
        }
        // Last of all, when nothing can go wrong any more: what cannot serve must not take up the spill file.
        let backroom = prepared.begin().await?;
        let handle = http.handle();
        Ok(Self { backroom, address, handle, serving: tokio::spawn(http) })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it serves.
    pub fn backroom(&self) -> &Backroom {
        &self.backroom
    }

    /// Stops: drains, closes the connections, and accounts for every job.
    pub async fn stop(self, hurry: &CancellationToken) -> DrainReport {
        let report = self.backroom.drain(hurry).await;
        self.backroom.close();
        let closing = async {
            self.handle.stop(true).await;
            self.serving.await
        };
        if tokio::time::timeout(CLOSING + Duration::from_secs(1), closing).await.is_err() {
            tracing::warn!("connections did not end in time and were cut");
        }
        report
    }
}

type Serving = JoinHandle<std::io::Result<()>>;

/// The service over memory backends.
fn service(config: &Config, clock: Clock, registry: Registry) -> Jobs {
    let retention = Retention {
        completed: config.retention.completed,
        dead_lettered: config.retention.dead_lettered,
        max_finished: config.retention.max_finished,
    };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(config.queues.keys().cloned(), retention));
    let queues = config.queues.iter().map(|(name, queue)| {
        let settings = QueueSettings {
            capacity: queue.capacity,
            concurrency: queue.concurrency,
            enqueue_wait: queue.enqueue_wait,
        };
        (name.clone(), Arc::new(MemoryQueue::new(queue.capacity)) as Arc<dyn Queue>, settings)
    });
    let limits =
        Limits { payload: config.limits.payload, result: config.limits.result, batch: config.limits.batch };
    Jobs::new(clock, Arc::new(registry), store, queues, limits)
}

fn mail_settings(config: &Config) -> mail::Settings {
    let mail = &config.mail;
    let transport = match (mail.transport, &mail.smtp_url) {
        (MailTransport::Smtp, Some(url)) => mail::TransportSettings::Smtp(mail::SmtpSettings {
            url: url.clone(),
            password: mail.smtp_password.clone(),
            timeout: mail.smtp_timeout,
            pool_size: mail.smtp_pool,
            ca_file: mail.smtp_ca_file.clone(),
        }),
        (MailTransport::File, _) => mail::TransportSettings::File { folder: mail.folder.clone() },
        // Without a URL there is no SMTP; the configuration has refused that before.
        (MailTransport::Capture | MailTransport::Smtp, _) => mail::TransportSettings::Capture {
            max_messages: mail.capture_messages,
            max_bytes: mail.capture_bytes,
        },
    };
    mail::Settings {
        from: mail.from.to_string(),
        app_name: mail.app_name.clone(),
        templates: mail.templates.clone(),
        transport,
    }
}
