//! Which web pages may drive the server, and what they are told.

use backroom::config::AuthMode;
use serde_json::json;

use crate::app::{Answer, TestApp, assert_answer};
use crate::guard::with_tokens;
use crate::raw::Raw;

const ID: &str = "01a1fa71-0000-7000-8000-000000000000";

/// The status of a request with these headers, whose `{}` is the address of the server.
async fn status(app: &TestApp, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let address = app.server.address().to_string();
    let mut request = app.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, value.replace("{}", &address));
    }
    Answer::of(request).await.status.as_u16()
}

#[tokio::test]
async fn a_foreign_page_reads_nothing_new_and_writes_nothing() {
    let app = TestApp::start().await;
    let writes = [
        ("POST", "/api/jobs".to_owned(), 415),
        ("POST", "/api/jobs/batch".to_owned(), 415),
        ("POST", format!("/api/jobs/{ID}/retry"), 404),
        ("DELETE", format!("/api/jobs/{ID}"), 404),
        ("DELETE", "/api/mail".to_owned(), 200),
        ("PUT", "/nowhere".to_owned(), 404),
    ];
    for (method, path, usual) in &writes {
        for headers in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://localhost:1")],
            &[("origin", "http://127.0.0.1")],
            &[("origin", "http://{}/")],
            &[("origin", "http://{}"), ("origin", "http://{}")],
            &[("origin", "http://{}"), ("origin", "http://evil.example")],
            &[("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "")],
        ] {
            assert_eq!(status(&app, method, path, headers).await, 403, "{method} {path} {headers:?}");
        }
        for headers in [
            &[][..],
            &[("origin", "http://{}")],
            &[("origin", "http://{}"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            assert_eq!(status(&app, method, path, headers).await, *usual, "{method} {path} {headers:?}");
        }
    }
    // Reading changes nothing, and without CORS the page does not see the answer.
    let read = Answer::of(app.request("GET", "/api/jobs").header("origin", "http://evil.example")).await;
    assert_eq!(read.status, 200);
    assert!(!read.headers.contains_key("access-control-allow-origin") && !read.headers.contains_key("vary"));
    let write = app
        .request("POST", "/api/jobs")
        .header("origin", "http://evil.example")
        .json(&json!({"kind": "noop"}));
    assert_answer!("guard_origin_forbidden", Answer::of(write).await);
    assert_eq!(app.get("/api/jobs").await.json()["items"], json!([]), "nothing was taken");
    app.stop().await;
}

#[tokio::test]
async fn the_page_of_the_public_url_is_at_home() {
    let app =
        TestApp::with(|config| config.server.public_url = Some("https://jobs.example.com".to_owned())).await;
    let write = async |origin| status(&app, "DELETE", "/api/mail", &[("origin", origin)]).await;
    assert_eq!(write("https://jobs.example.com").await, 200);
    assert_eq!(write("http://jobs.example.com").await, 403);
    assert_eq!(write("https://jobs.example.com:1").await, 403);
    app.stop().await;
}

#[tokio::test]
async fn who_has_a_token_comes_from_where_they_like() {
    let foreign = ("origin", "http://evil.example");
    let app = TestApp::with(with_tokens).await;
    assert_eq!(status(&app, "DELETE", "/api/mail", &[foreign]).await, 401);
    let token = ("authorization", "Bearer operate-012345678");
    assert_eq!(status(&app, "DELETE", "/api/mail", &[foreign, token]).await, 200);
    app.stop().await;
    let app = TestApp::with(|config| config.auth.mode = AuthMode::None).await;
    assert_eq!(status(&app, "DELETE", "/api/mail", &[foreign]).await, 200);
    app.stop().await;
}

#[tokio::test]
async fn what_a_form_can_send_is_not_taken() {
    let app = TestApp::start().await;
    for path in ["/api/jobs".to_owned(), "/api/jobs/batch".to_owned(), format!("/api/jobs/{ID}/retry")] {
        for media in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let form = app.request("POST", &path).header("content-type", media).body(r#"{"kind":"noop"}"#);
            Answer::of(form).await.problem(415, "unsupported-media-type");
        }
        let bare = app.request("POST", &path).body(r#"{"kind":"noop"}"#);
        Answer::of(bare).await.problem(415, "unsupported-media-type");
    }
    let json = app.request("POST", &format!("/api/jobs/{ID}/retry")).json(&json!({}));
    Answer::of(json).await.problem(404, "job-not-found");
    app.stop().await;
}

#[tokio::test]
async fn pages_that_are_named_may_use_the_server() {
    let page = "https://app.example";
    let app = TestApp::with(|config| {
        config.server.cors_origins = vec![page.to_owned(), "http://localhost:3000".to_owned()];
    })
    .await;
    let from = |method, path, origin| app.request(method, path).header("origin", origin);
    let preflight = from("OPTIONS", "/api/jobs", page)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    assert_answer!("guard_preflight", Answer::of(preflight).await);
    let write = from("POST", "/api/jobs", page).json(&json!({"kind": "noop"}));
    let accepted = Answer::of(write).await;
    assert_eq!((accepted.status.as_u16(), accepted.header("access-control-allow-origin")), (202, page));
    assert!(accepted.header("access-control-expose-headers").contains("Location"));
    assert_answer!("guard_cors_read", Answer::of(from("GET", "/livez", page)).await);
    assert_answer!("guard_cors_problem", Answer::of(from("GET", "/nowhere", page)).await);

    // Of another page nothing is said but that it would make a difference.
    for other in
        ["https://evil.example", "null", "https://app.example:444", "https://app.example.evil.example"]
    {
        let read = Answer::of(from("GET", "/livez", other)).await;
        assert_eq!((read.status.as_u16(), read.header("vary")), (200, "Origin"), "{other}");
        assert!(!read.headers.contains_key("access-control-allow-origin"), "{other}");
        let preflight = from("OPTIONS", "/api/jobs", other).header("access-control-request-method", "POST");
        let preflight = Answer::of(preflight).await;
        preflight.problem(405, "method-not-allowed");
        assert!(!preflight.headers.contains_key("access-control-allow-methods"), "{other}");
        assert_eq!(status(&app, "DELETE", "/api/mail", &[("origin", other)]).await, 403, "{other}");
    }
    assert_eq!(app.get("/livez").await.header("vary"), "Origin");
    // OPTIONS without the question is no preflight, and a foreign name is refused before.
    assert_eq!(Answer::of(from("OPTIONS", "/api/jobs", page)).await.status, 405);
    let rebound = from("OPTIONS", "/api/jobs", page).header("access-control-request-method", "POST");
    assert_eq!(Answer::of(rebound.header("host", "evil.example")).await.status, 421);
    app.stop().await;
}

#[tokio::test]
async fn a_page_reads_refusals_too() {
    let app = TestApp::with(|config| {
        with_tokens(config);
        config.server.cors_origins = vec!["*".to_owned()];
        config.server.body_limit = 1_024;
    })
    .await;
    let from = |method, path| app.request(method, path).header("origin", "https://any.example");
    let preflight = from("OPTIONS", "/api/jobs").header("access-control-request-method", "POST");
    let large = from("POST", "/api/jobs").body("x".repeat(1_025));
    for (request, status) in [
        (preflight, 204),
        (from("GET", "/api/jobs"), 401),
        (large, 413),
        (from("PUT", "/livez"), 405),
        (from("GET", "/livez"), 200),
    ] {
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(answer.header("access-control-expose-headers").contains("WWW-Authenticate"));
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        assert!(!answer.headers.contains_key("vary"), "the answer is the same for every page");
    }
    // A preflight with a body, which no browser sends, leaves the connection usable.
    let mut raw = Raw::connect(&app).await;
    for _ in 0..2 {
        raw.send(
            "OPTIONS /api/jobs HTTP/1.1\r\nhost: x\r\norigin: https://a.example\r\naccess-control-request-method: POST\r\n\
             content-length: 3\r\n\r\nabc",
        )
        .await;
        assert_eq!(raw.answer().await.status, 204);
    }
    app.stop().await;
}
