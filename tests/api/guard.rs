//! Who may do what: every route, every method, every role.

use std::collections::BTreeSet;

use backroom::config::{Config, Role, Token};
use reqwest::RequestBuilder;
use serde_json::json;

use crate::app::{Answer, TestApp, assert_answer};
use crate::raw::Raw;

const ID: &str = "01a1fa71-0000-7000-8000-000000000000";

const SUBMIT: Option<Role> = Some(Role::Submit);
const READ: Option<Role> = Some(Role::Read);
const OPERATE: Option<Role> = Some(Role::Operate);

/// Where the role `read` is as good as `submit`: what lists show can be asked for by its id.
pub(crate) const READABLE: [&str; 8] = [
    "/api/jobs/{id}",
    "/api/jobs/{id}/status",
    "/api/jobs/{id}/result",
    "/api/jobs/{id}/log",
    "/api/jobs/{id}/deliveries",
    "/api/jobs/{id}/events",
    "/hubs/jobs",
    "/hubs/jobs/negotiate",
];

/// Every path with its methods and the role that each needs (contract, section 10).
pub(crate) const ROUTES: &[(&str, &str, Option<Role>)] = &[
    ("/api/jobs", "GET", READ),
    ("/api/jobs", "HEAD", READ),
    ("/api/jobs", "POST", SUBMIT),
    ("/api/jobs/batch", "POST", SUBMIT),
    ("/api/jobs/{id}", "GET", SUBMIT),
    ("/api/jobs/{id}", "HEAD", SUBMIT),
    ("/api/jobs/{id}", "DELETE", SUBMIT),
    ("/api/jobs/{id}/status", "GET", SUBMIT),
    ("/api/jobs/{id}/status", "HEAD", SUBMIT),
    ("/api/jobs/{id}/result", "GET", SUBMIT),
    ("/api/jobs/{id}/result", "HEAD", SUBMIT),
    ("/api/jobs/{id}/log", "GET", SUBMIT),
    ("/api/jobs/{id}/log", "HEAD", SUBMIT),
    ("/api/jobs/{id}/deliveries", "GET", SUBMIT),
    ("/api/jobs/{id}/deliveries", "HEAD", SUBMIT),
    ("/api/jobs/{id}/events", "GET", SUBMIT),
    ("/api/jobs/{id}/events", "HEAD", SUBMIT),
    ("/api/events", "GET", READ),
    ("/api/events", "HEAD", READ),
    ("/api/jobs/{id}/payload", "GET", OPERATE),
    ("/api/jobs/{id}/payload", "HEAD", OPERATE),
    ("/api/jobs/{id}/retry", "POST", OPERATE),
    ("/api/kinds", "GET", READ),
    ("/api/kinds", "HEAD", READ),
    ("/api/dead-letters", "DELETE", OPERATE),
    ("/api/dead-letters/redrive", "POST", OPERATE),
    ("/api/queues", "GET", READ),
    ("/api/queues", "HEAD", READ),
    ("/api/queues/{name}", "GET", READ),
    ("/api/queues/{name}", "HEAD", READ),
    ("/api/queues/{name}", "PATCH", OPERATE),
    ("/api/schedules", "GET", READ),
    ("/api/schedules", "HEAD", READ),
    ("/api/schedules/{name}", "GET", READ),
    ("/api/schedules/{name}", "HEAD", READ),
    ("/api/schedules/{name}", "PATCH", OPERATE),
    ("/api/schedules/{name}/run", "POST", OPERATE),
    ("/api/mail", "GET", READ),
    ("/api/mail", "HEAD", READ),
    ("/api/mail", "DELETE", OPERATE),
    ("/api/mail/{id}", "GET", READ),
    ("/api/mail/{id}", "HEAD", READ),
    ("/api/mail/{id}/raw", "GET", READ),
    ("/api/mail/{id}/raw", "HEAD", READ),
    ("/metrics", "GET", READ),
    ("/metrics", "HEAD", READ),
    ("/hubs/jobs", "GET", SUBMIT),
    ("/hubs/jobs", "HEAD", SUBMIT),
    ("/hubs/jobs", "POST", SUBMIT),
    ("/hubs/jobs", "DELETE", SUBMIT),
    ("/hubs/jobs/negotiate", "POST", SUBMIT),
    ("/livez", "GET", None),
    ("/livez", "HEAD", None),
    ("/readyz", "GET", None),
    ("/readyz", "HEAD", None),
    ("/problems/{slug}", "GET", None),
    ("/problems/{slug}", "HEAD", None),
    ("/openapi.json", "GET", None),
    ("/openapi.json", "HEAD", None),
    ("/docs", "GET", None),
    ("/docs", "HEAD", None),
];

/// Has a token of its own, that of an attempt: `tests/push`.
pub(crate) const OF_AN_ATTEMPT: &str = "/api/jobs/{id}/progress";

/// Tokens by their roles. The first is nobody's.
const CALLERS: &[(&str, &[Role])] = &[
    ("nobody-0123456789", &[]),
    ("submit-0123456789", &[Role::Submit]),
    ("read-0123456789ab", &[Role::Read]),
    ("operate-012345678", &[Role::Operate]),
    ("both-0123456789ab", &[Role::Submit, Role::Read]),
];

pub(crate) fn with_tokens(config: &mut Config) {
    for (token, roles) in &CALLERS[1..] {
        let name = token.split('-').next().unwrap().to_owned();
        config.auth.tokens.push(Token { name, token: (*token).into(), roles: roles.to_vec() });
    }
}

fn may(roles: &[Role], needed: Option<Role>) -> bool {
    needed.is_none_or(|needed| roles.contains(&needed) || roles.contains(&Role::Operate))
}

pub(crate) fn real(path: &str) -> String {
    // An answer without end would be waited for: what is wrong with its parameters is looked at after the role.
    let path = if path == "/api/events" { "/api/events?wrong=1" } else { path };
    path.replace("{id}", ID).replace("{name}", "default").replace("{slug}", "internal")
}

fn ask(app: &TestApp, method: &str, path: &str) -> RequestBuilder {
    app.request(method, path).header("content-type", "application/json").body("{")
}

#[test]
fn the_table_has_every_route() {
    let source = include_str!("../../src/http/routes.rs");
    let mounted: BTreeSet<&str> =
        source.split("at(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let listed: BTreeSet<&str> = ROUTES.iter().map(|(path, ..)| *path).chain([OF_AN_ATTEMPT]).collect();
    assert_eq!(mounted, listed);
    assert!(mounted.len() > 10, "routes.rs has another form; look at this test again");
}

#[tokio::test]
async fn every_route_asks_for_its_role() {
    let app = TestApp::with(with_tokens).await;
    for (template, method, needed) in ROUTES {
        let path = real(template);
        let bare = Answer::of(ask(&app, method, &path)).await;
        assert_eq!(bare.status == 401, needed.is_some(), "{method} {path}: {}", bare.status);
        for (token, roles) in CALLERS {
            let answer = Answer::of(ask(&app, method, &path).bearer_auth(token)).await;
            let status = answer.status.as_u16();
            let also_read =
                READABLE.contains(template) && (*method, *template) != ("DELETE", "/api/jobs/{id}");
            if may(roles, *needed) || (also_read && may(roles, READ)) {
                assert!(![401, 403, 405].contains(&status), "{token}: {method} {path}: {status}");
                continue;
            }
            assert_eq!(status, if roles.is_empty() { 401 } else { 403 }, "{token}: {method} {path}");
            if status == 401 {
                let want = "Bearer realm=\"backroom\", error=\"invalid_token\"";
                assert_eq!(answer.header("www-authenticate"), want);
            } else if *method != "HEAD" {
                assert_eq!(answer.problem(403, "forbidden")["role"], needed.unwrap().as_str());
            }
        }
    }
    // The methods that a path says it knows are those of the table, and what it does not know needs no token.
    let paths: BTreeSet<&str> = ROUTES.iter().map(|(path, ..)| *path).collect();
    for path in paths {
        let methods: Vec<&str> = ROUTES.iter().filter(|route| route.0 == path).map(|route| route.1).collect();
        let answer = Answer::of(ask(&app, "PUT", &real(path))).await;
        assert_eq!(answer.problem(405, "method-not-allowed")["allow"], methods.join(", "));
    }
    assert_eq!(Answer::of(ask(&app, "POST", "/nowhere")).await.status, 404);
    app.stop().await;
}

#[tokio::test]
async fn a_refusal_says_what_is_missing() {
    let app = TestApp::with(with_tokens).await;
    assert_answer!("guard_unauthorized", app.get("/api/jobs").await);
    let with = |method, path, token: &str| Answer::of(app.request(method, path).bearer_auth(token));
    assert_answer!("guard_invalid_token", with("GET", "/api/jobs", "nobody").await);
    assert_answer!("guard_forbidden", with("GET", "/api/jobs", "submit-0123456789").await);
    app.stop().await;
}

#[tokio::test]
async fn a_token_lets_a_job_through_from_end_to_end() {
    let app = TestApp::with(with_tokens).await;
    let submit = app.request("POST", "/api/jobs").header("prefer", "wait=20").json(&json!({"kind": "noop"}));
    let answer = Answer::of(submit.bearer_auth("submit-0123456789")).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let result = app.request("GET", answer.header("location")).bearer_auth("submit-0123456789");
    assert_eq!(Answer::of(result).await.status, 200);
    let list = Answer::of(app.request("GET", "/api/jobs").bearer_auth("read-0123456789ab")).await;
    assert_eq!(list.json()["items"].as_array().unwrap().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn nothing_of_a_refused_request_is_looked_at() {
    let app = TestApp::with(with_tokens).await;
    for (path, body) in [("/api/jobs", r#"{"kind":"noop"}"#), ("/api/jobs", "{"), ("/api/jobs/batch", "[]")] {
        let post = || app.request("POST", path).header("content-type", "application/json").body(body);
        Answer::of(post()).await.problem(401, "unauthorized");
        Answer::of(post().bearer_auth("read-0123456789ab")).await.problem(403, "forbidden");
    }
    let list = app.request("GET", "/api/jobs?limit=0").bearer_auth("submit-0123456789");
    Answer::of(list).await.problem(403, "forbidden");
    let list = Answer::of(app.request("GET", "/api/jobs").bearer_auth("read-0123456789ab")).await;
    assert_eq!(list.json()["items"], json!([]), "nothing was taken");
    app.stop().await;
}

#[tokio::test]
async fn authorization_is_one_header_with_one_token() {
    let app = TestApp::with(with_tokens).await;
    let token = "submit-0123456789";
    for (headers, status) in [
        (format!("authorization: bearer {token}\r\n"), 404),
        (format!("AUTHORIZATION: BEARER   {token}  \r\n"), 404),
        (format!("authorization: Basic {token}\r\n"), 401),
        (format!("authorization: {token}\r\n"), 401),
        (format!("authorization: Bearer{token}\r\n"), 401),
        (format!("authorization: Bearer {token} x\r\n"), 401),
        (format!("authorization: Bearer \"{token}\"\r\n"), 401),
        (format!("authorization: Bearer {}\r\n", token.to_uppercase()), 401),
        (format!("authorization: Bearer {}\r\n", &token[1..]), 401),
        ("authorization: Bearer\r\n".to_owned(), 401),
        ("authorization:\r\n".to_owned(), 401),
        (String::new(), 401),
        (format!("authorization: Bearer {token}\r\nauthorization: Bearer {token}\r\n"), 400),
        (format!("authorization: Bearer {token}\r\nauthorization: Basic x\r\n"), 400),
    ] {
        let mut raw = Raw::connect(&app).await;
        raw.send(format!("GET /api/jobs/{ID} HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
        assert!(!answer.body.contains("0123456789"), "{}", answer.body);
    }
    // `?access_token=` is for event streams alone.
    let answer = app.get(&format!("/api/jobs/{ID}?access_token={token}")).await;
    assert_eq!(answer.status, 401);
    app.stop().await;
}

#[tokio::test]
async fn the_connection_lives_on_after_a_refusal_if_the_body_has_an_end() {
    let app = TestApp::with(|config| {
        with_tokens(config);
        config.server.body_limit = 1_024;
        config.server.allowed_hosts = vec!["jobs.example.com".to_owned()];
    })
    .await;
    let mut raw = Raw::connect(&app).await;
    for (host, length, status) in
        [("localhost", 1_024, 401), ("evil.example", 1_024, 421), ("localhost", 0, 401)]
    {
        let body = "x".repeat(length);
        for framing in [
            format!("content-length: {length}\r\n\r\n{body}"),
            format!("transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
                .replace("0\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
        ] {
            raw.send(format!("POST /api/jobs HTTP/1.1\r\nhost: {host}\r\n{framing}")).await;
            let answer = raw.answer().await;
            assert_eq!(answer.status, status, "{host} {length}: {}", answer.body);
            assert!(!answer.headers.contains_key("connection"));
        }
    }
    for host in ["localhost", "evil.example"] {
        let mut raw = Raw::connect(&app).await;
        raw.send(format!("POST /api/jobs HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1025\r\n\r\n")).await;
        let answer = raw.answer().await;
        assert_eq!((answer.status, answer.headers["connection"].as_str()), (413, "close"), "{host}");
    }
    app.stop().await;
}

#[tokio::test]
async fn without_tokens_every_caller_has_every_role() {
    let app = TestApp::start().await;
    for (path, method, _) in ROUTES {
        for token in ["", "nobody-0123456789"] {
            let answer = Answer::of(ask(&app, method, &real(path)).bearer_auth(token)).await;
            assert!(![401, 403].contains(&answer.status.as_u16()), "{method} {path}");
        }
    }
    app.stop().await;
}
