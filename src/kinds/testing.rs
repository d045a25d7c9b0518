//! What the tests of handlers need: a job that runs, and somebody who listens to it.

use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::handler::{Context, Reporter};
use crate::job::{Job, JobId, JobLog, JobState, KindName, LogLevel, Progress, QueueName, Spec, Timestamp};

/// Keeps what attempts say.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) log: Mutex<Vec<String>>,
    pub(super) progress: Mutex<Vec<u8>>,
}

impl Reporter for Heard {
    fn progress<'a>(&'a self, _: &'a Job, progress: Progress) -> BoxFuture<'a, ()> {
        self.progress.lock().unwrap().push(progress.percent);
        ready(()).boxed()
    }

    fn log<'a>(&'a self, _: &'a Job, _: LogLevel, message: &'a str) -> BoxFuture<'a, ()> {
        self.log.lock().unwrap().push(message.to_owned());
        ready(()).boxed()
    }
}

/// The context of an attempt of a job of `kind`, accepted on the first day of 1970 and due on the second.
pub(super) fn context(kind: &str, attempt: u32) -> (Context, CancellationToken, Arc<Heard>) {
    let spec = Spec {
        id: JobId::MAX,
        kind: KindName::new(kind).unwrap(),
        queue: QueueName::new("default").unwrap(),
        payload: RawValue::from_string("{}".into()).unwrap(),
        created_at: Timestamp::from_millis(0),
        max_attempts: 5,
        timeout: std::time::Duration::from_mins(1),
        tags: Box::default(),
        unique: None,
        trace: None,
        notices: None,
        log: JobLog::default(),
    };
    let mut job = Job::new(spec, JobState::Pending { turn: Some(1), since: Timestamp::from_millis(0) }, None);
    job.attempt = attempt;
    job.run_at = Timestamp::from_millis(86_400_000);
    let (token, heard) = (CancellationToken::new(), Arc::new(Heard::default()));
    (Context::new(Arc::new(job), token.clone(), Arc::<Heard>::clone(&heard)), token, heard)
}
