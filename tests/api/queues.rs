//! `GET /api/queues`: how the queues stand.

use backroom::job::StateName;
use serde_json::json;

use crate::app::{TestApp, assert_answer, redacting};

#[tokio::test]
async fn queues_are_listed_by_name() {
    let app = TestApp::with(|config| {
        let queue = config.queues["default"].clone();
        config.queues.insert("bulk".parse().unwrap(), queue);
    })
    .await;
    assert_answer!("queues", app.get("/api/queues").await);
    app.stop().await;
}

#[tokio::test]
async fn every_state_is_counted() {
    let app = TestApp::narrow(10).await;
    for (payload, state) in [
        (json!({"fail": "later"}), StateName::Failed),
        (json!({"permanent": "never"}), StateName::DeadLettered),
        (json!({}), StateName::Completed),
    ] {
        let id = app.act(&payload).await;
        app.until(&id, state).await;
    }
    app.submit(&json!({"kind": "act", "delay": "1h"})).await;
    app.hold().await;
    for _ in 0..3 {
        app.act(&json!({})).await;
    }
    let mut queue = app.get("/api/queues/default").await.json();
    // How long that was depends on the machine.
    let oldest = queue["oldest_pending_seconds"].take().as_f64().unwrap();
    assert!((0.0..20.0).contains(&oldest), "{oldest}");
    let throughput = queue["throughput_per_second"].take().as_f64().unwrap();
    assert!((0.0..1000.0).contains(&throughput), "{throughput}");
    redacting(|| insta::assert_snapshot!("queue", serde_json::to_string_pretty(&queue).unwrap()));
    let other = app.get("/api/queues/mail").await.json();
    for count in ["pending", "processing", "scheduled", "failed", "dead_lettered"] {
        assert_eq!(other[count], 0, "{count}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_not_found() {
    let app = TestApp::start().await;
    assert_answer!("queue_not_found", app.get("/api/queues/mial").await);
    app.get("/api/queues/%20").await.problem(404, "queue-not-found");
    app.stop().await;
}
