//! What a job is: pure data and pure rules, without a runtime, without I/O, without a clock.
//!
//! Read [`transition`] first: it is the one function by which a job changes.

mod name;
mod record;
mod request;
mod retry;
mod state;
mod time;
mod waiting;

pub(crate) use name::nearest;
pub use name::{JobId, KindName, NameError, QueueName, Tag};
pub(crate) use record::{ATTEMPTS_KEPT, truncate};
pub use record::{Attempt, Job, JobLog, LogLevel, LogLine, Progress, Spec};
pub use request::{Delay, Fault, NewJob, NewJobError};
pub use retry::{Backoff, Jitter, RetryPolicy};
pub use state::{
    AttemptOutcome, Change, Ending, JobError, JobResult, JobState, Refused, ResultSlot, StateName, Tally,
    transition,
};
pub use time::{Timestamp, format_duration, parse_duration};
pub use waiting::{Waiting, WaitingFor};
