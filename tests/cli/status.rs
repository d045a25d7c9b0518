//! `backroom status` and `backroom result`.

use serde_json::{Value, json};

use crate::rig::{Rig, backroom, ended};
use crate::scripted::{Scripted, answer, stream};

const ID: &str = "019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a55";

fn event(sequence: u64, kind: &str, state: &str, percent: u64) -> String {
    let data = json!({"type": kind, "timestamp": "2026-11-20T16:50:00.000Z", "sequence": sequence, "data": {
        "id": ID, "state": state, "attempt": 1, "max_attempts": 5,
        "progress": {"percent": percent, "message": "half\u{1b}[2J\u{9b}way"}}});
    format!("id: {sequence}\nevent: {kind}\ndata: {data}\n\n")
}

#[tokio::test]
async fn the_code_says_how_the_job_stands() {
    let rig = Rig::new(&[]).await;
    let canceled = rig.enqueue(&["noop", "--delay", "1h"]).await;
    let waiting = rig.run(&["status", &canceled]).await;
    assert_eq!(waiting.code, 5, "{waiting:?}");
    assert!(waiting.out.contains("waits     for its time, until "), "{waiting:?}");
    assert_eq!(rig.json(&["cancel", &canceled]).await["state"], "canceled");
    // Its queue is held up, so that it is skipped without a chance to run.
    let expired = rig.enqueue(&["noop", "--delay", "1ms", "--expires-in", "1ms"]).await;
    rig.server.end(&expired).await;
    for (id, code, state) in [
        (rig.ended(&["noop"]).await, 0, "completed"),
        (rig.ended(&["noop", "{\"fail\": \"permanent\"}"]).await, 4, "dead_lettered"),
        (canceled, 6, "canceled"),
        (expired, 7, "skipped"),
    ] {
        for more in [&["--json"][..], &["--json", "--wait"], &["--json", "--wait=5"]] {
            let run = rig.run(&[&["status", &id], more].concat()).await;
            assert_eq!((run.code, &run.json()["state"]), (code, &json!(state)), "{run:?}");
        }
        let watched = rig.run(&["status", &id, "--watch"]).await;
        assert_eq!(watched.code, code, "{watched:?}");
        assert!(watched.out.contains(state), "{watched:?}");
        assert_eq!(rig.run(&["result", &id]).await.code, code);
    }
    rig.run(&["status", ID]).await.refused(1, "(404 job-not-found)");
    rig.run(&["status", "12"]).await.refused(2, "12");
}

#[tokio::test]
async fn watching_tells_every_change_to_the_end() {
    let rig = Rig::new(&[]).await;
    let payload = "{\"sleep\": \"400ms\", \"steps\": 4}";
    let id = rig.enqueue(&["noop", payload]).await;
    let run = rig.run(&["status", &id, "--watch", "--json"]).await;
    assert_eq!(run.code, 0, "{run:?}");
    let events: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["type"], "job.snapshot");
    assert_eq!(events.last().unwrap()["type"], "job.completed");
    assert!(!run.out.contains('\u{1b}'), "{run:?}");
    // Patience that ends before the job does.
    let id = rig.enqueue(&["noop", "{\"sleep\": \"1h\"}", "--timeout", "2h"]).await;
    let run = rig.run(&["status", &id, "--watch", "--wait=300ms"]).await;
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.out.contains("  processing, attempt 1 of 8"), "{run:?}");
    assert_eq!(rig.run(&["status", &id, "--wait=0"]).await.code, 5);
    assert_eq!(rig.json(&["cancel", &id]).await["cancel_requested"], true);
}

#[tokio::test]
async fn a_stream_that_breaks_goes_on_where_it_stopped() {
    let first = format!(
        "retry: 1\n\n{}{}",
        event(1, "job.snapshot", "processing", 0),
        event(2, "job.progress", "processing", 50)
    );
    // What has not come whole is not remembered.
    let broken = format!("{}id: 9\ndata: {{", event(3, "job.progress", "processing", 60));
    let unavailable = answer("502 Bad Gateway", &[], "<html>");
    let last = event(4, "job.completed", "completed", 100);
    let server = Scripted::new([stream(&first), unavailable, stream(&broken), stream(&last)]);
    let folder = tempfile::tempdir().unwrap();
    let run = ended(backroom(folder.path(), &server.base, &["status", ID, "--watch"]), "").await;
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.out.lines().count(), 4, "{run:?}");
    // What the server says does not steer the terminal.
    assert!(run.out.contains("processing, attempt 1 of 5, 50 %: half\\u{1b}[2J\\u{9b}way\n"), "{run:?}");
    let asked = server.asked().await;
    let ids: Vec<Option<&str>> = asked.iter().map(|request| request.find("last-event-id")).collect();
    assert_eq!(ids, [None, Some("2"), Some("2"), Some("3")]);
    assert!(asked.iter().all(|request| request.line() == format!("GET /api/jobs/{ID}/events")));
}

#[tokio::test]
async fn whoever_waits_outlives_a_restart_behind_a_proxy() {
    let job = |state: &str| json!({"id": ID, "state": state, "attempt": 1, "max_attempts": 1}).to_string();
    let processing = || answer("200 OK", &[], &job("processing"));
    let completed = || answer("200 OK", &[], &job("completed"));
    let unavailable = || answer("502 Bad Gateway", &["retry-after: 0"], "<html>");
    let folder = tempfile::tempdir().unwrap();
    let busy = answer("429 Too Many Requests", &[], "");
    let server = Scripted::new([processing(), unavailable(), busy, completed()]);
    let run = ended(backroom(folder.path(), &server.base, &["status", ID, "--wait"]), "").await;
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(server.asked().await.len(), 4);
    // Whoever has just submitted a job knows that there is a server.
    let accepted = format!("{{\"id\":\"{ID}\",\"state\":\"pending\",\"queue\":\"default\"}}");
    let server = Scripted::new([answer("202 Accepted", &[], &accepted), unavailable(), completed()]);
    let run = ended(backroom(folder.path(), &server.base, &["enqueue", "noop", "--wait"]), "").await;
    assert_eq!(run.code, 0, "{run:?}");
    // At the first time it is not known whether it ever will be one, and another refusal stays what it is.
    let server = Scripted::new([unavailable()]);
    let run = ended(backroom(folder.path(), &server.base, &["status", ID, "--wait"]), "").await;
    run.refused(1, "refused: 502");
    let server = Scripted::new([processing(), answer("404 Not Found", &[], "{}")]);
    let run = ended(backroom(folder.path(), &server.base, &["status", ID, "--wait"]), "").await;
    run.refused(1, "refused: 404");
    // Nobody is waited for longer than was said.
    let later = answer("503 Service Unavailable", &["retry-after: 300"], "");
    let server = Scripted::new([processing(), later, unavailable()]);
    let run = ended(backroom(folder.path(), &server.base, &["status", ID, "--wait=2s"]), "").await;
    run.refused(1, "refused: 502");
}

#[tokio::test]
async fn the_end_that_was_missed_is_asked_for() {
    let job = json!({"id": ID, "state": "dead_lettered", "attempt": 1, "max_attempts": 1}).to_string();
    let first = format!("retry: 1\n\n{}", event(1, "job.snapshot", "processing", 0));
    let gone = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned();
    let server = Scripted::new([stream(&first), gone, answer("200 OK", &[], &job)]);
    let folder = tempfile::tempdir().unwrap();
    let run = ended(backroom(folder.path(), &server.base, &["status", ID, "--watch"]), "").await;
    assert_eq!(run.code, 4, "{run:?}");
    assert_eq!(server.asked().await[2].line(), format!("GET /api/jobs/{ID}"));
}

#[tokio::test]
async fn results_are_written_as_they_are() {
    let kind = [
        "kinds.\"bytes\".run=command",
        "kinds.\"bytes\".command=[\"cat\"]",
        "kinds.\"bytes\".env=[\"PATH\"]",
    ];
    let rig = Rig::new(&kind).await;
    let id = rig.ended(&["bytes", "{\"a\":  1}"]).await;
    let run = rig.run(&["result", &id, "--wait=10s"]).await;
    assert_eq!((run.code, run.out.as_str()), (0, "{\"a\":  1}"), "{run:?}");
    let run = rig.run(&["result", &id, "--output", "result.json"]).await;
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{run:?}");
    assert_eq!(std::fs::read_to_string(rig.path("result.json")).unwrap(), "{\"a\":  1}");
    rig.run(&["result", &id, "-o", "no/such/folder"]).await.refused(1, "no/such/folder cannot be written");
    let later = rig.enqueue(&["noop", "--delay", "1h"]).await;
    rig.run(&["result", &later]).await.refused(5, "(404 result-not-ready)");
    let dead = rig.ended(&["noop", "{\"fail\": \"permanent\"}"]).await;
    let run = rig.run(&["result", &dead, "--json"]).await;
    run.refused(4, "(404 job-dead-lettered)");
    assert_eq!(run.json()["type"], "/problems/job-dead-lettered");
}
