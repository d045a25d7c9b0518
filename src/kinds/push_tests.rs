//! What a kind with `run = "push"` is expected to do, seen from the app: against a real listener.

use std::sync::Arc;

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use super::testing::context;
use super::{PushHandler, Raw};
use crate::clock::Clock;
use crate::egress::{Allow, Client, Policy};
use crate::handler::{About, Failure, Handler as _, Outcome};
use crate::job::{JobError, JobId};
use crate::sign::{AttemptTokens, Secret, Signer};
use crate::store::Durability;

const LIMIT: usize = 1_000;
const KEY: [u8; 32] = [7; 32];

fn handler(url: &str) -> PushHandler {
    let policy = Policy::new("kinds.<name>.url", vec![Allow::parse("127.0.0.1").unwrap()], false);
    PushHandler {
        url: Url::parse(url).unwrap(),
        client: Client::new(policy).unwrap(),
        signer: Arc::new(Signer::new(vec![Secret::from_random(KEY)])),
        tokens: AttemptTokens::new([1; 32]),
        base_url: "https://jobs.example.com".into(),
        durability: Durability::Memory,
        clock: Clock::system(),
        result_limit: LIMIT,
        about: About::default(),
    }
}

/// Runs a job in an app that gives this answer; says what it came to, and the head and the body of what was asked.
async fn run(answer: &[u8]) -> (Result<Outcome, Failure>, String, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let handler = handler(&format!("http://{}/jobs?x=1", listener.local_addr().unwrap()));
    let (cx, _, _) = context("invoice.render", 2);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let mut body = vec![0; header(&head, "content-length").parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        stream.write_all(answer).await.unwrap();
        (head, body)
    };
    let input: Raw = serde_json::from_str(r#"{"number": 1.50}"#).unwrap();
    let (ran, (head, body)) = tokio::join!(handler.run(input, &cx), serve);
    (ran, head, body)
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {head}")).split_once(": ").unwrap().1
}

fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

#[tokio::test]
async fn the_request_is_the_signed_envelope() {
    let (ran, head, body) = run(&answer(204, "", "")).await;
    assert_eq!(ran.unwrap(), Outcome::done());
    assert!(head.starts_with("POST /jobs?x=1 HTTP/1.1\r\n"), "{head}");
    let id = JobId::MAX.to_string();
    assert_eq!((header(&head, "webhook-id"), header(&head, "idempotency-key")), (&*id, &*id));
    assert_eq!(header(&head, "content-type"), "application/json");

    // As a library for Standard Webhooks would verify it.
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
    mac.update(format!("{id}.{}.", header(&head, "webhook-timestamp")).as_bytes());
    mac.update(&body);
    let wanted = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(header(&head, "webhook-signature"), format!("v1,{wanted}"));

    let text = String::from_utf8(body).unwrap();
    assert!(text.contains(r#""payload":{"number": 1.50}"#), "the payload as it was written: {text}");
    let envelope: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(envelope["type"], "job.run");
    let data = &envelope["data"];
    assert_eq!(
        (&data["id"], &data["kind"], &data["attempt"]),
        (&json!(id), &json!("invoice.render"), &json!(2))
    );
    assert_eq!(data["links"]["self"], format!("https://jobs.example.com/api/jobs/{id}"));
    let token = data["attempt_token"].as_str().unwrap();
    assert_eq!(AttemptTokens::new([1; 32]).run_of(JobId::MAX, token), Some(0));
}

#[tokio::test]
async fn the_answer_is_the_result_whatever_its_media_type() {
    let result = async |answer: &[u8]| match run(answer).await.0.unwrap() {
        Outcome::Completed(result) => (result.media_type.into_owned(), result.bytes.to_vec()),
        other => panic!("{other:?}"),
    };
    let pdf = result(&answer(200, "content-type: application/pdf\r\n", "%PDF-1.7")).await;
    assert_eq!(pdf, ("application/pdf".to_owned(), b"%PDF-1.7".to_vec()));
    assert_eq!(result(&answer(201, "", "x")).await.0, "application/octet-stream");
    assert_eq!(
        result(&answer(200, "content-type: text/html\r\n", "")).await,
        ("application/json".to_owned(), b"null".to_vec())
    );
    // What would become a header of ours, and is no media type.
    for none in ["text", "text/html, text/plain", "text/\u{fc}", &format!("text/{}", "x".repeat(1_000))] {
        let typed = result(&answer(200, &format!("content-type: {none}\r\n"), "x")).await;
        assert_eq!(typed, ("application/octet-stream".to_owned(), b"x".to_vec()), "{none}");
    }
    // However much it says, an app that is down is down.
    let (ran, ..) = run(&answer(503, "", &"x".repeat(LIMIT + 1))).await;
    let error = JobError::from(ran.unwrap_err());
    assert_eq!((&*error.code, error.retryable), ("http-503", true));
    for (length, fits) in [(LIMIT, true), (LIMIT + 1, false)] {
        let ran = run(&answer(200, "", &"x".repeat(length))).await.0;
        assert_eq!(
            ran.map_err(|failure| JobError::from(failure).code.into_owned()).err(),
            (!fits).then(|| "result-too-large".to_owned())
        );
    }
}

#[tokio::test]
async fn an_app_can_skip() {
    let skipped = async |headers: &str| match run(&answer(200, headers, "ignored")).await.0.unwrap() {
        Outcome::Skipped(reason) => reason.into_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        skipped("Backroom-Outcome: skipped\r\nBackroom-Reason: paid already\r\n").await,
        "paid already"
    );
    assert_eq!(skipped("backroom-outcome: Skipped\r\n").await, "the app skipped it");
    let (ran, ..) = run(&answer(200, "backroom-outcome: done\r\n", "x")).await;
    assert!(matches!(ran, Ok(Outcome::Completed(_))));
    // Only a success is asked what it means.
    let (ran, ..) = run(&answer(500, "backroom-outcome: skipped\r\n", "x")).await;
    assert!(ran.is_err());
}

/// The table of the contract's section 7.
#[tokio::test]
async fn every_status_means_what_the_contract_says() {
    for (status, expected) in [
        (200, None),
        (202, None),
        (204, None),
        (226, None),
        (301, Some(false)),
        (307, Some(false)),
        (400, Some(false)),
        (401, Some(false)),
        (404, Some(false)),
        (410, Some(false)),
        (422, Some(false)),
        (408, Some(true)),
        (425, Some(true)),
        (429, Some(true)),
        (500, Some(true)),
        (502, Some(true)),
        (503, Some(true)),
        (504, Some(true)),
    ] {
        let (ran, ..) = run(&answer(status, "location: /elsewhere\r\nretry-after: 9\r\n", "")).await;
        let got = ran.err().map(|failure| {
            let delay = failure.asked_delay().map(|delay| delay.as_secs());
            let error = JobError::from(failure);
            assert_eq!(delay, error.retryable.then_some(9), "{status}");
            assert_eq!(error.code, format!("http-{status}"));
            error.retryable
        });
        assert_eq!(got, expected, "{status}");
    }
}

#[tokio::test]
async fn a_cancel_ends_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let handler = handler(&format!("http://{}/", listener.local_addr().unwrap()));
    let (cx, token, _) = context("invoice.render", 1);
    let app = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        token.cancel();
        // Until the end: the app sees that nobody waits any more.
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
    };
    let input: Raw = serde_json::from_str("null").unwrap();
    let running = async {
        let ran = handler.run(input, &cx).await;
        drop(handler);
        ran
    };
    let (ran, ()) = tokio::join!(running, app);
    assert_eq!(JobError::from(ran.unwrap_err()).code, "canceled");
}
