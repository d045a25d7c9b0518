//! `GET /api/jobs/{id}/result`: what came of it.

use backroom::job::StateName;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, assert_answer};

/// The result of a job that has come to its end.
async fn result_of(app: &TestApp, payload: Value, state: StateName) -> Answer {
    let id = app.act(&payload).await;
    app.until(&id, state).await;
    app.get(&format!("/api/jobs/{id}/result")).await
}

#[tokio::test]
async fn it_has_the_media_type_of_the_handler() {
    let app = TestApp::start().await;
    let payload = json!({"text": "a;b\n1;2\n", "media_type": "text/csv; charset=utf-8"});
    let answer = result_of(&app, payload, StateName::Completed).await;
    assert_answer!("result", answer);
    let nothing = result_of(&app, json!({}), StateName::Completed).await;
    assert_answer!("result_null", nothing);
    app.stop().await;
}

#[tokio::test]
async fn it_is_not_sent_again() {
    let app = TestApp::start().await;
    let id = app.act(&json!({"text": "done"})).await;
    app.until(&id, StateName::Completed).await;
    let path = format!("/api/jobs/{id}/result");
    let tag = app.get(&path).await.header("etag").to_owned();
    let again = Answer::of(app.request("GET", &path).header("if-none-match", &tag)).await;
    assert_answer!("result_not_modified", again);
    assert_eq!(again.header("etag"), tag);
    let other = Answer::of(app.request("GET", &path).header("if-none-match", "\"x\"")).await;
    assert_eq!((other.status.as_u16(), other.text().as_str()), (200, "done"));
    app.stop().await;
}

#[tokio::test]
async fn a_media_type_that_is_none_is_our_error_and_breaks_nothing() {
    let app = TestApp::start().await;
    let payload = json!({"text": "x", "media_type": "text/plain\r\nx-evil: 1"});
    let answer = result_of(&app, payload, StateName::Completed).await;
    answer.problem(500, "internal");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.headers.contains_key("etag"));
    app.stop().await;
}

#[tokio::test]
async fn it_may_be_as_large_as_the_limit() {
    let app = TestApp::with(|config| config.limits.result = 1000).await;
    for bytes in [999, 1000] {
        let answer = result_of(&app, json!({"bytes": bytes}), StateName::Completed).await;
        assert_eq!(answer.body.len(), bytes);
    }
    let answer = result_of(&app, json!({"bytes": 1001}), StateName::DeadLettered).await;
    let problem = answer.problem(404, "job-dead-lettered");
    let error = json!({"code": "result-too-large", "message": "the result is larger than 1000 bytes"});
    assert_eq!(problem["error"], error);
    app.stop().await;
}

#[tokio::test]
async fn without_a_result_the_problem_says_why() {
    let app = TestApp::start().await;
    let id = app.hold().await;
    let path = format!("/api/jobs/{id}/result");
    assert_answer!("result_not_ready", app.get(&path).await);
    let scheduled = app.submit(&json!({"kind": "act", "delay": "1h"})).await;
    let not_ready = app.get(&format!("/api/jobs/{scheduled}/result")).await;
    let problem = not_ready.problem(404, "result-not-ready");
    assert_eq!((&problem["state"], not_ready.header("retry-after")), (&json!("scheduled"), "30"));
    assert_eq!(problem["retry_after_seconds"], 30);

    let dead = result_of(&app, json!({"permanent": "no such invoice"}), StateName::DeadLettered).await;
    assert_answer!("result_dead_lettered", dead);
    let skipped = result_of(&app, json!({"skip": "nothing to do"}), StateName::Skipped).await;
    assert_answer!("result_skipped", skipped);
    let canceled = Answer::of(app.request("DELETE", &format!("/api/jobs/{scheduled}"))).await;
    assert_eq!(canceled.status, 200);
    assert_answer!("result_canceled", app.get(&format!("/api/jobs/{scheduled}/result")).await);
    app.stop().await;
}
