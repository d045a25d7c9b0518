//! What a job is: pure data and pure rules, without a runtime, without I/O, without a clock.
//!
//! Read [`transition`] first: it is the one function by which a job changes.

mod attempts;
mod canonical;
mod course;
mod done;
mod flow;
mod log;
mod media_type;
mod name;
mod notice;
mod record;
mod request;
mod result;
mod retry;
mod spec;
mod state;
mod time;
mod trace;
mod unique;
mod waiting;
mod weight;

pub(crate) use attempts::ATTEMPTS_KEPT;
pub use attempts::{Attempt, Attempts};
pub(crate) use canonical::canonical;
pub use course::{Course, Progress};
pub(crate) use done::Done;
pub use flow::{CONCURRENCY, RateLimit};
pub use log::{JobLog, LogLevel, LogLine};
pub(crate) use media_type::is_media_type;
pub(crate) use name::nearest;
pub use name::{JobId, KindName, NameError, QueueName, ScheduleName, Tag, UniqueKey};
pub(crate) use notice::{CALLBACK_DISABLED, DISABLES, LONGEST_URL, check_length};
pub use notice::{Callback, Channel, Delivery, NOTICES, Notice, Notices, States, Told, Wanted};
pub use record::Job;
pub(crate) use record::truncate;
pub use request::{Delay, Fault, NewJob, NewJobError};
pub use result::{JobResult, KeptResult, ResultSlot};
pub use retry::{Backoff, Jitter, RetryPolicy};
pub use spec::{Extras, KeptSpec, Spec};
pub use state::{AttemptOutcome, Change, Ending, JobError, JobState, Refused, StateName, Tally, transition};
pub use time::{Timestamp, format_duration, parse_duration};
pub use trace::Trace;
pub use unique::{Hold, Unique};
pub use waiting::{Waiting, WaitingFor};

#[cfg(test)]
pub(crate) mod model_tests;
