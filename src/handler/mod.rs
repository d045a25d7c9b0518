//! What a user writes: one trait, [`Handler`], and the [`Payload`] that it takes.
//!
//! ```
//! use backroom::handler::{Context, Failure, Handler, Outcome, Payload};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Resize { image: String, width: u32 }
//!
//! impl Payload for Resize {
//!     const KIND: &'static str = "resize";
//! }
//!
//! struct Resizer { folder: std::path::PathBuf }
//!
//! impl Handler for Resizer {
//!     type Input = Resize;
//!
//!     async fn run(&self, input: Resize, cx: &Context) -> Result<Outcome, Failure> {
//!         let path = self.folder.join(&input.image);
//!         if !path.exists() {
//!             return Ok(Outcome::skip("the image is gone"));
//!         }
//!         let bytes = std::fs::read(&path)?; // `?` means: try again later
//!         cx.progress(50, "scaling").await;
//!         if bytes.is_empty() {
//!             return Err(Failure::permanent("empty-image", "the image is empty"));
//!         }
//!         Ok(Outcome::json(&serde_json::json!({ "bytes": bytes.len() }))?)
//!     }
//! }
//! ```

mod context;
mod failure;
mod marked;
mod registry;
mod schema;
mod unique;

pub use context::{Context, Reporter};
pub use failure::{Failure, FailureExt};
pub use registry::{KindSettings, Registered, Registry, RegistryError};
pub use schema::{About, Schema, SchemaError};
pub use unique::UniqueBy;

use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::job::{Fault, JobResult, NewJob, NewJobError};

/// The input of a kind of job. All that a producer needs to know.
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {
    /// The name of the kind: `a`–`z`, `0`–`9`, `_`, `-` and `.`.
    const KIND: &'static str;

    /// A job with this input, to be given to `Jobs::submit`.
    ///
    /// # Errors
    ///
    /// When the kind is not a name, or the input has no JSON form.
    fn job(&self) -> Result<NewJob, NewJobError> {
        NewJob::new(Self::KIND, self)
    }

    /// Reads the payload of a job. Default: as serde has it, which is right for everything but an input that keeps the text
    /// as it is, and so needs not have it parsed to be copied.
    ///
    /// # Errors
    ///
    /// When the payload is not such an input.
    fn decode(payload: &RawValue) -> Result<Self, serde_json::Error> {
        serde_json::from_str(payload.get())
    }
}

/// Runs one kind of job. Its dependencies are its fields.
///
/// A job runs at least once: the process can stop between the work and the note that it was done. Use
/// [`Context::once_id`] where the far side can recognise a repeat.
pub trait Handler: Send + Sync + 'static {
    /// What it takes.
    type Input: Payload;

    /// What is told about the kind (`GET /api/kinds`); asked for once, when the handler is registered. Its schema is
    /// checked when a job is submitted, before [`Self::check`]. Default: nothing.
    fn about(&self) -> About {
        About::default()
    }

    /// What is wrong with an input, found when the job is submitted and told to the caller, with pointers relative to
    /// the payload (`/to`). A payload that does not decode as [`Self::Input`] is found before. Default: nothing.
    fn check(&self, input: &Self::Input) -> Vec<Fault> {
        let _ = input;
        Vec::new()
    }

    /// Runs the job once.
    ///
    /// The future is abandoned when it ignores [`Context::canceled`] for longer than `cancel_grace` after the attempt
    /// timed out or was canceled: the attempt is settled, its place is given to another one, and the future is dropped.
    ///
    /// It must not block its thread: use `tokio::task::spawn_blocking` for that. One that blocks cannot be dropped. Its
    /// place is given on all the same and whatever it says later is not heard, but it holds its thread until it returns,
    /// and the runtime has a fixed number of those (`Pool::abandoned_by_kind` tells how many are held). When all of them
    /// are, nothing runs any more.
    ///
    /// # Errors
    ///
    /// `?` on any error means transient: the job is tried again. [`Failure::permanent`] means dead letter.
    fn run(&self, input: Self::Input, cx: &Context) -> impl Future<Output = Result<Outcome, Failure>> + Send;
}

/// How an attempt that did not fail ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The work is done, and this is what came of it.
    Completed(JobResult),
    /// No work was due, for this reason.
    Skipped(Box<str>),
    /// Not now: run the job again after this long (at most 366 days). Uses up no attempt.
    Snoozed(Duration),
}

impl Outcome {
    /// The work is done and there is nothing to tell.
    pub const fn done() -> Self {
        Self::Completed(JobResult::null())
    }

    /// The work is done; `value` is its result, as JSON.
    ///
    /// # Errors
    ///
    /// When `value` has no JSON form.
    pub fn json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        let bytes = serde_json::to_vec(value)?.into();
        Ok(Self::Completed(JobResult { media_type: "application/json".into(), bytes }))
    }

    /// No work was due, for a reason of at most 1 KiB; the rest is cut.
    pub fn skip(reason: impl AsRef<str>) -> Self {
        // Cut by the worker: what is secret in it must be found first.
        Self::Skipped(reason.as_ref().into())
    }

    /// Not now.
    pub const fn snooze(duration: Duration) -> Self {
        Self::Snoozed(duration)
    }
}
