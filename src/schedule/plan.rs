//! A schedule: a timetable, and the job that is made of it.

use super::Timetable;
use crate::job::{NewJob, ScheduleName, Tag};

/// What happens when a run is due while a job of an earlier one has not come to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overlap {
    /// The run is left out, and that is noted.
    Skip,
    /// The run waits for the end of that job. One waits at most; further ones are left out meanwhile.
    Queue,
    /// The run begins all the same.
    Allow,
}

impl Overlap {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Allow => "allow",
        }
    }
}

/// What happens to times that have passed while nobody looked: more than [`LATE`](super::LATE) ago.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CatchUp {
    /// They are missed, and that is noted.
    Skip,
    /// There is one run for all of them.
    Once,
}

impl CatchUp {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
        }
    }
}

/// What is to be run, and when.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name.
    pub name: ScheduleName,
    /// When.
    pub timetable: Timetable,
    /// What, without the tag of the schedule.
    pub job: NewJob,
    /// What happens while an earlier run goes on.
    pub overlap: Overlap,
    /// What happens to times that were missed.
    pub catch_up: CatchUp,
    /// Whether it is paused until somebody says otherwise.
    pub paused: bool,
}

impl Schedule {
    /// A job of it: with the tag `schedule:<name>`, by which all of them are found.
    pub fn new_job(&self) -> NewJob {
        let mut job = self.job.clone();
        // The name is short enough for that; a job without the tag is better than none.
        job.tags.extend(Tag::new(&format!("schedule:{}", self.name)));
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_fits_into_its_tag() {
        let name = ScheduleName::new(&"s".repeat(50)).unwrap();
        let schedule = Schedule {
            name,
            timetable: Timetable::new("@daily", "UTC").unwrap(),
            job: NewJob::new("noop", &()).unwrap(),
            overlap: Overlap::Skip,
            catch_up: CatchUp::Skip,
            paused: false,
        };
        assert_eq!(schedule.new_job().tags[0].as_str(), format!("schedule:{}", "s".repeat(50)));
    }
}
