//! What all benches need: turns, medians, other processes, loads, tables.

pub(crate) mod bare;
pub(crate) mod http;
pub(crate) mod inside;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod wrk;

use std::time::Instant;

use rustix::process::{Resource, getrlimit, setrlimit};

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// What the figures in RESULTS.md are made of.
    Full,
    /// To see that it runs.
    Quick,
}

impl Size {
    pub(crate) fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// The only clock of the benches.
#[expect(clippy::disallowed_methods, reason = "benches measure real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds that something takes.
pub(crate) fn seconds(work: impl FnOnce()) -> f64 {
    let began = now();
    work();
    began.elapsed().as_secs_f64()
}

/// The payload of a typical mail job.
pub(crate) const MAIL: &str = r#"{"to":"ada.lovelace@example.com","template":"welcome","data":{"name":"Ada Lovelace","action_url":"https://app.example.com/confirm/8f14e45f"}}"#;

/// Allows this process, and those that it starts, as many open files as the system lets it.
pub(crate) fn many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        eprintln!("the number of open files could not be raised: {error}");
    }
}
