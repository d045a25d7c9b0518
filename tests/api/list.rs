//! `GET /api/jobs`: filters, pages, cursors.

use std::time::Duration;

use backroom::job::StateName;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, assert_answer};

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

async fn found(app: &TestApp, query: &str) -> Vec<String> {
    let answer = app.get(&format!("/api/jobs?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    ids(&answer.json())
}

/// A dead letter, a job that waits for its time in another queue, and one that runs.
async fn three(app: &TestApp) -> [String; 3] {
    let dead = app
        .submit(
            &json!({"kind": "act", "payload": {"permanent": "No SUCH invoice"}, "tags": ["Über 100 €", "b"]}),
        )
        .await;
    app.until(&dead, StateName::DeadLettered).await;
    let scheduled = app.submit(&json!({"kind": "noop", "queue": "mail", "delay": "1h", "tags": ["b"]})).await;
    let running = app.hold().await;
    [dead, scheduled, running]
}

#[tokio::test]
async fn every_filter_finds_what_it_says() {
    let app = TestApp::start().await;
    let [dead, scheduled, running] = three(&app).await;
    let (dead, scheduled, running) = (&*dead, &*scheduled, &*running);
    let far = "created_after=2020-01-01T00:00:00Z";
    for (query, expected) in [
        ("", vec![running, scheduled, dead]),
        ("state=dead_lettered", vec![dead]),
        ("state=dead_lettered&state=processing", vec![running, dead]),
        ("state=completed", vec![]),
        ("queue=mail", vec![scheduled]),
        ("queue=mail&queue=default", vec![running, scheduled, dead]),
        ("queue=nowhere", vec![]),
        ("kind=act", vec![running, dead]),
        ("kind=act&kind=noop", vec![running, scheduled, dead]),
        ("tag=b", vec![scheduled, dead]),
        ("tag=%C3%9Cber+100+%E2%82%AC", vec![dead]),
        ("tag=b&tag=%C3%9Cber%20100%20%E2%82%AC", vec![scheduled, dead]),
        ("tag=c", vec![]),
        ("q=such+inv", vec![dead]),
        ("q=REFUSED", vec![dead]),
        ("q=NOO", vec![scheduled]),
        ("q=%C3%BCBER", vec![dead]),
        ("q=", vec![running, scheduled, dead]),
        ("q=nothing+like+it", vec![]),
        (&*format!("q={dead}"), vec![dead]),
        (&*format!("q={}", dead[..35].to_uppercase()), vec![dead]),
        (&*format!("q={}", &dead[1..]), vec![]),
        ("state=dead_lettered&kind=act&queue=default&tag=b&q=invoice", vec![dead]),
        ("state=dead_lettered&kind=noop", vec![]),
        (&*format!("{far}&tag=b"), vec![scheduled, dead]),
        ("created_before=2020-01-01T00:00:00Z", vec![]),
        ("limit=2", vec![running, scheduled]),
    ] {
        assert_eq!(found(&app, query).await, expected, "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn times_of_acceptance_include_the_first_and_exclude_the_last() {
    let app = TestApp::start().await;
    let id = app.act(&json!({})).await;
    let created = app.job(&id).await["created_at"].as_str().unwrap().to_owned();
    let at: backroom::job::Timestamp = serde_json::from_value(json!(created)).unwrap();
    let later = at.after(Duration::from_millis(1));
    for (query, there) in [
        (format!("created_after={at}"), true),
        (format!("created_after={later}"), false),
        (format!("created_before={at}"), false),
        (format!("created_before={later}"), true),
        (format!("created_after={at}&created_before={later}"), true),
        (format!("created_after={}", created.replace('Z', "%2B00:00")), true),
    ] {
        assert_eq!(found(&app, &query).await.len(), usize::from(there), "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn two_hundred_and_fifty_jobs_are_each_seen_once() {
    let app = TestApp::start().await;
    let mut all = Vec::new();
    for n in 0..3 {
        let tags = json!(["a&b=c"]);
        let jobs = vec![json!({"kind": "noop", "tags": tags, "delay": "1h"}); if n == 2 { 50 } else { 100 }];
        let answer = app.post("/api/jobs/batch", &json!({"jobs": jobs})).await.json();
        all.extend(ids(&json!({"items": answer["jobs"]})));
    }
    all.reverse();
    for limit in [1, 7, 20, 99, 100] {
        let mut path = format!("/api/jobs?tag=a%26b%3Dc&limit={limit}&state=scheduled");
        let mut seen = Vec::new();
        let mut pages = 0;
        loop {
            let answer = app.get(&path).await;
            let page = answer.json();
            let on_page = ids(&page);
            pages += 1;
            seen.extend(on_page.iter().cloned());
            let Some(next) = page["next"].as_str() else {
                assert_eq!(page["next_cursor"], Value::Null);
                assert!(!answer.headers.contains_key("link"));
                break;
            };
            assert_eq!(on_page.len(), limit);
            assert_eq!(answer.header("link"), format!("<{next}>; rel=\"next\""));
            let cursor = page["next_cursor"].as_str().unwrap();
            assert!(next.ends_with(&format!("&cursor={cursor}")), "{next}");
            assert_eq!(next.matches("cursor=").count(), 1, "{next}");
            path = next.to_owned();
            // Newer ones do not shift the pages.
            app.submit(&json!({"kind": "noop", "tags": ["a&b=c"], "delay": "1h"})).await;
            all.insert(0, String::new());
        }
        all.retain(|id| !id.is_empty());
        assert_eq!(seen.len(), pages.max(seen.len()));
        let newer = seen.len() - 250;
        assert_eq!(seen[newer..], all, "limit {limit}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_page_is_shown_whole() {
    let app = TestApp::narrow(10).await;
    three(&app).await;
    assert_answer!("list", app.get("/api/jobs?limit=2&tag=b&tag=%C3%A4").await);
    let first = app.get("/api/jobs?limit=1&tag=b&q=%26").await;
    assert_eq!(first.json(), json!({"items": [], "next_cursor": null, "next": null}));
    let first = app.get("/api/jobs?limit=1&tag=b").await;
    assert_answer!("list_next", first);
    app.stop().await;
}

#[tokio::test]
async fn the_page_has_twenty_unless_asked_and_a_hundred_at_most() {
    let app = TestApp::start().await;
    app.post("/api/jobs/batch", &json!({"jobs": vec![json!({"kind": "noop"}); 101]})).await;
    assert_eq!(found(&app, "").await.len(), 20);
    for limit in [1, 99, 100] {
        assert_eq!(found(&app, &format!("limit={limit}")).await.len(), limit);
    }
    for limit in ["0", "101", "-1", "99999999999999999999999"] {
        let answer = app.get(&format!("/api/jobs?limit={limit}")).await;
        let problem = answer.problem(422, "validation-failed");
        assert_eq!(problem["errors"], json!([{"parameter": "limit", "detail": "must be 1 to 100"}]));
    }
    for limit in ["", "x", "1.5", "2+2"] {
        let answer = app.get(&format!("/api/jobs?limit={limit}")).await;
        answer.problem(400, "malformed-request");
    }
    app.stop().await;
}

#[tokio::test]
async fn every_parameter_that_is_wrong_is_named() {
    let app = TestApp::start().await;
    let invalid = "state=done&queue=A&kind=&tag=&colour=red&limit=0";
    assert_answer!("list_invalid", app.get(&format!("/api/jobs?{invalid}")).await);
    let malformed = "created_after=today&created_before=&limit=ten&state=done";
    assert_answer!("list_malformed", app.get(&format!("/api/jobs?{malformed}")).await);
    let long = |length| format!("/api/jobs?q={}", "%C3%A4".repeat(length));
    assert_eq!(app.get(&long(200)).await.status, 200);
    app.get(&long(201)).await.problem(422, "validation-failed");
    app.stop().await;
}

#[tokio::test]
async fn a_cursor_of_another_make_is_refused() {
    let app = TestApp::start().await;
    for _ in 0..2 {
        app.act(&json!({})).await;
    }
    let cursor = app.get("/api/jobs?limit=1").await.json()["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(found(&app, &format!("cursor={cursor}")).await.len(), 1);
    let truncated = &cursor[..cursor.len() - 1];
    for bad in
        ["", "x", "AAAAAAAAAAAAAAAAAAAAAA", "%00", truncated, &format!("{cursor}="), &format!("{cursor}A")]
    {
        let answer = app.get(&format!("/api/jobs?cursor={bad}")).await;
        answer.problem(400, "invalid-cursor");
    }
    assert_answer!("invalid_cursor", app.get("/api/jobs?cursor=x").await);
    app.stop().await;
}

#[tokio::test]
async fn urls_are_absolute_when_the_public_one_is_known() {
    let app = TestApp::with(|config| {
        config.server.public_url = Some("https://jobs.example/base".to_owned());
    })
    .await;
    let base = "https://jobs.example/base";
    let answer = app.post("/api/jobs", &json!({"kind": "noop", "delay": "1h"})).await;
    let id = answer.id();
    let url = format!("{base}/api/jobs/{id}");
    assert_eq!(answer.header("location"), format!("{url}/status"));
    let links = json!({"self": url, "status": format!("{url}/status"), "result": format!("{url}/result"),
                       "events": format!("{url}/events")});
    assert_eq!(answer.json()["links"], links);
    app.submit(&json!({"kind": "noop", "payload": {}})).await;
    let list = app.get("/api/jobs?limit=1").await;
    let next = format!("{base}/api/jobs?limit=1&cursor={}", list.json()["next_cursor"].as_str().unwrap());
    assert_eq!(list.json()["next"], json!(next));
    assert_eq!(list.header("link"), format!("<{next}>; rel=\"next\""));
    let problem = app.get(&format!("/api/jobs/{id}/result")).await.json();
    assert_eq!(problem["type"], format!("{base}/problems/result-not-ready"));
    let blank = app.get("/nowhere").await.json();
    assert_eq!(blank["type"], "about:blank");
    let waited = app.request("POST", "/api/jobs").header("prefer", "wait=20");
    let waited = Answer::of(waited.json(&json!({"kind": "noop"}))).await;
    assert_eq!(waited.header("location"), format!("{base}/api/jobs/{}/result", waited.id()));
    app.stop().await;
}

#[tokio::test]
async fn a_query_has_its_bounds() {
    let app = TestApp::start().await;
    for (count, status) in [(99, 200), (100, 200), (101, 422)] {
        let answer = app.get(&format!("/api/jobs?{}", "tag=a&".repeat(count))).await;
        assert_eq!(answer.status, status, "{count}: {}", answer.text());
    }
    app.get(&format!("/api/jobs?{}", "tag=a&".repeat(101))).await.problem(422, "validation-failed");
    // A short query does not make a long answer.
    for (count, named) in [(99, 99), (100, 100), (101, 100)] {
        let path = format!("/api/dead-letters?{}", "x=1&".repeat(count));
        let problem = Answer::of(app.request("DELETE", &path)).await.problem(422, "validation-failed");
        assert_eq!(problem["errors"].as_array().unwrap().len(), named, "{count}");
    }
    app.stop().await;
}
