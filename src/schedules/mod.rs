//! Recurring jobs: the schedules of one server, and what can be asked of them.
//!
//! `schedule` says what is due; this makes jobs of it, through [`Jobs`](crate::jobs::Jobs) as everybody does. Who calls
//! `Schedules::turn` again and again is the pool (`worker/recurring.rs`).

mod service;
mod status;
mod turn;

pub use service::{Recurring, RunError, Schedules, UnknownSchedule};
pub use status::{LastRun, ScheduleStatus};
pub(crate) use turn::{Rest, Stopped};
