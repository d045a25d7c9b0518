//! What goes over the wire: connections that live on, bodies in every form, old and hasty clients.

use std::time::Duration;

use backroom::job::StateName;
use serde_json::{Value, json};

use crate::app::TestApp;
use crate::raw::{Raw, RawAnswer};

const ID: &str = "01a1fa71-0000-7000-8000-000000000000";

/// How a body can be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Announced,
    Chunked,
    /// Asks before it sends.
    Expecting,
    ExpectingChunked,
    None,
}

const FORMS: [Form; 5] =
    [Form::Announced, Form::Chunked, Form::Expecting, Form::ExpectingChunked, Form::None];

fn chunked(body: &str) -> String {
    let (one, two) = body.split_at(body.len() / 2);
    let chunks = [one, two].map(|chunk| {
        if chunk.is_empty() { String::new() } else { format!("{:x}\r\n{chunk}\r\n", chunk.len()) }
    });
    chunks.concat() + "0\r\n\r\n"
}

/// Sends a request with a body and reads the answer.
async fn exchange(raw: &mut Raw, line: &str, headers: &str, body: &str, form: Form) -> RawAnswer {
    let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\n{headers}");
    let length = format!("content-length: {}\r\n", body.len());
    match form {
        Form::Announced => raw.send(format!("{head}{length}\r\n{body}")).await,
        Form::Chunked => {
            raw.send(format!("{head}transfer-encoding: chunked\r\n\r\n{}", chunked(body))).await;
        }
        Form::Expecting | Form::ExpectingChunked => {
            let (framing, body) = if form == Form::Expecting {
                (length, body.to_owned())
            } else {
                ("transfer-encoding: chunked\r\n".to_owned(), chunked(body))
            };
            raw.send(format!("{head}{framing}expect: 100-continue\r\n\r\n")).await;
            let go_on = raw.answer().await;
            assert_eq!(go_on.status, 100, "{line}");
            raw.send(body).await;
        }
        Form::None => raw.send(format!("{head}\r\n")).await,
    }
    if line.starts_with("HEAD") { raw.head_answer().await } else { raw.answer().await }
}

async fn is_usable(raw: &mut Raw) {
    raw.send("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let next = raw.answer().await;
    assert_eq!((next.status, next.body.as_str()), (200, "ok\n"));
}

#[tokio::test]
async fn the_connection_lives_on_after_every_refusal() {
    let app = TestApp::with(|config| {
        crate::app::narrow(config, 1);
        config.limits.payload = 100;
    })
    .await;
    app.hold().await;
    app.act(&json!({})).await;
    let json = "content-type: application/json\r\n";
    let large = format!(r#"{{"kind":"noop","payload":{{"a":"{}"}}}}"#, "x".repeat(200));
    let noop = r#"{"kind":"noop","payload":{}}"#;
    let job = format!("/api/jobs/{ID}");
    let requests: Vec<(String, &str, &str, u16)> = vec![
        ("POST /api/jobs".into(), json, "{\"kind\":", 400),
        ("POST /api/jobs/batch".into(), json, "{\"jobs\":[", 400),
        ("POST /nowhere".into(), json, noop, 404),
        ("PUT /".into(), "", noop, 404),
        (format!("POST {job}/retry"), json, noop, 404),
        (format!("DELETE {job}"), json, noop, 404),
        (format!("GET {job}"), json, noop, 404),
        (format!("GET {job}/status"), json, noop, 404),
        (format!("GET {job}/result"), "", noop, 404),
        (format!("HEAD {job}"), "", noop, 404),
        ("GET /api/queues/x".into(), "", noop, 404),
        ("GET /api/mail/x".into(), "", noop, 404),
        ("GET /problems/x".into(), "", noop, 404),
        ("GET /api/jobs?limit=0".into(), "", noop, 422),
        ("GET /api/jobs?cursor=0".into(), "", noop, 400),
        ("GET /api/jobs".into(), "", noop, 200),
        ("GET /readyz".into(), "", noop, 200),
        ("DELETE /api/mail".into(), "", noop, 200),
        ("PATCH /api/jobs".into(), json, noop, 405),
        ("PUT /livez".into(), "", noop, 405),
        ("POST /api/jobs".into(), "", noop, 415),
        ("POST /api/jobs/batch".into(), "content-type: text/plain\r\n", noop, 415),
        ("POST /api/jobs".into(), json, "{\"kind\":\"nope\"}", 422),
        ("POST /api/jobs/batch".into(), json, noop, 422),
        ("POST /api/jobs".into(), json, &large, 413),
        ("POST /api/jobs".into(), json, noop, 503),
    ];
    let mut raw = Raw::connect(&app).await;
    for (line, headers, body, status) in &requests {
        for form in FORMS {
            let bare = form == Form::None;
            let answer = exchange(&mut raw, line, headers, body, form).await;
            // Without a body some are refused for that first.
            if bare && line.starts_with("POST /api/jobs") && !line.ends_with("retry") {
                assert!([400, 415].contains(&answer.status), "{line} {form:?}");
            } else {
                assert_eq!(answer.status, *status, "{line} {form:?}: {}", answer.body);
            }
            assert!(!answer.headers.contains_key("connection"), "{line} {form:?}");
            is_usable(&mut raw).await;
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_ends_the_connection() {
    let app = TestApp::with(|config| config.server.body_limit = 1024).await;
    let body = "x".repeat(1025);
    let lines = ["POST /api/jobs", "POST /api/jobs/batch", "PUT /livez", "DELETE /nowhere", "GET /livez"];
    let refused = |line: &'static str, form: Form| {
        let (app, body) = (&app, &body);
        async move {
            let mut raw = Raw::connect(app).await;
            let answer = exchange(&mut raw, line, "", body, form).await;
            assert_eq!(answer.status, 413, "{line} {form:?}");
            assert_eq!(answer.headers["connection"], "close");
            let problem: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(problem["type"], "/problems/payload-too-large");
            assert!(raw.is_closed().await, "{line} {form:?}");
        }
    };
    // All at the same time, because the server lingers for a second, so that the answer gets through.
    let forms = FORMS.into_iter().filter(|form| *form != Form::None);
    let all = forms.flat_map(|form| lines.map(|line| refused(line, form)));
    futures_util::future::join_all(all).await;
    // One that announces too much is refused before it has sent anything.
    let mut raw = Raw::connect(&app).await;
    raw.send("POST /api/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n").await;
    assert_eq!(raw.answer().await.status, 413);
    // One that sends all of it before it listens gets its answer too: the rest is read away for it.
    let mut raw = Raw::connect(&app).await;
    let body = "x".repeat(16 << 20);
    let answer = exchange(&mut raw, "POST /api/jobs", "", &body, Form::Announced).await;
    assert_eq!(answer.status, 413);
    // And one that goes on and on is refused.
    let mut raw = Raw::connect(&app).await;
    raw.send("POST /api/jobs HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n").await;
    raw.send(format!("400\r\n{}\r\n", "x".repeat(1024))).await;
    raw.send("1\r\nx\r\n").await;
    assert_eq!(raw.answer().await.status, 413);
    app.stop().await;
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let app = TestApp::start().await;
    let mut raw = Raw::connect(&app).await;
    let post = |kind: &str| {
        let body = format!("{{\"kind\":\"{kind}\"}}");
        let length = body.len();
        format!(
            "POST /api/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             \r\n{body}"
        )
    };
    let get = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let bodied = "GET /readyz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nGET /";
    raw.send([&post("noop"), get, &post("nope"), bodied, &post("noop"), get].concat()).await;
    for expected in [202, 200, 422, 200, 202, 200] {
        assert_eq!(raw.answer().await.status, expected);
    }
    app.stop().await;
}

#[tokio::test]
async fn an_old_client_is_answered() {
    let app = TestApp::start().await;
    let mut raw = Raw::connect(&app).await;
    raw.send("GET /livez HTTP/1.0\r\n\r\n").await;
    let answer = raw.answer().await;
    assert_eq!((answer.version.as_str(), answer.status, answer.body.as_str()), ("HTTP/1.0", 200, "ok\n"));
    assert!(raw.is_closed().await);

    let mut raw = Raw::connect(&app).await;
    let body = r#"{"kind":"noop"}"#;
    raw.send(format!(
        "POST /api/jobs HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await;
    assert_eq!(raw.answer().await.status, 202);
    assert!(raw.is_closed().await);

    // One that asks for it keeps its connection.
    let mut raw = Raw::connect(&app).await;
    for _ in 0..2 {
        raw.send("GET /nowhere HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
        assert_eq!(raw.answer().await.status, 404);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_client_that_wants_to_close_is_closed() {
    let app = TestApp::start().await;
    let mut raw = Raw::connect(&app).await;
    raw.send("GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    let answer = raw.answer().await;
    assert_eq!((answer.status, answer.headers["connection"].as_str()), (200, "close"));
    assert!(raw.is_closed().await);
    app.stop().await;

    let app = TestApp::with(|config| config.server.keep_alive = Duration::ZERO).await;
    let mut raw = Raw::connect(&app).await;
    raw.send("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let answer = raw.answer().await;
    assert_eq!((answer.status, answer.headers["connection"].as_str()), (200, "close"));
    assert!(raw.is_closed().await);
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_closed() {
    let app = TestApp::start().await;
    for request in [
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n",
        "POST /api/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /api/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "POST /api/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
    ] {
        let mut raw = Raw::connect(&app).await;
        raw.send(request).await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, 400, "{request:?}");
        assert!(raw.is_closed().await, "{request:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_chunked_body_that_breaks_off_is_malformed() {
    let app = TestApp::start().await;
    let mut raw = Raw::connect(&app).await;
    raw.send("POST /api/jobs HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").await;
    let answer = raw.answer().await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(raw.is_closed().await);
    // The server is as it was.
    assert_eq!(app.get("/livez").await.status, 200);
    assert_eq!(app.get("/api/jobs").await.json()["items"], json!([]));
    app.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_or_too_slow_is_refused() {
    let app = TestApp::start().await;
    let mut raw = Raw::connect(&app).await;
    raw.send(format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(200_000))).await;
    assert_eq!(raw.answer().await.status, 431);
    app.stop().await;

    // An app of its own: the large head may take longer than that.
    let app = TestApp::with(|config| config.server.header_timeout = Duration::from_millis(10)).await;
    let mut raw = Raw::connect(&app).await;
    raw.send("GET /livez HT").await;
    assert_eq!(raw.answer().await.status, 408);
    assert!(raw.is_closed().await);
    app.stop().await;
}

#[tokio::test]
async fn a_connection_that_breaks_off_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let mut raw = Raw::connect(&app).await;
    raw.send("POST /api/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{\"kind\":")
        .await;
    drop(raw);
    let id = app.hold().await;
    // Whoever waits and leaves gives up the waiting, not the job.
    let mut raw = Raw::connect(&app).await;
    raw.send(format!("GET /api/jobs/{id} HTTP/1.1\r\nhost: localhost\r\nprefer: wait=60\r\n\r\n")).await;
    drop(raw);
    app.let_go(1);
    app.until(&id, StateName::Completed).await;
    assert_eq!(app.get("/api/jobs").await.json()["items"].as_array().unwrap().len(), 1);
    app.stop().await;
}
