//! `/livez` and `/readyz`.

use serde_json::json;

use crate::app::{TestApp, assert_answer};

#[tokio::test]
async fn a_server_that_answers_is_alive_and_ready() {
    let app = TestApp::start().await;
    assert_answer!("livez", app.get("/livez").await);
    assert_answer!("readyz", app.get("/readyz").await);
    assert_answer!("livez_verbose", app.get("/livez?verbose").await);
    assert_answer!("readyz_verbose", app.get("/readyz?verbose").await);
    assert_eq!(app.get("/readyz?verbose=1").await.text(), app.get("/readyz?verbose").await.text());
    assert_eq!(app.get("/readyz?verbosely").await.text(), "ok\n");
    app.stop().await;
}

#[tokio::test]
async fn a_full_queue_is_no_reason_to_be_not_ready() {
    let app = TestApp::narrow(1).await;
    app.hold().await;
    app.act(&json!({})).await;
    app.post("/api/jobs", &json!({"kind": "act"})).await.problem(503, "queue-full");
    assert_eq!(app.get("/readyz").await.status, 200);
    assert_eq!(app.get("/livez").await.status, 200);
    app.stop().await;
}
