//! `/api/dead-letters`: as a group, sent round again or thrown away.

use backroom::job::StateName;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::{Answer, TestApp, assert_answer, within};

const REDRIVE: &str = "/api/dead-letters/redrive";

/// A dead letter: of `act`, or of `noop` in the queue `mail`.
async fn dead(app: &TestApp, kind: &str) -> String {
    let body = match kind {
        "act" => json!({"kind": "act", "payload": {"permanent": "no"}}),
        other => json!({"kind": other, "queue": "mail", "payload": {"fail": "permanent"}}),
    };
    let id = app.submit(&body).await;
    app.until(&id, StateName::DeadLettered).await;
    id
}

async fn redrive(app: &TestApp, body: &Value) -> [u64; 3] {
    let answer = app.post(REDRIVE, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    ["matched", "redriven", "left"].map(|member| answer[member].as_u64().unwrap())
}

async fn delete(app: &TestApp, query: &str) -> Answer {
    Answer::of(app.request("DELETE", &format!("/api/dead-letters{query}"))).await
}

async fn deleted(app: &TestApp, query: &str) -> u64 {
    let answer = delete(app, query).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["deleted"].as_u64().unwrap()
}

async fn left(app: &TestApp) -> Vec<String> {
    let page = app.get("/api/jobs?state=dead_lettered&limit=100").await.json();
    let ids = page["items"].as_array().unwrap().iter().rev();
    ids.map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn without_a_body_all_of_them_go_round_again_and_keep_their_history() {
    let app = TestApp::start().await;
    let ids = [dead(&app, "act").await, dead(&app, "noop").await];
    let other = app.submit(&json!({"kind": "act", "delay": "1h"})).await;
    let answer = Answer::of(app.request("POST", REDRIVE)).await;
    assert_answer!("redriven", answer);
    for id in &ids {
        let again = app.until_job(id, "its second end", |job| job.runs == 2 && job.state.is_terminal());
        assert_eq!(again.await.attempt, 1, "counted from the beginning");
        assert_eq!(app.job(id).await["attempts"].as_array().unwrap().len(), 2);
    }
    assert_eq!(app.job(&other).await["state"], "scheduled", "only dead letters are meant");
    assert_eq!(redrive(&app, &json!({})).await, [2, 2, 0], "an empty object means all too");
    app.stop().await;
}

#[tokio::test]
async fn filters_choose_and_combine() {
    let app = TestApp::start().await;
    let (one, two) = (dead(&app, "act").await, dead(&app, "act").await);
    let mail = dead(&app, "noop").await;
    let running = app.hold().await;
    let stranger = "019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a55";
    for (filter, matched) in [
        (json!({}), 3),
        (json!({"ids": null, "queue": null, "kind": null, "limit": null}), 3),
        (json!({"ids": [one]}), 1),
        (json!({"ids": [one, two, one, two, mail]}), 3),
        (json!({"ids": [running, stranger]}), 0),
        (json!({"queue": "default"}), 2),
        (json!({"queue": "mail"}), 1),
        (json!({"kind": "act"}), 2),
        (json!({"kind": "noop"}), 1),
        (json!({"kind": "email"}), 0),
        (json!({"kind": "noop", "queue": "default"}), 0),
        (json!({"kind": "noop", "queue": "mail", "ids": [mail, one]}), 1),
        (json!({"kind": "act", "ids": [mail, one]}), 1),
    ] {
        let mut order = filter.clone();
        order["dry_run"] = json!(true);
        assert_eq!(redrive(&app, &order).await, [matched, 0, matched], "{filter}");
        let listed = left(&app).await;
        assert_eq!(listed, [&*one, &*two, &*mail], "{filter}: a dry run changes nothing");
    }
    for (query, count) in [
        (format!("?id={one}&kind=noop"), 0),
        (format!("?id={stranger}&id={running}"), 0),
        ("?queue=default&kind=noop".to_owned(), 0),
        (format!("?id={one}&id={mail}&id={one}&kind=act&kind=noop"), 2),
        ("?queue=mail&queue=default".to_owned(), 1),
        (String::new(), 0),
    ] {
        assert_eq!(deleted(&app, &query).await, count, "{query}");
    }
    assert_eq!(app.runs(), 3, "nothing was sent round");
    app.stop().await;
}

#[tokio::test]
async fn what_was_deleted_is_gone_and_nothing_else_is() {
    let app = TestApp::start().await;
    let id = dead(&app, "act").await;
    let completed = app.act(&json!({})).await;
    app.until(&completed, StateName::Completed).await;
    let canceled = app.submit(&json!({"kind": "act", "delay": "1h"})).await;
    Answer::of(app.request("DELETE", &format!("/api/jobs/{canceled}"))).await;
    assert_answer!("dead_letters_deleted", delete(&app, "").await);
    for part in ["", "/status", "/result", "/payload", "/log"] {
        app.get(&format!("/api/jobs/{id}{part}")).await.problem(404, "job-not-found");
    }
    let retried = Answer::of(app.request("POST", &format!("/api/jobs/{id}/retry"))).await;
    retried.problem(404, "job-not-found");
    assert_eq!(app.job(&completed).await["state"], "completed");
    assert_eq!(app.job(&canceled).await["state"], "canceled");
    assert_eq!(app.get("/api/queues/default").await.json()["dead_lettered"], 0);
    assert_eq!(redrive(&app, &json!({"ids": [id]})).await, [0, 0, 0]);
    app.stop().await;
}

#[tokio::test]
async fn a_redrive_leaves_a_fifth_of_the_queue_to_new_jobs() {
    let app = TestApp::narrow(10).await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(dead(&app, "act").await);
    }
    app.hold().await;
    assert_eq!(redrive(&app, &json!({"limit": 1})).await, [12, 1, 11]);
    assert_eq!(redrive(&app, &json!({"limit": 3})).await, [11, 3, 8]);
    assert_eq!(redrive(&app, &json!({"limit": 1_000_000})).await, [8, 4, 4], "eight of ten places");
    assert_eq!(redrive(&app, &json!({})).await, [4, 0, 4]);
    assert_eq!(left(&app).await, ids[8..], "those go first that were given up first");
    // What is kept back is there for whoever submits.
    for _ in 0..2 {
        app.act(&json!({})).await;
    }
    app.post("/api/jobs", &json!({"kind": "act"})).await.problem(503, "queue-full");
    // When the queue has moved on, the rest follows.
    app.let_go(1);
    for id in &ids[..8] {
        app.until_job(id, "its second end", |job| job.runs == 2 && job.state.is_terminal()).await;
    }
    assert_eq!(redrive(&app, &json!({"ids": ids[8..]})).await, [4, 4, 0]);
    app.stop().await;
}

#[tokio::test]
async fn the_last_place_that_may_be_taken_is_taken_and_no_further_one() {
    for (waiting, taken) in [(6, 2), (7, 1), (8, 0), (9, 0)] {
        let app = TestApp::narrow(10).await;
        for _ in 0..3 {
            dead(&app, "act").await;
        }
        app.hold().await;
        for _ in 0..waiting {
            app.act(&json!({})).await;
        }
        assert_eq!(redrive(&app, &json!({})).await, [3, taken, 3 - taken], "{waiting} wait");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_queue_for_one_job_can_be_redriven_too() {
    let app = TestApp::narrow(1).await;
    let ids = [dead(&app, "act").await, dead(&app, "act").await];
    app.hold().await;
    assert_eq!(redrive(&app, &json!({})).await, [2, 1, 1]);
    assert_eq!(left(&app).await, ids[1..]);
    app.stop().await;
}

/// One queue without room does not keep those of another one waiting.
#[tokio::test]
async fn a_full_queue_holds_up_only_its_own() {
    let app = TestApp::narrow(2).await;
    let first = dead(&app, "act").await;
    dead(&app, "noop").await;
    app.hold().await;
    app.act(&json!({})).await;
    assert_eq!(redrive(&app, &json!({})).await, [2, 1, 1]);
    let mail = app.get("/api/jobs?queue=mail").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    app.until_job(&mail, "its second end", |job| job.runs == 2 && job.state.is_terminal()).await;
    assert_eq!(app.job(&first).await["attempts"].as_array().unwrap().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn every_fault_of_an_order_is_named_at_once() {
    let app = TestApp::start().await;
    dead(&app, "act").await;
    let body = json!({
        "ids": ["019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a55", "nonsense", 7],
        "queue": "mial", "kind": "noob", "limit": 0, "dry_run": "yes", "dry-run": true, "a/b": 1,
    });
    assert_answer!("redrive_faults", app.post(REDRIVE, &body).await);
    for (body, fault) in [
        (json!([]), ": must be an object; an empty one means all"),
        (json!({"queue": ""}), "/queue: "),
        (json!({"queue": ["default"]}), "/queue: must be a string"),
        (json!({"kind": 1}), "/kind: must be a string"),
        (json!({"ids": "all"}), "/ids: must be an array of job ids"),
        (json!({"ids": []}), "/ids: must hold 1 to 1000 ids; leave it out for all dead letters"),
        (
            json!({"ids": vec!["x"; 1_001]}),
            "/ids: must hold 1 to 1000 ids; leave it out for all dead letters",
        ),
        (json!({"ids": ["x"]}), "/ids/0: "),
        (json!({"limit": 1_000_001}), "/limit: must be 1 to 1000000"),
        (json!({"limit": -1}), "/limit: must be 1 to 1000000"),
        (json!({"limit": 1.5}), "/limit: must be 1 to 1000000"),
        (json!({"limit": "5"}), "/limit: must be 1 to 1000000"),
    ] {
        let faults = app.post(REDRIVE, &body).await.faults("validation-failed");
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(fault), "{faults:?}");
    }
    let id = "019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a55";
    assert_eq!(redrive(&app, &json!({"ids": vec![id; 1_000]})).await, [0, 0, 0]);
    assert_eq!(left(&app).await.len(), 1, "nothing was sent round");
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_is_there_must_be_json() {
    let app = TestApp::start().await;
    let id = dead(&app, "act").await;
    let plain = app.request("POST", REDRIVE).header("content-type", "text/plain").body("{}");
    Answer::of(plain).await.problem(415, "unsupported-media-type");
    for body in ["{", "{\"limit\":1,\"limit\":2}", " "] {
        app.post_bytes(REDRIVE, body).await.problem(400, "malformed-request");
    }
    // An empty body needs no media type, and may have one.
    app.post_bytes(REDRIVE, "").await;
    app.until_job(&id, "its second end", |job| job.runs == 2 && job.state.is_terminal()).await;
    let refused = Answer::of(app.request("GET", REDRIVE)).await;
    refused.problem(405, "method-not-allowed");
    assert_eq!(refused.header("allow"), "POST");
    let refused = app.get("/api/dead-letters").await;
    refused.problem(405, "method-not-allowed");
    assert_eq!(refused.header("allow"), "DELETE");
    app.stop().await;
}

#[tokio::test]
async fn a_delete_that_is_not_understood_deletes_nothing() {
    let app = TestApp::start().await;
    let id = dead(&app, "act").await;
    let query = "?id=nonsense&queue=mial&queue=A&kind=noob&kind=&limit=5";
    assert_answer!("dead_letters_not_deleted", delete(&app, query).await);
    for query in [
        "?id=",
        &*format!("?id=nonsense&id={id}"),
        "?state=dead_lettered",
        "?ids=x",
        "?queue=mial",
        "?kind=acct",
        &*format!("?id={id}&queue=mial"),
    ] {
        delete(&app, query).await.problem(422, "validation-failed");
    }
    assert_eq!(left(&app).await, [id]);
    app.stop().await;
}

#[tokio::test]
async fn a_drain_refuses_a_redrive_and_allows_a_delete_until_its_account() {
    let app = TestApp::start().await;
    let (one, two) = (dead(&app, "act").await, dead(&app, "act").await);
    app.hold().await;
    let hurry = CancellationToken::new();
    let during = async {
        while !app.jobs().is_draining() {
            tokio::task::yield_now().await;
        }
        for body in [json!({}), json!({"dry_run": true}), json!({"what": 1})] {
            app.post(REDRIVE, &body).await.problem(503, "draining");
        }
        assert_eq!(deleted(&app, &format!("?id={one}")).await, 1);
        app.let_go(1);
    };
    let (report, ()) =
        within("the drain", async { tokio::join!(app.server.backroom().drain(&hurry), during) }).await;
    assert_eq!((report.finished, report.dead_letters_kept, report.abandoned), (1, 1, 0));
    delete(&app, "").await.problem(503, "draining");
    assert_eq!(left(&app).await, [two]);
}
