//! How long a start and a stop take.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;

use crate::support::http::Http;
use crate::support::process::Served;
use crate::support::report::{Report, Series};
use crate::support::{Size, now, seconds};

/// Keeps a worker busy until it is canceled.
const ASLEEP: &str = r#"{"kind":"noop","payload":{"sleep":"1h"},"timeout":"2h"}"#;
const NOOP: &str = r#"{"kind":"noop","payload":{"to":"ada@example.com","name":"Ada"}}"#;

pub(crate) fn run(size: Size) {
    let mut report = Report::new(
        "drain",
        size == Size::Quick,
        "The program as shipped. Start: from the start of the process to the first 200 of /readyz. Stop: from SIGTERM to \
         the end of the process. Baseline: bare actix-web.",
    );
    let (mut starts, mut bare_starts) = (Series::default(), Series::default());
    let (mut stops, mut bare_stops) = (Series::default(), Series::default());
    let mut full = Series::default();
    let queued = size.pick(10_000, 1_000);
    for _ in 0..size.pick(9, 2) {
        let (bare, took) = start(Served::bare);
        bare_starts.push(took * 1e3);
        bare_stops.push(bare.terminate(|| ()).0 * 1e3);
        let (ours, took) = start(|address| Served::backroom_at(address, &[]));
        starts.push(took * 1e3);
        stops.push(ours.terminate(|| ()).0 * 1e3);
        full.push(drain_full(queued) * 1e3);
    }
    report.row("start to ready", "ms", starts, bare_starts).at_most(50.0);
    report.row("SIGTERM to exit, idle", "ms", stops, bare_stops).at_most(50.0);
    report.row(format!("SIGTERM to exit, {queued} noop jobs queued, all of them run"), "ms", full, None);
    report.finish();
}

/// Starts a server, and says how many seconds it took until it was ready.
fn start(start: impl FnOnce(&str) -> Served) -> (Served, f64) {
    // Free a moment ago, and nobody else takes ports from the same range here.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = address.expect("a free port").to_string();
    let mut server = None;
    let took = seconds(|| {
        server = Some(start(&address));
        let began = now();
        while !is_ready(&address) {
            assert!(began.elapsed() < Duration::from_secs(30), "it does not become ready");
            std::thread::sleep(Duration::from_micros(200));
        }
    });
    (server.expect("started"), took)
}

/// By hand, because making a client takes longer than the start.
fn is_ready(address: &str) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return false };
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer)).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

/// Seconds from SIGTERM to the end, when every worker is busy and so many jobs wait behind them. The busy ones are
/// canceled right after the signal, over connections that are open already.
fn drain_full(queued: usize) -> f64 {
    let server = Served::backroom(&["queues.default.capacity=20000"]);
    let http = Http::new(server.address());
    let workers = http.queue("default", "concurrency");
    let busy: Vec<String> = (0..workers).map(|_| http.submit(ASLEEP)).collect();
    while http.queue("default", "processing") < workers {
        std::thread::yield_now();
    }
    http.submit_many(NOOP, queued);
    assert_eq!(http.queue("default", "pending"), queued as u64);
    let (took, log) = server.terminate(|| {
        for id in &busy {
            let (status, answer) = http.delete(&format!("/api/jobs/{id}"));
            assert_eq!(status, 202, "{answer}");
        }
    });
    let report = log.lines().find(|line| line.contains("drain report")).expect("a report");
    let report: Value = serde_json::from_str(report).expect("JSON");
    let report = report.get("fields").unwrap_or(&report);
    // It counts from the moment at which the signal is seen; what was told to stop before that, and ran then, is not in it.
    assert!(report["spilled"] == 0 && report["lost"] == "", "{report}");
    took
}
