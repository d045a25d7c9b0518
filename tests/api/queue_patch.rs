//! `PATCH /api/queues/{name}`: pausing, resuming and resizing a queue while it runs.

use backroom::job::{StateName, Timestamp};
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, assert_answer};

const DEFAULT: &str = "/api/queues/default";

impl TestApp {
    async fn patch(&self, path: &str, body: &Value) -> Answer {
        let request = self.request("PATCH", path).header("content-type", "application/merge-patch+json");
        Answer::of(request.body(body.to_string())).await
    }

    /// Changes the queue `default`; it must be changed.
    async fn set(&self, body: &Value) -> Value {
        let answer = self.patch(DEFAULT, body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        answer.json()
    }

    fn in_millis(&self, millis: u64) -> Timestamp {
        self.jobs().clock().now().after(std::time::Duration::from_millis(millis))
    }
}

/// Only the members that can be changed.
fn changeable(queue: &Value) -> Value {
    json!([
        queue["paused"],
        queue["pause_reason"],
        queue["pause_until"],
        queue["concurrency"],
        queue["rate_limit"]
    ])
}

#[tokio::test]
async fn what_is_changed_is_shown_and_null_resets_it() {
    let app = TestApp::with(|config| {
        config.queues.get_mut("default").unwrap().rate_limit =
            Some(backroom::job::RateLimit::parse("50/s").unwrap());
    })
    .await;
    assert_eq!(changeable(&app.get(DEFAULT).await.json()), json!([false, null, null, 16, "50/s"]));
    let body = json!({
        "paused": true, "pause_reason": "the printer is on fire", "pause_until": app.in_millis(3_600_000),
        "concurrency": 10_000, "rate_limit": "10/m"
    });
    assert_answer!("queue_patched", app.patch(DEFAULT, &body).await);
    // What is not mentioned stays.
    let queue = app.set(&json!({"concurrency": 1, "pause_until": null})).await;
    assert_eq!(changeable(&queue), json!([true, "the printer is on fire", null, 1, "10/m"]));
    assert_eq!(app.set(&json!({})).await, queue);
    let queue = app.set(&json!({"rate_limit": ""})).await;
    assert_eq!(queue["rate_limit"], Value::Null, "none, although one is configured");
    let reset = json!({"paused": null, "pause_reason": null, "pause_until": null, "concurrency": null, "rate_limit": null});
    assert_eq!(changeable(&app.set(&reset).await), json!([false, null, null, 16, "50/s"]));
    assert_eq!(
        app.set(&json!({"paused": true})).await["pause_reason"],
        Value::Null,
        "a new pause begins anew"
    );
    app.set(&json!({"paused": false})).await;
    // The other queue was never touched.
    assert_eq!(changeable(&app.get("/api/queues/mail").await.json()), json!([false, null, null, 4, null]));
    app.stop().await;
}

#[tokio::test]
async fn a_paused_queue_accepts_until_it_is_full_and_resumes_in_order() {
    let app = TestApp::narrow(3).await;
    let running = app.hold().await;
    app.set(&json!({"paused": true, "pause_reason": "maintenance"})).await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(app.act(&json!({"data": n})).await);
    }
    let refused = app.post("/api/jobs", &json!({"kind": "act"})).await;
    let problem = refused.problem(503, "queue-full");
    assert_eq!((&problem["queue"], &problem["capacity"]), (&json!("default"), &json!(3)));
    assert_eq!(refused.header("retry-after"), "30", "nothing is known of its end");
    // What runs goes on, and nothing follows it.
    app.let_go(1);
    app.until(&running, StateName::Completed).await;
    let job = app.get(&format!("/api/jobs/{}/status", ids[2])).await;
    assert_eq!(job.json()["waiting"], json!({"for": "pause", "until": null, "ahead": 2}));
    assert_eq!(job.header("retry-after"), "30");
    // With an end that is known, that is told.
    let until = app.in_millis(100_000);
    app.set(&json!({"pause_until": until})).await;
    let job = app.job(&ids[0]).await;
    assert_eq!(job["waiting"], json!({"for": "pause", "until": until, "ahead": 0}));
    let refused = app.post("/api/jobs", &json!({"kind": "act"})).await;
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((80..=100).contains(&seconds), "{seconds}");
    assert_eq!(app.runs(), 1);
    app.set(&json!({"paused": false})).await;
    let mut started = Vec::new();
    for id in &ids {
        app.until(id, StateName::Completed).await;
        started.push(app.job(id).await["started_at"].as_str().unwrap().to_owned());
    }
    assert!(started.is_sorted(), "{started:?}");
    app.stop().await;
}

#[tokio::test]
async fn a_pause_with_an_end_ends_by_itself() {
    let app = TestApp::start().await;
    let until = app.in_millis(300);
    let queue = app.set(&json!({"paused": true, "pause_until": until})).await;
    assert_eq!((&queue["paused"], &queue["pause_until"]), (&json!(true), &json!(until)));
    let id = app.act(&json!({})).await;
    app.until(&id, StateName::Completed).await;
    let started = app.job(&id).await["started_at"].as_str().unwrap().to_owned();
    assert!(Timestamp::parse(&started).unwrap() >= until, "{started} {until}");
    assert_eq!(app.get(DEFAULT).await.json()["paused"], json!(false));
    app.stop().await;
}

#[tokio::test]
async fn a_rate_limit_is_what_a_job_waits_for() {
    let app = TestApp::start().await;
    app.set(&json!({"rate_limit": "1/h"})).await;
    let first = app.act(&json!({})).await;
    app.until(&first, StateName::Completed).await;
    let (second, third) = (app.act(&json!({})).await, app.act(&json!({})).await);
    // The dispatcher has to take the second one first.
    let waiting = loop {
        let job = app.job(&second).await;
        if job["waiting"]["for"] != "turn" {
            break job["waiting"].clone();
        }
    };
    let until = |waiting: &Value| {
        let until = Timestamp::parse(waiting["until"].as_str().unwrap()).unwrap();
        until.since(app.jobs().clock().now()).as_secs()
    };
    assert_eq!((&waiting["for"], &waiting["ahead"]), (&json!("rate_limit"), &json!(0)), "{waiting}");
    assert!((3_500..=3_600).contains(&until(&waiting)), "{waiting}");
    let waiting = app.job(&third).await["waiting"].clone();
    assert_eq!((&waiting["for"], &waiting["ahead"]), (&json!("rate_limit"), &json!(1)), "{waiting}");
    assert!((7_100..=7_200).contains(&until(&waiting)), "{waiting}");
    app.set(&json!({"rate_limit": null})).await;
    app.until(&third, StateName::Completed).await;
    app.stop().await;
}

#[tokio::test]
async fn every_fault_of_a_patch_is_named_at_once() {
    let app = TestApp::start().await;
    let past = json!({
        "paused": "yes", "pause_reason": "", "pause_until": "2020-01-01T00:00:00Z", "concurrency": 0,
        "rate_limit": "0/s", "concurency": 1, "wings": 2
    });
    assert_eq!(
        app.patch(DEFAULT, &past).await.faults("validation-failed"),
        [
            "/concurency: is not known here; did you mean \"concurrency\"?",
            "/concurrency: must be a whole number from 1 to 10000",
            "/pause_reason: must be 1 to 200 characters, without control characters",
            "/pause_until: must lie ahead",
            "/paused: must be true or false",
            "/rate_limit: must be a whole number from 1 to 1000000 for each second, minute or hour, as in \"100/s\", \"10/m\" or \"1000/h\"",
            "/wings: is not known here; known are: paused, pause_reason, pause_until, concurrency, rate_limit",
        ]
    );
    for (member, value, starts) in [
        ("paused", json!(1), "must be true"),
        ("pause_reason", json!(7), "must be 1 to 200 characters"),
        ("pause_reason", json!("x".repeat(201)), "must be 1 to 200 characters"),
        ("pause_until", json!("tomorrow"), "write an RFC 3339 time"),
        ("pause_until", json!(5), "must be an RFC 3339 time"),
        ("pause_until", json!("2099-01-01T00:00:00Z"), "must be at most 366 days ahead"),
        ("concurrency", json!(0), "must be a whole number"),
        ("concurrency", json!(10_001), "must be a whole number"),
        ("concurrency", json!(-1), "must be a whole number"),
        ("concurrency", json!(1.5), "must be a whole number"),
        ("concurrency", json!("4"), "must be a whole number"),
        ("rate_limit", json!(5), "must be a whole number from 1 to 1000000 for"),
        ("rate_limit", json!("1000001/h"), "must be a whole number from 1 to 1000000 for"),
    ] {
        let mut body = json!({"paused": true});
        body[member] = value;
        let faults = app.patch(DEFAULT, &body).await.faults("validation-failed");
        assert!(
            faults.len() == 1 && faults[0].starts_with(&format!("/{member}: {starts}")),
            "{body}: {faults:?}"
        );
    }
    // Of a queue that is not paused there is nothing to say about its pause.
    let alone = json!({"pause_reason": "x", "pause_until": app.in_millis(60_000)});
    let faults = app.patch(DEFAULT, &alone).await.faults("validation-failed");
    assert!(
        faults.len() == 2 && faults[0].starts_with("/pause_reason: is of a queue that is paused"),
        "{faults:?}"
    );
    for body in [json!([]), json!(null), json!("paused")] {
        let faults = app.patch(DEFAULT, &body).await.faults("validation-failed");
        assert_eq!(faults, [": must be an object with what is to be changed"]);
    }
    for (least, most) in [("1/s", "1000000/h"), ("1/m", "1000000/s")] {
        app.set(&json!({"rate_limit": least, "concurrency": 1})).await;
        app.set(&json!({"rate_limit": most, "concurrency": 10_000})).await;
    }
    app.set(&json!({"rate_limit": null, "concurrency": null})).await;
    assert_eq!(changeable(&app.get(DEFAULT).await.json()), json!([false, null, null, 16, null]));
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_patch_is_refused() {
    let app = TestApp::start().await;
    let send = |media: Option<&str>, body: &str| {
        let request = app.request("PATCH", DEFAULT).body(body.to_owned());
        Answer::of(match media {
            Some(media) => request.header("content-type", media),
            None => request,
        })
    };
    for media in ["application/json", "application/merge-patch+json; charset=utf-8", "Application/JSON"] {
        assert_eq!(send(Some(media), "{}").await.status, 200, "{media}");
    }
    for media in [
        None,
        Some("text/plain"),
        Some("application/json-patch+json"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let answer = send(media, "{}").await;
        answer.problem(415, "unsupported-media-type");
        assert_eq!(answer.header("accept-patch"), "application/merge-patch+json, application/json");
    }
    let twice = ["{\"paused\": true, \"paused\": false}", "{\"x\": 1, \"x\": 2}"];
    for body in ["", "{", "{\"paused\": \u{1}}"].into_iter().chain(twice) {
        send(Some("application/json"), body).await.problem(400, "malformed-request");
    }
    app.patch("/api/queues/mial", &json!({"paused": true})).await.problem(404, "queue-not-found");
    app.patch("/api/queues", &json!({"paused": true})).await.problem(405, "method-not-allowed");
    assert_eq!(app.get(DEFAULT).await.json()["paused"], json!(false), "nothing was changed");
    app.stop().await;
}

#[tokio::test]
async fn nothing_is_changed_any_more_while_draining() {
    let app = TestApp::narrow(3).await;
    let running = app.hold().await;
    let hurry = backroom::server::CancellationToken::new();
    let during = async {
        while !app.jobs().is_draining() {
            tokio::task::yield_now().await;
        }
        app.patch(DEFAULT, &json!({"concurrency": 5})).await.problem(503, "draining");
        app.let_go(1);
    };
    let (stopped, ()) = tokio::join!(app.server.backroom().drain(&hurry), during);
    assert_eq!((stopped.finished, stopped.lost), (1, Vec::new()));
    assert_eq!(app.job(&running).await["state"], "completed");
}
