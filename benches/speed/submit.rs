//! `POST /api/jobs` over HTTP, every job also completed, against a bare actix-web handler with the same parse.

use crate::support::MAIL;
use crate::support::Size;
use crate::support::http::Http;
use crate::support::process::Served;
use crate::support::report::{Report, Series};
use crate::support::wrk::{Load, Script};

const NOOP: &str = r#"{"kind":"noop","payload":{"to":"ada@example.com","name":"Ada"}}"#;

/// How the answers of Backroom should be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    Accepted,
    Refused,
}

/// One load, over and over, on the bare server and on Backroom.
struct Case {
    name: String,
    script: Script,
    connections: u32,
    answers: Answers,
}

/// What the rounds of one server found.
#[derive(Default)]
struct Found {
    per_second: Series,
    /// Until the last job had completed.
    completed_per_second: Series,
    cpu_micros: Series,
    p50: Series,
    p99: Series,
    p999: Series,
}

pub(crate) fn run(size: Size) {
    let mut report = Report::new(
        "submit",
        size == Size::Quick,
        "Backroom as shipped, default options. Baseline: a bare actix-web handler that parses the same body and answers \
         202. Load by wrk.",
    );
    let noop = |payload: &str| format!("{{\"kind\":\"noop\",\"payload\":{payload}}}");
    let email = format!("{{\"kind\":\"email\",\"payload\":{MAIL}}}");
    let accepted = |name: &str, body: &str, connections: u32| Case {
        name: format!("{name}, {connections} connections"),
        script: Script::post(body),
        connections,
        answers: Answers::Accepted,
    };
    let mut cases = Vec::new();
    for connections in [1, 64, 256] {
        cases.push(accepted("noop", NOOP, connections));
        cases.push(accepted("noop with the mail payload", &noop(MAIL), connections));
    }
    cases.push(accepted("email, rendered and captured", &email, 64));
    let (ours, bare) = (Served::backroom(&[]), Served::bare("127.0.0.1:0"));
    let http = Http::new(ours.address());
    for case in &cases {
        measure(case, size, &ours, &bare, &http, &mut report);
    }
    let later = r#"{"kind":"noop","payload":{},"delay":"1h"}"#;
    let ids = (0..100).map(|_| format!("/api/jobs/{}/status", http.submit(later))).collect::<Vec<_>>();
    let polling = Case {
        name: "noop, and three polls for each, 64 connections".to_owned(),
        script: Script::post_and_poll(NOOP, &ids),
        connections: 64,
        answers: Answers::Accepted,
    };
    measure(&polling, size, &ours, &bare, &http, &mut report);
    drop(ours);

    let full =
        ["queues.default.capacity=1", "queues.default.concurrency=1", "queues.default.enqueue_wait=0s"];
    let ours = Served::backroom(&full);
    let http = Http::new(ours.address());
    let asleep = r#"{"kind":"noop","payload":{"sleep":"1h"},"timeout":"2h"}"#;
    http.submit(asleep);
    while http.queue("default", "processing") == 0 {
        std::thread::yield_now();
    }
    http.submit(asleep);
    let refused = Case {
        name: "503 when full, 64 connections".to_owned(),
        script: Script::post(NOOP),
        connections: 64,
        answers: Answers::Refused,
    };
    measure(&refused, size, &ours, &bare, &http, &mut report);
    report.finish();
}

fn measure(case: &Case, size: Size, ours: &Served, bare: &Served, http: &Http, report: &mut Report) {
    let (mut found, mut base) = (Found::default(), Found::default());
    for _ in 0..size.pick(7, 2) {
        base.load(case, size, bare, |load| {
            assert!(load.refused == 0.0, "the bare server refuses");
            0.0
        });
        found.load(case, size, ours, |load| match case.answers {
            Answers::Refused => {
                assert!(load.refused >= load.requests, "some were accepted");
                0.0
            }
            Answers::Accepted => {
                assert!(load.refused == 0.0, "{} requests were refused", load.refused);
                http.until_idle("default") + http.until_idle("mail")
            }
        });
    }
    let name = &case.name;
    let rate = report.row(format!("{name}: answers"), "/s", found.per_second, base.per_second.clone());
    if case.connections == 64 && case.answers == Answers::Refused {
        rate.ratio_at_least(0.9);
    }
    if case.answers == Answers::Accepted {
        let completed = report.row(
            format!("{name}: accepted and completed"),
            "/s",
            found.completed_per_second,
            base.completed_per_second,
        );
        if case.connections == 64 && name.starts_with("noop") {
            completed.ratio_at_least(0.8);
        }
    }
    let cpu =
        report.row(format!("{name}: CPU of the server"), "us/request", found.cpu_micros, base.cpu_micros);
    match case.answers {
        // What has a ratio of 0.8 in requests a second costs 1.25 times as much.
        Answers::Accepted if case.connections == 64 && name.starts_with("noop") => {
            cpu.ratio_at_most(1.25);
        }
        Answers::Refused => {
            cpu.ratio_at_most(1.11);
        }
        Answers::Accepted => {}
    }
    report.row(format!("{name}: p50"), "ms", found.p50, base.p50);
    let p99 = report.row(format!("{name}: p99"), "ms", found.p99, base.p99);
    if case.connections == 64 && name.starts_with("noop") {
        p99.ratio_at_most(1.5);
    }
    report.row(format!("{name}: p99.9"), "ms", found.p999, base.p999);
}

impl Found {
    /// Loads a server once; `settled` waits until its work is done, and says how many seconds that took.
    fn load(&mut self, case: &Case, size: Size, server: &Served, settled: impl FnOnce(&Load) -> f64) {
        let before = server.cpu();
        let load = case.script.run(server.address(), case.connections, size.pick(4, 1));
        let tail = settled(&load);
        self.cpu_micros.push((server.cpu() - before) / load.requests * 1e6);
        self.per_second.push(load.requests / load.seconds);
        self.completed_per_second.push(load.requests / (load.seconds + tail));
        self.p50.push(load.p50_ms);
        self.p99.push(load.p99_ms);
        self.p999.push(load.p999_ms);
    }
}
