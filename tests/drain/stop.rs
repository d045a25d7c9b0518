//! Ways to stop.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::{Place, exists, noop};

/// The time until `ended` is ready.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    #[expect(clippy::disallowed_methods, reason = "the process under test has a clock of its own")]
    let began = Instant::now();
    let done = future.await;
    (done, began.elapsed())
}

#[tokio::test]
async fn an_idle_server_stops_at_once_and_leaves_nothing_behind() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let place = Place::new(&[]);
        let process = place.start().await;
        assert_eq!(place.files(), ["backroom.spill.jsonl.lock"]);
        assert_eq!(process.get("/api/jobs").await["items"], json!([]));
        // There is nothing new to take over, and it does not die of it.
        process.signal(Signal::SIGHUP);
        assert_eq!(process.message("configuration reloaded").await["changed"], "");
        process.signal(signal);
        let (ended, took) = timed(process.ended()).await;
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let report = ended.report();
        assert_eq!((report.finished, report.interrupted, report.spilled), (0, 0, 0));
        assert!(report.duration_ms < 500, "{report:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert_eq!(ended.line("stopping")["reason"], signal.as_str());
        assert_eq!(place.files(), [""; 0]);
    }
}

#[tokio::test]
async fn a_long_job_is_interrupted_after_the_grace() {
    let place = Place::new(&["shutdown.grace=1s"]);
    let process = place.start().await;
    let id = process.accepted(&noop(&json!({"sleep": "20s"}))).await;
    process.state(&id, "processing").await;
    process.signal(Signal::SIGTERM);
    let (ended, took) = timed(process.ended()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let report = ended.report();
    assert_eq!((report.finished, report.interrupted, report.spilled), (0, 1, 1));
    assert!((1_000..3_000).contains(&report.duration_ms), "{report:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    let line = &place.spilled()[0];
    assert_eq!((&line["id"], &line["attempt"], &line["runs"]), (&json!(id), &json!(0), &json!(1)));
    assert_eq!(line["attempts"][0]["outcome"], "interrupted");
}

#[tokio::test]
async fn an_interrupted_job_is_completed_by_the_next_start() {
    let place = Place::new(&["shutdown.grace=100ms"]);
    let process = place.start().await;
    let mut job = noop(&json!({"sleep": "1s"}));
    // On its last attempt: an interruption must not use it up.
    job["max_attempts"] = json!(1);
    let id = process.accepted(&job).await;
    process.state(&id, "processing").await;
    let ended = process.stop().await;
    assert_eq!((ended.code, ended.report().interrupted), (Some(0), 1), "{}", ended.text());
    let process = place.start().await;
    assert!(!exists(&place.spill()), "taken up, so that nobody runs it a second time");
    let job = process.end(&id).await;
    assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(1)), "{job}");
    let outcomes: Vec<_> = job["attempts"].as_array().unwrap().iter().map(|a| &a["outcome"]).collect();
    assert_eq!(outcomes, ["interrupted", "completed"]);
    assert_eq!(process.stop().await.code, Some(0));
}

#[tokio::test]
async fn who_ignores_its_cancellation_is_abandoned_and_spilled() {
    let place = Place::new(&["shutdown.grace=100ms", "defaults.cancel_grace=200ms"]);
    let process = place.start().await;
    let id = process.accepted(&noop(&json!({"sleep": "20s", "ignore_cancel": true}))).await;
    process.state(&id, "processing").await;
    let ended = process.stop().await;
    assert_eq!(ended.code, Some(0));
    let report = ended.report();
    assert_eq!((report.interrupted, report.spilled), (1, 1));
    assert!((300..1_500).contains(&report.duration_ms), "{report:?}");
    let warning = ended.line("handler abandoned");
    assert_eq!((&warning["job"], &warning["kind"]), (&json!(id), &json!("noop")));
    assert_eq!((&warning["abandoned_total"], &warning["cancel_grace_ms"]), (&json!(1), &json!(200)));
    assert_eq!(ended.line("drain report")["abandoned"], 1);
}

#[tokio::test]
async fn without_a_spill_file_work_is_lost_and_named() {
    let place = Place::new(&["shutdown.grace=0s", "shutdown.spill_file=", "queues.default.concurrency=1"]);
    let process = place.start().await;
    let mut ids = process.batch(vec![noop(&json!({"sleep": "20s"})); 3]).await;
    let mut later = noop(&json!({}));
    later["delay"] = json!("1h");
    ids.push(process.accepted(&later).await);
    process.state(&ids[0], "processing").await;
    let ended = process.stop().await;
    assert_eq!(ended.code, Some(3), "{}", ended.text());
    let report = ended.report();
    assert_eq!((report.finished, report.interrupted, report.spilled), (0, 1, 0));
    assert_eq!(report.lost, ids);
    assert_eq!(ended.line("drain report")["level"], "ERROR");
    assert_eq!(place.files(), [""; 0]);
}

#[tokio::test]
async fn a_spill_file_that_cannot_be_written_is_said_and_the_work_named() {
    let place = Place::new(&["shutdown.grace=0s", "shutdown.spill_file=gone/spill.jsonl"]);
    std::fs::create_dir(place.path("gone")).unwrap();
    let process = place.start().await;
    let id = process.accepted(&noop(&json!({"sleep": "20s"}))).await;
    std::fs::remove_dir_all(place.path("gone")).unwrap();
    let ended = process.stop().await;
    assert_eq!(ended.code, Some(3), "{}", ended.text());
    let report = ended.report();
    assert_eq!((report.spilled, report.lost), (0, vec![id]));
    ended.line("spill file could not be written");
}

#[tokio::test]
async fn a_dead_letter_that_could_not_be_kept_is_lost_too() {
    let place = Place::new(&["shutdown.spill_file=gone/spill.jsonl"]);
    std::fs::create_dir(place.path("gone")).unwrap();
    let process = place.start().await;
    let id = process.accepted(&noop(&json!({"fail": "permanent"}))).await;
    assert_eq!(process.end(&id).await["state"], "dead_lettered");
    std::fs::remove_dir_all(place.path("gone")).unwrap();
    let ended = process.stop().await;
    assert_eq!((ended.code, ended.report().lost), (Some(3), vec![id]), "{}", ended.text());
}

#[tokio::test]
async fn open_connections_do_not_hold_up_the_end() {
    let place = Place::new(&[]);
    let process = place.start().await;
    let address = process.base.strip_prefix("http://").unwrap();
    // One that has been answered and stays, one that has said nothing, one in the middle of its head.
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let silent = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET /livez HTTP/1.1\r\nhost: lo").await.unwrap();
    process.signal(Signal::SIGTERM);
    let (ended, took) = timed(process.ended()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    assert!(took < Duration::from_secs(4), "{took:?}");
    println!("with open connections: {took:?}");
    drop((idle, silent, half));
}

#[tokio::test]
async fn who_waits_for_a_job_is_answered_during_the_drain() {
    let place = Place::new(&["shutdown.grace=400ms"]);
    let process = place.start().await;
    let long = process.accepted(&noop(&json!({"sleep": "20s"}))).await;
    process.state(&long, "processing").await;
    let short = process.accepted(&noop(&json!({"sleep": "300ms"}))).await;
    process.state(&short, "processing").await;
    let client = process.client.clone();
    let wait = |id: &str| {
        let request = client.get(format!("{}/api/jobs/{id}", process.base)).header("prefer", "wait=60");
        tokio::spawn(async move {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.json::<serde_json::Value>().await.unwrap())
        })
    };
    let (interrupted, finished) = (wait(&long), wait(&short));
    process.signal(Signal::SIGTERM);
    process.message("draining").await;
    // Everything can still be read, and the probe says what is going on.
    let ready = process.client.get(format!("{}/readyz", process.base)).send().await.unwrap();
    assert_eq!(ready.status().as_u16(), 503);
    let refused = process.post(&noop(&json!({}))).await;
    assert_eq!(refused.status().as_u16(), 503);
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0));
    let (status, job) = finished.await.unwrap();
    assert_eq!((status, &job["state"]), (200, &json!("completed")));
    let (status, job) = interrupted.await.unwrap();
    assert_eq!((status, &job["state"]), (200, &json!("pending")), "as far as it came");
    let report = ended.report();
    assert_eq!((report.finished, report.interrupted, report.spilled), (1, 1, 1));
}

#[tokio::test]
async fn handlers_that_fail_are_logged_without_a_word_of_theirs() {
    let place = Place::new(&[]);
    let process = place.start().await;
    let mut panics = noop(&json!({"fail": "panic"}));
    panics["max_attempts"] = json!(1);
    let id = process.accepted(&panics).await;
    assert_eq!(process.end(&id).await["state"], "dead_lettered");
    let ended = process.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let failed = ended.line("attempt failed");
    assert_eq!((&failed["job"], &failed["outcome"]), (&json!(id), &json!("panicked")));
    ended.line("panicked");
    assert!(!ended.text().contains("the payload asked for it"));
}
