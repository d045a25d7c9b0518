//! What a server is made of, checked before anything begins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::backroom::Backroom;
use super::bounds::MemoryBounds;
use super::kinds::base_url;
use super::parts::{guard, mail_settings, schedules, service};
use crate::clock::Clock;
use crate::config::Config;
use crate::handler::{Handler, Payload, Registry, RegistryError};
use crate::http::{Api, Hub, Idempotency, Tls};
use crate::mail::Mailer;
use crate::shutdown::{self, Patience, Phase};
use crate::sign::AttemptTokens;
use crate::spill::{SpillError, SpillFile};
use crate::worker::{Pool, Stop};

/// Collects handlers for a [`Backroom`].
pub struct Builder {
    pub(super) config: Config,
    pub(super) clock: Clock,
    /// Made before the handlers, which issue tokens, and the API, which takes them.
    pub(super) attempt_tokens: AttemptTokens,
    pub(super) registry: Registry,
    pub(super) faults: Vec<String>,
    pub(super) workers_on: Option<Handle>,
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
    #[error("cannot listen on {address} (choose another with server.bind: --set server.bind=127.0.0.1:8081)")]
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

    /// Runs the jobs on another runtime than the one on which the server is started. A handler that blocks its thread then
    /// keeps neither signals nor the deadlines of a drain from being noticed.
    #[must_use]
    pub fn workers_on(mut self, runtime: Handle) -> Self {
        self.workers_on = Some(runtime);
        self
    }

    pub(super) fn note(&mut self, register: impl FnOnce(&mut Registry) -> Result<(), RegistryError>) {
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
        Ok(self.parts(true)?.mailer)
    }

    fn parts(mut self, dry: bool) -> Result<Parts, StartError> {
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
        let tls = self.config.server.tls.as_ref().map(|files| Tls::load(&files.certificate, &files.key));
        let tls = tls.transpose().unwrap_or_else(|fault| {
            self.faults.push(format!("server.tls.{fault}"));
            None
        });
        self = self.register_built_in(mailer.clone());
        let signer = self.signer(dry);
        self.register_webhook(&signer);
        self.register_configured(&signer);
        self.check_schedules();
        match mailer {
            Some(mailer) if self.faults.is_empty() => {
                let Self { registry, config, .. } = self;
                Ok(Parts { mailer, registry, config, tls: tls.map(Arc::new) })
            }
            _ => Err(StartError::Config(self.faults)),
        }
    }

    /// Starts the workers, with what the last drain left, on the runtime that this is called on, unless
    /// [`Self::workers_on`] names another.
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
    pub(super) fn prepare(self) -> Result<Prepared, StartError> {
        let (clock, attempt_tokens) = (self.clock.clone(), self.attempt_tokens.clone());
        let workers_on = self.workers_on.clone();
        let Parts { mailer, registry, config, tls } = self.parts(false)?;
        let spill = config.shutdown.spill_file.as_deref().map(SpillFile::open).transpose()?;
        let jobs = service(&config, clock.clone(), registry);
        let api = Api {
            schedules: schedules(&config, &jobs),
            jobs,
            phase: Phase::default(),
            closing: CancellationToken::new(),
            mailer,
            attempt_tokens,
            base_url: base_url(&config).to_owned(),
            body_limit: config.server.body_limit,
            guard: guard(&config, &clock),
            idempotency: Idempotency::new(config.limits.idempotency_keys, config.limits.idempotency_memory),
            hub: Hub::new(config.server.max_hub_connections),
            body_timeout: config.server.body_timeout,
            memory_limit: config.limits.memory,
            access_log: config.log.access,
        };
        let patience = Patience { ready_delay: config.shutdown.ready_delay, grace: config.shutdown.grace };
        Ok(Prepared { api, tls, workers_on, spill, patience, bounds: MemoryBounds::of(&config) })
    }
}

/// What a configuration comes to, without fault.
struct Parts {
    mailer: Mailer,
    registry: Registry,
    config: Config,
    tls: Option<Arc<Tls>>,
}

/// A server that has only to begin.
pub(super) struct Prepared {
    pub(super) api: Api,
    pub(super) tls: Option<Arc<Tls>>,
    workers_on: Option<Handle>,
    spill: Option<SpillFile>,
    patience: Patience,
    bounds: MemoryBounds,
}

impl Prepared {
    pub(super) async fn begin(self) -> Result<Backroom, StartError> {
        let Self { api, tls: _, workers_on, spill, patience, bounds } = self;
        bounds.log();
        if let Some(spill) = &spill {
            let found = shutdown::take_up(&api.jobs, spill).await.map_err(|error| {
                match error.downcast::<SpillError>() {
                    Ok(error) => StartError::Spill(error),
                    Err(error) => StartError::Other(error),
                }
            })?;
            api.schedules.take_up(found.schedules);
            // From here on the jobs are in memory, and nobody may run them a second time.
            spill.clear()?;
        }
        let stop = Stop::default();
        let pool = {
            let _elsewhere = workers_on.as_ref().map(Handle::enter);
            Pool::start_with(api.jobs.clone(), api.schedules.clone(), stop.clone())
        };
        api.phase.ready();
        Ok(Backroom { api, pool, stop, spill, patience, drained: AtomicBool::new(false) })
    }
}
