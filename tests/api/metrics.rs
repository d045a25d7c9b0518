//! `GET /metrics`: what is counted, in which form, and that nothing else is told.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use backroom::config::Config;
use backroom::job::StateName;
use backroom::metrics::names;
use reqwest::Client;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::{Answer, TestApp, narrow, within};
use crate::receiver::Receiver;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A scrape: the value of every series.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    async fn of(app: &TestApp) -> Self {
        let answer = app.get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Self::read(&answer.text())
    }

    fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        Self(series.collect())
    }

    /// The value of a series behind the prefix.
    #[track_caller]
    fn get(&self, series: &str) -> f64 {
        let known = || self.0.keys().map(String::as_str).collect::<Vec<_>>().join("\n");
        *self.0.get(&format!("backroom_{series}")).unwrap_or_else(|| panic!("no {series} in\n{}", known()))
    }

    #[track_caller]
    fn are(&self, expected: &[(&str, u32)]) {
        for (series, value) in expected {
            let is = self.get(series);
            assert!((is - f64::from(*value)).abs() < 1e-9, "{series} is {is}, not {value}");
        }
    }

    /// The names of all series without their labels, and without what a histogram adds to its own.
    fn families(&self) -> BTreeSet<String> {
        self.0.keys().map(|series| family(series.split('{').next().unwrap())).collect()
    }
}

fn family(name: &str) -> String {
    let histograms = names::ALL.iter().filter(|family| family.kind() == "histogram");
    let mut whole = histograms.map(full_name).filter(|family| {
        ["_bucket", "_sum", "_count"].iter().any(|suffix| *name == format!("{family}{suffix}"))
    });
    whole.next().unwrap_or_else(|| name.to_owned())
}

fn full_name(family: &backroom::metrics::Family) -> String {
    family.full_name()
}

fn settings(config: &mut Config) {
    narrow(config, 2);
}

/// A server to which everything has happened that can be counted without breaking it.
async fn busy() -> TestApp {
    let app = TestApp::with(settings).await;
    let done = app.act(&json!({})).await;
    app.until(&done, StateName::Completed).await;
    for (payload, state) in [
        (json!({"permanent": "no"}), StateName::DeadLettered),
        (json!({"fail": "later"}), StateName::Failed),
        (json!({"skip": "nothing to do"}), StateName::Skipped),
        (json!({"snooze_hours": 1}), StateName::Scheduled),
    ] {
        let id = app.act(&payload).await;
        app.until(&id, state).await;
    }
    let panics = app.submit(&json!({"kind": "noop", "payload": {"fail": "panic"}, "max_attempts": 1})).await;
    app.until(&panics, StateName::DeadLettered).await;
    let mail = json!({"to": "ada@example.com", "subject": "s", "text": "t"});
    let mail = app.submit(&json!({"kind": "email", "payload": mail})).await;
    app.until(&mail, StateName::Completed).await;
    // One runs, two wait, one finds no room, one of those that wait is canceled.
    app.hold().await;
    let waits = app.act(&json!({"wait": true})).await;
    app.act(&json!({"wait": true})).await;
    app.post("/api/jobs", &json!({"kind": "act"})).await.problem(503, "queue-full");
    app.post("/api/jobs/batch", &json!({"jobs": [{"kind": "act"}, {"kind": "act"}]}))
        .await
        .problem(503, "queue-full");
    assert_eq!(Answer::of(app.request("DELETE", &format!("/api/jobs/{waits}"))).await.status, 200);
    app.post("/api/jobs", &json!({"kind": "canary-kind"})).await.problem(422, "unknown-kind");
    app.post("/api/jobs", &json!({"kind": "act", "tags": "canary"})).await.problem(422, "validation-failed");
    app.post("/api/jobs", &json!({"kind": "act", "queue": "canary"})).await.problem(422, "validation-failed");
    app.post_bytes("/api/jobs", "{").await.problem(400, "malformed-request");
    assert_eq!(app.get("/canary/ada@example.com?token=canary").await.status, 404);
    app
}

#[tokio::test]
async fn what_happens_is_counted() {
    let app = busy().await;
    let stream = app.request("GET", "/api/events").send().await.unwrap();
    let scrape = Scrape::of(&app).await;
    scrape.are(&[
        ("jobs_enqueued_total{queue=\"default\",kind=\"act\"}", 8),
        ("jobs_enqueued_total{queue=\"default\",kind=\"noop\"}", 1),
        ("jobs_enqueued_total{queue=\"mail\",kind=\"email\"}", 1),
        ("jobs_rejected_total{queue=\"default\",reason=\"queue-full\"}", 3),
        ("jobs_rejected_total{queue=\"\",reason=\"unknown-kind\"}", 1),
        ("jobs_rejected_total{queue=\"\",reason=\"validation-failed\"}", 2),
        ("jobs_rejected_total{queue=\"\",reason=\"malformed-request\"}", 1),
        ("jobs_rejected_total{queue=\"default\",reason=\"draining\"}", 0),
        ("jobs_finished_total{queue=\"default\",kind=\"act\",state=\"completed\"}", 1),
        ("jobs_finished_total{queue=\"default\",kind=\"act\",state=\"dead_lettered\"}", 1),
        ("jobs_finished_total{queue=\"default\",kind=\"act\",state=\"skipped\"}", 1),
        ("jobs_finished_total{queue=\"default\",kind=\"act\",state=\"canceled\"}", 1),
        ("attempts_total{queue=\"default\",kind=\"act\",outcome=\"completed\"}", 1),
        ("attempts_total{queue=\"default\",kind=\"act\",outcome=\"failed\"}", 2),
        ("attempts_total{queue=\"default\",kind=\"act\",outcome=\"snoozed\"}", 1),
        ("attempts_total{queue=\"default\",kind=\"noop\",outcome=\"panicked\"}", 1),
        ("retries_total{queue=\"default\",kind=\"act\"}", 1),
        ("wait_seconds_count{queue=\"default\",kind=\"act\"}", 6),
        ("run_seconds_count{queue=\"default\",kind=\"act\"}", 5),
        ("run_seconds_bucket{le=\"+Inf\",queue=\"default\",kind=\"act\"}", 5),
        ("jobs{queue=\"default\",state=\"processing\"}", 1),
        ("jobs{queue=\"default\",state=\"pending\"}", 1),
        ("jobs{queue=\"default\",state=\"dead_lettered\"}", 2),
        ("jobs{queue=\"default\",state=\"failed\"}", 1),
        ("queue_capacity{queue=\"default\"}", 2),
        ("queue_paused{queue=\"default\"}", 0),
        ("workers{queue=\"default\"}", 1),
        ("workers_busy{queue=\"default\"}", 1),
        ("mail_sent_total{outcome=\"sent\"}", 1),
        ("mail_sent_total{outcome=\"failed\"}", 0),
        ("webhook_deliveries_total{outcome=\"delivered\"}", 0),
        ("push_connections{transport=\"sse\"}", 1),
        ("memory_limit_bytes{of=\"jobs\"}", 256 << 20),
        ("worker_restarts_total{queue=\"default\"}", 0),
        ("handlers_abandoned_total{kind=\"act\"}", 0),
        ("draining", 0),
        (&format!("build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1),
        ("http_request_duration_seconds_count{method=\"POST\",route=\"/api/jobs\",status=\"202\"}", 10),
        ("http_request_duration_seconds_count{method=\"POST\",route=\"/api/jobs\",status=\"503\"}", 1),
        ("http_request_duration_seconds_count{method=\"DELETE\",route=\"/api/jobs/{id}\",status=\"200\"}", 1),
        ("http_request_duration_seconds_count{method=\"GET\",route=\"unmatched\",status=\"404\"}", 1),
    ]);
    assert!(scrape.get("memory_bytes{of=\"jobs\"}") > 0.0);
    assert!(scrape.get("memory_bytes{of=\"captured_mail\"}") > 0.0);
    assert!(scrape.get("queue_oldest_pending_seconds{queue=\"default\"}") >= 0.0);
    drop(stream);
    within("the end of the stream to be noticed", async {
        while Scrape::of(&app).await.get("push_connections{transport=\"sse\"}") > 0.0 {}
    })
    .await;
    app.stop().await;
}

/// Attempts are counted; what the receiver wants no more of is not sent, and counts for nothing.
#[tokio::test]
async fn deliveries_are_counted_by_what_became_of_them() {
    let change = |config: &mut Config| config.queues.get_mut("notices").unwrap().concurrency = 1;
    let app = TestApp::with(change).await;
    let mut receiver = Receiver::answering(&["200", "503", "404", "410"]).await;
    let told = async |members: Value| {
        let mut job = json!({"kind": "act", "callback_url": receiver.url});
        job.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        app.submit(&job).await
    };
    let until = async |id: &str, states: &[StateName]| {
        let notices = app.jobs().deliveries(id.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(notices.len(), states.len());
        for (notice, state) in notices.iter().zip(states) {
            app.until(&notice.id().to_string(), *state).await;
        }
    };
    for state in [StateName::Completed, StateName::Failed, StateName::DeadLettered] {
        let id = told(json!({})).await;
        app.until(&id, StateName::Completed).await;
        until(&id, &[state]).await;
    }
    let both = json!({"callback_events": ["job.pending", "job.processing"], "payload": {"wait": true}});
    let id = told(both).await;
    app.until(&id, StateName::Processing).await;
    until(&id, &[StateName::DeadLettered, StateName::Skipped]).await;
    Scrape::of(&app).await.are(&[
        ("webhook_deliveries_total{outcome=\"delivered\"}", 1),
        ("webhook_deliveries_total{outcome=\"failed\"}", 1),
        ("webhook_deliveries_total{outcome=\"exhausted\"}", 1),
        ("webhook_deliveries_total{outcome=\"disabled\"}", 1),
    ]);
    for _ in 0..4 {
        receiver.next().await;
    }
    assert!(receiver.is_empty());
    app.stop().await;
}

#[tokio::test]
async fn nobody_can_make_a_label() {
    let app = busy().await;
    app.request("BREW", "/api/jobs").send().await.unwrap();
    let text = app.get("/metrics").await.text();
    for canary in ["canary", "ada@", "example.com", "token", "BREW"] {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
    // No id of a job either.
    for job in app.get("/api/jobs").await.json()["items"].as_array().unwrap() {
        assert!(!text.contains(job["id"].as_str().unwrap()));
    }
    app.stop().await;
}

/// What `promtool check metrics` says; it reads both what is wrong and what is unusual.
fn lint(text: &str) -> (bool, String) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there (Debian: apt-get install --no-install-recommends prometheus)");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn a_scrape_is_what_prometheus_wants() {
    let app = busy().await;
    let answer = app.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(lint(&answer.text()), (true, String::new()));
    // A check that finds nothing must be able to find something.
    assert!(!lint("# TYPE a counter\na 1\n").0);
    let open = Answer::of(app.request("GET", "/metrics").header("accept", OPEN_METRICS)).await;
    assert_eq!(open.header("content-type"), OPEN_METRICS);
    let text = open.text();
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    assert_eq!(text.matches("# EOF").count(), 1);
    assert!(text.contains("# TYPE backroom_build info\n"), "{text}");
    assert!(text.contains("# TYPE backroom_jobs_enqueued counter\n"), "{text}");
    assert!(text.contains("# UNIT backroom_run_seconds seconds\n"), "{text}");
    // Both tell the same series, but for those of the requests that have come meanwhile.
    let of_jobs = |text: &str| {
        let series = Scrape::read(text).0.into_keys();
        series.filter(|series| !series.contains("http_request")).collect::<Vec<_>>()
    };
    assert_eq!(of_jobs(&text), of_jobs(&answer.text()));
    let head = Answer::of(app.request("HEAD", "/metrics")).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    app.stop().await;
}

#[tokio::test]
async fn every_family_is_told_from_the_beginning() {
    let app = TestApp::start().await;
    let text = app.get("/metrics").await.text();
    for family in names::ALL {
        let name = family.full_name();
        let kind = if family.kind() == "histogram" { "histogram" } else { family.kind() };
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "no {name} in {text}");
        assert!(text.contains(&format!("# HELP {name} {}\n", family.help)), "{name}");
    }
    // The series of a kind are there before its first job, so that the first one is seen to rise.
    Scrape::read(&text).are(&[
        ("jobs_enqueued_total{queue=\"default\",kind=\"noop\"}", 0),
        ("jobs_finished_total{queue=\"mail\",kind=\"email\",state=\"dead_lettered\"}", 0),
        ("run_seconds_count{queue=\"default\",kind=\"http\"}", 0),
    ]);
    app.stop().await;
}

#[tokio::test]
async fn a_drain_is_told_while_it_lasts() {
    let app = TestApp::start().await;
    app.hold().await;
    let hurry = CancellationToken::new();
    let during = async {
        while !app.jobs().is_draining() {
            tokio::task::yield_now().await;
        }
        app.post("/api/jobs", &json!({"kind": "act"})).await.problem(503, "draining");
        Scrape::of(&app)
            .await
            .are(&[("draining", 1), ("jobs_rejected_total{queue=\"\",reason=\"draining\"}", 1)]);
        app.let_go(1);
    };
    let drain = app.server.backroom().drain(&hurry);
    let (report, ()) = within("the drain", async { tokio::join!(drain, during) }).await;
    assert_eq!(report.lost, []);
}

#[tokio::test]
async fn two_servers_count_for_themselves() {
    let (one, two) = (TestApp::start().await, TestApp::start().await);
    let id = one.act(&json!({})).await;
    one.until(&id, StateName::Completed).await;
    let series = "jobs_enqueued_total{queue=\"default\",kind=\"act\"}";
    Scrape::of(&one).await.are(&[(series, 1)]);
    Scrape::of(&two).await.are(&[(series, 0)]);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_is_turned_off_is_not_there() {
    let app = TestApp::with(|config| config.metrics.enabled = false).await;
    let id = app.act(&json!({})).await;
    app.until(&id, StateName::Completed).await;
    assert_eq!(app.get("/metrics").await.status, 404);
    app.stop().await;
}

#[tokio::test]
async fn a_job_in_another_queue_is_told_there() {
    let app = TestApp::start().await;
    let id = app.submit(&json!({"kind": "act", "queue": "mail"})).await;
    app.until(&id, StateName::Completed).await;
    Scrape::of(&app).await.are(&[
        ("jobs_enqueued_total{queue=\"mail\",kind=\"act\"}", 1),
        ("jobs_enqueued_total{queue=\"default\",kind=\"act\"}", 0),
    ]);
    app.stop().await;
}

#[tokio::test]
async fn an_abandoned_handler_is_counted() {
    let app = TestApp::with(|config| config.defaults.cancel_grace = Duration::from_millis(1)).await;
    let payload = json!({"sleep": "1h", "ignore_cancel": true});
    let id = app.submit(&json!({"kind": "noop", "payload": payload})).await;
    app.until(&id, StateName::Processing).await;
    assert_eq!(Answer::of(app.request("DELETE", &format!("/api/jobs/{id}"))).await.status, 202);
    app.until(&id, StateName::Canceled).await;
    Scrape::of(&app).await.are(&[
        ("handlers_abandoned_total{kind=\"noop\"}", 1),
        ("attempts_total{queue=\"default\",kind=\"noop\",outcome=\"canceled\"}", 1),
        ("jobs_finished_total{queue=\"default\",kind=\"noop\",state=\"canceled\"}", 1),
    ]);
    app.stop().await;
}

/// Every name that begins with ours in a text.
fn named(text: &str) -> BTreeSet<String> {
    let of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let rest = text.match_indices("backroom_").filter(|(at, _)| !text[..*at].ends_with(of_name));
    let names = rest.map(|(at, _)| text[at..].split(|c| !of_name(c)).next().unwrap());
    names.map(family).collect()
}

#[tokio::test]
async fn dashboard_and_alerts_ask_for_what_is_there() {
    let app = busy().await;
    let told = Scrape::of(&app).await.families();
    let dashboard = include_str!("../../deploy/grafana/backroom.json");
    let parsed: Value = serde_json::from_str(dashboard).unwrap();
    let expressions = parsed["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    for panel in expressions {
        for target in panel["targets"].as_array().unwrap() {
            assert!(!named(target["expr"].as_str().unwrap()).is_empty(), "{panel}");
        }
    }
    let alerts = include_str!("../../deploy/prometheus/alerts.yml");
    let tests = include_str!("../../deploy/prometheus/alerts_test.yml");
    for (file, text) in [("dashboard", dashboard), ("alerts", alerts), ("their tests", tests)] {
        let asked = named(text);
        assert!(asked.len() > 5, "{file}: {asked:?}");
        let missing: Vec<_> = asked.difference(&told).collect();
        assert!(missing.is_empty(), "{file} asks for {missing:?}");
    }
    // And nothing that is told is left out of the README.
    let readme = include_str!("../../README.md");
    for family in names::ALL {
        let labels = family.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let row = format!("| `{}` | {labels} |", family.name);
        assert!(readme.contains(&row), "README.md lacks: {row}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_route_is_told_by_its_pattern_even_when_it_is_refused() {
    let app = TestApp::with(crate::guard::with_tokens).await;
    let client = Client::new();
    let url = |path: &str| format!("http://{}{path}", app.server.address());
    client.get(url("/api/jobs/not-an-id")).send().await.unwrap();
    client.put(url("/api/jobs/not-an-id")).bearer_auth("operate-012345678").send().await.unwrap();
    let scrape = app.request("GET", "/metrics").bearer_auth("read-0123456789ab");
    let scrape = Scrape::read(&Answer::of(scrape).await.text());
    scrape.are(&[
        ("http_request_duration_seconds_count{method=\"GET\",route=\"/api/jobs/{id}\",status=\"401\"}", 1),
        ("http_request_duration_seconds_count{method=\"PUT\",route=\"/api/jobs/{id}\",status=\"405\"}", 1),
    ]);
    app.stop().await;
}
