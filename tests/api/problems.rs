//! What every refusal has in common; methods, paths, request ids, pages.

use backroom::http::ProblemType;
use backroom::job::StateName;
use serde_json::json;

use crate::app::{Answer, TestApp, assert_answer};

const ID: &str = "01a1fa71-0000-7000-8000-000000000000";

/// Every path with the methods that it knows.
fn paths() -> Vec<(String, &'static str)> {
    let job = format!("/api/jobs/{ID}");
    let mut paths = vec![
        ("/api/jobs".to_owned(), "GET, HEAD, POST"),
        ("/api/jobs/batch".to_owned(), "POST"),
        (job.clone(), "GET, HEAD, DELETE"),
        (format!("{job}/retry"), "POST"),
        ("/api/mail".to_owned(), "GET, HEAD, DELETE"),
        ("/api/queues/default".to_owned(), "GET, HEAD, PATCH"),
    ];
    for path in ["/api/queues", "/openapi.json", "/docs", "/livez", "/readyz", "/problems/internal"] {
        paths.push((path.to_owned(), "GET, HEAD"));
    }
    for part in ["status", "result", "payload", "log"] {
        paths.push((format!("{job}/{part}"), "GET, HEAD"));
    }
    for part in ["", "/raw"] {
        paths.push((format!("/api/mail/{ID}{part}"), "GET, HEAD"));
    }
    paths
}

#[tokio::test]
async fn a_method_that_is_not_known_is_answered_with_those_that_are() {
    let app = TestApp::start().await;
    for (path, allow) in paths() {
        let known: Vec<&str> = allow.split(", ").collect();
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            let answer = Answer::of(app.request(method, &path)).await;
            if known.contains(&method) {
                assert_ne!(answer.status, 405, "{method} {path}");
                continue;
            }
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), allow, "{method} {path}");
            if method != "HEAD" {
                assert_eq!(answer.problem(405, "method-not-allowed")["allow"], allow);
            }
        }
    }
    assert_answer!("method_not_allowed", Answer::of(app.request("PUT", "/api/jobs")).await);
    app.stop().await;
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_blank() {
    let app = TestApp::start().await;
    assert_answer!("not_found", app.get("/nowhere").await);
    assert_eq!(app.get("/problems/nope").await.json()["type"], "about:blank");
    for path in [
        "/",
        "//",
        "/api",
        "/api/",
        "/api/jobs/",
        "/API/jobs",
        "/api/jobs/x/y/z",
        "/problems",
        "/apiary",
        "/problems/",
        "/metrics/",
        "/api/jobs/x/events/",
        "/livez/",
        "/api%2Fjobs",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = Answer::of(app.request(method, path)).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.json()["type"]),
                (404, &json!("about:blank")),
                "{method} {path}"
            );
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert_eq!(answer.json()["instance"], *path);
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let app = TestApp::start().await;
    let job = app.act(&json!({"text": "done"})).await;
    app.until(&job, StateName::Completed).await;
    let mail = app
        .submit(&json!({"kind": "email", "payload": {"to": "a@example.com", "subject": "Hi", "text": "x"}}))
        .await;
    app.until(&mail, StateName::Completed).await;
    let mail = app.get("/api/mail").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let mut paths: Vec<String> =
        ["", "/status", "/result", "/payload", "/log"].map(|part| format!("/api/jobs/{job}{part}")).into();
    for path in [
        "/api/jobs?limit=1",
        "/api/queues",
        "/api/queues/mail",
        "/api/mail",
        "/livez",
        "/readyz?verbose",
        "/problems/draining",
        "/nowhere",
        "/api/jobs/x",
        "/api/jobs?limit=0",
    ] {
        paths.push(path.to_owned());
    }
    paths.push(format!("/api/mail/{mail}"));
    paths.push(format!("/api/mail/{mail}/raw"));
    for path in paths {
        let ask = |method| Answer::of(app.request(method, &path).header("x-request-id", "same"));
        let (get, head) = (ask("GET").await, ask("HEAD").await);
        let headers = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            headers.remove("date").unwrap();
            headers
        };
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(headers(&head), headers(&get), "{path}");
        assert_eq!(head.body, b"", "{path}");
        assert_ne!(get.body, b"", "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_request_id_is_echoed_or_made() {
    let app = TestApp::start().await;
    let ask =
        |path: &str, id: &str| Answer::of(app.request("GET", path).header("x-request-id", id.to_owned()));
    for path in ["/livez", "/nowhere", "/api/jobs", "/api/jobs/x"] {
        for length in [1, 127, 128] {
            let id = "~".repeat(length);
            let answer = ask(path, &id).await;
            assert_eq!(answer.header("x-request-id"), id);
            if answer.status == 404 {
                assert_eq!(answer.json()["request_id"], id);
            }
        }
        for bad in [&*"x".repeat(129), "", "a b", "ä", "a\tb"] {
            let made = ask(path, bad).await.header("x-request-id").to_owned();
            assert_ne!(made, bad);
            assert!(made.len() == 16 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{made}");
        }
    }
    let made = app.get("/livez").await.header("x-request-id").to_owned();
    assert_ne!(app.get("/livez").await.header("x-request-id"), made);
    app.stop().await;
}

#[tokio::test]
async fn every_type_of_problem_has_a_page() {
    let app = TestApp::start().await;
    let mut slugs = Vec::new();
    for kind in ProblemType::ALL {
        let slug = kind.slug();
        let page = app.get(&format!("/problems/{slug}")).await;
        assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
        let text = page.text();
        for part in [slug, kind.title(), &kind.status().to_string()] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains("<p></p>"), "{slug} says nothing");
        slugs.push(format!("{} {slug}", kind.status().as_u16()));
    }
    slugs.sort();
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("problem_types", slugs.join("\n"));
    });
    assert_answer!("problem_page", app.get("/problems/queue-full").await);
    app.stop().await;
}
