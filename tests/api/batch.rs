//! `POST /api/jobs/batch`: all or none.

use backroom::job::StateName;
use serde_json::{Value, json};

use crate::app::{TestApp, assert_answer};
use crate::submit_faults::horrible;

fn noops(count: usize) -> Value {
    json!({"jobs": vec![json!({"kind": "noop"}); count]})
}

async fn kept(app: &TestApp) -> usize {
    app.get("/api/jobs?limit=100").await.json()["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn all_are_accepted_in_their_order() {
    let app = TestApp::narrow(10).await;
    app.hold().await;
    let jobs = json!({"jobs": [
        {"kind": "act", "tags": ["first"]}, {"kind": "noop", "delay": "1h"}, {"kind": "act", "queue": "mail"},
        {"kind": "act", "tags": ["last"]},
    ]});
    let answer = app.post("/api/jobs/batch", &jobs).await;
    assert_answer!("batch_accepted", answer);
    let body = answer.json();
    let jobs = body["jobs"].as_array().unwrap();
    assert_eq!(jobs[0]["waiting"], json!({"for": "turn", "until": null, "ahead": 0}));
    assert_eq!(jobs[3]["waiting"], json!({"for": "turn", "until": null, "ahead": 1}));
    let ids: Vec<&str> = jobs.iter().map(|job| job["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    app.let_go(1);
    for n in [0, 2, 3] {
        app.until(ids[n], StateName::Completed).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn every_fault_of_every_job_is_named() {
    let app = TestApp::start().await;
    let mut last = horrible();
    last["kind"] = json!("emial");
    let jobs = json!({"jobs": [{"kind": "noop"}, horrible(), {"kind": "noop", "timeout": "25h"}, {"knid": "noop"}, 7,
                               {"kind": "email", "payload": {}}, last]});
    let answer = app.post("/api/jobs/batch", &jobs).await;
    assert_answer!("batch_horrible", answer);
    assert_eq!(kept(&app).await, 0);
    app.stop().await;
}

#[tokio::test]
async fn faults_point_into_the_array() {
    let app = TestApp::start().await;
    let with = |job: Value| json!({"jobs": [{"kind": "noop"}, {"kind": "noop"}, {"kind": "noop"}, job]});
    for (job, slug, fault) in [
        (
            json!({"kind": "nope"}),
            "unknown-kind",
            r#"/jobs/3/kind: there is no kind of this name; did you mean "noop"?"#,
        ),
        (json!({}), "validation-failed", "/jobs/3/kind: is required"),
        (json!(null), "validation-failed", "/jobs/3: must be an object"),
        (
            json!({"kind": "noop", "queue": "nowhere"}),
            "validation-failed",
            "/jobs/3/queue: there is no queue of this name; there are: default, mail",
        ),
        (
            json!({"kind": "noop", "max_attempts": 101}),
            "validation-failed",
            "/jobs/3/max_attempts: must be 1 to 100",
        ),
        (json!({"kind": "noop", "payload": {"fail": "x"}}), "validation-failed", "/jobs/3/payload/fail: "),
        (
            json!({"kind": "noop", "unique": {"key": ""}}),
            "validation-failed",
            "/jobs/3/unique/key: a unique key is 1 to 255 characters without control characters",
        ),
    ] {
        let faults = app.post("/api/jobs/batch", &with(job)).await.faults(slug);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(fault), "{faults:?}");
    }
    assert_eq!(kept(&app).await, 0);
    app.stop().await;
}

#[tokio::test]
async fn the_array_itself_can_be_wrong() {
    let app = TestApp::start().await;
    for (body, faults) in [
        (json!([]), vec![": must be an object with the array \"jobs\""]),
        (json!({}), vec!["/jobs: is required"]),
        (json!({"jobs": 7}), vec!["/jobs: must be an array of jobs"]),
        (json!({"jobs": null}), vec!["/jobs: must be an array of jobs"]),
        (json!({"jobs": []}), vec!["/jobs: must hold 1 to 1000 jobs"]),
        (
            json!({"jobs": [{}], "atomic": true}),
            vec!["/atomic: is not a member that is known here", "/jobs/0/kind: is required"],
        ),
    ] {
        let answer = app.post("/api/jobs/batch", &body).await;
        assert_eq!(answer.faults("validation-failed"), faults, "{body}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_batch_may_be_as_long_as_the_limit() {
    let app = TestApp::with(|config| config.limits.batch = 3).await;
    for count in [1, 2, 3] {
        assert_eq!(app.post("/api/jobs/batch", &noops(count)).await.status, 202);
    }
    let answer = app.post("/api/jobs/batch", &noops(4)).await;
    assert_eq!(answer.faults("validation-failed"), ["/jobs: must hold 1 to 3 jobs"]);
    assert_eq!(kept(&app).await, 6);
    app.stop().await;

    let app = TestApp::start().await;
    let answer = app.post("/api/jobs/batch", &noops(1000)).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json()["jobs"].as_array().unwrap().len(), 1000);
    let answer = app.post("/api/jobs/batch", &noops(1001)).await;
    assert_eq!(answer.faults("validation-failed"), ["/jobs: must hold 1 to 1000 jobs"]);
    app.stop().await;
}

#[tokio::test]
async fn one_payload_that_is_too_large_refuses_all() {
    let app = TestApp::with(|config| config.limits.payload = 20).await;
    let payload = |length: usize| json!({"kind": "noop", "payload": {"a": "x".repeat(length - 8)}});
    let accepted = app.post("/api/jobs/batch", &json!({"jobs": [payload(20), payload(19)]})).await;
    assert_eq!(accepted.status, 202);
    let answer = app.post("/api/jobs/batch", &json!({"jobs": [payload(20), payload(21)]})).await;
    assert_eq!(
        answer.problem(413, "payload-too-large")["detail"],
        "/jobs/1/payload is larger than 20 bytes. Pass a reference instead of the data."
    );
    assert_eq!(kept(&app).await, 2);
    app.stop().await;
}

#[tokio::test]
async fn a_batch_that_does_not_fit_is_refused_whole() {
    let app = TestApp::narrow(4).await;
    app.hold().await;
    app.act(&json!({"wait": true})).await;
    // Three places are left, and the other queue has many.
    let both = json!({"jobs": [{"kind": "noop", "queue": "mail"}, {"kind": "noop"}, {"kind": "noop"},
                               {"kind": "noop"}, {"kind": "noop"}]});
    let answer = app.post("/api/jobs/batch", &both).await;
    let problem = answer.problem(503, "queue-full");
    assert_eq!((&problem["queue"], &problem["capacity"]), (&json!("default"), &json!(4)));
    assert_eq!(problem["retry_after_seconds"].to_string(), answer.header("retry-after"));
    assert_eq!(kept(&app).await, 2);
    // What was reserved in vain was given back: three still fit, and a fourth does not.
    assert_eq!(app.post("/api/jobs/batch", &noops(3)).await.status, 202);
    app.post("/api/jobs/batch", &noops(1)).await.problem(503, "queue-full");
    // Not even when the queue is empty.
    app.let_go(2);
    app.post("/api/jobs/batch", &noops(5)).await.problem(503, "queue-full");
    app.stop().await;
}

#[tokio::test]
async fn a_batch_that_was_refused_is_in_front_of_nobody() {
    let app = TestApp::narrow(4).await;
    app.hold().await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(app.act(&json!({})).await);
    }
    app.post("/api/jobs/batch", &noops(3)).await.problem(503, "queue-full");
    waiting.push(app.act(&json!({})).await);
    app.post("/api/jobs/batch", &noops(2)).await.problem(503, "queue-full");
    for (ahead, id) in waiting.iter().enumerate() {
        assert_eq!(app.job(id).await["waiting"]["ahead"], ahead);
    }
    app.stop().await;
}
