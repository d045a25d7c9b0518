//! `DELETE /api/jobs/{id}`: stop it.

use backroom::job::StateName;
use serde_json::json;

use crate::app::{Answer, TestApp, assert_answer};

async fn cancel(app: &TestApp, id: &str) -> Answer {
    Answer::of(app.request("DELETE", &format!("/api/jobs/{id}"))).await
}

#[tokio::test]
async fn a_waiting_job_is_canceled_at_once_and_never_runs() {
    let app = TestApp::narrow(10).await;
    app.hold().await;
    let pending = app.act(&json!({})).await;
    let scheduled = app.submit(&json!({"kind": "act", "delay": "1h"})).await;
    assert_answer!("canceled", cancel(&app, &pending).await);
    for id in [&pending, &scheduled] {
        if id == &scheduled {
            assert_eq!(cancel(&app, id).await.status, 200);
        }
        let job = app.job(id).await;
        assert_eq!((&job["state"], &job["waiting"]), (&json!("canceled"), &json!(null)));
    }
    // Whatever is behind it in the queue has been reached, and it was not run.
    let behind = app.act(&json!({})).await;
    app.let_go(1);
    app.until(&behind, StateName::Completed).await;
    assert_eq!(app.job(&pending).await["state"], "canceled");
    assert_eq!(app.runs(), 2);
    app.stop().await;
}

#[tokio::test]
async fn a_failed_job_is_canceled_at_once() {
    let app = TestApp::start().await;
    let id = app.act(&json!({"fail": "later"})).await;
    app.until(&id, StateName::Failed).await;
    let answer = cancel(&app, &id).await;
    assert_eq!(answer.status, 200);
    let job = answer.json();
    assert_eq!((&job["state"], &job["next_attempt_at"]), (&json!("canceled"), &json!(null)));
    assert_eq!(job["error"]["message"], "later");
    assert_eq!(app.stop().await.spilled, 0);
}

#[tokio::test]
async fn a_running_job_is_told_to_stop() {
    let app = TestApp::start().await;
    let id = app.act(&json!({"wait": true, "stubborn": true})).await;
    app.until(&id, StateName::Processing).await;
    assert_answer!("cancel_requested", cancel(&app, &id).await);
    // Twice is as good as once.
    assert_eq!(cancel(&app, &id).await.status, 202);
    assert_eq!(app.job(&id).await["cancel_requested"], true);
    // Work that is done is done.
    app.let_go(1);
    app.until(&id, StateName::Completed).await;
    assert_eq!(app.job(&id).await["cancel_requested"], false);

    let id = app.hold().await;
    assert_eq!(cancel(&app, &id).await.status, 202);
    app.until(&id, StateName::Canceled).await;
    assert_eq!(app.job(&id).await["waiting"], json!(null));
    app.stop().await;
}

#[tokio::test]
async fn a_job_that_has_ended_cannot_be_canceled() {
    let app = TestApp::start().await;
    for (payload, state) in [
        (json!({}), StateName::Completed),
        (json!({"skip": "no"}), StateName::Skipped),
        (json!({"permanent": "no"}), StateName::DeadLettered),
    ] {
        let id = app.act(&payload).await;
        app.until(&id, state).await;
        let problem = cancel(&app, &id).await.problem(409, "job-not-cancelable");
        assert_eq!(problem["state"], state.as_str());
    }
    let id = app.submit(&json!({"kind": "act", "delay": "1h"})).await;
    assert_eq!(cancel(&app, &id).await.status, 200);
    assert_answer!("not_cancelable", cancel(&app, &id).await);
    app.stop().await;
}
