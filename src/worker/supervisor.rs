//! Replaces a part of the pool that dies, and gives up when it keeps dying.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::attempt::panic_message;
use super::pool::Desk;
use crate::job::QueueName;

/// A part that dies so often within [`WINDOW`] is not replaced again.
const DEATHS_ALLOWED: usize = 5;
const WINDOW: Duration = Duration::from_mins(1);
/// The rest before the first replacement; doubled for each further one within the window.
const FIRST_REST: Duration = Duration::from_millis(50);

/// Whose part of the pool something is.
#[derive(Clone)]
pub(super) enum Of {
    Pool,
    Queue(QueueName),
    Schedule(String),
}

impl Of {
    fn name(&self) -> &str {
        match self {
            Self::Pool => "all queues",
            Self::Queue(name) => name.as_str(),
            Self::Schedule(name) => name,
        }
    }

    fn queue(&self) -> Option<&QueueName> {
        match self {
            Self::Queue(name) => Some(name),
            Self::Pool | Self::Schedule(_) => None,
        }
    }
}

/// Runs a part of the pool until it ends by itself; when it panics, runs it again.
pub(super) async fn supervise<F>(desk: Arc<Desk>, part: &'static str, of: Of, mut live: impl FnMut() -> F)
where
    F: Future<Output = ()>,
{
    let mut deaths: Vec<Duration> = Vec::new();
    loop {
        let Err(panic) = AssertUnwindSafe(live()).catch_unwind().await else {
            return;
        };
        let reason = desk.jobs.redactor().line(panic_message(&*panic));
        let now = desk.jobs.clock().elapsed();
        deaths.retain(|death| now.saturating_sub(*death) < WINDOW);
        deaths.push(now);
        desk.restarts.fetch_add(1, Ordering::Relaxed);
        desk.jobs.metrics().restarted(of.queue());
        if deaths.len() >= DEATHS_ALLOWED {
            tracing::error!(part, of = of.name(), reason, "it keeps dying: the server will drain and stop");
            desk.failed.cancel();
            return;
        }
        let rest = FIRST_REST * 2_u32.pow(u32::try_from(deaths.len()).unwrap_or(1) - 1);
        let rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        tracing::error!(part, of = of.name(), reason, rest_ms, "it died and will be replaced");
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = desk.stop.hard.cancelled() => return,
        }
    }
}
