//! Clients that are slow, or many: each is cut off when its time is over, and until then hurts nobody.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::app::{TestApp, within};
use crate::raw::Raw;

const MANY: usize = 100;
const MINUTE: Duration = Duration::from_mins(1);
/// Short enough to wait for, long enough for a whole request on a busy machine.
const SHORT: Duration = Duration::from_millis(700);

const GET: &str = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
const HALF_A_HEAD: &str = "GET /livez HTTP/1.1\r\nhost: localhost\r\nx-slow";
const BODY: &str = r#"{"kind":"noop"}"#;

fn post(framing: &str) -> String {
    format!(
        "POST /api/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
    )
}

/// Sends one byte after another, with a little time between them, until the server has an answer.
async fn drip(raw: &mut Raw, byte: &str) -> u16 {
    // The pace is the input of these tests: slow, but never silent.
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    loop {
        tokio::select! {
            answer = raw.answer() => return answer.status,
            _ = pace.tick() => raw.send(byte).await,
        }
    }
}

#[tokio::test]
async fn slow_clients_hurt_nobody() {
    let app = TestApp::with(|config| {
        config.server.header_timeout = MINUTE;
        config.server.body_timeout = MINUTE;
    })
    .await;
    let (mut heads, mut bodies) = (Vec::new(), Vec::new());
    for _ in 0..MANY {
        let mut raw = Raw::connect(&app).await;
        raw.send(HALF_A_HEAD).await;
        heads.push(raw);
        let mut raw = Raw::connect(&app).await;
        raw.send(post(&format!("content-length: {}\r\nexpect: 100-continue", BODY.len()))).await;
        // From here on the server waits for this body.
        assert_eq!(raw.answer().await.status, 100);
        raw.send(&BODY[..5]).await;
        bodies.push(raw);
    }
    // One thread answers all of them, and everybody else.
    for _ in 0..20 {
        app.submit(&json!({"kind": "noop"})).await;
        assert_eq!(app.get("/readyz").await.status, 200);
    }
    // None of them was cut off for that: they are only slow.
    for raw in &mut heads {
        raw.send(": 1\r\n\r\n").await;
        assert_eq!(raw.answer().await.status, 200);
    }
    for raw in &mut bodies {
        raw.send(&BODY[5..]).await;
        assert_eq!(raw.answer().await.status, 202);
    }
    app.stop().await;
}

#[tokio::test]
async fn every_slow_head_is_cut_the_first_and_the_later_ones() {
    let app = TestApp::with(|config| config.server.header_timeout = SHORT).await;
    let cut = |before: usize| {
        let app = &app;
        async move {
            let mut raw = Raw::connect(app).await;
            for _ in 0..before {
                raw.send(GET).await;
                assert_eq!(raw.answer().await.status, 200);
            }
            raw.send(HALF_A_HEAD).await;
            let answer = raw.answer().await;
            assert_eq!((answer.status, answer.body.as_str()), (408, ""), "after {before}");
            assert!(raw.is_closed().await, "after {before}");
        }
    };
    let all = join_all((0..2 * MANY).map(|number| cut(number % 3)));
    within("all of them to be cut", all).await;
    assert_eq!(app.get("/livez").await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn dripping_does_not_extend_a_deadline() {
    let app = TestApp::with(|config| {
        config.server.header_timeout = SHORT;
        config.server.body_timeout = SHORT;
    })
    .await;
    let mut first = Raw::connect(&app).await;
    first.send("GET /livez HTTP/1.1\r\nhost: localhost\r\nx: ").await;
    let mut later = Raw::connect(&app).await;
    later.send(GET).await;
    assert_eq!(later.answer().await.status, 200);
    later.send("GET /livez HTTP/1.1\r\nhost: localhost\r\nx: ").await;
    let mut body = Raw::connect(&app).await;
    body.send(post("content-length: 100000")).await;
    let mut chunked = Raw::connect(&app).await;
    chunked.send(post("transfer-encoding: chunked")).await;
    let all = async {
        tokio::join!(
            drip(&mut first, "y"),
            drip(&mut later, "y"),
            drip(&mut body, " "),
            drip(&mut chunked, "1\r\n \r\n")
        )
    };
    assert_eq!(within("all of them to be cut", all).await, (408, 408, 408, 408));
    app.stop().await;
}

#[tokio::test]
async fn a_connection_that_rests_is_not_taken_for_a_slow_one() {
    let app = TestApp::with(|config| config.server.header_timeout = SHORT).await;
    let id = app.hold().await;
    let mut resting = Raw::connect(&app).await;
    resting.send(GET).await;
    assert_eq!(resting.answer().await.status, 200);
    // An answer that takes its time is none either, nor what is sent meanwhile.
    let mut waiting = Raw::connect(&app).await;
    waiting
        .send(format!("GET /api/jobs/{id} HTTP/1.1\r\nhost: localhost\r\nprefer: wait=60\r\n\r\nGET /liv"))
        .await;
    // A slow one that came last is cut: the deadlines of the others would have passed before.
    let mut slow = Raw::connect(&app).await;
    slow.send(HALF_A_HEAD).await;
    assert_eq!(slow.answer().await.status, 408);
    resting.send(GET).await;
    assert_eq!(resting.answer().await.status, 200);
    app.let_go(1);
    assert_eq!(waiting.answer().await.status, 200);
    waiting.send("ez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(waiting.answer().await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_refused_and_cut() {
    let app = TestApp::with(|config| config.server.body_timeout = Duration::from_millis(100)).await;
    for line in ["POST /api/jobs", "POST /api/jobs/batch", "DELETE /nowhere", "GET /livez", "PATCH /api/jobs"]
    {
        for framing in ["content-length: 50", "transfer-encoding: chunked"] {
            let mut raw = Raw::connect(&app).await;
            let head = format!(
                "{line} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
            );
            raw.send(head).await;
            raw.send(if framing.ends_with("chunked") { "5\r\n{\"kin\r\n" } else { "{\"kin" }).await;
            let answer = raw.answer().await;
            assert_eq!(answer.status, 408, "{line} {framing}");
            assert_eq!(answer.headers["connection"], "close");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(problem["type"], "/problems/request-timeout");
            assert!(problem["detail"].as_str().unwrap().contains("100ms"), "{problem}");
            assert!(raw.is_closed().await, "{line} {framing}");
        }
    }
    assert_eq!(app.get("/api/jobs").await.json()["items"], json!([]), "half a job is none");
    app.stop().await;
}

#[tokio::test]
async fn who_goes_on_after_a_refusal_is_cut() {
    let app = TestApp::with(|config| config.server.body_limit = 1024).await;
    for framing in ["content-length: 99999999999", "transfer-encoding: chunked"] {
        let mut stream = TcpStream::connect(app.server.address()).await.unwrap();
        stream.write_all(post(framing).as_bytes()).await.unwrap();
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let flooding = async { while stream.write_all(chunk.as_bytes()).await.is_ok() {} };
        within("the end of the connection", flooding).await;
    }
    // And who stops in the middle of a body that nobody wants any more.
    let mut raw = Raw::connect(&app).await;
    raw.send(post("transfer-encoding: chunked")).await;
    raw.send(format!("10000\r\n{}", "x".repeat(0x1000))).await;
    assert_eq!(raw.answer().await.status, 413);
    assert!(raw.is_closed().await);
    app.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut() {
    const LARGE: usize = 48 << 20;
    let app = TestApp::with(|config| {
        config.limits.result = 2 * LARGE;
        config.server.write_timeout = SHORT;
        // Whoever comes next is answered when the one before is gone.
        config.server.max_connections = 1;
        config.server.keep_alive = Duration::ZERO;
    })
    .await;
    let id = app.act(&json!({"bytes": LARGE})).await;
    app.until(&id, backroom::job::StateName::Completed).await;
    // Who takes all of it, gets all of it.
    let path = format!("/api/jobs/{id}/result");
    let whole = app.get(&path).await.body.len();
    assert!(whole >= LARGE, "{whole}");

    let mut stream = TcpStream::connect(app.server.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    assert_eq!(app.get("/livez").await.status, 200, "the one that takes nothing is gone");
    let mut rest = Vec::new();
    let _ = within("the end of what was sent", stream.read_to_end(&mut rest)).await;
    assert!(rest.len() < LARGE, "all {} bytes were sent", rest.len());
    app.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_waits_for_its_turn() {
    let app = TestApp::with(|config| {
        config.server.max_connections = 3;
        // More than connections: the bound holds over all threads.
        config.server.http_workers = 8;
        config.server.keep_alive = MINUTE;
    })
    .await;
    let mut served = Vec::new();
    for _ in 0..3 {
        let mut raw = Raw::connect(&app).await;
        raw.send(GET).await;
        assert_eq!(raw.answer().await.status, 200);
        served.push(raw);
    }
    // It connects, because the kernel does that, and is not heard.
    let mut waiting = Raw::connect(&app).await;
    waiting.send(post(&format!("content-length: {}", BODY.len())) + BODY).await;
    for _ in 0..50 {
        for raw in &mut served {
            raw.send("GET /api/jobs HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
            assert_eq!(raw.answer().await.body, r#"{"items":[],"next_cursor":null,"next":null}"#);
        }
    }
    served.pop();
    assert_eq!(waiting.answer().await.status, 202);
    drop((served, waiting));
    app.stop().await;
}

#[tokio::test]
async fn a_head_has_its_bounds() {
    // The largest value of one header with which the whole head has 64 KiB.
    const AROUND: usize = (64 << 10) - "GET /livez HTTP/1.1\r\nhost: localhost\r\nx-1: \r\n\r\n".len();
    let app = TestApp::start().await;
    let head = |headers: usize, size: usize| {
        let more = format!("x-1: {}\r\n", "y".repeat(size)).repeat(headers - 1);
        format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{more}\r\n")
    };
    for (headers, size, status) in
        [(95, 1, 200), (96, 1, 200), (97, 1, 431), (2, AROUND, 200), (2, AROUND + 1, 431), (2, 1 << 20, 431)]
    {
        let mut raw = Raw::connect(&app).await;
        raw.send(head(headers, size)).await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, status, "{headers} headers of {size}");
        if status == 431 {
            // The status alone: there was no request yet.
            assert_eq!(answer.body, "");
            assert!(!answer.headers.contains_key("x-request-id"));
        }
    }
    // What comes behind a head does not count.
    let body = format!(r#"{{"kind":"noop","payload":{{"a":"{}"}}}}"#, "x".repeat(200 << 10));
    let mut raw = Raw::connect(&app).await;
    for _ in 0..3 {
        raw.send(post(&format!("content-length: {}", body.len())) + &body).await;
        assert_eq!(raw.answer().await.status, 202);
    }
    raw.send(GET.repeat(4_000)).await;
    for _ in 0..4_000 {
        assert_eq!(raw.answer().await.status, 200);
    }
    app.stop().await;
}
