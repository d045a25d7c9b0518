//! A server without HTTP of its own, from its start to its drain.

use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::web::ServiceConfig;
use tokio_util::sync::CancellationToken;

use super::builder::Builder;
use crate::clock::Clock;
use crate::config::Config;
use crate::handler::Registry;
use crate::http::{self, Api, Hub};
use crate::jobs::Jobs;
use crate::mail::Mailer;
use crate::shutdown::{self, DrainReport, Patience};
use crate::sign::AttemptTokens;
use crate::spill::SpillFile;
use crate::worker::{Pool, Stop};

/// A server without HTTP of its own: jobs, workers, spill file.
pub struct Backroom {
    pub(super) api: Api,
    pub(super) pool: Pool,
    pub(super) stop: Stop,
    pub(super) spill: Option<SpillFile>,
    pub(super) patience: Patience,
    pub(super) drained: AtomicBool,
}

impl Backroom {
    /// Begins with a configuration and the built-in kinds.
    pub fn builder(config: Config) -> Builder {
        let clock = Clock::system();
        let attempt_tokens = AttemptTokens::new(clock.secret());
        Builder {
            config,
            clock,
            attempt_tokens,
            registry: Registry::new(),
            faults: Vec::new(),
            workers_on: None,
        }
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

    /// Who is connected to the SignalR hub.
    pub fn hub(&self) -> &Hub {
        &self.api.hub
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
