//! The description of the API is true: every route and role is in it, everything that it describes is seen, its examples
//! are taken, and the copy in the repository is the one that is served.

use std::collections::BTreeSet;
use std::time::Duration;

use backroom::job::StateName;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::{Answer, TestApp, narrow, within};
use crate::conform::{self, description};
use crate::guard::{OF_AN_ATTEMPT, READABLE, ROUTES, real, with_tokens};
use crate::hub_client::{handshake, negotiate, place, record, until_forgotten};
use crate::raw::Raw;
use crate::receiver::Receiver;
use crate::schedules::{RARE, add};

/// What cannot be brought about here, and why.
fn elsewhere(operation: &str, status: u16) -> bool {
    match (operation, status) {
        // Nothing that a client can send brings it about; `tests/faults` has stores that fail.
        (_, 500) => true,
        // It takes an attempt that runs in an app; `tests/push/progress.rs` checks those answers.
        ("reportProgress", 200 | 415 | 422) => true,
        // Two that run the same schedule with one key at once; the same code as for `submitJob`.
        ("runSchedule", 409) => true,
        _ => false,
    }
}

#[test]
fn every_route_is_described_with_its_role() {
    let described: BTreeSet<(String, String, Vec<String>)> = description()
        .operations()
        .into_iter()
        .filter(|(_, path, _)| *path != OF_AN_ATTEMPT)
        .map(|(method, path, operation)| {
            let roles = operation["x-roles"].as_array().unwrap().iter();
            let roles: Vec<String> = roles.map(|role| role.as_str().unwrap().to_owned()).collect();
            let asked =
                operation["security"].as_array().unwrap().iter().any(|one| one.get("token").is_some());
            assert_eq!(asked, !roles.is_empty(), "{method} {path}");
            (method.to_uppercase(), path.to_owned(), roles)
        })
        .collect();
    let mounted = ROUTES.iter().filter(|(_, method, _)| *method != "HEAD").map(|(path, method, role)| {
        let mut roles: Vec<String> = role.iter().map(|role| role.as_str().to_owned()).collect();
        if READABLE.contains(path) && (*method, *path) != ("DELETE", "/api/jobs/{id}") {
            roles.push("read".to_owned());
        }
        ((*method).to_owned(), (*path).to_owned(), roles)
    });
    assert_eq!(described, mounted.collect());
    for (path, method, _) in ROUTES {
        let has = |method: &str| ROUTES.iter().any(|route| (route.0, route.1) == (path, method));
        assert!(*method != "GET" || has("HEAD"), "HEAD is said to be wherever GET is: {path}");
    }
}

#[test]
fn the_copy_in_the_repository_is_the_one_that_is_served() {
    let copy = include_str!("../../openapi.json");
    assert!(
        copy == backroom::http::openapi(),
        "openapi.json is not what the program says; run `cargo run -- openapi > openapi.json` and look at the difference"
    );
}

#[tokio::test]
async fn it_is_served_to_programs_and_to_people() {
    let app = TestApp::with(with_tokens).await;
    let served = app.get("/openapi.json").await;
    assert_eq!((served.status.as_u16(), served.header("content-type")), (200, "application/json"));
    assert_eq!(served.text(), backroom::http::openapi());
    let page = app.get("/docs").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    let text = page.text();
    for (_, path, operation) in description().operations() {
        let id = operation["operationId"].as_str().unwrap();
        assert!(text.contains(&format!("id=\"{id}\"")) && text.contains(path), "{id} is not on the page");
    }
    // It needs nothing from elsewhere, and runs nothing.
    for foreign in ["<script", "<link", "<img", "style=\"", "http://", "//cdn"] {
        assert!(!text.contains(foreign), "{foreign} is on the page");
    }
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"));
    app.stop().await;
}

#[test]
fn every_example_is_as_its_schema_says() {
    fn visit(value: &Value, pointer: &str, seen: &mut usize) {
        if let Some(schema) = value.get("schema") {
            let many = value["examples"].as_object().into_iter().flatten();
            let many = many.map(|(name, example)| (name.as_str(), &description().resolved(example)["value"]));
            for (name, example) in many.chain(value.get("example").map(|example| ("example", example))) {
                description().validate(pointer, schema, example, &format!("{pointer} {name}"));
                *seen += 1;
            }
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            visit(member, &format!("{pointer}/{name}"), seen);
        }
    }
    let mut seen = 0;
    visit(&description().document["paths"], "/paths", &mut seen);
    visit(&description().document["components"]["responses"], "/components/responses", &mut seen);
    assert!(seen > 60, "only {seen} examples were found");
}

#[tokio::test]
async fn every_example_of_a_job_is_accepted() {
    let app = TestApp::narrow(100).await;
    // What comes behind it in this queue does not run: no example calls anybody.
    app.hold().await;
    for (path, pointer) in
        [("/api/jobs", "/paths/~1api~1jobs/post"), ("/api/jobs/batch", "/paths/~1api~1jobs~1batch/post")]
    {
        let media = format!("{pointer}/requestBody/content/application~1json/examples");
        let examples = description().document.pointer(&media).unwrap().as_object().unwrap();
        for (name, example) in examples {
            let answer = app.post(path, &example["value"]).await;
            assert_eq!(answer.status, 202, "{name}: {}", answer.text());
            for id in ids_of(&answer.json()) {
                Answer::of(app.request("DELETE", &format!("/api/jobs/{id}"))).await;
            }
        }
    }
    app.stop().await;
}

fn ids_of(accepted: &Value) -> Vec<String> {
    let jobs = accepted["jobs"].as_array().cloned().unwrap_or_else(|| vec![accepted.clone()]);
    jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn everything_that_is_described_is_seen() {
    at_the_door().await;
    bodies_that_are_not_taken().await;
    jobs().await;
    groups().await;
    notices().await;
    hub().await;
    schedules_and_metrics().await;
    memory().await;
    under_way().await;
    draining().await;
    let [described, seen] = description().account();
    let missing: Vec<_> =
        described.difference(&seen).filter(|(operation, status)| !elsewhere(operation, *status)).collect();
    assert!(missing.is_empty(), "is described, and no answer was like it: {missing:?}");
}

/// Every operation as a request: its method, and a path that leads to it.
fn requests() -> Vec<(String, String, bool)> {
    let operations = description().operations().into_iter();
    operations
        .map(|(method, path, operation)| {
            (method.to_uppercase(), real(path), operation.get("requestBody").is_some())
        })
        .collect()
}

/// What the guard refuses, whatever is asked.
async fn at_the_door() {
    let app = TestApp::with(with_tokens).await;
    for (method, path, _) in requests() {
        for token in [None, Some("submit-0123456789"), Some("read-0123456789ab")] {
            let mut request = app.request(&method, &path);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            Answer::of(request).await;
        }
        let twice = app.request(&method, &path).header("authorization", "a").header("authorization", "b");
        Answer::of(twice).await.problem(400, "malformed-request");
    }
    app.stop().await;
    let app = TestApp::start().await;
    for (method, path, _) in requests() {
        let elsewhere = app.request(&method, &path).header("host", "evil.example");
        Answer::of(elsewhere).await.problem(421, "host-not-allowed");
        if method != "GET" {
            let page = app.request(&method, &path).header("origin", "http://evil.example");
            Answer::of(page).await.problem(403, "origin-forbidden");
        }
    }
    app.stop().await;
}

async fn bodies_that_are_not_taken() {
    let app = TestApp::with(|config| {
        config.server.body_limit = 1_024;
        config.server.body_timeout = Duration::from_millis(20);
    })
    .await;
    for (method, path, has_body) in requests() {
        if method == "GET" {
            continue;
        }
        let large =
            app.request(&method, &path).header("content-type", "application/json").body("x".repeat(1_025));
        Answer::of(large).await.problem(413, "payload-too-large");
        if has_body {
            let text = app.request(&method, &path).header("content-type", "text/plain").body("x");
            Answer::of(text).await;
        }
        let mut raw = Raw::connect(&app).await;
        raw.send(format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{{")).await;
        assert_eq!(seen(&mut raw, &method, &path).await, 408, "{method} {path}");
    }
    app.stop().await;
}

/// One job after the other, in every state that can be asked for.
async fn jobs() {
    let app = TestApp::start().await;
    let get = async |path: String| app.get(&path).await;
    let delete = async |id: &str| Answer::of(app.request("DELETE", &format!("/api/jobs/{id}"))).await;
    let done = app.act(&json!({"text": "done", "log": ["a line"], "progress": [5, "on"]})).await;
    app.until(&done, StateName::Completed).await;
    let running = app.hold().await;
    let failed = app.act(&json!({"fail": "later"})).await;
    app.until(&failed, StateName::Failed).await;
    for id in [&*done, &running, &failed, "01a1fa71-0000-7000-8000-000000000000"] {
        for part in ["", "/status", "/result", "/payload", "/log"] {
            let first = get(format!("/api/jobs/{id}{part}")).await;
            if let Some(tag) = first.headers.get("etag") {
                let request = app.request("GET", &format!("/api/jobs/{id}{part}"));
                assert_eq!(Answer::of(request.header("if-none-match", tag)).await.status, 304);
            }
        }
        if id != running && id != failed {
            get(format!("/api/jobs/{id}/events")).await;
            let seen = app.request("GET", &format!("/api/jobs/{id}/events")).header("last-event-id", "99");
            Answer::of(seen).await;
        }
    }
    assert_eq!(delete(&failed).await.status, 200);
    assert_eq!(delete(&done).await.status, 409);
    assert_eq!(delete("nothing").await.status, 404);
    for (id, status) in [(&*failed, 202), (&done, 409), ("nothing", 404)] {
        let retried = app.request("POST", &format!("/api/jobs/{id}/retry"));
        assert_eq!(Answer::of(retried).await.status, status);
    }
    assert_eq!(delete(&running).await.status, 202);
    let progress = app.post("/api/jobs/nothing/progress", &json!({"percent": 1})).await;
    assert_eq!(progress.status, 404);
    let waiting = app.request("POST", "/api/jobs").header("prefer", "wait=20");
    assert_eq!(Answer::of(waiting.json(&json!({"kind": "noop"}))).await.status, 303);
    assert_eq!(app.post("/api/jobs", &json!({"kind": "nope", "x": 1})).await.status, 422);
    assert_eq!(app.post("/api/jobs/batch", &json!({"jobs": [{"kind": "noop"}]})).await.status, 202);
    assert_eq!(app.post("/api/jobs/batch", &json!({})).await.status, 422);
    app.stop().await;
}

/// Lists, queues, dead letters, mail, and what describes the server.
async fn groups() {
    let app = TestApp::start().await;
    let mail = json!({"kind": "email", "payload": {"to": "a@example.com", "cc": "b@example.com", "subject": "Hi", "text": "x"}});
    let mail = app.submit(&mail).await;
    app.until(&mail, StateName::Completed).await;
    for path in [
        "/api/jobs",
        "/api/jobs?limit=0",
        "/api/events?wrong=1",
        "/api/kinds",
        "/api/queues",
        "/api/queues/mail",
        "/api/queues/nope",
        "/api/mail/nothing",
        "/api/mail/nothing/raw",
        "/livez",
        "/readyz?verbose",
        "/problems/internal",
        "/problems/nope",
    ] {
        app.get(path).await;
    }
    // Its stream has no end; what it begins with is in `tests/api/events.rs`.
    assert_eq!(Answer::of(app.request("HEAD", "/api/events")).await.status, 200);
    for path in ["/openapi.json", "/docs"] {
        let tag = app.get(path).await.header("etag").to_owned();
        assert_eq!(Answer::of(app.request("GET", path).header("if-none-match", tag)).await.status, 304);
    }
    let mails = app.get("/api/mail").await.json();
    let id = mails["items"][0]["id"].as_str().unwrap();
    assert_eq!(app.get(&format!("/api/mail/{id}")).await.status, 200);
    assert_eq!(app.get(&format!("/api/mail/{id}/raw")).await.status, 200);
    for (path, status) in [("/api/mail", 200), ("/api/dead-letters", 200), ("/api/dead-letters?wrong=1", 422)]
    {
        assert_eq!(Answer::of(app.request("DELETE", path)).await.status, status);
    }
    for (path, body, status) in [
        (
            "/api/queues/default",
            json!({"paused": true, "pause_reason": "no", "pause_until": "2100-01-01T00:00:00Z"}),
            422,
        ),
        ("/api/queues/default", json!({"concurrency": 3, "rate_limit": "100/s"}), 200),
        ("/api/queues/nope", json!({}), 404),
    ] {
        assert_eq!(Answer::of(app.request("PATCH", path).json(&body)).await.status, status);
    }
    for (body, status) in [(json!({}), 200), (json!({"limit": 0}), 422)] {
        assert_eq!(app.post("/api/dead-letters/redrive", &body).await.status, status);
    }
    app.stop().await;
}

/// What somebody is told, and what became of it.
async fn notices() {
    let app = TestApp::start().await;
    let mut receiver = Receiver::answering(&["204"]).await;
    let id = app.submit(&json!({"kind": "act", "callback_url": receiver.url})).await;
    description().meets("Webhook", &receiver.next().await.json());
    let notices = app.get(&format!("/api/jobs/{id}/deliveries")).await;
    assert_eq!(notices.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(app.get("/api/jobs/nothing/deliveries").await.status, 404);
    app.stop().await;
}

/// Every transport of the hub, as far as it is HTTP.
async fn hub() {
    let app = TestApp::with(|config| config.server.max_hub_connections = 2).await;
    let polled = place(&app).await;
    for status in [200, 409] {
        let request = app.request("GET", &polled);
        let request = if status == 409 { request.header("accept", "text/event-stream") } else { request };
        assert_eq!(Answer::of(request).await.status, status);
    }
    for method in ["GET", "POST", "DELETE"] {
        let unknown = app.request(method, "/hubs/jobs?id=nothing");
        assert_eq!(Answer::of(unknown).await.status, 404, "{method}");
    }
    let said = app.request("POST", &polled).header("content-type", "text/plain;charset=UTF-8");
    assert_eq!(Answer::of(said.body(record(&handshake()))).await.status, 200);
    assert_eq!(app.get(&polled).await.text(), record(&json!({})));
    let (socket, status) = upgrade(&app).await;
    assert_eq!(status, 101);
    assert_eq!(upgrade(&app).await.1, 503, "there are as many as there may be");
    assert!(negotiate(&app, "").await["error"].is_string());
    assert_eq!(Answer::of(app.request("DELETE", &polled)).await.status, 202);
    assert!([204, 404].contains(&app.get(&polled).await.status.as_u16()));
    drop(socket);
    until_forgotten(&app).await;
    // A poll that waits while its connection is ended is told so.
    let polled = place(&app).await;
    app.get(&polled).await;
    let said = app.request("POST", &polled).body(record(&handshake()));
    assert_eq!(Answer::of(said).await.status, 200);
    app.get(&polled).await;
    let close = json!({"type": 7});
    assert_eq!(Answer::of(app.request("POST", &polled).body(record(&close))).await.status, 200);
    assert_eq!(app.get(&polled).await.status, 204);
    app.stop().await;
}

/// Asks for a WebSocket; says the connection, which ends when it is dropped, and the status.
async fn upgrade(app: &TestApp) -> (Raw, u16) {
    let mut raw = Raw::connect(app).await;
    raw.send(
        "GET /hubs/jobs HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .await;
    let status = seen(&mut raw, "GET", "/hubs/jobs").await;
    (raw, status)
}

/// Holds the next answer on a connection against the description; says its status.
async fn seen(raw: &mut Raw, method: &str, path: &str) -> u16 {
    let answer = raw.answer().await;
    let headers = answer.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    conform::check(method, path, answer.status, &headers.collect(), answer.body.as_bytes());
    answer.status
}

async fn schedules_and_metrics() {
    let app = TestApp::with(|config| {
        add(config, "nightly", RARE, |_| {});
        add(config, "weekly", RARE, |_| {});
    })
    .await;
    let run = |name: &str| app.request("POST", &format!("/api/schedules/{name}/run"));
    assert_eq!(Answer::of(run("nightly").header("idempotency-key", "k")).await.status, 202);
    assert_eq!(Answer::of(run("weekly").header("idempotency-key", "k")).await.status, 422);
    assert_eq!(Answer::of(run("nightly").header("prefer", "wait=20")).await.status, 303);
    assert_eq!(Answer::of(run("nope")).await.status, 404);
    for (path, status) in [
        ("/api/schedules", 200),
        ("/api/schedules/nightly", 200),
        ("/api/schedules/nope", 404),
        ("/metrics", 200),
    ] {
        assert_eq!(app.get(path).await.status, status);
    }
    for (name, body, status) in [
        ("nightly", json!({"paused": true}), 200),
        ("nightly", json!({"paused": 1}), 422),
        ("nope", json!({}), 404),
    ] {
        let patch = app.request("PATCH", &format!("/api/schedules/{name}")).json(&body);
        assert_eq!(Answer::of(patch).await.status, status);
    }
    let open_metrics = app.request("GET", "/metrics").header("accept", "application/openmetrics-text");
    assert_eq!(Answer::of(open_metrics).await.status, 200);
    app.stop().await;
    let app = TestApp::with(|config| config.metrics.enabled = false).await;
    assert_eq!(app.get("/metrics").await.status, 404);
    app.stop().await;
}

/// A result that had to make way.
async fn memory() {
    let app = TestApp::with(|config| config.limits.memory = 1 << 20).await;
    let mut first = None;
    for _ in 0..3 {
        let id = app.act(&json!({"bytes": 400_000})).await;
        app.until(&id, StateName::Completed).await;
        first.get_or_insert(id);
    }
    let path = format!("/api/jobs/{}/result", first.unwrap());
    app.get(&path).await.problem(410, "result-expired");
    app.stop().await;
}

/// The same key again, while the first request waits for room.
async fn under_way() {
    for (path, body) in
        [("/api/jobs", json!({"kind": "act"})), ("/api/jobs/batch", json!({"jobs": [{"kind": "act"}]}))]
    {
        let app = TestApp::with(|config| {
            narrow(config, 1);
            config.queues.get_mut("default").unwrap().enqueue_wait = Duration::from_mins(1);
        })
        .await;
        app.hold().await;
        app.act(&json!({"wait": true})).await;
        let mut first = Raw::connect(&app).await;
        let (text, head) =
            (body.to_string(), format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nidempotency-key: k\r\n"));
        let length = text.len();
        first
            .send(format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{text}"))
            .await;
        let post = |body: String| {
            let request = app.request("POST", path).header("idempotency-key", "k");
            Answer::of(request.header("content-type", "application/json").body(body))
        };
        // Another body asks whether the key is taken, and never takes it for longer than it is looked at.
        within("the first request", async { while post("{".to_owned()).await.status != 422 {} }).await;
        post(text).await.problem(409, "idempotency-in-progress");
        app.let_go(2);
        assert_eq!(first.answer().await.status, 202);
        app.stop().await;
    }
}

/// What a server says that stops.
async fn draining() {
    let app = TestApp::with(|config| add(config, "nightly", RARE, |_| {})).await;
    app.hold().await;
    let later = app.submit(&json!({"kind": "act", "delay": "1h"})).await;
    let dead = app.act(&json!({"permanent": "no"})).await;
    app.until(&dead, StateName::DeadLettered).await;
    let hurry = CancellationToken::new();
    let during = async {
        while !app.jobs().is_draining() {
            tokio::task::yield_now().await;
        }
        app.get("/readyz").await;
        for (path, body) in [
            ("/api/jobs".to_owned(), json!({"kind": "act"})),
            ("/api/jobs/batch".to_owned(), json!({"jobs": [{"kind": "act"}]})),
            (format!("/api/jobs/{dead}/retry"), json!({})),
            ("/api/dead-letters/redrive".to_owned(), json!({})),
            ("/api/schedules/nightly/run".to_owned(), json!({})),
        ] {
            app.post(&path, &body).await.problem(503, "draining");
        }
        let patch = app.request("PATCH", "/api/queues/default").json(&json!({"concurrency": 1}));
        Answer::of(patch).await.problem(503, "draining");
        app.let_go(1);
    };
    let (report, ()) =
        within("the drain", async { tokio::join!(app.server.backroom().drain(&hurry), during) }).await;
    assert_eq!(report.lost, []);
    // What waits can be canceled until the drain is over.
    for path in [format!("/api/jobs/{later}"), "/api/dead-letters".to_owned()] {
        Answer::of(app.request("DELETE", &path)).await.problem(503, "draining");
    }
    app.server.backroom().close();
    Answer::of(app.request("POST", "/hubs/jobs/negotiate")).await.problem(503, "draining");
}
