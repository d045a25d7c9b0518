//! The hub when a client says much at once, and when it says something and leaves.

use std::time::Duration;

use backroom::config::Config;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::app::{Answer, TestApp, narrow, within};
use crate::hub_client::{Socket, call, handshake, place, record, until_forgotten};

/// A queue for one job besides the one that runs, in front of which is waited.
fn patient(config: &mut Config) {
    narrow(config, 1);
    config.queues.get_mut("default").unwrap().enqueue_wait = Duration::from_mins(1);
}

fn enqueue(id: &str, job: Value) -> String {
    record(&call(id, "Enqueue", job))
}

#[tokio::test]
async fn what_there_is_room_for_is_taken_however_much_comes_at_once() {
    let app = TestApp::narrow(1_000).await;
    let mut socket = Socket::ready(&app, &[]).await;
    let said: String = (0..500)
        .map(|n| enqueue(&n.to_string(), json!({"kind": "act", "payload": {"data": "x".repeat(64)}})))
        .collect();
    assert!(said.len() > 64 << 10, "as large as clients make it: {}", said.len());
    socket.send(Message::text(said)).await;
    for n in 0..500 {
        let answer = socket.hear().await;
        assert_eq!(
            (&answer["invocationId"], &answer["result"]["kind"]),
            (&json!(n.to_string()), &json!("act"))
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn only_what_waits_for_room_is_counted() {
    let app = TestApp::with(patient).await;
    let mut socket = Socket::ready(&app, &[]).await;
    app.hold().await;
    app.act(&json!({})).await;
    // Sixteen wait; one more does not, and what need not wait is taken all the same.
    let waiting = (0..17).map(|n| enqueue(&n.to_string(), json!({"kind": "act"})));
    let others = [json!({"kind": "act", "queue": "mail"}), json!({"kind": "act", "delay": "1h"})];
    let others = others.map(|job| enqueue("other", job));
    socket.send(Message::text(waiting.chain(others).collect::<String>())).await;
    let too_many = socket.hear().await;
    assert_eq!(too_many["invocationId"], "16");
    assert!(too_many["error"].as_str().unwrap().starts_with("too-many: 16 submissions"), "{too_many}");
    for _ in 0..2 {
        let answer = socket.hear().await;
        assert_eq!((&answer["invocationId"], &answer["result"]["kind"]), (&json!("other"), &json!("act")));
    }
    app.let_go(1);
    for _ in 0..16 {
        assert_eq!(socket.hear().await["result"]["kind"], "act");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_submitted_before_the_end_is_not_lost_with_it() {
    for end in ["a message", "a frame", "a request"] {
        let app = TestApp::with(patient).await;
        app.hold().await;
        app.act(&json!({})).await;
        let submission = enqueue("1", json!({"kind": "act"}));
        if end == "a request" {
            let path = place(&app).await;
            assert_eq!(app.get(&path).await.status, 200);
            let said = record(&handshake()) + &submission;
            assert_eq!(Answer::of(app.request("POST", &path).body(said)).await.status, 200);
            assert_eq!(Answer::of(app.request("DELETE", &path)).await.status, 202);
        } else {
            let mut socket = Socket::ready(&app, &[]).await;
            if end == "a message" {
                let close = record(&json!({"type": 7}));
                socket.send(Message::text(submission + &close)).await;
            } else {
                socket.send(Message::text(submission)).await;
                socket.send(Message::Close(None)).await;
            }
            assert_eq!(socket.rest().await, (vec![], Some(1000)), "which waits for nothing");
        }
        app.let_go(1);
        within("the job that was submitted last", async {
            while app.runs() < 3 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        until_forgotten(&app).await;
        app.stop().await;
    }
}
