//! `POST /api/jobs/{id}/progress`: only the attempt itself, and only as long as it runs. And the secret that is made when
//! there is none.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::conform;
use crate::process::{Place, Process};

/// A request that the app of the test has got and not answered.
struct Asked {
    stream: TcpStream,
    head: String,
    data: Value,
}

async fn next(app: &TcpListener) -> Asked {
    let (mut stream, _) = app.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let envelope: Value = serde_json::from_slice(&body).unwrap();
    // The kind `http` sends what it likes.
    if head.contains("webhook-id: ") {
        conform::description().meets("Run", &envelope);
    }
    Asked { stream, head, data: envelope["data"].clone() }
}

impl Asked {
    async fn answer(mut self, answer: &str) {
        self.stream.write_all(answer.as_bytes()).await.unwrap();
    }

    fn token(&self) -> String {
        self.data["attempt_token"].as_str().unwrap().to_owned()
    }
}

async fn serve(place: &Place, app: &TcpListener) -> Process {
    let url = format!("kinds.mine.url=http://{}/jobs", app.local_addr().unwrap());
    place.start_with(&["kinds.mine.run=push", &url]).await
}

async fn report(server: &Process, id: &str, token: Option<&str>, body: &Value) -> (u16, Value) {
    report_as(server, id, token, "application/json", body).await
}

async fn report_as(
    server: &Process,
    id: &str,
    token: Option<&str>,
    media_type: &str,
    body: &Value,
) -> (u16, Value) {
    let path = format!("/api/jobs/{id}/progress");
    let request = server.client.post(format!("{}{path}", server.base));
    let mut request = request.header("content-type", media_type).body(body.to_string());
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = answer.bytes().await.unwrap();
    conform::check("POST", &path, status, &headers, &body);
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn only_the_attempt_itself_and_only_while_it_runs() {
    let (place, app) = (Place::new(&[]), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let server = serve(&place, &app).await;
    let id = server.accepted(&json!({"kind": "mine"})).await;
    let asked = next(&app).await;
    let token = asked.token();
    let half = json!({"percent": 50, "message": "half way"});

    assert_eq!(report(&server, &id, Some(&token), &half).await, (200, json!({"cancel_requested": false})));
    let job = server.get(&format!("/api/jobs/{id}")).await;
    assert_eq!(job["progress"], half);
    assert!(!job.to_string().contains(&token), "the token is for the app alone");

    for (body, pointers) in [
        (json!({}), vec!["/percent"]),
        (json!({"percent": 101, "message": 5, "x": 1}), vec!["/message", "/percent", "/x"]),
        (json!({"percent": -1}), vec!["/percent"]),
        (json!([]), vec![""]),
    ] {
        let (status, problem) = report(&server, &id, Some(&token), &body).await;
        let mut found: Vec<&str> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["pointer"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!((status, found), (422, pointers), "{problem}");
    }
    assert_eq!(report_as(&server, &id, Some(&token), "text/plain", &half).await.0, 415);
    assert_eq!(report(&server, &id, Some(&token), &json!({"percent": 100})).await.0, 200);
    assert_eq!(report(&server, &id, Some(&token), &json!({"percent": 0})).await.0, 200);

    let other = server.accepted(&json!({"kind": "mine"})).await;
    let other_asked = next(&app).await;
    for (id, token) in
        [(&id, None), (&id, Some("bat_1_AAAA")), (&id, Some(&*other_asked.token())), (&other, Some(&*token))]
    {
        let (status, problem) = report(&server, id, token, &half).await;
        assert_eq!((status, &problem["type"]), (401, &json!("/problems/unauthorized")), "{problem}");
    }

    let canceled = server.client.delete(format!("{}/api/jobs/{other}", server.base)).send().await.unwrap();
    assert_eq!(canceled.status(), 202);

    asked.answer("HTTP/1.1 204 X\r\n\r\n").await;
    assert_eq!(server.end(&id).await["state"], "completed");
    assert_eq!(report(&server, &id, Some(&token), &half).await.0, 401, "it is over");
    let job = server.end(&other).await;
    assert_eq!(job["state"], "canceled");
}

#[tokio::test]
async fn a_secret_that_had_to_be_made_is_found_again() {
    let (place, app) = (Place::new(&[]), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let server = serve(&place, &app).await;
        let id = server.accepted(&json!({"kind": "mine"})).await;
        let asked = next(&app).await;
        assert!(asked.head.contains("webhook-signature: v1,"), "never unsigned: {}", asked.head);
        asked.answer("HTTP/1.1 204 X\r\n\r\n").await;
        assert_eq!(server.end(&id).await["state"], "completed");
        let secret = std::fs::read_to_string(place.path("backroom.webhook-secret")).unwrap();
        let ended = server.stop().await;
        assert_eq!(ended.code, Some(0));
        assert!(!ended.text().contains(secret.trim()), "it is not in the log");
        assert!(ended.text().contains("backroom.webhook-secret"), "but where to find it is");
        secrets.push(secret);
    }
    assert_eq!(secrets[0], secrets[1]);
    let mode = std::fs::metadata(place.path("backroom.webhook-secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_trace_goes_on_in_the_app() {
    let (place, app) = (Place::new(&[]), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let server = serve(&place, &app).await;
    let url = format!("{}/api/jobs", server.base);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traced = server.client.post(&url).header("traceparent", parent).header("tracestate", "a=1");
    assert_eq!(traced.json(&json!({"kind": "mine"})).send().await.unwrap().status(), 202);
    let asked = next(&app).await;
    assert!(asked.head.contains("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{}", asked.head);
    assert!(!asked.head.contains("00f067aa0ba902b7"), "a span of its own: {}", asked.head);
    assert!(asked.head.contains("tracestate: a=1\r\n"), "{}", asked.head);
    asked.answer("HTTP/1.1 204 X\r\n\r\n").await;

    let call = json!({"kind": "http", "payload": {"url": format!("http://{}/x", app.local_addr().unwrap()), "body": {}}});
    let traced = server.client.post(format!("{url}/batch")).header("traceparent", parent);
    assert_eq!(traced.json(&json!({"jobs": [call]})).send().await.unwrap().status(), 202);
    let asked = next(&app).await;
    assert!(asked.head.contains("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{}", asked.head);
    asked.answer("HTTP/1.1 204 X\r\n\r\n").await;
    server.accepted(&json!({"kind": "mine"})).await;
    let asked = next(&app).await;
    assert!(!asked.head.contains("traceparent"), "{}", asked.head);
    asked.answer("HTTP/1.1 204 X\r\n\r\n").await;
}
