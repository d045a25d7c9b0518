//! What held jobs take in memory, as the system sees it.

use dashmap::DashMap;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::support::http::Http;
use crate::support::process::{Served, resident, this_program};
use crate::support::report::{Report, Series};
use crate::support::{MAIL, Size, now};

/// The role in which this program holds rows in a map and their ids in a channel, and says what that takes.
pub(crate) const ROLE: &str = "hold-raw";

const MIB: f64 = 1_048_576.0;

/// How long finished jobs are kept: longer than it takes to finish all of them.
const KEPT: [&str; 2] = ["retention.completed=4m", "retention.completed=15s"];

pub(crate) fn run(size: Size) {
    let jobs = size.pick(1_000_000, 10_000);
    let mut report = Report::new(
        "memory",
        size == Size::Quick,
        "Resident memory of the program. Each job has a mail payload of 141 bytes, which is not in `beyond its payload`. \
         Baseline: a map of payloads and a channel of ids in a process of their own.",
    );
    let payload = MAIL.len() as f64;
    assert_eq!(MAIL.len(), 141, "it is said above");
    let raw = raw_bytes(jobs) - payload;
    let each = jobs as f64;

    // Of several starts: how many pages of the program the system maps at once is not the same for each.
    let mut idle = Series::default();
    for _ in 0..size.pick(7, 2) {
        let served = Served::backroom(&[]);
        // With a second for what it does once it is started.
        std::thread::sleep(std::time::Duration::from_secs(1));
        idle.push(served.resident() / MIB);
    }
    report.row("idle, default options", "MiB", idle, None).at_most(15.0);

    let capacity = format!("queues.default.capacity={jobs}");
    let limits = ["limits.memory=16GiB", "limits.jobs=2000000", "retention.max_finished=2000000"];
    let noop = format!("{{\"kind\":\"noop\",\"payload\":{MAIL}}}");

    let queued = Served::backroom(&[&limits[..], &[&capacity, "queues.default.concurrency=1"]].concat());
    let http = Http::new(queued.address());
    http.submit(r#"{"kind":"noop","payload":{"sleep":"1h"},"timeout":"2h"}"#);
    while http.queue("default", "processing") == 0 {
        std::thread::yield_now();
    }
    let before = queued.resident();
    http.submit_many(&noop, jobs);
    assert_eq!(http.queue("default", "pending"), jobs as u64);
    let bytes = (queued.resident() - before) / each - payload;
    report.row("queued, beyond its payload", "bytes/job", bytes, Some(raw.into())).at_most(400.0);
    drop(queued);

    let scheduled = Served::backroom(&limits);
    let http = Http::new(scheduled.address());
    http.submit(&noop);
    let before = scheduled.resident();
    http.submit_many(&format!("{{\"kind\":\"noop\",\"payload\":{MAIL},\"delay\":\"2h\"}}"), jobs);
    assert_eq!(http.queue("default", "scheduled"), jobs as u64);
    let bytes = (scheduled.resident() - before) / each - payload;
    report.row("scheduled, beyond its payload", "bytes/job", bytes, Some(raw.into()));
    drop(scheduled);

    let kept = size.pick(KEPT[0], KEPT[1]);
    let wait = "queues.default.enqueue_wait=60s";
    let finished = Served::backroom(&[&limits[..], &[kept, wait, "queues.default.capacity=10000"]].concat());
    let http = Http::new(finished.address());
    http.submit(&noop);
    http.until_idle("default");
    let before = finished.resident();
    let first = http.submit_many(&noop, jobs);
    http.until_idle("default");
    let after = finished.resident();
    let (status, _) = http.get(&format!("/api/jobs/{first}"));
    assert_eq!(
        status, 200,
        "the first jobs were forgotten before the last ones had finished: this machine is too slow"
    );
    let bytes = (after - before) / each;
    // The handler gives its payload back as the result.
    report.row("finished, with a result of 141 bytes, all of it", "bytes/job", bytes, None).at_most(600.0);
    let what = "finished, beyond its payload and its result";
    report.row(what, "bytes/job", bytes - 2.0 * payload, Some(raw.into()));
    report.row("with all of them finished and kept", "MiB", after / MIB, None);
    let (retired, began) = (retire(&http, &finished), now());
    report.row("when all of them were retired", "MiB", retired / MIB, None);
    while began.elapsed().as_secs() < size.pick(30, 2) {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    report.row("half a minute after that", "MiB", finished.resident() / MIB, None);
    report.finish();
}

/// Waits until every job is forgotten; says what is in memory then.
fn retire(http: &Http, server: &Served) -> f64 {
    loop {
        let (_, page) = http.get("/api/jobs?limit=1");
        if page["items"].as_array().expect("a list").is_empty() {
            return server.resident();
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

/// Bytes of a job in the simplest thing that could hold it, in a process that does nothing else.
fn raw_bytes(jobs: usize) -> f64 {
    let output = this_program().args([ROLE, &jobs.to_string()]).output().expect("this program");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

/// Holds so many rows, and prints what one of them takes.
pub(crate) fn hold(args: &[String]) {
    let jobs: usize = args[0].parse().expect("a number");
    let before = resident("self");
    let rows: DashMap<u128, (u8, Box<RawValue>), foldhash::fast::RandomState> = DashMap::default();
    let (sender, receiver) = mpsc::channel(jobs);
    for id in 0..jobs as u128 {
        let payload = RawValue::from_string(MAIL.to_owned()).expect("JSON");
        rows.insert(id, (0, payload));
        sender.try_send(id).expect("there is room");
    }
    println!("{}", (resident("self") - before) / jobs as f64);
    drop((rows, receiver));
}
