//! `backroom enqueue`.

use std::time::Duration;

use backroom::clock::Clock;
use serde_json::json;

use crate::rig::{Rig, backroom, ended};
use crate::scripted::{Scripted, answer};

const ACCEPTED: &str =
    r#"{"id":"019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a55","kind":"noop","queue":"default","state":"pending"}"#;

#[tokio::test]
async fn a_job_is_its_id_or_what_the_server_answered() {
    let rig = Rig::new(&[]).await;
    let run = rig.run(&["enqueue", "noop"]).await;
    assert_eq!((run.code, run.out.trim().len()), (0, 36), "{run:?}");
    assert!(run.err.starts_with("pending in the queue default"), "{run:?}");
    let job = rig
        .json(&[
            "enqueue",
            "noop",
            "{\"sleep\": \"0s\"}",
            "--queue",
            "mail",
            "--delay",
            "1h",
            "--max-attempts",
            "3",
            "--timeout",
            "5s",
            "--expires-in",
            "2h",
            "--tag",
            "a",
            "--tag",
            "b",
            "--unique",
            "k",
            "--unique-for",
            "1m",
        ])
        .await;
    assert_eq!(job["queue"], "mail");
    assert_eq!(
        (&job["state"], &job["max_attempts"], &job["tags"]),
        (&json!("scheduled"), &json!(3), &json!(["a", "b"]))
    );
    assert!(job["expires_at"].is_string(), "{job}");
    let again = rig.run(&["enqueue", "noop", "--unique", "k"]).await;
    assert_eq!(again.out.trim(), job["id"], "{again:?}");
    assert!(again.err.contains("it was there already"), "{again:?}");
    let due = Clock::system().now().after(Duration::from_hours(24)).to_string();
    let later = rig.json(&["enqueue", "noop", "--run-at", &due]).await;
    assert_eq!(later["run_at"], due);
}

#[tokio::test]
async fn payloads_come_from_the_line_a_file_or_a_pipe() {
    let rig = Rig::new(&[]).await;
    std::fs::write(rig.path("payload.json"), "{\"n\": 1.50}\n").unwrap();
    for (payload, stdin, want) in [
        ("{\"n\": 1}", "", "{\"n\": 1}"),
        ("@payload.json", "", "{\"n\": 1.50}"),
        ("-", " {\"n\": 2}\n", "{\"n\": 2}"),
    ] {
        let run = rig.run_with(&["enqueue", "noop", payload, "--result"], &[], stdin).await;
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!((run.code, value(&run.out)), (0, value(want)), "{run:?}");
    }
    let bad = rig.run_with(&["enqueue", "noop", "-"], &[], "{\"secret\": oops}").await;
    bad.refused(2, "the standard input is no JSON: a fault in line 1, column 12");
    assert!(!bad.err.contains("oops"), "{bad:?}");
    rig.run(&["enqueue", "noop", "@missing.json"]).await.refused(2, "missing.json cannot be read");
    rig.run(&["enqueue", "noop", "--delay", "1s", "--run-at", "x"]).await.refused(2, "cannot be used with");
}

#[tokio::test]
async fn waiting_ends_with_the_code_of_the_job() {
    let rig = Rig::new(&[]).await;
    let wait = async |payload: &str, more: &[&str]| {
        rig.run(&[&["enqueue", "noop", payload, "--wait"], more].concat()).await
    };
    let run = wait("{}", &[]).await;
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("state     completed\n"), "{run:?}");
    let run = wait("{\"fail\": \"permanent\"}", &["--json"]).await;
    assert_eq!((run.code, &run.json()["state"]), (4, &json!("dead_lettered")), "{run:?}");
    let run = rig.run(&["enqueue", "noop", "--delay", "1h", "--wait=0s", "--json"]).await;
    assert_eq!((run.code, &run.json()["state"]), (5, &json!("scheduled")), "{run:?}");
    let run = rig.run(&["enqueue", "noop", "{\"fail\": \"permanent\"}", "--result"]).await;
    run.refused(4, "dead_lettered: noop-permanent");
    assert_eq!(run.out, "");
    // A value needs its sign: what stands behind --wait may be the payload.
    let run = rig.run(&["enqueue", "noop", "--wait", "{\"a\": 1}", "--result"]).await;
    assert_eq!((run.code, run.json()), (0, json!({"a": 1})), "{run:?}");
    rig.run(&["enqueue", "noop", "--wait=soon"]).await.refused(2, "write a duration with a unit");
}

#[tokio::test]
async fn refusals_name_every_fault() {
    let rig = Rig::new(&[]).await;
    let faulty = ["enqueue", "email", "{\"to\": \"ada\"}", "--queue", "male"];
    let run = rig.run(&faulty).await;
    run.refused(1, "refused: The request is not valid (422 validation-failed)\n");
    assert!(run.err.contains("\n  /queue: ") && run.err.contains("\n  /payload/to: "), "{run:?}");
    assert_eq!(run.out, "");
    let run = rig.run(&[&faulty[..], &["--json"]].concat()).await;
    assert_eq!((run.code, &run.json()["type"]), (1, &json!("/problems/validation-failed")), "{run:?}");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_key() {
    // The first answer is lost after the request was taken, the second is not finished, the third comes.
    let cut = "HTTP/1.1 202 Accepted\r\ncontent-length: 500\r\n\r\n{\"id\":".to_owned();
    let server = Scripted::new([String::new(), cut, answer("202 Accepted", &[], ACCEPTED)]);
    let folder = tempfile::tempdir().unwrap();
    let run = ended(backroom(folder.path(), &server.base, &["enqueue", "noop"]), "").await;
    assert_eq!((run.code, run.out.trim().len()), (0, 36), "{run:?}");
    assert!(run.err.contains("trying again in 1 s (1 of 3)"), "{run:?}");
    let asked = server.asked().await;
    let keys: Vec<&str> = asked.iter().map(|request| request.header("idempotency-key")).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys[0].len() > 32 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert!(asked.iter().all(|request| request.body == asked[0].body));
}

#[tokio::test]
async fn a_full_server_is_given_the_time_that_it_asks_for_but_not_for_ever() {
    let full = || {
        answer(
            "503 Service Unavailable",
            &["retry-after: 0"],
            r#"{"type":"/problems/queue-full","title":"Full"}"#,
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Scripted::new([full(), full(), answer("202 Accepted", &[], ACCEPTED)]);
    let run = ended(backroom(folder.path(), &server.base, &["enqueue", "noop", "--retries", "2"]), "").await;
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.err.contains("trying again in 0 s (2 of 2)"), "{run:?}");

    let server = Scripted::new([full(), full(), full()]);
    let run = ended(backroom(folder.path(), &server.base, &["enqueue", "noop", "--retries", "2"]), "").await;
    run.refused(1, "refused: Full (503 queue-full)");
    let server = Scripted::new([full()]);
    let none = ["enqueue", "noop", "--retries", "0", "--idempotency-key", "order-42"];
    ended(backroom(folder.path(), &server.base, &none), "").await.refused(1, "503 queue-full");
    assert_eq!(server.asked().await[0].header("idempotency-key"), "order-42");
}

#[tokio::test]
async fn what_is_asked_of_nobody_ends_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://user:s3cret@{}", taken.local_addr().unwrap());
    drop(taken);
    let folder = tempfile::tempdir().unwrap();
    let run = ended(backroom(folder.path(), &nobody, &["enqueue", "noop"]), "").await;
    run.refused(1, "error: cannot connect to http://127.0.0.1:");
    assert!(!run.err.contains("s3cret") && !run.err.contains("trying again"), "{run:?}");
    // Nor is a password told that was not understood, or by the help.
    for (arguments, code) in
        [(&["queues"][..], 2), (&["health"], 2), (&["queues", "--help"], 0), (&["health", "-h"], 0)]
    {
        let run = ended(backroom(folder.path(), "http://user:s3cret@nowhere:port", arguments), "").await;
        assert_eq!(run.code, code, "{run:?}");
        assert!(!(run.out + &run.err).contains("s3cret"), "{arguments:?}");
    }
}
