//! What the `http` kind is expected to do, seen from outside: against a real listener.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Http, HttpHandler};
use crate::clock::Clock;
use crate::egress::{Client, Policy};
use crate::handler::{Failure, Handler as _, Outcome};
use crate::job::JobError;
use crate::kinds::testing::context;

const LIMIT: usize = 1_000;

fn handler(loopback: bool) -> HttpHandler {
    let client = Client::new(Policy::new("http.allow", Vec::new(), loopback)).unwrap();
    HttpHandler { client, clock: Clock::system(), body_limit: LIMIT }
}

fn http(payload: &Value) -> Http {
    serde_json::from_value(payload.clone()).unwrap()
}

fn faults(payload: &Value) -> Vec<(String, String)> {
    let faults = handler(true).check(&http(payload));
    faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
}

fn pointers(payload: &Value) -> Vec<String> {
    faults(payload).into_iter().map(|(pointer, _)| pointer).collect()
}

/// Runs a job whose `url` is that of a server that gives this answer; says what it came to and what was asked.
async fn run(mut payload: Value, answer: &[u8]) -> (Result<Value, Failure>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    payload["url"] = json!(format!("http://{}/path?q=1", listener.local_addr().unwrap()));
    let (cx, _, _) = context("http", 1);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8_lossy(&asked).to_ascii_lowercase();
        let length = head
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        stream.write_all(answer).await.unwrap();
        head + &String::from_utf8(body).unwrap()
    };
    let handler = handler(true);
    let (ran, asked) = tokio::join!(handler.run(http(&payload), &cx), serve);
    let ran = ran.map(|outcome| match outcome {
        Outcome::Completed(result) => serde_json::from_slice(&result.bytes).unwrap(),
        other => panic!("{other:?}"),
    });
    (ran, asked)
}

fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

#[tokio::test]
async fn the_answer_is_the_result() {
    let body = json!({"b": 1.50, "a": [1]});
    let (result, asked) = run(
        json!({"body": body, "headers": {"X-Mine": "yes"}}),
        &answer(201, "content-type: application/problem+json\r\n", r#"{"ok":true}"#),
    )
    .await;
    let result = result.unwrap();
    assert_eq!((&result["status"], &result["body"]), (&json!(201), &json!({"ok": true})));
    assert_eq!(result["headers"]["content-type"], "application/problem+json");
    assert!(asked.starts_with("post /path?q=1 http/1.1\r\n"), "{asked}");
    for line in [
        "content-type: application/json\r\n",
        "x-mine: yes\r\n",
        "accept-encoding: gzip\r\n",
        "user-agent: backroom/",
    ] {
        assert!(asked.contains(line), "{line}: {asked}");
    }
    // The id of the job: the same in every attempt.
    assert!(asked.contains("idempotency-key: ffffffff-ffff-ffff-ffff-ffffffffffff\r\n"), "{asked}");
    assert!(asked.ends_with(r#"{"a":[1],"b":1.5}"#), "{asked}");

    let (result, asked) = run(json!({}), &answer(200, "content-type: text/html\r\n", "{\"ok\":1}")).await;
    assert_eq!(result.unwrap()["body"], "{\"ok\":1}");
    assert!(asked.starts_with("get ") && !asked.contains("content-type"), "{asked}");

    let (result, asked) = run(
        json!({"text": "hallo", "headers": {"content-type": "text/csv", "Idempotency-Key": "mine"}}),
        b"HTTP/1.1 200 X\r\nset-cookie: a\r\nset-cookie: b\r\ncontent-length: 2\r\n\r\n\xff\xfe",
    )
    .await;
    let result = result.unwrap();
    assert_eq!((&result["body"], &result["body_base64"]), (&Value::Null, &json!("//4=")));
    assert_eq!(result["headers"]["set-cookie"], "a, b");
    assert!(
        asked.contains("content-type: text/csv\r\n") && asked.contains("idempotency-key: mine\r\n"),
        "{asked}"
    );
    assert!(asked.ends_with("hallo"), "{asked}");
}

/// The table of the contract's section 7.
#[tokio::test]
async fn every_status_means_what_the_contract_says() {
    for (status, expected) in [
        (200, "completed"),
        (201, "completed"),
        (204, "completed"),
        (299, "completed"),
        (301, "permanent"),
        (302, "permanent"),
        (304, "permanent"),
        (400, "permanent"),
        (401, "permanent"),
        (403, "permanent"),
        (404, "permanent"),
        (409, "permanent"),
        (410, "permanent"),
        (418, "permanent"),
        (422, "permanent"),
        (451, "permanent"),
        (408, "transient"),
        (425, "transient"),
        (429, "transient"),
        (500, "transient"),
        (501, "transient"),
        (502, "transient"),
        (503, "transient"),
        (504, "transient"),
        (599, "transient"),
    ] {
        let (ran, _) = run(json!({}), &answer(status, "", "")).await;
        let got = match ran {
            Ok(_) => "completed",
            Err(failure) => {
                let error = JobError::from(failure);
                assert_eq!(error.code, format!("http-{status}"));
                if error.retryable { "transient" } else { "permanent" }
            }
        };
        assert_eq!(got, expected, "{status}");
    }
}

#[tokio::test]
async fn retry_after_is_passed_on() {
    let asked = async |status, headers: &str| {
        run(json!({}), &answer(status, headers, "")).await.0.unwrap_err().asked_delay()
    };
    assert_eq!(asked(503, "retry-after: 120\r\n").await.map(|d| d.as_secs()), Some(120));
    assert_eq!(
        asked(429, "retry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\n").await.map(|d| d.as_secs()),
        Some(0)
    );
    assert_eq!(asked(503, "retry-after: soon\r\n").await, None);
    assert_eq!(asked(404, "retry-after: 120\r\n").await, None);
}

#[tokio::test]
async fn expect_says_what_a_success_is() {
    for (status, good) in [(404, true), (200, true), (201, false)] {
        let (ran, _) = run(json!({"expect": [200, 404]}), &answer(status, "", "")).await;
        assert_eq!(ran.is_ok(), good, "{status}");
    }
}

#[tokio::test]
async fn an_error_quotes_what_the_far_side_said() {
    let (ran, _) = run(json!({}), &answer(422, "", "{\"detail\":\"no such customer\"}")).await;
    let error = JobError::from(ran.unwrap_err());
    assert_eq!(
        &*error.message,
        "the far side answered 422 Unprocessable Entity: {\"detail\":\"no such customer\"}"
    );
    let (ran, _) = run(json!({}), &answer(500, "", &"ü".repeat(400))).await;
    let error = JobError::from(ran.unwrap_err());
    assert!(error.message.ends_with('ü') && error.message.len() < 600, "{}", error.message);
}

#[tokio::test]
async fn the_body_is_capped_while_it_is_decoded() {
    for (length, fits) in [(LIMIT - 1, true), (LIMIT, true), (LIMIT + 1, false)] {
        let (ran, _) = run(json!({}), &answer(200, "", &"x".repeat(length))).await;
        assert_eq!(ran.is_ok(), fits, "{length}");
    }
    // 20 bytes more or less that unpack to 100,000.
    let packed: &[u8] = include_bytes!("zeros.gz");
    assert!(packed.len() < LIMIT);
    let mut bomb =
        format!("HTTP/1.1 200 X\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len())
            .into_bytes();
    bomb.extend_from_slice(packed);
    let (ran, _) = run(json!({}), &bomb).await;
    let error = JobError::from(ran.unwrap_err());
    assert_eq!((&*error.code, error.retryable), ("result-too-large", false));
}

#[tokio::test]
async fn a_failure_with_too_large_a_body_is_what_its_status_says() {
    let long = "x".repeat(LIMIT + 1);
    for (status, code, retryable) in
        [(503, "http-503", true), (404, "http-404", false), (200, "result-too-large", false)]
    {
        let (ran, _) = run(json!({}), &answer(status, "retry-after: 9\r\n", &long)).await;
        let failure = ran.unwrap_err();
        let delay = failure.asked_delay().map(|delay| delay.as_secs());
        let error = JobError::from(failure);
        assert_eq!((&*error.code, error.retryable, delay), (code, retryable, retryable.then_some(9)));
    }
    let (ran, _) = run(json!({"expect": [404]}), &answer(404, "", &long)).await;
    assert_eq!(JobError::from(ran.unwrap_err()).code, "result-too-large");
}

#[tokio::test]
async fn what_does_not_answer_is_tried_again() {
    let (ran, _) = run(json!({}), b"not http at all\r\n\r\n").await;
    assert!(JobError::from(ran.unwrap_err()).retryable);
    let (ran, _) = run(json!({}), b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nhalf").await;
    let error = JobError::from(ran.unwrap_err());
    assert_eq!((&*error.code, error.retryable), ("connection-broken", true));
    // Nobody listens.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/?token=s3cret", listener.local_addr().unwrap());
    drop(listener);
    let (cx, _, _) = context("http", 1);
    let error = JobError::from(handler(true).run(http(&json!({"url": url})), &cx).await.unwrap_err());
    assert_eq!((&*error.code, error.retryable), ("connect", true));
    assert!(!error.message.contains("s3cret"), "{}", error.message);
}

#[tokio::test]
async fn a_cancel_ends_the_waiting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (cx, token, _) = context("http", 1);
    let handler = handler(true);
    let accept = async {
        let connection = listener.accept().await.unwrap();
        token.cancel();
        connection
    };
    let (ran, _connection) = tokio::join!(handler.run(http(&json!({"url": url})), &cx), accept);
    assert_eq!(JobError::from(ran.unwrap_err()).code, "canceled");
}

#[tokio::test]
async fn a_target_inside_is_permanent_and_names_the_key() {
    let (cx, _, _) = context("http", 1);
    let error = JobError::from(
        handler(false).run(http(&json!({"url": "http://localhost:1/"})), &cx).await.unwrap_err(),
    );
    assert_eq!((&*error.code, error.retryable), ("target-forbidden", false));
    assert_eq!(&*error.message, "localhost is a loopback address; if it is meant, add it to http.allow");
    let found = handler(false).check(&http(&json!({"url": "http://0x7f.1/"})));
    assert_eq!(found[0].pointer, "/url");
    assert!(found[0].detail.ends_with("add it to http.allow"), "{found:?}");
}

#[test]
fn every_fault_is_named_at_once() {
    assert_eq!(pointers(&json!({"url": "https://a.example/"})), [""; 0]);
    let bad = json!({"url": "ftp://x", "method": "get", "headers": {"a b": "x", "host": "y", "X": 1, "Y": "a\nb"},
        "body": 1, "text": "x", "expect": [], "follow_redirects": "yes", "ulr": 1});
    let wanted = [
        "/ulr",
        "/url",
        "/text",
        "/method",
        "/headers/X",
        "/headers/Y",
        "/headers/a b",
        "/headers/host",
        "/expect",
        "/follow_redirects",
    ];
    assert_eq!(pointers(&bad), wanted);
    assert_eq!(pointers(&json!({})), ["/url"]);
    for no_object in [json!([]), json!(1), json!("x"), Value::Null] {
        assert_eq!(pointers(&no_object), [""]);
    }
}

#[test]
fn limits_hold_at_their_edges() {
    let with = |member: &str, value: Value| {
        let mut payload = json!({"url": "https://a.example/"});
        payload[member] = value;
        pointers(&payload)
    };
    let none: [&str; 0] = [];
    for (length, good) in [(8_191, true), (8_192, true), (8_193, false)] {
        let url = format!("https://a.example/{}", "x".repeat(length - 18));
        assert_eq!(with("url", json!(url)).is_empty(), good, "{length}");
    }
    for (number, good) in [(99, true), (100, true), (101, false)] {
        let headers: Value =
            (0..number).map(|n| (format!("x-{n}"), json!("y"))).collect::<serde_json::Map<_, _>>().into();
        assert_eq!(with("headers", headers).is_empty(), good, "{number}");
    }
    for (status, good) in [(99, false), (100, true), (599, true), (600, false)] {
        assert_eq!(with("expect", json!([status])).is_empty(), good, "{status}");
    }
    for (number, good) in [(0, false), (1, true), (50, true), (51, false)] {
        assert_eq!(with("expect", json!(vec![200; number])).is_empty(), good, "{number}");
    }
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        assert_eq!(with("method", json!(method)), none);
    }
    for method in ["CONNECT", "TRACE", "", "GET ", "BREW"] {
        assert_eq!(with("method", json!(method)), ["/method"]);
    }
}
