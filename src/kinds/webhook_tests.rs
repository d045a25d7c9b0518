//! What a receiver of webhooks sees, and what its answers come to: against a real listener.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::egress::Allow;
use crate::job::{Backoff, JobError, JobId, RetryPolicy};
use crate::kinds::testing::context;
use crate::sign::Secret;

const BODY: &str = r#"{"type":"job.completed","data":{"a":1.50}}"#;

fn policy() -> Policy {
    Policy::new("webhooks.allow", vec![Allow::parse("127.0.0.1").unwrap()], false)
}

fn handler() -> WebhookHandler {
    WebhookHandler {
        client: Client::new(policy()).unwrap(),
        signer: Arc::new(Signer::new(vec![Secret::from_random([7; 32]), Secret::from_random([8; 32])])),
        clock: Clock::system(),
        timeout: Duration::from_secs(15),
    }
}

fn input(url: &str) -> Webhook {
    let body = RawValue::from_string(BODY.to_owned()).unwrap();
    // As it comes out of a row.
    serde_json::from_str(&serde_json::to_string(&Webhook { url: url.to_owned(), body }).unwrap()).unwrap()
}

/// Sends a webhook to a receiver that gives this answer; says what it came to, and the request.
async fn send(answer: &[u8]) -> (Result<Outcome, Failure>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://ada:p%40ss@{}/hooks?token=s3cret", listener.local_addr().unwrap());
    let (cx, _, _) = context("webhook", 1);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(BODY.as_bytes()) {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer).await.unwrap();
        String::from_utf8(request).unwrap()
    };
    let handler = handler();
    tokio::join!(handler.run(input(&url), &cx), serve)
}

fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn result(outcome: Result<Outcome, Failure>) -> Value {
    let Ok(Outcome::Completed(result)) = outcome else { panic!("{outcome:?}") };
    serde_json::from_slice(&result.bytes).unwrap()
}

/// The rest after the first attempt, in seconds, where the schedule has 5.
fn rest(failure: &Failure) -> u64 {
    let policy = RetryPolicy { max_attempts: 9, backoff: Backoff::Delays(vec![Duration::from_secs(5)]) };
    failure.rest(&policy, 1, 0.5).as_secs()
}

#[tokio::test]
async fn the_request_is_signed_by_every_secret() {
    let (outcome, request) = send(&answer(204, "", "")).await;
    assert_eq!(result(outcome), serde_json::json!({"status": 204, "disabled": false}));
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, BODY, "to the letter");
    assert!(head.starts_with("POST /hooks?token=s3cret HTTP/1.1\r\n"), "{head}");
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name}: {head}")).split_once(": ").unwrap().1
    };
    assert_eq!(header("authorization"), format!("Basic {}", STANDARD.encode("ada:p@ss")));
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("webhook-id"), JobId::MAX.to_string());
    let seconds: i64 = header("webhook-timestamp").parse().unwrap();
    let signed = handler().signer.sign(header("webhook-id"), seconds, BODY.as_bytes());
    assert_eq!(header("webhook-signature"), signed.signature);
    assert_eq!(signed.signature.split(' ').count(), 2);
}

#[tokio::test]
async fn what_answers_come_to() {
    for status in [200, 201, 202, 299] {
        assert_eq!(result(send(&answer(status, "", "x")).await.0)["status"], status);
    }
    for (status, headers, code, retryable, seconds) in [
        (503, "", "http-503", true, 5),
        (500, "", "http-500", true, 5),
        (408, "", "http-408", true, 5),
        (429, "", "http-429", true, 60),
        (502, "", "http-502", true, 60),
        (504, "", "http-504", true, 60),
        (429, "retry-after: 7\r\n", "http-429", true, 7),
        (503, "retry-after: 120\r\n", "http-503", true, 120),
        (502, "retry-after: 999999\r\n", "http-502", true, 3_600),
        (404, "", "http-404", false, 5),
        (400, "", "http-400", false, 5),
        (302, "location: https://elsewhere.example/\r\n", "http-302", false, 5),
        (410, "", CALLBACK_DISABLED, false, 5),
        (500, "webhook-delivery: disable\r\n", CALLBACK_DISABLED, false, 5),
        (500, "webhook-delivery: abort-message\r\n", "http-500", true, 5),
    ] {
        let failure = send(&answer(status, headers, "")).await.0.unwrap_err();
        assert_eq!(rest(&failure), seconds, "{status} {headers}");
        let error = JobError::from(failure);
        assert_eq!((&*error.code, error.retryable), (code, retryable), "{status} {headers}");
    }
    let disabled = send(&answer(200, "webhook-delivery: Disable\r\n", "")).await.0;
    let Ok(Outcome::Completed(taken)) = disabled else { panic!("{disabled:?}") };
    assert!(taken.bytes.ends_with(DISABLES.as_bytes()));
}

#[tokio::test]
async fn an_answer_is_not_read_to_its_end() {
    for (length, status) in [(READ - 1, 200), (READ, 200), (READ + 1, 200), (1 << 20, 503)] {
        let outcome = send(&answer(status, "", &"x".repeat(length))).await.0;
        match outcome {
            Ok(_) => assert_eq!(status, 200),
            Err(failure) => assert_eq!((&*JobError::from(failure).code, status), ("http-503", 503)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_takes_too_long_is_left_alone_for_a_minute() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (cx, _, _) = context("webhook", 1);
    let failure = handler().run(input(&url), &cx).await.unwrap_err();
    assert_eq!(rest(&failure), 60);
    let error = JobError::from(failure);
    assert_eq!((&*error.code, error.retryable), ("timeout", true), "{error:?}");
    assert_eq!(&*error.message, "no whole answer within 15s");
}

/// The client waits for a connection less long than the handler for an answer.
#[tokio::test(start_paused = true)]
async fn so_is_one_that_takes_too_long_to_connect_and_none_that_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let (cx, _, _) = context("webhook", 1);
    // Nobody answers the handshake; then nobody listens.
    let late = handler().run(input(&url), &cx).await.unwrap_err();
    drop(listener);
    let refused = handler().run(input(&url), &cx).await.unwrap_err();
    assert_eq!((rest(&late), rest(&refused)), (60, 5));
    for failure in [late, refused] {
        let error = JobError::from(failure);
        assert_eq!((&*error.code, error.retryable), ("connect", true), "{error:?}");
    }
}

#[tokio::test]
async fn a_target_is_judged_again_when_it_is_sent() {
    let (cx, _, _) = context("webhook", 1);
    for url in ["http://10.0.0.1/hooks", "http://ada:pw@169.254.169.254/", "ftp://x.example/", "nothing"] {
        let error = JobError::from(handler().run(input(url), &cx).await.unwrap_err());
        assert_eq!((&*error.code, error.retryable), ("target-forbidden", false), "{url}");
        assert!(!error.message.contains("pw"), "{error:?}");
    }
    // A name is judged by what it leads to.
    let named = Policy::new("webhooks.allow", Vec::new(), false);
    let handler = WebhookHandler { client: Client::new(named).unwrap(), ..handler() };
    let error = JobError::from(handler.run(input("http://localhost:9/"), &cx).await.unwrap_err());
    assert_eq!(&*error.code, "target-forbidden", "{error:?}");
}
