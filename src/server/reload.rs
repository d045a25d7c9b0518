//! What a running server takes over when it is told to: SIGHUP.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{Config, Queue};
use crate::http::Tls;
use crate::job::QueueName;
use crate::jobs::Jobs;

/// Everything that can change while a server runs. What else should be reloadable joins here.
pub struct Reload {
    tls: Option<Arc<Tls>>,
    jobs: Jobs,
    /// What the configuration said last.
    queues: Mutex<BTreeMap<QueueName, Queue>>,
}

/// An option that was taken over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// The option with its sections.
    pub key: String,
    /// What it was, as it is written in the configuration.
    pub from: String,
    /// What it is now.
    pub to: String,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.key, self.from, self.to)
    }
}

impl Reload {
    pub(super) fn new(tls: Option<Arc<Tls>>, jobs: Jobs, queues: BTreeMap<QueueName, Queue>) -> Self {
        Self { tls, jobs, queues: Mutex::new(queues) }
    }

    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads the certificate again, if there is one. With a fault the one in use stays. Logs what happened.
    ///
    /// Reads files, so it blocks for as long as the disk does.
    pub fn certificate(&self) {
        let Some(tls) = &self.tls else { return };
        match tls.reload() {
            Ok(()) => tracing::info!(part = "server.tls", "reloaded"),
            Err(fault) => {
                tracing::error!(
                    part = "server.tls",
                    error = format!("server.tls.{fault}"),
                    "not reloaded: the certificate in use stays in use"
                );
            }
        }
    }

    /// Takes over how many jobs of each queue run at once and how fast they begin, where the configuration says something
    /// else than it did when it was last taken over: what somebody has changed with `PATCH /api/queues/{name}` stays where it
    /// does not. A pause stays in any case. Says what was taken over; everything else in the configuration is left alone.
    ///
    /// A queue cannot be added or taken away in this way.
    pub fn configure(&self, config: &Config) -> Vec<Changed> {
        let mut changes = Vec::new();
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, old) in &mut *queues {
            let Some(new) = config.queues.get(name) else { continue };
            let mut note = |member: &str, from: String, to: String| {
                if from != to {
                    changes.push(Changed { key: format!("queues.{name}.{member}"), from, to });
                }
            };
            let limit = |queue: &Queue| {
                queue.rate_limit.map_or_else(|| "\"\"".to_owned(), |limit| format!("\"{limit}\""))
            };
            note("concurrency", old.concurrency.to_string(), new.concurrency.to_string());
            note("rate_limit", limit(old), limit(new));
            self.jobs.configure_queue(name.as_str(), new.concurrency, new.rate_limit);
            old.clone_from(new);
        }
        changes
    }
}
