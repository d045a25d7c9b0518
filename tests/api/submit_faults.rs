//! `POST /api/jobs`: what is refused, and why.

use serde_json::{Value, json};

use crate::app::{Answer, TestApp, assert_answer};

/// Everything wrong at once.
pub(crate) fn horrible() -> Value {
    json!({
        "kind": "email", "quue": "mail", "queue": 7, "delay": 30, "run_at": "tomorrow", "max_attempts": "five",
        "timeout": "60", "expires_in": "soon", "tags": ["", 5], "unique": {"for": 5}, "callback_url": "x",
        "callback_events": [], "notify_email": "x", "a/b~c": 1,
        "payload": {"to": "no-address-9f", "cc": 5, "template": "welcom", "subject": "Hi-9f", "attachments": [{}]}
    })
}

#[tokio::test]
async fn every_fault_is_named_at_once() {
    let app = TestApp::start().await;
    let answer = app.post("/api/jobs", &horrible()).await;
    assert_answer!("horrible", answer);
    assert_eq!(app.get("/api/jobs").await.json()["items"], json!([]));
    app.stop().await;
}

#[tokio::test]
async fn a_body_of_another_shape_is_not_valid() {
    let app = TestApp::start().await;
    for body in [json!([]), json!("noop"), json!(null), json!(7)] {
        let answer = app.post("/api/jobs", &body).await;
        assert_eq!(answer.faults("validation-failed"), [": must be an object"], "{body}");
    }
    for (body, fault) in [
        (json!({}), "/kind: is required"),
        (json!({"kind": null}), "/kind: is required"),
        (json!({"kind": 7}), "/kind: must be a string"),
        (json!({"kind": "noop", "tags": "x"}), "/tags: must be an array of strings"),
        (json!({"kind": "noop", "payload": 7}), "/payload: must be an object"),
        (json!({"kind": "noop", "payload": "x"}), "/payload: must be an object"),
        (json!({"kind": "act", "payload": {"count": 300}}), "/payload/count: must be u8"),
        (json!({"kind": "act", "payload": {"cuont": 3}}), "/payload/cuont: "),
        (
            json!({"kind": "noop", "delay": "1s", "run_at": "2026-01-01T00:00:00Z"}),
            "/run_at: excludes delay: give one of the two",
        ),
        (
            json!({"kind": "noop", "queue": "mial"}),
            r#"/queue: there is no queue of this name; did you mean "mail"?"#,
        ),
        (
            json!({"kind": "noop", "queue": "xyz"}),
            "/queue: there is no queue of this name; there are: default, mail",
        ),
        (
            json!({"kind": "noop", "timeout": "60"}),
            r#"/timeout: a duration needs a unit: write "60s" or "60ms""#,
        ),
    ] {
        let faults = app.post("/api/jobs", &body).await.faults("validation-failed");
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(fault), "{faults:?} of {body}");
    }
    app.stop().await;
}

#[tokio::test]
async fn an_unknown_kind_has_its_own_type() {
    let app = TestApp::start().await;
    let answer = app.post("/api/jobs", &json!({"kind": "emial"})).await;
    assert_answer!("unknown_kind", answer);
    let faults = app.post("/api/jobs", &json!({"kind": "zzz"})).await.faults("unknown-kind");
    assert_eq!(faults, ["/kind: there is no kind of this name; there are: act, email, http, noop"]);
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_parsed_is_malformed() {
    let app = TestApp::start().await;
    for (body, detail) in [
        (&b""[..], "it ends too early."),
        (b"{\"kind\":\"noop\"", "it ends too early."),
        (b"not json", "see line 1, column 2."),
        (b"{\"kind\":\"noop\"} {}", "see line 1, column 17."),
        (b"{\"kind\":\"no\xffop\"}", "not UTF-8: see byte 11."),
        (b"\xef\xbb\xbf{\"kind\":\"noop\"}", "see line 1, column 1."),
        (b"{\"kind\":\"noop\",\"payload\":{\"a\":01}}", "see line 1, column 32."),
    ] {
        for path in ["/api/jobs", "/api/jobs/batch"] {
            let problem = app.post_bytes(path, body).await.problem(400, "malformed-request");
            let shown = problem["detail"].as_str().unwrap();
            assert!(shown.ends_with(detail), "{shown} of {}", body.escape_ascii());
        }
    }
    for (path, body) in [
        ("/api/jobs", r#"{"kind":"noop","kind":"noop"}"#),
        ("/api/jobs", r#"{"kind":"noop","tags":[],"tags":[]}"#),
        ("/api/jobs/batch", r#"{"jobs":[],"jobs":[{"kind":"noop"}]}"#),
        ("/api/jobs/batch", r#"{"jobs":[{"kind":"noop","kind":"noop"}]}"#),
    ] {
        let problem = app.post_bytes(path, body).await.problem(400, "malformed-request");
        assert_eq!(problem["detail"], "A member stands twice in one object.", "{body}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_is_nested_too_deeply_is_malformed_wherever_it_is() {
    let app = TestApp::start().await;
    let nested = |levels: usize| "{\"[\\\"\":".repeat(levels - 1) + "{}" + &"}".repeat(levels - 1);
    // One level is the body itself.
    let body =
        |kind: &str, levels: usize| format!("{{\"kind\":\"{kind}\",\"payload\":{}}}", nested(levels - 1));
    // And three with the array.
    let batch = |levels: usize| format!("{{\"jobs\":[{}]}}", body("noop", levels - 2));
    for levels in [126, 127] {
        assert_eq!(app.post_bytes("/api/jobs", body("noop", levels)).await.status, 202);
        let accepted = app.post_bytes("/api/jobs/batch", batch(levels)).await;
        assert_eq!(accepted.status, 202);
    }
    let deeper = ["noop", "email", "act", "unknown"].map(|kind| ("/api/jobs", body(kind, 128)));
    let elsewhere = "[".repeat(128) + &"]".repeat(128);
    let all = deeper.into_iter().chain([
        ("/api/jobs/batch", batch(128)),
        ("/api/jobs", elsewhere.clone()),
        ("/api/jobs/batch", elsewhere),
    ]);
    for (path, body) in all {
        let problem = app.post_bytes(path, body).await.problem(400, "malformed-request");
        let shown = problem["detail"].as_str().unwrap();
        assert!(shown.contains("nested deeper than 127 levels"), "{shown}");
    }
    // Many brackets are no depth, and neither are those in a string.
    let (side, quoted) = ("[],".repeat(500), "[".repeat(500));
    for payload in [format!(r#"{{"a":[{side}[]]}}"#), format!(r#"{{"b":"\"{quoted}\\"}}"#)] {
        let body = format!(r#"{{"kind":"noop","payload":{payload}}}"#);
        assert_eq!(app.post_bytes("/api/jobs", body).await.status, 202);
    }
    app.stop().await;
}

#[tokio::test]
async fn the_body_must_be_declared_as_json() {
    let app = TestApp::start().await;
    let submit = |media: Option<&str>, path: &str| {
        let mut request = app.request("POST", path).body(r#"{"kind":"noop"}"#);
        if let Some(media) = media {
            request = request.header("content-type", media);
        }
        Answer::of(request)
    };
    for good in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
    ] {
        assert_eq!(submit(Some(good), "/api/jobs").await.status, 202, "{good}");
    }
    for bad in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonp"),
        Some(""),
    ] {
        for path in ["/api/jobs", "/api/jobs/batch"] {
            submit(bad, path).await.problem(415, "unsupported-media-type");
        }
    }
    assert_answer!("unsupported_media_type", submit(None, "/api/jobs").await);
    app.stop().await;
}

#[tokio::test]
async fn a_coded_body_is_not_supported() {
    let app = TestApp::start().await;
    let submit = |coding: &str| {
        let request = app.request("POST", "/api/jobs").header("content-encoding", coding.to_owned());
        Answer::of(request.json(&json!({"kind": "noop"})))
    };
    assert_eq!(submit("identity").await.status, 202);
    let answer = submit("gzip").await;
    answer.problem(415, "unsupported-media-type");
    // RFC 9110 §12.5.3: says which would have been understood.
    assert_eq!(answer.header("accept-encoding"), "identity");
    app.stop().await;
}

#[tokio::test]
async fn no_refusal_repeats_a_value() {
    let app = TestApp::start().await;
    let secret = "s3cret-9f";
    for payload in [
        json!({"mood": secret}),
        json!({"count": secret}),
        json!({"text": {"a": secret}}),
        json!({"log": secret}),
        json!(secret),
    ] {
        let answer = app.post("/api/jobs", &json!({"kind": "act", "payload": payload})).await;
        assert_eq!(answer.status, 422, "{payload}");
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
    for body in [
        json!({"kind": secret, "payload": secret}),
        json!({"kind": "email", "payload": {"to": secret, "template": secret, "cc": [secret], "attachments": secret}}),
        json!({"kind": "noop", "payload": {"sleep": secret, "fail": secret, "steps": secret}}),
        json!({"kind": "noop", "queue": secret, "run_at": secret, "delay": secret, "timeout": secret, "max_attempts": secret}),
    ] {
        let answer = app.post("/api/jobs", &body).await;
        assert_eq!(answer.status, 422, "{body}");
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
    let broken = format!(r#"{{"kind":"noop","payload":{{"password":"{secret}","x":{secret}}}}}"#);
    let answer = app.post_bytes("/api/jobs", broken).await;
    answer.problem(400, "malformed-request");
    assert!(!answer.text().contains(secret), "{}", answer.text());
    app.stop().await;
}

/// Neither a kind that cannot be read nor one that is not known hides what else is wrong.
#[tokio::test]
async fn a_bad_kind_hides_no_other_fault() {
    let app = TestApp::start().await;
    let rest = json!({"queue": "nope", "max_attempts": 0, "timeout": "5", "delay": "x"});
    let pointers = |faults: Vec<String>| -> Vec<String> {
        faults.iter().filter_map(|fault| fault.split(':').next()).map(str::to_owned).collect()
    };
    for (kind, problem) in [(json!("Bad Kind"), "validation-failed"), (Value::Null, "validation-failed")] {
        let mut body = rest.clone();
        body["kind"] = kind;
        let mut got = pointers(app.post("/api/jobs", &body).await.faults(problem));
        got.sort();
        assert_eq!(got, ["/delay", "/kind", "/max_attempts", "/queue", "/timeout"], "{body}");
    }
    let body = json!({"kind": "nope", "queue": "nope", "max_attempts": 0});
    let mut got = pointers(app.post("/api/jobs", &body).await.faults("unknown-kind"));
    got.sort();
    assert_eq!(got, ["/kind", "/max_attempts", "/queue"]);
    app.stop().await;
}

/// However much is wrong, the answer stays small, and so does the work that it takes.
#[tokio::test]
async fn faults_without_end_are_not_all_named() {
    let app = TestApp::start().await;
    let many = vec![json!(""); 300_000];
    let unknown: Value =
        (0..50_000).map(|n| (format!("member{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
    let jobs = vec![json!({"tags": ["", "", ""]}); 1_000];
    for (path, body) in [
        ("/api/jobs", json!({"kind": "noop", "tags": many})),
        ("/api/jobs", json!({"kind": "email", "payload": {"attachments": vec![json!(0); 100_000]}})),
        ("/api/jobs", unknown.clone()),
        ("/api/jobs/batch", json!({"jobs": jobs})),
        ("/api/jobs/batch", unknown),
        ("/api/jobs/batch", json!({"jobs": vec![json!({}); 200_000]})),
    ] {
        let answer = app.post(path, &body).await;
        assert_eq!(answer.status, 422, "{path}");
        let errors = answer.json()["errors"].as_array().map_or(0, Vec::len);
        assert!((1..=100).contains(&errors), "{errors} faults");
    }
    app.stop().await;
}

/// A payload that is too large is refused for its size before anybody looks into it.
#[tokio::test]
async fn size_comes_before_content() {
    let app = TestApp::start().await;
    let wrong = json!({"kind": "email", "payload": {"to": "x".repeat(300_000)}});
    assert_eq!(app.post("/api/jobs", &wrong).await.status, 413);
    app.stop().await;
}
