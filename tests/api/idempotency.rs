//! `Idempotency-Key`: the same request twice.

use std::time::Duration;

use backroom::job::StateName;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::{Answer, TestApp, assert_answer, narrow, within};
use crate::raw::Raw;

async fn post(app: &TestApp, key: &str, body: &Value) -> Answer {
    post_text(app, key, &body.to_string()).await
}

async fn post_text(app: &TestApp, key: &str, body: &str) -> Answer {
    let request = app.request("POST", "/api/jobs").header("content-type", "application/json");
    Answer::of(request.header("idempotency-key", key).body(body.to_owned())).await
}

async fn waiting(app: &TestApp, key: &str, body: &Value) -> Answer {
    let request = app.request("POST", "/api/jobs").header("prefer", "wait=20");
    Answer::of(request.header("idempotency-key", key).json(body)).await
}

async fn kept(app: &TestApp) -> usize {
    app.get("/api/jobs?limit=100").await.json()["items"].as_array().unwrap().len()
}

/// Status, headers and body, without what belongs to each response.
fn repeatable(answer: &Answer) -> (u16, Vec<(String, HeaderValue)>, Vec<u8>) {
    let own = ["date", "x-request-id", "idempotent-replayed"];
    let headers = answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let mut headers: Vec<_> = headers.map(|(name, value)| (name.to_string(), value.clone())).collect();
    headers.sort_by(|a, b| a.0.cmp(&b.0));
    (answer.status.as_u16(), headers, answer.body.clone())
}

#[track_caller]
fn is_replay(answer: &Answer, first: &Answer) {
    assert_eq!(answer.header("idempotent-replayed"), "true");
    assert_eq!(repeatable(answer), repeatable(first));
}

#[track_caller]
fn is_first(answer: &Answer) {
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert!(!answer.headers.contains_key("idempotent-replayed"));
}

#[tokio::test]
async fn a_repeat_is_the_first_answer_again_byte_for_byte() {
    let app = TestApp::narrow(10).await;
    app.hold().await;
    let first = post_text(&app, "order-42", r#"{"kind":"act","payload":{"count":1},"tags":["é"]}"#).await;
    is_first(&first);
    // Whatever has become of the job meanwhile, and however the same is written.
    app.let_go(1);
    app.until(&first.id(), StateName::Completed).await;
    for (key, body) in [
        ("order-42", r#"{"kind":"act","payload":{"count":1},"tags":["é"]}"#),
        ("\"order-42\"", r#"{"kind":"act","payload":{"count":1},"tags":["é"]}"#),
        (" order-42 ", r#" { "tags" : [ "\u00e9" ] , "payload":{"count":1.0},"kind":"\u0061ct"}  "#),
    ] {
        is_replay(&post_text(&app, key, body).await, &first);
    }
    assert_answer!(
        "idempotent_replay",
        post_text(&app, "order-42", r#"{"kind":"act","payload":{"count":1},"tags":["é"]}"#).await
    );
    let other = post_text(&app, "order-42", r#"{"kind":"act","payload":{"count":2},"tags":["é"]}"#).await;
    assert_answer!("idempotency_key_reused", other);
    is_first(&post_text(&app, "order-43", r#"{"kind":"act","payload":{"count":1},"tags":["é"]}"#).await);
    assert_eq!(kept(&app).await, 3);
    app.stop().await;
}

#[tokio::test]
async fn a_batch_is_repeated_whole_and_its_keys_are_its_own() {
    let app = TestApp::start().await;
    let batch = |body: &Value| {
        let request = app.request("POST", "/api/jobs/batch").header("idempotency-key", "k");
        Answer::of(request.json(body))
    };
    let jobs = json!({"jobs": vec![json!({"kind": "act", "delay": "1h"}); 20]});
    let first = batch(&jobs).await;
    is_first(&first);
    is_replay(&batch(&jobs).await, &first);
    batch(&json!({"jobs": [{"kind": "act"}]})).await.problem(422, "idempotency-key-reused");
    // The same key on the other path is another key.
    is_first(&post(&app, "k", &json!({"kind": "act", "delay": "1h"})).await);
    is_replay(&batch(&jobs).await, &first);
    assert_eq!(kept(&app).await, 21);
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let app = TestApp::start().await;
    let body = json!({"kind": "act", "delay": "1h"});
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    for bad in ["", "\"\"", "a b", "\"a", "a\"", "\"a\";x", "\"a\\n\"", &too_long] {
        let problem = post(&app, bad, &body).await.problem(400, "idempotency-key-invalid");
        assert!(!problem["detail"].as_str().unwrap().contains("\"a"), "the key is repeated: {problem}");
    }
    let not_ascii =
        app.request("POST", "/api/jobs").header("idempotency-key", HeaderValue::from_bytes(b"\xff").unwrap());
    Answer::of(not_ascii.json(&body)).await.problem(400, "idempotency-key-invalid");
    let twice =
        app.request("POST", "/api/jobs").header("idempotency-key", "a").header("idempotency-key", "a");
    assert_answer!("idempotency_key_invalid", Answer::of(twice.json(&body)).await);
    assert_eq!(kept(&app).await, 0);
    is_first(&post(&app, &longest, &body).await);
    app.stop().await;
}

#[tokio::test]
async fn what_was_not_accepted_is_not_remembered() {
    let app = TestApp::narrow(1).await;
    app.hold().await;
    app.act(&json!({"wait": true})).await;
    let body = json!({"kind": "act"});
    for _ in 0..2 {
        post(&app, "full", &body).await.problem(503, "queue-full");
        post(&app, "bad", &json!({"kind": "nope"})).await.problem(422, "unknown-kind");
        post(&app, "worse", &json!(7)).await.problem(422, "validation-failed");
        post_text(&app, "broken", "{").await.problem(400, "malformed-request");
    }
    app.let_go(2);
    // The queue is empty once the second one is done; until then the key stays free.
    let first = loop {
        let answer = post(&app, "full", &body).await;
        if answer.status == 202 {
            break answer;
        }
        answer.problem(503, "queue-full");
    };
    is_first(&first);
    is_replay(&post(&app, "full", &body).await, &first);
    // Another body is welcome where nothing was accepted.
    let later = json!({"kind": "act", "delay": "1h"});
    for key in ["bad", "worse", "broken"] {
        is_first(&post(&app, key, &later).await);
    }
    app.stop().await;
}

/// A server with a full queue that makes a POST wait for room, and a POST that waits.
async fn stuck(key: &str, body: &Value) -> (TestApp, Raw) {
    let app = TestApp::with(|config| {
        narrow(config, 1);
        config.queues.get_mut("default").unwrap().enqueue_wait = Duration::from_mins(1);
    })
    .await;
    app.hold().await;
    app.act(&json!({"wait": true})).await;
    let mut raw = Raw::connect(&app).await;
    let body = body.to_string();
    let head = format!("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: {key}\r\n");
    let length = body.len();
    raw.send(format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")).await;
    // What is not JSON never takes the key for longer than it is looked at: so this asks whether it is taken.
    within("the first request", async { while post_text(&app, key, "{").await.status != 422 {} }).await;
    (app, raw)
}

#[tokio::test]
async fn while_the_first_is_under_way_a_repeat_is_told_to_come_again() {
    let body = json!({"kind": "act"});
    let (app, mut raw) = stuck("k", &body).await;
    assert_answer!("idempotency_in_progress", post(&app, "k", &body).await);
    post(&app, "k", &json!({"kind": "noop"})).await.problem(422, "idempotency-key-reused");
    app.let_go(1);
    let first = raw.answer().await;
    assert_eq!(first.status, 202);
    let again = post(&app, "k", &body).await;
    assert_eq!((again.header("idempotent-replayed"), again.text()), ("true", first.body));
    app.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_key_behind() {
    let body = json!({"kind": "act"});
    let (app, raw) = stuck("k", &body).await;
    drop(raw);
    // Either the request ends with its connection, and the key is free, or it goes on, and is answered again.
    app.let_go(2);
    let answer = within("the key to be free or answered", async {
        loop {
            let answer = post(&app, "k", &body).await;
            if answer.status != 409 {
                return answer;
            }
        }
    })
    .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    is_replay(&post(&app, "k", &body).await, &post(&app, "k", &body).await);
    assert_eq!(kept(&app).await, 3, "and the work is there once");
    app.stop().await;
}

#[tokio::test]
async fn who_waits_gets_the_result_of_the_same_job() {
    let app = TestApp::start().await;
    let body = json!({"kind": "act", "payload": {"text": "done"}});
    let first = waiting(&app, "k", &body).await;
    assert_eq!(first.status, 303);
    assert!(!first.headers.contains_key("idempotent-replayed"));
    let id = first.id();
    // What is remembered is the acceptance.
    let again = post(&app, "k", &body).await;
    assert_eq!((again.status.as_u16(), again.id()), (202, id.clone()));
    assert_eq!(again.json()["state"], "pending");
    assert_eq!(again.header("location"), format!("/api/jobs/{id}/status"));
    is_replay(&post(&app, "k", &body).await, &again);
    let result = waiting(&app, "k", &body).await;
    assert_eq!(
        (result.status.as_u16(), result.header("location")),
        (303, &*format!("/api/jobs/{id}/result"))
    );
    assert_eq!(
        (result.header("idempotent-replayed"), result.header("preference-applied")),
        ("true", "wait=20")
    );
    // Another end than completion leads to no result.
    let dead = json!({"kind": "act", "payload": {"permanent": "no"}});
    let first = waiting(&app, "dead", &dead).await;
    assert_eq!((first.status.as_u16(), first.header("preference-applied")), (202, "wait=20"));
    is_replay(&waiting(&app, "dead", &dead).await, &first);
    app.stop().await;
}

#[tokio::test]
async fn a_job_that_is_forgotten_is_not_made_again() {
    let app = TestApp::with(|config| config.retention.max_finished = 0).await;
    let body = json!({"kind": "act"});
    let first = post(&app, "k", &body).await;
    let path = format!("/api/jobs/{}", first.id());
    within("the job to be forgotten", async { while app.get(&path).await.status != 404 {} }).await;
    is_replay(&post(&app, "k", &body).await, &first);
    let waited = waiting(&app, "k", &body).await;
    assert_eq!((waited.status.as_u16(), waited.text()), (202, first.text()));
    assert_eq!(app.runs(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_repeat_is_answered_while_draining() {
    let app = TestApp::start().await;
    let body = json!({"kind": "act", "payload": {"wait": true}});
    let first = post(&app, "k", &body).await;
    app.until(&first.id(), StateName::Processing).await;
    let hurry = CancellationToken::new();
    let drain = app.server.backroom().drain(&hurry);
    let during = async {
        while !app.jobs().is_draining() {
            tokio::task::yield_now().await;
        }
        is_replay(&post(&app, "k", &body).await, &first);
        post(&app, "k", &json!({"kind": "act"})).await.problem(422, "idempotency-key-reused");
        for _ in 0..2 {
            post(&app, "new", &body).await.problem(503, "draining");
        }
        app.let_go(1);
    };
    let (report, ()) = within("the drain", async { tokio::join!(drain, during) }).await;
    assert_eq!((report.finished, report.lost.len()), (1, 0));
}

#[tokio::test]
async fn without_room_a_new_key_is_refused_and_no_old_one_forgotten() {
    let app = TestApp::with(|config| config.limits.idempotency_keys = 2).await;
    let body = json!({"kind": "act", "delay": "1h"});
    let first = post(&app, "a", &body).await;
    is_first(&post(&app, "b", &body).await);
    assert_answer!("idempotency_memory_full", post(&app, "c", &body).await);
    is_replay(&post(&app, "a", &body).await, &first);
    assert_eq!(app.post("/api/jobs", &body).await.status, 202, "without a key as ever");
    assert_eq!(kept(&app).await, 3);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_make_one_job() {
    let app = TestApp::with(|config| config.server.http_workers = 4).await;
    let body = json!({"kind": "act", "payload": {"wait": true}});
    let posts = (0..200).map(|_| {
        let request = app.request("POST", "/api/jobs").header("idempotency-key", "k");
        tokio::spawn(Answer::of(request.json(&body)))
    });
    let posts: Vec<_> = posts.collect();
    let (mut firsts, mut replays) = (Vec::new(), Vec::new());
    for post in posts {
        let answer = post.await.unwrap();
        if answer.status == 409 {
            answer.problem(409, "idempotency-in-progress");
        } else if answer.headers.contains_key("idempotent-replayed") {
            replays.push(answer);
        } else {
            firsts.push(answer);
        }
    }
    assert_eq!(firsts.len(), 1);
    is_first(&firsts[0]);
    for replay in &replays {
        is_replay(replay, &firsts[0]);
    }
    assert_eq!(kept(&app).await, 1);
    app.stop().await;
}
