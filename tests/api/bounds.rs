//! What happens when memory is full, or too many jobs are not finished.

use backroom::config::Config;
use backroom::job::{Delay, NewJob, StateName};
use backroom::jobs::SubmitError;
use backroom::server::Backroom;
use backroom::store::Limit;
use serde_json::{Value, json};
use std::time::Duration;

use crate::app::{Answer, TestApp, assert_answer, narrow};

/// A job for later with a payload of so many bytes and a few more.
fn later(bytes: usize) -> Value {
    json!({"kind": "act", "payload": {"text": "x".repeat(bytes)}, "delay": "1h"})
}

async fn count(app: &TestApp, state: &str) -> u64 {
    app.get("/api/queues/default").await.json()[state].as_u64().unwrap()
}

#[tokio::test]
async fn the_oldest_results_make_way_and_are_then_gone() {
    let app = TestApp::with(|config| config.limits.memory = 1 << 20).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = app.act(&json!({"bytes": 400_000})).await;
        app.until(&id, StateName::Completed).await;
        ids.push(id);
    }
    let result = async |id: &str| app.get(&format!("/api/jobs/{id}/result")).await;
    assert_answer!("result_expired", result(&ids[0]).await);
    assert_eq!(app.job(&ids[0]).await["state"], "completed", "the job itself stays");
    let status = app.get(&format!("/api/jobs/{}/status", ids[0])).await;
    assert_eq!(status.status, 303);
    for id in &ids[1..] {
        let kept = result(id).await;
        assert_eq!((kept.status.as_u16(), kept.body.len()), (200, 400_000));
    }
    app.stop().await;
}

#[tokio::test]
async fn full_memory_refuses_and_keeps_nothing() {
    let app = TestApp::with(|config| config.limits.memory = 1 << 20).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(app.submit(&later(250_000)).await);
    }
    assert_answer!("memory_full", app.post("/api/jobs", &later(250_000)).await);
    let batch = json!({"jobs": [later(10), later(250_000)]});
    app.post("/api/jobs/batch", &batch).await.problem(503, "memory-full");
    assert_eq!(count(&app, "scheduled").await, 4, "all of a batch or none");
    app.submit(&later(10)).await;

    // What is finished makes way, whole when it has no result.
    let canceled = Answer::of(app.request("DELETE", &format!("/api/jobs/{}", ids[0]))).await;
    assert_eq!(canceled.status, 200);
    assert_eq!(app.job(&ids[0]).await["state"], "canceled");
    app.submit(&later(250_000)).await;
    app.get(&format!("/api/jobs/{}", ids[0])).await.problem(404, "job-not-found");
    app.post("/api/jobs", &later(250_000)).await.problem(503, "memory-full");
    app.stop().await;
}

#[tokio::test]
async fn dead_letters_never_make_way() {
    let app = TestApp::with(|config| config.limits.memory = 1 << 20).await;
    let payload = json!({"permanent": "no such invoice", "text": "x".repeat(250_000)});
    let mut dead = Vec::new();
    for _ in 0..4 {
        let id = app.act(&payload).await;
        app.until(&id, StateName::DeadLettered).await;
        dead.push(id);
    }
    app.post("/api/jobs", &later(250_000)).await.problem(503, "memory-full");
    for id in dead {
        assert_eq!(app.job(&id).await["error"]["message"], "no such invoice");
    }
    app.stop().await;
}

#[tokio::test]
async fn too_many_jobs_that_are_not_finished_are_refused() {
    let app = TestApp::with(|config| {
        narrow(config, 1);
        config.limits.jobs = 3;
    })
    .await;
    app.hold().await;
    let waiting = app.submit(&later(1)).await;
    let two = json!({"jobs": [later(1), later(1)]});
    app.post("/api/jobs/batch", &two).await.problem(503, "memory-full");
    app.submit(&later(1)).await;
    for _ in 0..3 {
        let refused = app.post("/api/jobs", &json!({"kind": "act"})).await;
        let problem = refused.problem(503, "memory-full");
        assert_eq!((&problem["limit"], &problem["option"]), (&json!(3), &json!("limits.jobs")));
        assert_eq!(refused.header("retry-after"), problem["retry_after_seconds"].to_string());
    }
    assert_eq!((count(&app, "pending").await, count(&app, "scheduled").await), (0, 2));
    // Its only place was given back each time.
    let canceled = Answer::of(app.request("DELETE", &format!("/api/jobs/{waiting}"))).await;
    assert_eq!(canceled.status, 200);
    let last = app.submit(&json!({"kind": "act"})).await;
    app.let_go(1);
    app.until(&last, StateName::Completed).await;
    app.stop().await;
}

/// What the last process had accepted is taken up whatever the limits are now.
#[tokio::test]
async fn spilled_jobs_are_taken_up_beyond_the_limits() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.shutdown.spill_file = Some(folder.path().join("spill.jsonl"));
    let new = || {
        let later = Delay::For(Duration::from_hours(1));
        NewJob::new("noop", &json!({"text": "x".repeat(200_000)})).unwrap().delay(later)
    };
    let first = Backroom::builder(config.clone()).start().await.unwrap();
    for _ in 0..8 {
        first.jobs().submit(new()).await.unwrap();
    }
    assert_eq!(first.stop().await.spilled, 8);

    config.limits.memory = 1 << 20;
    config.limits.jobs = 5;
    let second = Backroom::builder(config).start().await.unwrap();
    let queue = second.jobs().queue("default").await.unwrap().unwrap();
    assert_eq!(queue.scheduled, 8);
    let refused = second.jobs().submit(new()).await;
    assert!(
        matches!(
            refused,
            Err(SubmitError::MemoryFull { limit: Limit::Memory(1_048_576), retry_after: 1..=300 })
        ),
        "{refused:?}"
    );
    assert_eq!(second.stop().await.spilled, 8);
}
