//! Server-sent events, over real connections.

use std::time::Duration;

use backroom::config::Config;
use backroom::job::StateName;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use crate::app::{Answer, TestApp, within};
use crate::guard::with_tokens;

/// A stream as a client reads it.
struct Stream {
    response: Response,
    read: String,
}

/// What stands between two empty lines.
#[derive(Clone, PartialEq, Debug)]
enum Frame {
    Retry(u64),
    Event { id: u64, kind: String, data: Value },
    Comment,
}

impl Frame {
    fn parse(text: &str) -> Self {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        if let Some(retry) = field("retry: ") {
            return Self::Retry(retry.parse().unwrap());
        }
        let Some(data) = field("data: ") else {
            assert!(text.starts_with(':'), "{text}");
            return Self::Comment;
        };
        let data: Value = serde_json::from_str(data).unwrap();
        let kind = field("event: ").unwrap().to_owned();
        assert_eq!(data["type"], kind);
        Self::Event { id: field("id: ").unwrap().parse().unwrap(), kind, data }
    }
}

impl Stream {
    async fn open(request: RequestBuilder) -> Self {
        let mut stream = Self::bare(request).await;
        assert_eq!(stream.next().await, Some(Frame::Retry(3_000)));
        stream
    }

    async fn bare(request: RequestBuilder) -> Self {
        let response = within("the head of a stream", request.send()).await.unwrap();
        assert_eq!(response.status(), 200);
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("content-encoding", "identity"),
            ("x-accel-buffering", "no"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        assert!(response.headers().contains_key("x-request-id"));
        Self { response, read: String::new() }
    }

    async fn of(app: &TestApp, id: &str) -> Self {
        Self::open(app.request("GET", &format!("/api/jobs/{id}/events"))).await
    }

    /// The next frame; nothing when the stream has ended as it should.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(end) = self.read.find("\n\n") {
                let text: String = self.read.drain(..end + 2).collect();
                return Some(Frame::parse(text.trim_end()));
            }
            match within("more of a stream", self.response.chunk()).await.unwrap() {
                Some(bytes) => self.read += std::str::from_utf8(&bytes).unwrap(),
                None => {
                    assert_eq!(self.read, "", "half a frame");
                    return None;
                }
            }
        }
    }

    /// The next event: its id, its type, and the job.
    async fn event(&mut self) -> (u64, String, Value) {
        match self.next().await {
            Some(Frame::Event { id, kind, data }) => (id, kind, data),
            other => panic!("no event, but {other:?}"),
        }
    }

    /// The types of everything up to the end.
    async fn rest(mut self) -> Vec<String> {
        let mut kinds = Vec::new();
        while let Some(frame) = self.next().await {
            kinds.push(match frame {
                Frame::Event { kind, .. } => kind,
                Frame::Retry(pause) => format!("retry {pause}"),
                Frame::Comment => "comment".to_owned(),
            });
        }
        kinds
    }
}

async fn until_watched(app: &TestApp, watchers: usize) {
    within("who watches", async {
        while app.jobs().events().watchers() != watchers {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn again(app: &TestApp, id: &str, seen: impl std::fmt::Display) -> RequestBuilder {
    app.request("GET", &format!("/api/jobs/{id}/events")).header("last-event-id", seen.to_string())
}

#[tokio::test]
async fn a_job_is_told_from_its_snapshot_to_its_end() {
    let app = TestApp::start().await;
    let id = app.act(&json!({"wait": true, "progress": [40, "half"]})).await;
    app.until_job(&id, "40 %", |job| job.progress.percent == 40).await;
    let shown = app.job(&id).await;
    let mut stream = Stream::open(app.request("GET", shown["links"]["events"].as_str().unwrap())).await;
    let (snapshot, kind, data) = stream.event().await;
    assert_eq!((kind.as_str(), &data["data"]), ("job.snapshot", &shown));
    assert_eq!((data["sequence"].as_u64(), snapshot), (Some(3), 3), "a snapshot uses no number up");
    let members: Vec<&String> = data.as_object().unwrap().keys().collect();
    assert_eq!(members, ["data", "sequence", "timestamp", "type"]);
    app.let_go(1);
    let (last, kind, data) = stream.event().await;
    assert_eq!((last, kind.as_str()), (4, "job.completed"));
    assert_eq!((&data["sequence"], &data["timestamp"]), (&json!(4), &data["data"]["finished_at"]));
    assert_eq!(data["data"], app.job(&id).await);
    assert_eq!(stream.next().await, None);
    until_watched(&app, 0).await;
    app.stop().await;
}

#[tokio::test]
async fn every_event_is_told_with_a_sequence_that_grows_by_one() {
    let app = TestApp::narrow(10).await;
    app.hold().await;
    let id = app.act(&json!({"wait": true, "progress": [40, "half"]})).await;
    let mut stream = Stream::of(&app, &id).await;
    assert_eq!(stream.event().await.1, "job.snapshot");
    app.let_go(1);
    assert_eq!(stream.event().await.1, "job.processing");
    assert_eq!(stream.event().await.1, "job.progress");
    let asked = Answer::of(app.request("DELETE", &format!("/api/jobs/{id}"))).await;
    assert_eq!(asked.status, 202);
    let (sequence, kind, data) = stream.event().await;
    assert_eq!(
        (sequence, kind.as_str(), &data["data"]["cancel_requested"]),
        (4, "job.progress", &json!(true))
    );
    let (sequence, kind, _) = stream.event().await;
    assert_eq!((sequence, kind.as_str()), (5, "job.canceled"));
    assert_eq!(stream.next().await, None);
    // It goes on where it was.
    app.post(&format!("/api/jobs/{id}/retry"), &json!({})).await;
    let (sequence, kind, _) = Stream::of(&app, &id).await.event().await;
    assert!(sequence >= 6 && kind == "job.snapshot");
    app.stop().await;
}

#[tokio::test]
async fn a_reconnect_is_told_what_it_has_not_seen() {
    let app = TestApp::start().await;
    let id = app.act(&json!({"fail": "no"})).await;
    app.until(&id, StateName::Failed).await;
    // pending, processing, failed
    for (seen, kind, sequence) in
        [("2", "job.failed", 3), ("1", "job.snapshot", 3), ("4", "job.snapshot", 3), ("x", "job.snapshot", 3)]
    {
        let (id, told, data) = Stream::open(again(&app, &id, seen)).await.event().await;
        assert_eq!((id, told.as_str(), &data["sequence"]), (sequence, kind, &json!(sequence)), "{seen}");
        assert_eq!(data["data"]["attempts"][0]["outcome"], "failed");
        if kind == "job.failed" {
            assert_eq!(data["timestamp"], data["data"]["attempts"][0]["finished_at"]);
        }
    }
    let mut stream = Stream::open(again(&app, &id, 3)).await;
    let canceled = Answer::of(app.request("DELETE", &format!("/api/jobs/{id}"))).await;
    assert_eq!(canceled.status, 200);
    assert_eq!(stream.event().await.1, "job.canceled", "nothing was shown twice");
    assert_eq!(stream.next().await, None);
    // To one that runs several things can have happened, and the row does not say which was the last.
    let held = app.hold().await;
    assert_eq!(Stream::open(again(&app, &held, 1)).await.event().await.1, "job.snapshot");
    app.stop().await;
}

#[tokio::test]
async fn after_the_end_there_is_a_snapshot_and_then_nothing() {
    let app = TestApp::start().await;
    let id = app.act(&json!({})).await;
    app.until(&id, StateName::Completed).await;
    assert_eq!(Stream::of(&app, &id).await.rest().await, ["job.snapshot"]);
    assert_eq!(Stream::open(again(&app, &id, 1)).await.rest().await, ["job.snapshot"]);
    assert_eq!(Stream::open(again(&app, &id, 2)).await.rest().await, ["job.completed"]);
    for seen in [3, 4, u64::MAX] {
        for method in ["GET", "HEAD"] {
            let request = app.request(method, &format!("/api/jobs/{id}/events"));
            let answer = Answer::of(request.header("last-event-id", seen.to_string())).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0), "{method} {seen}");
        }
    }
    for unknown in ["01a1fa71-0000-7000-8000-000000000000", "x"] {
        let answer = Answer::of(again(&app, unknown, 3)).await;
        answer.problem(404, "job-not-found");
    }
    until_watched(&app, 0).await;
    app.stop().await;
}

#[tokio::test]
async fn head_is_answered_as_get_and_ends() {
    let app = TestApp::start().await;
    let id = app.hold().await;
    for path in [format!("/api/jobs/{id}/events"), "/api/events".to_owned()] {
        let stream = Stream::bare(app.request("HEAD", &path)).await;
        assert_eq!(stream.rest().await, [""; 0]);
    }
    until_watched(&app, 0).await;
    app.stop().await;
}

#[tokio::test]
async fn who_leaves_is_forgotten() {
    let app = TestApp::start().await;
    let id = app.hold().await;
    let (one, all) = (Stream::of(&app, &id).await, Stream::open(app.request("GET", "/api/events")).await);
    until_watched(&app, 2).await;
    drop((one, all));
    until_watched(&app, 0).await;
    app.stop().await;
}

#[tokio::test]
async fn one_stream_tells_of_many_jobs() {
    let app = TestApp::with(|config| {
        let mut other = config.queues["default"].clone();
        other.capacity = 10;
        config.queues.insert("other".parse().unwrap(), other);
    })
    .await;
    let before = app.hold().await;
    let open = async |query: &str| Stream::open(app.request("GET", &format!("/api/events{query}"))).await;
    let mut everything = open("").await;
    let mut queue = open("?queue=other&queue=mail").await;
    let mut kind = open("?kind=noop").await;
    let mut both = open("?kind=act&queue=other").await;
    let mut job = open(&format!("?job={before}")).await;
    let acted = app.submit(&json!({"kind": "act", "queue": "other"})).await;
    app.until(&acted, StateName::Completed).await;
    let rested = app.submit(&json!({"kind": "noop"})).await;
    app.until(&rested, StateName::Completed).await;
    app.let_go(1);

    let all = ["job.pending", "job.processing", "job.completed"];
    let mut last = 0;
    for id in [&acted, &rested] {
        for (n, want) in all.iter().enumerate() {
            let (number, kind, data) = everything.event().await;
            assert_eq!((&kind.as_str(), &data["data"]["id"]), (want, &json!(id)), "no snapshot comes first");
            assert_eq!(data["sequence"], n + 1);
            assert!(last == 0 || number == last + 1, "{last} {number}");
            last = number;
        }
    }
    for (stream, id) in [(&mut queue, &acted), (&mut both, &acted), (&mut kind, &rested)] {
        for want in all {
            let (_, kind, data) = stream.event().await;
            assert_eq!((kind.as_str(), &data["data"]["id"]), (want, &json!(id)));
        }
    }
    let (number, kind, data) = job.event().await;
    assert_eq!((kind.as_str(), &data["data"]["id"]), ("job.completed", &json!(before)));
    assert!(number > last, "one order for all streams");

    let answer = app.get("/api/events?queue=&kind=NO&job=1&state=failed&access_token=x").await;
    let problem = answer.problem(422, "validation-failed");
    let named: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["parameter"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["queue", "kind", "job", "state"]);
    app.stop().await;
}

#[tokio::test]
async fn a_browser_sends_its_token_in_the_url() {
    let app = TestApp::with(with_tokens).await;
    let submit = app.request("POST", "/api/jobs").json(&json!({"kind": "noop"}));
    let id = Answer::of(submit.bearer_auth("submit-0123456789")).await.id();
    app.until(&id, StateName::Completed).await;
    let (one, all) = (format!("/api/jobs/{id}/events"), "/api/events".to_owned());
    let (submit, read) = ("submit-0123456789", "read-0123456789ab");
    for (path, good, bad) in [(&one, submit, None), (&one, read, None), (&all, read, Some(submit))] {
        let stream = Stream::open(app.request("GET", &format!("{path}?access_token={good}"))).await;
        drop(stream);
        if let Some(bad) = bad {
            let answer = app.get(&format!("{path}?access_token={bad}")).await;
            answer.problem(403, "forbidden");
            assert!(!answer.text().contains(bad), "{}", answer.text());
        }
        for query in ["", "?access_token=", "?access_token=wrong", "?Access_token=submit-0123456789"] {
            app.get(&format!("{path}{query}")).await.problem(401, "unauthorized");
        }
        let twice = app.request("GET", &format!("{path}?access_token={good}")).bearer_auth(good);
        Answer::of(twice).await.problem(400, "malformed-request");
        let twice = app.get(&format!("{path}?access_token={good}&access_token={good}")).await;
        twice.problem(400, "malformed-request");
    }
    // Nowhere else.
    for path in [format!("/api/jobs/{id}"), format!("/api/jobs/{id}/status"), "/api/queues".to_owned()] {
        let answer = app.get(&format!("{path}?access_token=operate-012345678")).await;
        answer.problem(401, "unauthorized");
    }
    app.stop().await;
}

/// Asks for a stream on a connection that is read by hand.
async fn raw(app: &TestApp, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(app.server.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_thousand_watchers_are_told_of_the_end() {
    let app = TestApp::with(|config| config.server.max_connections = 2_000).await;
    let id = app.hold().await;
    let mut watching = Vec::new();
    for _ in 0..1_000 {
        watching.push(raw(&app, &format!("/api/jobs/{id}/events")).await);
    }
    until_watched(&app, 1_000).await;
    app.let_go(1);
    for mut stream in watching {
        let mut text = String::new();
        within("the end of a stream", stream.read_to_string(&mut text)).await.unwrap();
        assert_eq!(text.matches("\nevent: job.completed\n").count(), 1, "{text}");
        assert_eq!(text.matches("\nevent: ").count(), 2, "{text}");
        assert!(text.ends_with("\r\n0\r\n\r\n"), "{text}");
    }
    until_watched(&app, 0).await;
    app.stop().await;
}

/// Whoever comes in the very moment of the end sees it: as the first thing, or as what follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_at_the_moment_of_the_end_sees_it() {
    let app = std::sync::Arc::new(TestApp::start().await);
    for _ in 0..200 {
        let id = app.hold().await;
        let together = std::sync::Arc::new(Barrier::new(2));
        let (watching, path) = (std::sync::Arc::clone(&app), format!("/api/jobs/{id}/events"));
        let meet = std::sync::Arc::clone(&together);
        let seen = tokio::spawn(async move {
            let request = watching.request("GET", &path);
            meet.wait().await;
            Stream::open(request).await.rest().await
        });
        together.wait().await;
        app.let_go(1);
        let seen = seen.await.unwrap();
        let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
        assert!(matches!(seen[..], ["job.snapshot"] | ["job.snapshot", "job.completed"]), "{seen:?}");
        assert_eq!(app.job(&id).await["state"], "completed", "the stream ended at the end");
    }
    let Ok(app) = std::sync::Arc::try_unwrap(app) else { panic!("somebody still watches") };
    app.stop().await;
}

#[tokio::test]
async fn a_reader_that_never_reads_is_cut() {
    let app = TestApp::with(|config: &mut Config| {
        config.server.write_timeout = Duration::from_millis(200);
        config.retention.max_finished = 100;
    })
    .await;
    let silent = raw(&app, "/api/events").await;
    until_watched(&app, 1).await;
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
    drop(silent);
    app.stop().await;
}

#[tokio::test]
async fn open_streams_end_with_the_server_and_say_when_to_come_again() {
    let app = TestApp::start().await;
    let (held, later) = (app.hold().await, app.submit(&json!({"kind": "act", "delay": "1h"})).await);
    let mut streams = Vec::new();
    for _ in 0..50 {
        for path in [format!("/api/jobs/{later}/events"), format!("/api/events?job={held}")] {
            streams.push(Stream::open(app.request("GET", &path)).await);
        }
    }
    let last = Stream::of(&app, &held).await;
    let silent = raw(&app, "/api/events").await;
    until_watched(&app, 102).await;
    let reading = tokio::spawn(async move {
        let mut told = Vec::new();
        for stream in streams {
            told.push(stream.rest().await);
        }
        (told, last.rest().await)
    });
    // While it drains everybody who comes is let in.
    let hurry = CancellationToken::new();
    let draining = async { app.server.backroom().drain(&hurry).await };
    let during = async {
        while !app.jobs().is_draining() {
            tokio::task::yield_now().await;
        }
        let snapshot = Stream::of(&app, &held).await.event().await;
        assert_eq!(snapshot.1, "job.snapshot");
        app.let_go(1);
    };
    let (report, ()) = within("the drain", async { tokio::join!(draining, during) }).await;
    assert_eq!((report.finished, report.spilled, report.lost.len()), (1, 1, 0));
    // What comes after the account and before the end is answered too, and sent away at once.
    app.server.backroom().close();
    let late = Stream::of(&app, &later).await;
    assert_eq!(late.rest().await, ["job.snapshot", "retry 5000"]);
    let (told, last) = within("the ends of all streams", reading).await.unwrap();
    for two in told.chunks(2) {
        assert_eq!(two[0], ["job.snapshot", "retry 5000"]);
        assert_eq!(two[1], ["job.completed", "retry 5000"]);
    }
    assert_eq!(last, ["job.snapshot", "job.completed"]);
    until_watched(&app, 0).await;
    drop(silent);
    within("the connections", app.server.stop(&hurry)).await;
}

/// More requests than are read before their turn.
const BEHIND: usize = 5_000;

fn behind() -> String {
    "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(BEHIND)
}

/// The first waits for a second, which is long enough for all others to come.
#[tokio::test]
async fn what_comes_behind_a_request_that_waits_is_answered_in_its_turn() {
    let app = TestApp::start().await;
    let id = app.hold().await;
    let stream = TcpStream::connect(app.server.address()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let waiting = format!("GET /api/jobs/{id} HTTP/1.1\r\nhost: localhost\r\nprefer: wait=1\r\n\r\n");
    let sending = tokio::spawn(async move {
        writing.write_all((waiting + &behind()).as_bytes()).await.unwrap();
        writing
    });
    let mut text = Vec::new();
    let answers = |text: &[u8]| text.windows(12).filter(|part| part == b"HTTP/1.1 200").count();
    within("all answers", async {
        while answers(&text) < BEHIND + 1 {
            assert!(reading.read_buf(&mut text).await.unwrap() > 0, "{} answers", answers(&text));
        }
    })
    .await;
    drop(sending.await.unwrap());
    app.let_go(1);
    app.stop().await;
}

#[tokio::test]
async fn a_stream_goes_on_although_its_client_sends_what_nobody_reads() {
    let app = TestApp::start().await;
    let id = app.hold().await;
    let (mut reading, mut writing) = raw(&app, &format!("/api/jobs/{id}/events")).await.into_split();
    until_watched(&app, 1).await;
    let sending = tokio::spawn(async move { writing.write_all(behind().as_bytes()).await });
    let mut text = Vec::new();
    let mut until = async |what: &str, wanted: &[u8]| {
        within(what, async {
            while !text.windows(wanted.len()).any(|part| part == wanted) {
                assert!(reading.read_buf(&mut text).await.unwrap() > 0, "the stream has ended");
            }
        })
        .await;
    };
    until("the snapshot", b"event: job.snapshot").await;
    app.let_go(1);
    until("the end of the job", b"event: job.completed").await;
    until_watched(&app, 0).await;
    drop(reading);
    let _ = within("the client", sending).await.unwrap();
    app.stop().await;
}
