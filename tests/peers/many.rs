//! A drain with many who watch.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::peer::Peer;
use crate::process::{PATIENCE, Place, noop};

const STREAMS: usize = 1_000;
const CLIENTS: usize = 20;

/// A stream of all events that is open. What is read of it stands behind the head.
async fn open(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /api/events HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut begun = Vec::new();
    while !begun.ends_with(b"retry: 3000\n\n\r\n") {
        assert_ne!(stream.read_buf(&mut begun).await.unwrap(), 0, "{}", String::from_utf8_lossy(&begun));
    }
    stream
}

/// Streams are told when to come again, jobs are finished, all within the grace; and every client of the hub finds its
/// job at the next server.
#[tokio::test]
async fn a_drain_with_a_thousand_streams_ends_in_time_and_every_client_comes_back() {
    let place = Place::new(&["shutdown.grace=20s"]);
    let server = place.start().await;
    let address = server.base.strip_prefix("http://").unwrap().to_owned();
    let mut later = noop(&json!({}));
    later["delay"] = "1h".into();
    let id = server.accepted(&later).await;

    let hub = format!("{}/hubs/jobs", server.base);
    let mut clients = Peer::node("many.js", &[&hub, &CLIENTS.to_string(), &id]);
    let mut found = Vec::new();
    for _ in 0..CLIENTS {
        found.push(clients.hear().await);
    }
    let mut reading = JoinSet::new();
    for _ in 0..STREAMS {
        let mut stream = open(&address).await;
        reading.spawn(async move {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            String::from_utf8(rest).unwrap()
        });
    }
    let running = server.accepted(&noop(&json!({"sleep": "1s"}))).await;
    server.state(&running, "processing").await;

    let ended = server.stop().await;
    let report = ended.report();
    assert_eq!((ended.code, report.finished, report.spilled), (Some(0), 1, 1), "{report:?}");
    assert!(report.lost.is_empty() && report.interrupted == 0, "{report:?}");
    assert!(report.duration_ms < 20_000, "{report:?}");
    let rests = tokio::time::timeout(PATIENCE, reading.join_all()).await.expect("every stream ends");
    for rest in rests {
        assert!(rest.contains("event: job.completed\n"), "what has happened is told before: {rest}");
        assert!(rest.ends_with("retry: 5000\n\n\r\n0\r\n\r\n"), "it is told when to come again: {rest}");
    }

    let server = place.start_with(&[&format!("server.bind={address}")]).await;
    for _ in 0..CLIENTS {
        found.push(clients.hear().await);
    }
    for client in 0..CLIENTS {
        for again in [false, true] {
            let snapshot = json!({"client": client, "again": again, "state": "scheduled"});
            assert!(found.contains(&snapshot), "{snapshot} is not in {found:?}");
        }
    }
    assert!(clients.end().await.is_empty());
    assert_eq!(server.stop().await.code, Some(0));
}
