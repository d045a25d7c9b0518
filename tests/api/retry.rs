//! `POST /api/jobs/{id}/retry`: once more.

use backroom::job::StateName;
use serde_json::json;

use crate::app::{Answer, TestApp, assert_answer};

async fn retry(app: &TestApp, id: &str) -> Answer {
    Answer::of(app.request("POST", &format!("/api/jobs/{id}/retry"))).await
}

#[tokio::test]
async fn a_job_that_was_given_up_begins_again() {
    let app = TestApp::narrow(10).await;
    let id = app.submit(&json!({"kind": "act", "payload": {"fail": "no"}, "max_attempts": 1})).await;
    app.until(&id, StateName::DeadLettered).await;
    app.hold().await;
    let answer = retry(&app, &id).await;
    assert_answer!("retried", answer);
    assert_eq!(answer.header("location"), format!("/api/jobs/{id}/status"));
    app.let_go(1);
    let again = app.until_job(&id, "its second round", |job| job.runs == 2 && job.state.is_terminal());
    again.await;
    let job = app.job(&id).await;
    assert_eq!((&job["attempt"], job["attempts"].as_array().unwrap().len()), (&json!(1), 2));
    app.stop().await;
}

#[tokio::test]
async fn canceled_and_skipped_jobs_begin_again() {
    let app = TestApp::start().await;
    let canceled = app.submit(&json!({"kind": "act", "delay": "1h"})).await;
    Answer::of(app.request("DELETE", &format!("/api/jobs/{canceled}"))).await;
    let expired = app.submit(&json!({"kind": "act", "delay": "1h", "expires_in": "1ms"})).await;
    app.until(&expired, StateName::Skipped).await;
    for id in [canceled, expired] {
        let answer = retry(&app, &id).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["state"]), (202, &json!("pending")));
        assert_eq!(answer.json()["skip_reason"], json!(null));
        app.until(&id, StateName::Completed).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn waiting_jobs_run_now_instead_of_later() {
    let app = TestApp::start().await;
    let scheduled = app.submit(&json!({"kind": "act", "delay": "1h"})).await;
    assert_eq!(retry(&app, &scheduled).await.json()["state"], "pending");
    app.until(&scheduled, StateName::Completed).await;
    let failed =
        app.submit(&json!({"kind": "noop", "payload": {"fail": "transient", "fail_times": 1}})).await;
    app.until(&failed, StateName::Failed).await;
    let answer = retry(&app, &failed).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json()["attempt"], 1, "a waiting job keeps its count");
    app.until(&failed, StateName::Completed).await;
    assert_eq!(app.job(&failed).await["attempt"], 2);
    app.stop().await;
}

#[tokio::test]
async fn a_job_that_is_done_or_under_way_is_left_alone() {
    let app = TestApp::narrow(10).await;
    let completed = app.act(&json!({})).await;
    app.until(&completed, StateName::Completed).await;
    let processing = app.hold().await;
    let pending = app.act(&json!({})).await;
    assert_answer!("not_retryable", retry(&app, &completed).await);
    for (id, state) in [(processing, "processing"), (pending, "pending")] {
        let problem = retry(&app, &id).await.problem(409, "job-not-retryable");
        assert_eq!(problem["state"], state);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_full_queue_refuses_a_retry_and_leaves_the_job_as_it_is() {
    let app = TestApp::narrow(1).await;
    let dead = app.act(&json!({"permanent": "no"})).await;
    app.until(&dead, StateName::DeadLettered).await;
    app.hold().await;
    app.act(&json!({})).await;
    retry(&app, &dead).await.problem(503, "queue-full");
    assert_eq!(app.job(&dead).await["state"], "dead_lettered");
    app.stop().await;
}
