use std::time::Duration;

use super::*;
use crate::job::{JobId, NewJob, ScheduleName, Timestamp};

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;
/// Midnight of 20 November 2026, UTC.
const DAY: i64 = 1_795_132_800_000;

/// No time passes but what the clock says.
const STILL: Duration = Duration::ZERO;

/// So many milliseconds after that midnight.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(DAY + millis)
}

fn schedule(cron: &str, overlap: Overlap, catch_up: CatchUp) -> Schedule {
    Schedule {
        name: ScheduleName::new("a").unwrap(),
        timetable: Timetable::new(cron, "UTC").unwrap(),
        job: NewJob::new("noop", &()).unwrap(),
        overlap,
        catch_up,
        paused: false,
    }
}

fn job(n: u128) -> JobId {
    JobId::from_uuid(uuid::Uuid::from_u128(n))
}

/// A schedule that was looked at at midnight.
fn begun(cron: &str, catch_up: CatchUp) -> (Schedule, Standing) {
    let schedule = schedule(cron, Overlap::Skip, catch_up);
    let mut standing = Standing::default();
    assert!(matches!(standing.look(&schedule, at(0), STILL), Look::Rest(Some(_))));
    (schedule, standing)
}

fn outcome(standing: &Standing) -> Option<(Outcome, i64)> {
    standing.last().map(|last| (last.outcome, last.due_at.as_millis() - DAY))
}

#[test]
fn what_is_due_is_run_once_and_not_before() {
    let (schedule, mut standing) = begun("0 3 * * *", CatchUp::Skip);
    assert_eq!(standing.look(&schedule, at(3 * HOUR - 1), STILL), Look::Rest(Some(at(3 * HOUR))));
    assert_eq!(standing.look(&schedule, at(3 * HOUR), STILL), Look::Run(at(3 * HOUR)));
    assert_eq!(
        standing.look(&schedule, at(3 * HOUR + 5), STILL),
        Look::Run(at(3 * HOUR)),
        "until it is made"
    );
    standing.made(&schedule, at(3 * HOUR), at(3 * HOUR + 6), Outcome::Submitted, job(1));
    assert_eq!(standing.look(&schedule, at(3 * HOUR + 7), STILL), Look::Rest(Some(at(27 * HOUR))));
    assert_eq!(outcome(&standing), Some((Outcome::Submitted, 3 * HOUR)));
    assert_eq!(standing.open(), [job(1)]);
}

#[test]
fn a_minute_late_is_in_time_and_more_is_missed() {
    for (late, is_run) in [(MINUTE - 1, true), (MINUTE, true), (MINUTE + 1, false)] {
        let (schedule, mut standing) = begun("0 3 * * *", CatchUp::Skip);
        let look = standing.look(&schedule, at(3 * HOUR + late), STILL);
        if is_run {
            assert_eq!(look, Look::Run(at(3 * HOUR)), "{late}");
        } else {
            assert_eq!(look, Look::Rest(Some(at(27 * HOUR))), "{late}");
            assert_eq!(outcome(&standing), Some((Outcome::Missed, 3 * HOUR)));
        }
    }
}

#[test]
fn of_many_that_were_missed_there_is_one_run_or_none() {
    // Ten days asleep.
    let woken = at(240 * HOUR + 30 * MINUTE);
    let (schedule, mut standing) = begun("0 3 * * *", CatchUp::Once);
    assert_eq!(standing.look(&schedule, woken, STILL), Look::Run(at(3 * HOUR)), "for the first of them");
    standing.made(&schedule, at(3 * HOUR), woken, Outcome::Submitted, job(1));
    assert_eq!(standing.look(&schedule, woken, STILL), Look::Rest(Some(at(243 * HOUR))));
    let (schedule, mut standing) = begun("0 3 * * *", CatchUp::Skip);
    assert_eq!(standing.look(&schedule, woken, STILL), Look::Rest(Some(at(243 * HOUR))));
    // Of those that come every second the last one is always in time.
    let (schedule, mut standing) = begun("* * * * * *", CatchUp::Skip);
    assert_eq!(standing.look(&schedule, at(240 * HOUR + 500), STILL), Look::Run(at(240 * HOUR)));
    assert_eq!(standing.look(&schedule, at(240 * HOUR + 600), STILL), Look::Run(at(240 * HOUR)));
}

#[test]
fn one_run_waits_at_most() {
    let (schedule, mut standing) = begun("0 * * * *", CatchUp::Skip);
    assert_eq!(standing.look(&schedule, at(HOUR), STILL), Look::Run(at(HOUR)));
    assert!(standing.refused(at(HOUR), at(HOUR + 1)), "that is news");
    assert!(!standing.refused(at(HOUR), at(HOUR + 2)), "and is said once");
    assert_eq!(standing.look(&schedule, at(2 * HOUR), STILL), Look::Run(at(HOUR)));
    assert_eq!(outcome(&standing), Some((Outcome::Skipped, 2 * HOUR)));
    assert_eq!(standing.held(), Some(at(HOUR)));
    assert!(standing.was_refused(at(HOUR)), "whatever was left out since");
    assert!(!standing.refused(at(HOUR), at(2 * HOUR)), "and is still said once");
    standing.made(&schedule, at(HOUR), at(2 * HOUR + 1), Outcome::Submitted, job(1));
    assert_eq!(standing.look(&schedule, at(2 * HOUR + 2), STILL), Look::Rest(Some(at(3 * HOUR))));
}

#[test]
fn nothing_is_due_while_it_is_paused_and_nothing_was_missed() {
    let (mut schedule, mut standing) = begun("0 * * * *", CatchUp::Once);
    assert_eq!(standing.look(&schedule, at(HOUR), STILL), Look::Run(at(HOUR)));
    standing.pause(Some(true));
    assert_eq!(standing.look(&schedule, at(HOUR + 1), STILL), Look::Rest(None), "what waited is dropped");
    assert!(!standing.refused(at(HOUR), at(HOUR + 1)), "whatever becomes of it");
    standing.left_out(at(HOUR), at(HOUR + 1), None);
    assert_eq!(standing.last(), None);
    assert_eq!(standing.next_runs(&schedule, at(HOUR), 5), []);
    assert_eq!(standing.look(&schedule, at(50 * HOUR), STILL), Look::Rest(None));
    standing.pause(Some(false));
    assert_eq!(standing.look(&schedule, at(50 * HOUR), STILL), Look::Rest(Some(at(51 * HOUR))));
    assert_eq!(standing.last(), None);
    schedule.paused = true;
    assert!(!standing.is_paused(&schedule), "what was said last counts");
    standing.pause(None);
    assert!(standing.is_paused(&schedule), "and taken back, the configuration does");
}

#[test]
fn a_clock_that_is_set_back_repeats_no_time_of_day() {
    let (schedule, mut standing) = begun("0 3 * * *", CatchUp::Skip);
    standing.look(&schedule, at(3 * HOUR), STILL);
    standing.made(&schedule, at(3 * HOUR), at(3 * HOUR), Outcome::Submitted, job(1));
    assert_eq!(standing.look(&schedule, at(2 * HOUR), STILL), Look::Rest(Some(at(27 * HOUR))), "by an hour");
    assert_eq!(standing.look(&schedule, at(3 * HOUR), STILL), Look::Rest(Some(at(27 * HOUR))));
    assert_eq!(standing.next_runs(&schedule, at(2 * HOUR), 2), [at(27 * HOUR), at(51 * HOUR)]);
    // By three hours, and by more: then it had been wrong.
    assert_eq!(standing.look(&schedule, at(0), STILL), Look::Rest(Some(at(27 * HOUR))));
    standing.look(&schedule, at(3 * HOUR), STILL);
    assert_eq!(standing.look(&schedule, at(-2_000), STILL), Look::Rest(Some(at(3 * HOUR))));
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_what_comes_often() {
    let (schedule, mut standing) = begun("*/10 * * * *", CatchUp::Skip);
    standing.look(&schedule, at(2 * HOUR), STILL);
    standing.made(&schedule, at(2 * HOUR), at(2 * HOUR), Outcome::Submitted, job(1));
    assert_eq!(
        standing.look(&schedule, at(2 * HOUR + MINUTE), STILL),
        Look::Rest(Some(at(2 * HOUR + 10 * MINUTE)))
    );
    // By an hour: nine minutes later as before.
    assert_eq!(standing.look(&schedule, at(HOUR + MINUTE), STILL), Look::Rest(Some(at(HOUR + 10 * MINUTE))));
    // By a minute and a half, over the time that was just had: not had again.
    let (schedule, mut standing) = begun("@every 1h", CatchUp::Skip);
    standing.look(&schedule, at(2 * HOUR), STILL);
    standing.made(&schedule, at(2 * HOUR), at(2 * HOUR), Outcome::Submitted, job(1));
    standing.look(&schedule, at(2 * HOUR + MINUTE), STILL);
    assert_eq!(standing.look(&schedule, at(2 * HOUR - MINUTE / 2), STILL), Look::Rest(Some(at(3 * HOUR))));
    // By less than a second: nothing has happened.
    assert_eq!(
        standing.look(&schedule, at(2 * HOUR - MINUTE / 2 - 1_000), STILL),
        Look::Rest(Some(at(3 * HOUR)))
    );
}

#[test]
fn the_time_until_it_is_noticed_that_a_clock_was_set_counts() {
    let (schedule, mut standing) = begun("@every 1h", CatchUp::Skip);
    let seconds = Duration::from_secs;
    standing.look(&schedule, at(40 * MINUTE), seconds(100));
    // Set back by half an hour, and looked at after ten seconds: twenty minutes were left, at ten past.
    let set = at(10 * MINUTE + 10_000);
    assert_eq!(standing.look(&schedule, set, seconds(110)), Look::Rest(Some(at(HOUR))));
    let (schedule, mut standing) = begun("*/10 * * * *", CatchUp::Skip);
    standing.look(&schedule, at(31 * MINUTE), seconds(100));
    standing.made(&schedule, at(30 * MINUTE), at(31 * MINUTE), Outcome::Submitted, job(1));
    let set = at(MINUTE + 10_000);
    assert_eq!(standing.look(&schedule, set, seconds(110)), Look::Rest(Some(at(10 * MINUTE))));
}

#[test]
fn a_clock_that_is_set_forward_is_a_sleep() {
    let (schedule, mut standing) = begun("0 3 * * *", CatchUp::Skip);
    // A machine that began in 1970 and was told the time: however much has passed, it is one look.
    assert!(matches!(standing.look(&schedule, at(1_000_000 * HOUR), STILL), Look::Rest(Some(_))));
    assert_eq!(outcome(&standing), Some((Outcome::Missed, 3 * HOUR)));
}

/// Stops it at one time, and starts it at another.
fn restarted(schedule: &Schedule, standing: &Standing, now: Timestamp) -> Standing {
    let kept = serde_json::to_string(&standing.kept(schedule)).unwrap();
    Standing::taken_up(schedule, serde_json::from_str(&kept).unwrap(), now)
}

#[test]
fn a_planned_restart_goes_on_where_it_left_off() {
    for catch_up in [CatchUp::Skip, CatchUp::Once] {
        let (schedule, mut standing) = begun("0 3 * * *", catch_up);
        standing.pause(Some(false));
        // A restart that takes ten minutes from one minute before.
        let mut later = restarted(&schedule, &standing, at(3 * HOUR + 9 * MINUTE));
        let look = later.look(&schedule, at(3 * HOUR + 9 * MINUTE), STILL);
        match catch_up {
            CatchUp::Skip => assert_eq!(outcome(&later), Some((Outcome::Missed, 3 * HOUR))),
            CatchUp::Once => assert_eq!(look, Look::Run(at(3 * HOUR))),
        }
        // One that takes half a minute misses nothing.
        let mut soon = restarted(&schedule, &standing, at(3 * HOUR + MINUTE / 2));
        assert_eq!(soon.look(&schedule, at(3 * HOUR + MINUTE / 2), STILL), Look::Run(at(3 * HOUR)));
    }
}

#[test]
fn what_was_said_and_what_was_done_is_kept() {
    let (schedule, mut standing) = begun("0 3 * * *", CatchUp::Skip);
    standing.look(&schedule, at(3 * HOUR), STILL);
    standing.made(&schedule, at(3 * HOUR), at(3 * HOUR), Outcome::Submitted, job(1));
    standing.pause(Some(true));
    let mut other = schedule.clone();
    other.timetable = Timetable::new("0 4 * * *", "UTC").unwrap();
    for schedule in [&schedule, &other] {
        let later = restarted(schedule, &standing, at(4 * HOUR));
        assert!(later.is_paused(schedule));
        assert_eq!((later.last(), later.open()), (standing.last(), standing.open()));
    }
    // Times of another timetable are none of this one.
    standing.pause(None);
    standing.look(&schedule, at(20 * HOUR), STILL);
    let kept = standing.kept(&schedule);
    let mut later = Standing::taken_up(&other, kept, at(40 * HOUR));
    assert_eq!(later.look(&other, at(40 * HOUR), STILL), Look::Rest(Some(at(52 * HOUR))));
}

#[test]
fn a_run_that_waits_is_kept_too() {
    for (overlap, later, is_kept) in [
        (Overlap::Skip, MINUTE, true),
        (Overlap::Skip, MINUTE + 1, false),
        (Overlap::Queue, 30 * MINUTE, true),
        (Overlap::Allow, MINUTE + 1, false),
    ] {
        let schedule = schedule("0 3 * * *", overlap, CatchUp::Skip);
        let mut standing = Standing::default();
        standing.look(&schedule, at(0), STILL);
        assert_eq!(standing.look(&schedule, at(3 * HOUR), STILL), Look::Run(at(3 * HOUR)));
        let mut standing = restarted(&schedule, &standing, at(3 * HOUR + later));
        let look = standing.look(&schedule, at(3 * HOUR + later), STILL);
        assert_eq!(look == Look::Run(at(3 * HOUR)), is_kept, "{overlap:?} {later}");
        assert_eq!(outcome(&standing).is_none(), is_kept);
    }
}
