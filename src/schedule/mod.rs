//! When recurring jobs are due: pure, without a runtime, I/O or a clock.
//!
//! A [`Timetable`] is a rhythm in a time zone and says which time comes next. A [`Schedule`] is a timetable and the job
//! that is made of it. [`Standing`] is how a schedule stands: what is due, what waits, what was missed.

mod plan;
mod rhythm;
mod standing;
#[cfg(test)]
mod standing_tests;
mod timetable;
#[cfg(test)]
mod timetable_tests;
mod zone;

pub use plan::{CatchUp, Overlap, Schedule};
pub use standing::{Kept, LATE, Last, Look, Outcome, Standing, Trigger};
pub use timetable::Timetable;
