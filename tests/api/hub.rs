//! The hub by its requests: negotiation, names, long polling, server-sent events, bounds, pages.

use backroom::http::Transport;
use futures_util::future::{Either, select};
use serde_json::json;

use crate::app::{Answer, TestApp, within};
use crate::hub_client::{
    Socket, call, handshake, negotiate, place, record, records, until_forgotten, until_open,
};
use crate::raw::Raw;

#[tokio::test]
async fn both_versions_are_negotiated_and_nothing_is_promised_that_is_not_kept() {
    let app = TestApp::start().await;
    let one = negotiate(&app, "?negotiateVersion=1&useStatefulReconnect=true&more=x").await;
    let (id, token) = (one["connectionId"].as_str().unwrap(), one["connectionToken"].as_str().unwrap());
    assert!(id.len() == 22 && token.len() == 22 && id != token, "{one}");
    let members: Vec<&String> = one.as_object().unwrap().keys().collect();
    assert_eq!(members, ["availableTransports", "connectionId", "connectionToken", "negotiateVersion"]);
    assert_eq!(
        one["availableTransports"][1],
        json!({"transport": "ServerSentEvents", "transferFormats": ["Text"]})
    );
    let zero = negotiate(&app, "").await;
    assert_eq!((&zero["negotiateVersion"], &zero["connectionToken"]), (&json!(0), &json!(null)));
    let named = zero["connectionId"].as_str().unwrap();
    // A name is what the version says, and nothing else.
    for (name, status) in [(id, 404), (token, 200), (named, 200)] {
        assert_eq!(app.get(&format!("/hubs/jobs?id={name}")).await.status, status, "{name}");
    }
    let wrong = negotiate(&app, "?negotiateVersion=x").await;
    assert_eq!(wrong, json!({"error": "negotiateVersion must be a whole number: 0 or 1"}));
    app.get("/hubs/jobs/negotiate").await.problem(405, "method-not-allowed");
    app.stop().await;
}

#[tokio::test]
async fn a_name_is_asked_for_known_and_used_once() {
    let app = TestApp::start().await;
    let events = |path: &str| app.request("GET", path).header("accept", "text/event-stream");
    for (query, status) in [("", 400), ("?id", 404), ("?id=x", 404)] {
        let path = format!("/hubs/jobs{query}");
        for request in [
            app.request("GET", &path),
            app.request("HEAD", &path),
            events(&path),
            app.request("POST", &path).body("x"),
            app.request("DELETE", &path),
        ] {
            assert_eq!(Answer::of(request).await.status, status, "{path}");
        }
    }
    assert_eq!(Socket::open(&app, "/hubs/jobs?id=x", &[]).await.err(), Some(404));
    // Who has one transport gets no other, nor the same again, unless it polls.
    let path = place(&app).await;
    assert_eq!(Answer::of(app.request("HEAD", &path)).await.status, 200, "which opens nothing");
    let socket = Socket::open(&app, &path, &[]).await.unwrap();
    assert_eq!(Socket::open(&app, &path, &[]).await.err(), Some(409));
    assert_eq!(app.get(&path).await.json()["type"], "about:blank");
    for (request, status) in [
        (app.request("GET", &path), 409),
        (events(&path), 409),
        (app.request("POST", &path).body("x"), 400),
        (app.request("DELETE", &path), 400),
    ] {
        assert_eq!(Answer::of(request).await.status, status);
    }
    let polled = place(&app).await;
    assert_eq!(app.get(&polled).await.status, 200);
    assert_eq!(Answer::of(events(&polled)).await.status, 409);
    assert_eq!(Socket::open(&app, &polled, &[]).await.err(), Some(409));
    // What does not open a WebSocket uses no name up.
    let path = place(&app).await;
    assert_eq!(Socket::open(&app, &path, &[("sec-websocket-version", "7")]).await.err(), Some(400));
    drop((socket, Socket::open(&app, &path, &[]).await.unwrap()));
    until_open(&app, Transport::WebSockets, 0).await;
    app.stop().await;
}

#[tokio::test]
async fn a_client_that_polls() {
    let app = TestApp::start().await;
    let id = app.hold().await;
    let path = place(&app).await;
    let first = app.get(&path).await;
    assert_eq!((first.status.as_u16(), first.body.len()), (200, 0), "it opens, and waits for nothing");
    // Several messages at once, and one in two pieces.
    let calls = [call("1", "subscribe", &*id), json!({"type": 6}), call("2", "GetJob", "x")]
        .map(|call| record(&call));
    let said = record(&handshake()) + &calls.concat();
    let (head, tail) = said.split_at(said.len() - 9);
    for piece in [head, tail] {
        let said = app.request("POST", &path).header("content-type", "text/plain;charset=UTF-8");
        assert_eq!(Answer::of(said.body(piece.to_owned())).await.status, 200);
    }
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let poll = app.get(&format!("{path}&_=1700000000000")).await;
        assert_eq!((poll.status.as_u16(), poll.header("content-type")), (200, "application/octet-stream"));
        heard.extend(records(&poll.text()));
    }
    assert_eq!((&heard[0], &heard[1]["result"]["id"]), (&json!({}), &json!(id)));
    assert!(heard[2]["error"].as_str().unwrap().starts_with("job-not-found: "), "{heard:?}");
    // Of two polls the one that came first is answered with nothing: its client has given it up. The other one waits.
    let poll = || tokio::spawn(Answer::of(app.request("GET", &path)));
    let (given_up, waiting) = match within("a poll", select(poll(), poll())).await {
        Either::Left(both) | Either::Right(both) => both,
    };
    let given_up = given_up.unwrap();
    assert_eq!((given_up.status.as_u16(), given_up.body.len()), (200, 0));
    app.let_go(1);
    let told = records(&within("the other poll", waiting).await.unwrap().text());
    assert_eq!(told[0]["arguments"][0]["type"], "job.completed");
    // The end, as the client wishes it: by request, or by message.
    assert_eq!(Answer::of(app.request("DELETE", &path)).await.status, 202);
    until_forgotten(&app).await;
    assert_eq!(app.get(&path).await.status, 404);
    let path = place(&app).await;
    assert_eq!(app.get(&path).await.status, 200);
    let said = record(&handshake()) + &record(&json!({"type": 7}));
    assert_eq!(Answer::of(app.request("POST", &path).body(said)).await.status, 200);
    assert_eq!(records(&app.get(&path).await.text()), [json!({})]);
    assert_eq!(app.get(&path).await.status, 204);
    until_forgotten(&app).await;
    app.stop().await;
}

#[tokio::test]
async fn a_client_that_listens_to_events() {
    let app = TestApp::start().await;
    let path = place(&app).await;
    let request = app.request("GET", &path).header("accept", "application/json, Text/Event-Stream");
    let mut stream = request.send().await.unwrap();
    assert_eq!(
        (stream.status().as_u16(), stream.headers()["content-type"].to_str().unwrap()),
        (200, "text/event-stream")
    );
    assert_eq!(stream.chunk().await.unwrap().unwrap(), &b":\n\n"[..], "something comes at once");
    let said = record(&handshake()) + &record(&call("1", "GetJob", "x")) + &record(&json!({"type": 7}));
    assert_eq!(Answer::of(app.request("POST", &path).body(said)).await.status, 200);
    let text = within("the end of the stream", stream.text()).await.unwrap();
    let events: Vec<&str> =
        text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
    let heard = records(&events.concat());
    assert_eq!((heard.len(), &heard[0], &heard[1]["invocationId"]), (2, &json!({}), &json!("1")));
    until_forgotten(&app).await;
    app.stop().await;
}

#[tokio::test]
async fn there_are_as_many_connections_as_there_may_be() {
    let app = TestApp::with(|config| config.server.max_hub_connections = 2).await;
    let (first, second) = (place(&app).await, Socket::ready(&app, &[]).await);
    let third = negotiate(&app, "?negotiateVersion=1").await;
    assert!(third["error"].as_str().unwrap().contains("server.max_hub_connections"), "{third}");
    assert_eq!(Socket::open(&app, "/hubs/jobs", &[]).await.err(), Some(503));
    drop(second);
    until_open(&app, Transport::WebSockets, 0).await;
    within("a place", async { while negotiate(&app, "").await.get("error").is_some() {} }).await;
    assert_eq!(app.get(&first).await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_foreign_page_opens_nothing_on_this_host() {
    let app = TestApp::start().await;
    let home = format!("http://{}", app.server.address());
    for (headers, status) in [
        (&[("origin", "http://evil.example")][..], Some(403)),
        (&[("origin", "null")], Some(403)),
        (&[("sec-fetch-site", "cross-site")], Some(403)),
        (&[("origin", &*home)], None),
        (&[], None),
    ] {
        assert_eq!(Socket::open(&app, "/hubs/jobs", headers).await.err(), status, "{headers:?}");
    }
    let evil = app.request("POST", "/hubs/jobs/negotiate").header("origin", "http://evil.example");
    Answer::of(evil).await.problem(403, "origin-forbidden");
    app.stop().await;
}

#[tokio::test]
async fn a_page_that_is_named_may_send_credentials_to_the_hub_alone() {
    let page = "https://app.example";
    let app = TestApp::with(|config| config.server.cors_origins = vec![page.to_owned()]).await;
    let preflight = app
        .request("OPTIONS", "/hubs/jobs/negotiate")
        .header("origin", page)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-requested-with,x-signalr-user-agent");
    let preflight = Answer::of(preflight).await;
    assert_eq!(preflight.status, 204);
    let allowed = preflight.header("access-control-allow-headers");
    assert!(allowed.contains("X-Requested-With") && allowed.contains("X-SignalR-User-Agent"), "{allowed}");
    let negotiated = Answer::of(app.request("POST", "/hubs/jobs/negotiate").header("origin", page)).await;
    for answer in [preflight, negotiated] {
        assert_eq!(answer.header("access-control-allow-origin"), page);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
    }
    let elsewhere = Answer::of(app.request("GET", "/api/jobs").header("origin", page)).await;
    assert!(!elsewhere.headers.contains_key("access-control-allow-credentials"));
    assert!(Socket::open(&app, "/hubs/jobs", &[("origin", page)]).await.is_ok());
    app.stop().await;
}

#[tokio::test]
async fn every_page_is_named_where_a_token_is_asked_for_and_never_where_none_is() {
    for (asks, origin, credentials) in [(true, "https://any.example", Some("true")), (false, "*", None)] {
        let app = TestApp::with(|config| {
            config.server.cors_origins = vec!["*".to_owned()];
            if asks {
                crate::guard::with_tokens(config);
            } else {
                config.auth.mode = backroom::config::AuthMode::None;
            }
        })
        .await;
        let answer = app.request("POST", "/hubs/jobs/negotiate").header("origin", "https://any.example");
        let answer = Answer::of(answer).await;
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        let told = answer.headers.get("access-control-allow-credentials").map(|told| told.to_str().unwrap());
        assert_eq!(told, credentials);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_connection_that_ends_over_http_leaves_the_socket_in_order() {
    let app = TestApp::start().await;
    let mut raw = Raw::connect(&app).await;
    for _ in 0..2 {
        raw.send("POST /hubs/jobs?id=x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabc").await;
        assert_eq!(raw.answer().await.status, 404);
    }
    app.stop().await;
}
