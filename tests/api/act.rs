//! A handler that does what its payload says, and waits for the test where it says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backroom::handler::{Context, Failure, Handler, Outcome, Payload};
use backroom::job::{JobResult, LogLevel};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// What an `act` job is to do, in the order of the members.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Act {
    log: Vec<String>,
    progress: Option<(u8, String)>,
    /// Waits until the test lets it go on, or it is canceled.
    wait: bool,
    /// Does not stop when it is canceled.
    stubborn: bool,
    skip: Option<String>,
    snooze_hours: Option<u64>,
    fail: Option<String>,
    permanent: Option<String>,
    /// Returns so many bytes.
    bytes: Option<usize>,
    text: Option<String>,
    media_type: Option<String>,
    /// Carried along and not looked at.
    data: serde_json::Value,
    /// For faults of decoding.
    mood: Option<Mood>,
    count: Option<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mood {
    Good,
    Bad,
}

impl Payload for Act {
    const KIND: &'static str = "act";
}

/// Runs `act` jobs.
#[derive(Clone)]
pub(crate) struct Actor {
    /// A permit lets one waiting job go on.
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) runs: Arc<AtomicUsize>,
}

impl Actor {
    pub(crate) fn new() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), runs: Arc::default() }
    }
}

impl Handler for Actor {
    type Input = Act;

    async fn run(&self, act: Act, cx: &Context) -> Result<Outcome, Failure> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        for line in &act.log {
            cx.log(LogLevel::Warn, line).await;
        }
        if let Some((percent, message)) = &act.progress {
            cx.progress(*percent, message).await;
        }
        if act.wait {
            let permit = tokio::select! {
                permit = self.gate.acquire() => permit,
                () = cx.canceled(), if !act.stubborn => return Err(Failure::transient("told", "told to stop")),
            };
            permit?.forget();
        }
        if let Some(reason) = act.skip {
            return Ok(Outcome::skip(reason));
        }
        if let Some(hours) = act.snooze_hours {
            return Ok(Outcome::snooze(Duration::from_hours(hours)));
        }
        if let Some(message) = act.fail {
            return Err(Failure::transient("act-failed", message));
        }
        if let Some(message) = act.permanent {
            return Err(Failure::permanent("act-refused", message));
        }
        let media_type = act.media_type.unwrap_or_else(|| "text/plain".to_owned());
        let bytes = match (act.bytes, act.text) {
            (Some(count), _) => vec![b'x'; count],
            (None, Some(text)) => text.into_bytes(),
            (None, None) => return Ok(Outcome::done()),
        };
        Ok(Outcome::Completed(JobResult { media_type: media_type.into(), bytes: bytes.into() }))
    }
}
