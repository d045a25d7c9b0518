//! Recurring jobs: when they come, what waits, and what a clock that is set does to them. Time is paused throughout.

use std::time::Duration;

use backroom::event::{EventKind, Watcher};
use backroom::handler::{Context, Outcome};
use backroom::job::{Job, NewJob, StateName};
use backroom::metrics::{Format, Gauges, render};
use backroom::schedule::{CatchUp, Overlap, Schedule, Timetable};
use backroom::store::Store as _;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::rig::{EPOCH, Ran, Rig, Setup, entered, job, queue};

const MINUTE: u64 = 60;
const HOUR: i64 = 3_600_000;

/// The rig begins on 15 January 2027 at eight o'clock UTC.
fn every_ten_minutes(overlap: Overlap) -> Schedule {
    Schedule {
        name: "tens".parse().unwrap(),
        timetable: Timetable::new("*/10 * * * *", "UTC").unwrap(),
        job: NewJob::new("act", &json!("tens")).unwrap(),
        overlap,
        catch_up: CatchUp::Skip,
        paused: false,
    }
}

fn setup(schedules: Vec<Schedule>) -> Setup {
    Setup {
        queues: vec![queue("default", 2, 4), queue("narrow", 1, 1)],
        timeout: Duration::from_hours(20),
        schedules,
        ..Setup::default()
    }
}

/// Runs for as many minutes as the payload says, or `minutes`.
fn for_minutes(minutes: u64) -> impl Fn(Value, Context) -> Ran + Send + Sync + 'static {
    move |payload, _| {
        let minutes = payload.as_u64().unwrap_or(minutes);
        async move {
            // sleep: paused time, and this is how long the job takes.
            tokio::time::sleep(Duration::from_secs(minutes * MINUTE)).await;
            Ok(Outcome::done())
        }
        .boxed()
    }
}

/// The next job that a schedule makes.
async fn made(watch: &mut Watcher) -> Arc<Job> {
    loop {
        let event = watch.recv().await.unwrap();
        let is_new = event.kind == EventKind::State(StateName::Pending) && event.job.attempt == 0;
        if is_new && !event.job.spec.tags.is_empty() {
            return event.job;
        }
    }
}

/// When the next few runs are made, in minutes since the start.
async fn minutes(watch: &mut Watcher, runs: usize) -> Vec<f64> {
    let mut minutes = Vec::new();
    for _ in 0..runs {
        let at = made(watch).await.spec.created_at;
        // A timer may be a millisecond late.
        minutes.push((at.since(EPOCH).as_secs_f64() / 60.0 * 100.0).round() / 100.0);
    }
    minutes
}

#[tokio::test(start_paused = true)]
async fn runs_come_when_they_are_due() {
    let rig = setup(vec![every_ten_minutes(Overlap::Skip)]).start(for_minutes(1));
    let mut watch = rig.jobs.events().watch();
    let first = made(&mut watch).await;
    assert_eq!(first.spec.tags[0].as_str(), "schedule:tens");
    let late = first.spec.created_at.since(EPOCH.after(Duration::from_secs(10 * MINUTE)));
    assert!(late <= Duration::from_millis(2), "{late:?} late");
    assert_eq!(minutes(&mut watch, 4).await, [20.0, 30.0, 40.0, 50.0]);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_left_out_while_the_one_before_goes_on() {
    let rig = setup(vec![every_ten_minutes(Overlap::Skip)]).start(for_minutes(25));
    let mut watch = rig.jobs.events().watch();
    assert_eq!(minutes(&mut watch, 3).await, [10.0, 40.0, 70.0]);
}

#[tokio::test(start_paused = true)]
async fn one_run_waits_for_the_end_of_the_one_before() {
    let rig = setup(vec![every_ten_minutes(Overlap::Queue)]).start(for_minutes(25));
    let mut watch = rig.jobs.events().watch();
    // That of 20 waits until 35; that of 30 is left out; that of 40 waits until 60, with that of 50 left out.
    assert_eq!(minutes(&mut watch, 4).await, [10.0, 35.0, 60.0, 85.0]);
}

#[tokio::test(start_paused = true)]
async fn runs_begin_beside_each_other_where_they_may() {
    let rig = setup(vec![every_ten_minutes(Overlap::Allow)]).start(for_minutes(25));
    let mut watch = rig.jobs.events().watch();
    assert_eq!(minutes(&mut watch, 4).await, [10.0, 20.0, 30.0, 40.0]);
    let schedule = rig.pool.schedules().get("tens").unwrap();
    let status = rig.pool.schedules().status(schedule).await.unwrap();
    assert_eq!(status.last_run.unwrap().last.due_at, EPOCH.after(Duration::from_secs(40 * MINUTE)));
    assert_eq!(status.next_runs[0], EPOCH.after(Duration::from_secs(50 * MINUTE)));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_holds_a_run_back_and_no_other_schedule() {
    let mut blocked = every_ten_minutes(Overlap::Skip);
    blocked.name = "blocked".parse().unwrap();
    blocked.job = blocked.job.queue("narrow".parse().unwrap());
    let rig = setup(vec![blocked, every_ten_minutes(Overlap::Skip)]).start(for_minutes(0));
    // One that runs until 35, and one that fills the queue until then.
    for _ in 0..2 {
        rig.submit(job(35).queue("narrow".parse().unwrap())).await;
        rig.idle().await;
    }
    let mut watch = rig.jobs.events().watch();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let job = made(&mut watch).await;
        // When it is there; it was made when it began to wait for room.
        seen.push((rig.seconds() as u64 / MINUTE, job.spec.tags[0].as_str().replace("schedule:", "")));
    }
    seen.sort();
    let want = [(10, "tens"), (20, "tens"), (30, "tens"), (35, "blocked"), (40, "tens")];
    assert_eq!(seen, want.map(|(minute, name)| (minute, name.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_that_is_set_forward_passes_is_missed_or_caught_up_with() {
    for (catch_up, first) in [(CatchUp::Skip, 70.0), (CatchUp::Once, 60.0)] {
        let mut schedule = every_ten_minutes(Overlap::Skip);
        schedule.timetable = Timetable::new("10,30,50 * * * *", "UTC").unwrap();
        schedule.catch_up = catch_up;
        let rig = setup(vec![schedule]).start(for_minutes(0));
        let mut watch = rig.jobs.events().watch();
        rig.idle().await;
        // From 8:00 to 9:00: it is noticed within ten seconds.
        rig.jobs.clock().jump(HOUR);
        let found = minutes(&mut watch, 1).await[0];
        assert!((first..first + 0.2).contains(&found), "{catch_up:?}: {found}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_neither_repeats_a_run_nor_stops_them() {
    let rig = setup(vec![every_ten_minutes(Overlap::Skip)]).start(for_minutes(0));
    let mut watch = rig.jobs.events().watch();
    assert_eq!(minutes(&mut watch, 3).await, [10.0, 20.0, 30.0]);
    // A minute later, by half an hour.
    tokio::time::advance(Duration::from_secs(MINUTE)).await;
    rig.idle().await;
    rig.jobs.clock().jump(-HOUR / 2);
    assert_eq!(minutes(&mut watch, 2).await, [10.0, 20.0], "nine minutes later, and on from there");
}

#[tokio::test(start_paused = true)]
async fn a_pause_counts_at_once_and_misses_nothing() {
    let mut schedule = every_ten_minutes(Overlap::Queue);
    schedule.catch_up = CatchUp::Once;
    let rig = setup(vec![schedule]).start(for_minutes(15));
    let mut watch = rig.jobs.events().watch();
    assert_eq!(minutes(&mut watch, 1).await, [10.0]);
    // That of 20 waits for the first, until 25.
    let waits = Duration::from_secs(11 * MINUTE);
    rest(&rig, waits).await;
    let status = || async {
        let schedules = rig.pool.schedules();
        let status = schedules.status(schedules.get("tens").unwrap()).await.unwrap();
        (status.paused, status.waiting_since.is_some())
    };
    assert_eq!(status().await, (false, true));
    rig.pool.schedules().pause("tens", Some(true)).unwrap();
    assert_eq!(status().await, (true, false));
    rest(&rig, Duration::from_secs(24 * MINUTE)).await;
    rig.pool.schedules().pause("tens", None).unwrap();
    assert_eq!(minutes(&mut watch, 1).await, [50.0]);
    assert!(rig.pool.schedules().pause("tns", None).is_err_and(|unknown| unknown.nearest.is_some()));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_room_is_refused_once_and_dropped_by_a_pause() {
    let mut blocked = every_ten_minutes(Overlap::Allow);
    blocked.job = blocked.job.queue("narrow".parse().unwrap());
    let rig = setup(vec![blocked]).start(for_minutes(0));
    // One that runs until 35, and one that fills the queue until then.
    for _ in 0..2 {
        rig.submit(job(35).queue("narrow".parse().unwrap())).await;
        rig.idle().await;
    }
    // It is offered for a minute each time, a second apart.
    rest(&rig, Duration::from_secs(34 * MINUTE + 50)).await;
    let schedules = rig.pool.schedules();
    let held = schedules.get("tens").unwrap();
    let waiting_since = schedules.status(held).await.unwrap().waiting_since;
    assert_eq!(waiting_since, Some(EPOCH.after(Duration::from_secs(10 * MINUTE))));
    let gauges = Gauges { queues: Vec::new(), memory: Vec::new(), mail: Vec::new(), draining: false };
    let counted = render(rig.jobs.metrics(), gauges, Format::Prometheus).unwrap();
    let refused = counted.lines().find(|line| line.contains("queue=\"narrow\",reason=\"queue-full\""));
    assert!(refused.unwrap().ends_with(" 1"), "{refused:?}");
    // The pause comes while it waits, and then room.
    schedules.pause("tens", Some(true)).unwrap();
    rest(&rig, Duration::from_secs(MINUTE)).await;
    let counts = rig.store.counts(&"narrow".parse().unwrap()).await.unwrap();
    let states = [StateName::Completed, StateName::Processing, StateName::Pending];
    assert_eq!(states.map(|state| counts.get(state)), [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_schedules_first() {
    let rig = setup(vec![every_ten_minutes(Overlap::Allow)]).start(for_minutes(25));
    let mut watch = rig.jobs.events().watch();
    assert_eq!(minutes(&mut watch, 1).await, [10.0]);
    rig.stop.soft.cancel();
    // Jobs are still accepted, but the schedules make none any more.
    entered(&mut watch, StateName::Completed, 1).await;
    rest(&rig, Duration::from_secs(60 * MINUTE)).await;
    assert_eq!(rig.count(StateName::Completed).await, 1);
    assert_eq!(rig.count(StateName::Pending).await + rig.count(StateName::Processing).await, 0);
}

/// Lets paused time pass.
async fn rest(rig: &Rig, time: Duration) {
    // sleep: paused time, which passes only so.
    tokio::time::sleep(time).await;
    rig.idle().await;
}
