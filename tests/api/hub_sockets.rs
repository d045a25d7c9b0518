//! The hub over a WebSocket: calls, roles, bounds of what is said, slow readers, and the drain.

use backroom::config::Config;
use backroom::http::Transport;
use backroom::job::StateName;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_util::sync::CancellationToken;

use crate::app::{Answer, TestApp, narrow, within};
use crate::guard::with_tokens;
use crate::hub_client::{
    END, SHORT, Socket, call, handshake, negotiate, place, record, until_forgotten, until_open,
};

const NOBODY: &str = "01a1fa71-0000-7000-8000-000000000000";

#[tokio::test]
async fn a_subscription_begins_with_the_job_and_ends_with_it() {
    let app = TestApp::narrow(10).await;
    let held = app.hold().await;
    let id = app.act(&json!({"wait": true})).await;
    let mut socket = Socket::ready(&app, &[]).await;
    let snapshot = socket.invoke("Subscribe", &*id).await.unwrap();
    assert_eq!(snapshot, app.job(&id).await);
    // The same job again, and its queue: it is told once all the same.
    assert_eq!(socket.invoke("SUBSCRIBE", &*id).await, Ok(snapshot));
    assert_eq!(socket.invoke("SubscribeQueue", "default").await, Ok(Value::Null));
    let other = app.act(&json!({"wait": true})).await;
    assert_eq!(socket.update().await, ("job.pending".to_owned(), other.clone(), 1));
    app.let_go(3);
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(socket.update().await);
    }
    let of = |id: &str| -> Vec<(&str, u64)> {
        told.iter().filter(|told| told.1 == id).map(|told| (&*told.0, told.2)).collect()
    };
    assert_eq!(of(&held), [("job.completed", 3)]);
    for id in [&id, &other] {
        assert_eq!(of(id), [("job.processing", 2), ("job.completed", 3)]);
    }
    assert!(socket.invoke("Nothing", 1).await.is_err(), "nothing was told twice");
    // Of one that has ended there is only how it ended.
    assert_eq!(socket.invoke("UnsubscribeQueue", "default").await, Ok(Value::Null));
    assert_eq!(socket.invoke("Subscribe", &*id).await.unwrap()["state"], "completed");
    assert_eq!(app.jobs().events().watchers(), 0);
    app.stop().await;
}

#[tokio::test]
async fn what_is_unsubscribed_is_told_no_more() {
    let app = TestApp::start().await;
    let (first, second) = (app.hold().await, app.hold().await);
    let mut socket = Socket::ready(&app, &[]).await;
    for id in [&first, &second] {
        socket.invoke("Subscribe", &**id).await.unwrap();
    }
    assert_eq!(socket.invoke("Unsubscribe", &*first).await, Ok(Value::Null));
    assert_eq!(socket.invoke("Unsubscribe", "x").await, Ok(Value::Null), "as often as one likes");
    let canceled = app.request("DELETE", &format!("/api/jobs/{first}"));
    assert_eq!(Answer::of(canceled).await.status, 202);
    app.until(&first, StateName::Canceled).await;
    app.let_go(1);
    assert_eq!(socket.update().await, ("job.completed".to_owned(), second, 3));
    // A stream is ended in the middle, and says so.
    let third = app.hold().await;
    let stream = json!({"type": 4, "invocationId": "s", "target": "StreamJob", "arguments": [third]});
    socket.say(&stream).await;
    assert_eq!(socket.hear().await["item"]["type"], "job.snapshot");
    socket.say(&stream).await;
    assert!(socket.hear().await["error"].as_str().unwrap().contains("has not ended"));
    socket.say(&json!({"invocationId": "s", "type": 5})).await;
    assert_eq!(socket.hear().await, json!({"type": 3, "invocationId": "s"}));
    socket.say(&json!({"invocationId": "s", "type": 5})).await;
    assert_eq!(
        socket.invoke("UnsubscribeQueue", "default").await,
        Ok(Value::Null),
        "nothing is told of it again"
    );
    drop(socket);
    until_forgotten(&app).await;
    app.stop().await;
}

#[tokio::test]
async fn what_is_enqueued_is_taken_and_refused_as_a_post_is() {
    let app = TestApp::with(|config| narrow(config, 1)).await;
    let mut socket = Socket::ready(&app, &[]).await;
    let held = app.hold().await;
    let job = json!({"kind": "act", "unique": {"key": "k"}, "payload": {"wait": true}});
    let accepted = socket.invoke("Enqueue", job.clone()).await.unwrap();
    assert_eq!((&accepted["state"], accepted.get("deduplicated")), (&json!("pending"), None));
    let again = socket.invoke("Enqueue", job).await.unwrap();
    assert_eq!((&again["id"], &again["deduplicated"]), (&accepted["id"], &json!(true)));
    for (request, said) in [
        (json!({"kind": "act"}), "queue-full: The queue default holds 1 jobs"),
        (json!({"kind": "nothing"}), "unknown-kind: "),
        (json!({"kind": "act", "queue": "male", "delay": 5, "x": 1}), "; /delay: must be a duration"),
        (json!("x"), "validation-failed: "),
        (json!({"kind": "act", "payload": {"data": "y".repeat(20_000)}, "tags": ["A\nB"]}), "/tags/0"),
    ] {
        let error = socket.invoke("Enqueue", request.clone()).await.unwrap_err();
        assert!(error.contains(said), "{error}");
        let posted = app.post("/api/jobs", &request).await;
        let slug = posted.json()["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        assert!(error.starts_with(&format!("{slug}: ")), "{slug}: {error}");
    }
    // Without a name there is no answer, whatever becomes of it.
    for target in ["Enqueue", "Nothing", "GetJob"] {
        socket.say(&json!({"type": 1, "target": target, "arguments": [{"kind": "nothing"}]})).await;
    }
    for arguments in [json!([]), json!([1, 2]), json!(null)] {
        socket
            .say(&json!({"type": 1, "target": "GetJob", "invocationId": "a", "arguments": arguments}))
            .await;
        let answer = socket.hear().await;
        assert!(answer["error"].as_str().unwrap().starts_with("GetJob takes one argument"), "{answer}");
    }
    for (kind, target, said) in [(4, "GetJob", "returns no stream"), (1, "StreamJob", "returns a stream")] {
        let call = json!({"type": kind, "target": target, "invocationId": "a", "arguments": [held]});
        socket.say(&call).await;
        assert!(socket.hear().await["error"].as_str().unwrap().contains(said));
    }
    app.stop().await;
}

#[tokio::test]
async fn each_method_asks_for_its_role() {
    let app = TestApp::with(with_tokens).await;
    assert_eq!(Socket::open(&app, "/hubs/jobs", &[]).await.err(), Some(401));
    assert_eq!(Socket::open(&app, "/hubs/jobs?access_token=nobody", &[]).await.err(), Some(401));
    let methods = [
        ("Subscribe", json!(NOBODY)),
        ("GetJob", json!(NOBODY)),
        ("Enqueue", json!({"kind": "noop"})),
        ("SubscribeQueue", json!("default")),
        ("Unsubscribe", json!(NOBODY)),
    ];
    for (token, may) in [
        ("submit-0123456789", [true, true, true, false, true]),
        ("read-0123456789ab", [true, true, false, true, true]),
        ("operate-012345678", [true; 5]),
        ("both-0123456789ab", [true; 5]),
    ] {
        let bearer = format!("Bearer {token}");
        let mut socket = Socket::ready(&app, &[("authorization", &bearer)]).await;
        for ((method, argument), may) in methods.iter().zip(may) {
            let answer = socket.invoke(method, argument.clone()).await;
            let refused =
                answer.is_err_and(|error| error.starts_with("forbidden: This needs a token with the role"));
            assert_eq!(refused, !may, "{token} {method}");
        }
        // A browser has no header to send it in.
        let by_url = format!("/hubs/jobs?access_token={token}");
        assert!(Socket::open(&app, &by_url, &[]).await.is_ok());
    }
    // A connection is that of the caller who asked for it, even for who knows its name.
    let negotiated = app.request("POST", "/hubs/jobs/negotiate?access_token=read-0123456789ab");
    let negotiated = Answer::of(negotiated).await.json();
    let path = format!("/hubs/jobs?id={}", negotiated["connectionId"].as_str().unwrap());
    for (token, status) in
        [("submit-0123456789", 404), ("operate-012345678", 404), ("read-0123456789ab", 200)]
    {
        assert_eq!(Answer::of(app.request("GET", &path).bearer_auth(token)).await.status, status, "{token}");
    }
    app.stop().await;
}

#[tokio::test]
async fn who_speaks_something_else_is_told_so() {
    let app = TestApp::start().await;
    for (said, answer) in [
        (r#"{"protocol":"messagepack","version":1}"#, "\"json\" only"),
        (r#"{"protocol":"json","version":2}"#, "version 1"),
        ("GET / HTTP/1.1", "begins with a handshake"),
    ] {
        let mut socket = Socket::open(&app, "/hubs/jobs", &[]).await.unwrap();
        socket.send(Message::text(format!("{said}{END}"))).await;
        let (heard, code) = socket.rest().await;
        assert!(heard[0]["error"].as_str().unwrap().contains(answer), "{heard:?}");
        assert_eq!((heard.len(), code), (1, Some(1000)));
    }
    for said in ["{", "[]", "{}", r#"{"type":1,"arguments":[]}"#, "\u{0}"] {
        let mut socket = Socket::ready(&app, &[]).await;
        socket.send(Message::text(format!("{said}{END}"))).await;
        let (heard, code) = socket.rest().await;
        assert_eq!((&heard[0]["type"], heard[0].get("allowReconnect"), code), (&json!(7), None, Some(1000)));
        assert!(heard[0]["error"].as_str().unwrap().contains("a message"), "{heard:?}");
    }
    // What a newer client may say is passed over.
    let mut socket = Socket::ready(&app, &[]).await;
    let strange = [json!({"type": 99, "x": []}), json!({"type": 8, "sequenceId": 1}), json!({"type": 6})];
    let together: String = strange.iter().chain([&call("1", "GetJob", 1)]).map(record).collect();
    socket.send(Message::binary(together)).await;
    assert_eq!(socket.hear().await["invocationId"], "1");
    app.stop().await;
}

#[tokio::test]
async fn a_message_has_a_longest_and_so_has_a_frame() {
    let largest = 100 << 10;
    let app = TestApp::with(|config| config.server.body_limit = largest).await;
    let longest = 32 << 10;
    for (length, fits) in [(longest - 1, true), (longest, true), (longest + 1, false)] {
        let mut socket = Socket::ready(&app, &[]).await;
        let bare = json!({"invocationId": "1", "type": 1, "target": "GetJob", "arguments": ["x"], "pad": ""})
            .to_string();
        let padded =
            bare.replace("\"pad\":\"\"", &format!("\"pad\":\"{}\"", "p".repeat(length - bare.len())));
        assert_eq!(padded.len(), length);
        socket.send(Message::text(format!("{padded}{END}"))).await;
        let heard = socket.hear().await;
        let (kind, said) = if fits { (3, "job-not-found") } else { (7, "at most 32768 bytes") };
        assert!(
            heard["type"] == kind && heard["error"].as_str().unwrap().contains(said),
            "{length}: {heard}"
        );
        drop(socket);
    }
    // A frame can hold as many as the body of a request, and a message several frames.
    let ping = record(&json!({"type": 6}));
    for (length, fits) in [(largest - 1, true), (largest, true), (largest + 1, false)] {
        let mut socket = Socket::ready(&app, &[]).await;
        let many = ping.repeat(length / ping.len() - 1);
        let pad = " ".repeat(length - many.len() - ping.len());
        let many = format!("{many}{{{pad}\"type\":6}}{END}");
        assert_eq!(many.len(), length);
        socket.send(Message::text(many)).await;
        if fits {
            assert!(socket.invoke("GetJob", 1).await.is_err(), "{length}");
        } else {
            assert_eq!(socket.rest().await, (vec![], Some(1009)), "{length}");
        }
    }
    let mut socket = Socket::ready(&app, &[]).await;
    let said = record(&call("1", "GetJob", 1));
    let (head, tail) = said.split_at(9);
    for (part, code, last) in
        [(head, Data::Text, false), ("", Data::Continue, false), (tail, Data::Continue, true)]
    {
        let part = part.as_bytes().to_vec();
        socket.send(Message::Frame(Frame::message(part, OpCode::Data(code), last))).await;
    }
    assert_eq!(socket.hear().await["invocationId"], "1");
    socket.send(Message::Ping("are you there".into())).await;
    assert_eq!(socket.frame().await, Some(Message::Pong("are you there".into())));
    socket.send(Message::Close(None)).await;
    assert_eq!(socket.rest().await, (vec![], Some(1000)));
    until_forgotten(&app).await;
    app.stop().await;
}

#[tokio::test]
async fn a_connection_watches_so_many_jobs_and_no_more() {
    let app = TestApp::start().await;
    let jobs: Vec<Value> = (0..101).map(|_| json!({"kind": "act", "delay": "1h"})).collect();
    let accepted = app.post("/api/jobs/batch", &json!({"jobs": jobs})).await.json();
    let id = |n: usize| accepted["jobs"][n]["id"].clone();
    let mut socket = Socket::ready(&app, &[]).await;
    for n in 0..100 {
        socket.invoke("Subscribe", id(n)).await.unwrap();
    }
    let too_many = socket.invoke("Subscribe", id(100)).await.unwrap_err();
    assert!(too_many.starts_with("too-many: a connection may watch 100 jobs"), "{too_many}");
    socket.invoke("Subscribe", id(7)).await.expect("which it watches already");
    socket.say(&json!({"type": 4, "invocationId": "s", "target": "StreamJob", "arguments": [id(100)]})).await;
    assert!(socket.hear().await["error"].as_str().unwrap().starts_with("too-many: "));
    socket.invoke("Unsubscribe", id(0)).await.unwrap();
    socket.invoke("Subscribe", id(100)).await.unwrap();
    // What comes to its end makes room too.
    let canceled = app.request("DELETE", &format!("/api/jobs/{}", id(5).as_str().unwrap()));
    assert_eq!(Answer::of(canceled).await.status, 200);
    assert_eq!(socket.update().await.0, "job.canceled");
    socket.invoke("Subscribe", id(0)).await.unwrap();
    socket.invoke("Subscribe", id(5)).await.expect("there is nothing more to watch");
    assert_eq!(app.jobs().events().watchers(), 100);
    drop(socket);
    until_forgotten(&app).await;
    app.stop().await;
}

#[tokio::test]
async fn a_reader_that_never_reads_is_cut() {
    let app = TestApp::with(|config: &mut Config| {
        config.server.write_timeout = SHORT;
        config.retention.max_finished = 100;
    })
    .await;
    let mut silent = TcpStream::connect(app.server.address()).await.unwrap();
    let upgrade = "GET /hubs/jobs HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let said = record(&handshake()) + &record(&call("1", "SubscribeQueue", "default"));
    // A mask of zeros leaves the bytes as they are.
    let frame = [&[0x81, 0x80 | u8::try_from(said.len()).unwrap(), 0, 0, 0, 0], said.as_bytes()].concat();
    silent.write_all(&[upgrade.as_bytes(), &frame].concat()).await.unwrap();
    within("who watches", async {
        while app.jobs().events().watchers() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut told = 0;
    within("the reader to be cut", async {
        while app.jobs().events().watchers() > 0 {
            let jobs: Vec<Value> = (0..200).map(|_| json!({"kind": "noop"})).collect();
            let answer = app.post("/api/jobs/batch", &json!({"jobs": jobs})).await;
            told += if answer.status == 202 { 200 } else { 0 };
        }
    })
    .await;
    assert!(told > 0, "it was cut without a reason");
    until_forgotten(&app).await;
    drop(silent);
    app.stop().await;
}

#[tokio::test]
async fn a_drain_sends_everybody_away_to_come_again() {
    let app = TestApp::start().await;
    let (held, later) = (app.hold().await, app.submit(&json!({"kind": "act", "delay": "1h"})).await);
    let mut socket = Socket::ready(&app, &[]).await;
    socket.invoke("Subscribe", &*held).await.unwrap();
    socket.invoke("Subscribe", &*later).await.unwrap();
    let bare = Socket::open(&app, "/hubs/jobs", &[]).await.unwrap();
    let negotiated = place(&app).await;
    let polled = place(&app).await;
    assert_eq!(app.get(&polled).await.status, 200);
    assert_eq!(Answer::of(app.request("POST", &polled).body(record(&handshake()))).await.status, 200);
    assert_eq!(app.get(&polled).await.text(), format!("{{}}{END}"));

    let hurry = CancellationToken::new();
    let draining = async { app.server.backroom().drain(&hurry).await };
    let during = async {
        while !app.jobs().is_draining() {
            tokio::task::yield_now().await;
        }
        // Whoever comes is let in, and is told that nothing is taken any more.
        let mut late = Socket::ready(&app, &[]).await;
        let error = late.invoke("Enqueue", json!({"kind": "act"})).await.unwrap_err();
        assert!(error.starts_with("draining: ") && error.ends_with("try again after 5 s"), "{error}");
        assert_eq!(late.invoke("GetJob", &*held).await.unwrap()["state"], "processing");
        assert!(negotiate(&app, "").await.get("error").is_none());
        app.let_go(1);
        late
    };
    let (report, late) = within("the drain", Box::pin(async { tokio::join!(draining, during) })).await;
    assert_eq!((report.finished, report.spilled, report.lost.len()), (1, 1, 0));
    let poll = tokio::spawn(Answer::of(app.request("GET", &polled)));
    app.server.backroom().close();
    let close = json!({"type": 7, "allowReconnect": true});
    assert_eq!(socket.update().await.0, "job.completed", "what has happened is told before");
    for socket in [socket, late] {
        assert_eq!(socket.rest().await, (vec![close.clone()], Some(1000)));
    }
    let poll = within("the poll", poll).await.unwrap();
    assert_eq!((poll.status.as_u16(), poll.text()), (200, record(&close)));
    // Before a handshake that word is not known yet.
    let (heard, _) = bare.rest().await;
    assert_eq!(heard, [json!({"error": "the server is stopping; connect again later"})]);
    // Then nobody is let in: there would be nothing but a farewell.
    let refused = Answer::of(app.request("POST", "/hubs/jobs/negotiate")).await;
    assert_eq!(refused.problem(503, "draining")["retry_after_seconds"], 5);
    assert_eq!(Socket::open(&app, "/hubs/jobs", &[]).await.err(), Some(503));
    assert!(
        [200, 404].contains(&app.get(&negotiated).await.status.as_u16()),
        "what nobody has opened ends by itself"
    );
    until_open(&app, Transport::WebSockets, 0).await;
    within("the connections", app.server.stop(&hurry)).await;
}
