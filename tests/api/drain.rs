//! What the API says while the server stops.

use std::time::Duration;

use backroom::job::StateName;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::app::{Answer, TestApp, assert_answer, within};

#[tokio::test]
async fn intake_is_refused_and_everything_else_is_answered() {
    let app = TestApp::start().await;
    let id = app.hold().await;
    let scheduled = app.submit(&json!({"kind": "act", "delay": "1h"})).await;
    let dead = app.act(&json!({"permanent": "no"})).await;
    app.until(&dead, StateName::DeadLettered).await;
    let wait = |part: &str| {
        let request = app.request("GET", &format!("/api/jobs/{id}{part}"));
        tokio::spawn(Answer::of(request.header("prefer", "wait=20")))
    };
    let waiting = wait("");
    let posted = app.request("POST", "/api/jobs").header("prefer", "wait=20");
    // Its time does not come: it is still waited for when the server closes.
    let posted = tokio::spawn(Answer::of(posted.json(&json!({"kind": "act", "delay": "1h"}))));
    within("the job of the waiting POST", async {
        let mut watch = app.jobs().events().watch();
        while app.get("/api/jobs").await.json()["items"].as_array().unwrap().len() < 4 {
            let _ = watch.recv().await;
        }
    })
    .await;

    let hurry = CancellationToken::new();
    let drain = app.server.backroom().drain(&hurry);
    let during = async {
        while !app.jobs().is_draining() {
            tokio::task::yield_now().await;
        }
        assert_answer!("draining", app.post("/api/jobs", &json!({"kind": "act"})).await);
        for path in ["/api/jobs/batch", &format!("/api/jobs/{dead}/retry")] {
            let refused = app.post(path, &json!({"jobs": [{"kind": "act"}]})).await;
            assert_eq!(refused.problem(503, "draining")["retry_after_seconds"], 5);
            assert_eq!(refused.header("retry-after"), "5");
        }
        // At once: without a look at what was sent.
        for path in ["/api/jobs", "/api/jobs/batch"] {
            app.post_bytes(path, "{").await.problem(503, "draining");
        }
        assert_answer!("readyz_draining", app.get("/readyz").await);
        assert_answer!("readyz_draining_verbose", app.get("/readyz?verbose").await);
        for path in ["/livez", "/api/jobs", "/api/queues", "/api/mail", "/problems/draining"] {
            assert_eq!(app.get(path).await.status, 200, "{path}");
        }
        assert_eq!(app.job(&id).await["state"], "processing");
        // What waits can still be canceled.
        let canceled = Answer::of(app.request("DELETE", &format!("/api/jobs/{scheduled}"))).await;
        assert_eq!(canceled.status, 200);
        app.let_go(1);
    };
    let (report, ()) = within("the drain", async { tokio::join!(drain, during) }).await;
    assert_eq!((report.finished, report.spilled, report.lost.len()), (2, 1, 0));
    let waited = waiting.await.unwrap();
    assert_eq!((waited.status.as_u16(), &waited.json()["state"]), (200, &json!("completed")));
    // Served until the end, and then whoever waits is answered with what is known.
    assert_eq!(app.get("/livez").await.status, 200);
    app.server.backroom().close();
    let posted = within("the waiting POST", posted).await.unwrap();
    assert_eq!((posted.status.as_u16(), &posted.json()["state"]), (202, &json!("scheduled")));
    assert_eq!(posted.header("preference-applied"), "wait=20");
    let late = app.request("POST", &format!("/api/jobs/{id}/retry"));
    Answer::of(late).await.problem(503, "draining");
    let late = Answer::of(app.request("DELETE", &format!("/api/jobs/{}", posted.id()))).await;
    late.problem(503, "draining");
}

#[tokio::test]
async fn with_a_ready_delay_it_is_not_ready_before_it_refuses() {
    let app = TestApp::with(|config| config.shutdown.ready_delay = Duration::from_mins(1)).await;
    let hurry = CancellationToken::new();
    let drain = app.server.backroom().drain(&hurry);
    let during = async {
        while app.get("/readyz").await.status == 200 {}
        assert_eq!(app.get("/livez").await.status, 200);
        app.act(&json!({})).await;
        hurry.cancel();
    };
    let (report, ()) = within("the drain", async { tokio::join!(drain, during) }).await;
    assert_eq!(report.lost, []);
}

#[tokio::test]
async fn who_waits_for_room_is_refused_when_the_drain_begins() {
    let app = TestApp::with(|config| {
        crate::app::narrow(config, 1);
        config.queues.get_mut("default").unwrap().enqueue_wait = Duration::from_mins(1);
    })
    .await;
    app.hold().await;
    app.act(&json!({"wait": true})).await;
    let body = json!({"kind": "act"});
    let one = Answer::of(app.request("POST", "/api/jobs").json(&body));
    let many = Answer::of(app.request("POST", "/api/jobs/batch").json(&json!({"jobs": [body]})));
    let stopping = async {
        // A round trip behind the two, on the one thread that answers.
        assert_eq!(app.get("/livez").await.status, 200);
        let hurry = CancellationToken::new();
        let (report, ()) = tokio::join!(app.server.backroom().drain(&hurry), async {
            while !app.jobs().is_draining() {
                tokio::task::yield_now().await;
            }
            app.let_go(2);
        });
        assert_eq!((report.finished, report.lost.len()), (2, 0));
    };
    let all = Box::pin(async { tokio::join!(one, many, stopping) });
    let (one, many, ()) = within("the drain", all).await;
    one.problem(503, "draining");
    many.problem(503, "draining");
}
