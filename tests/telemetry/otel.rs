//! What a collector of OpenTelemetry receives.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::program::{Program, within};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector: takes one export after the other, and keeps their heads and bodies.
struct Collector(tokio::task::JoinHandle<Vec<(String, Vec<u8>)>>, tokio::sync::oneshot::Sender<()>, String);

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let serving = tokio::spawn(async move {
            let mut exports = Vec::new();
            loop {
                tokio::select! {
                    biased;
                    accepted = listener.accept() => exports.extend(take(accepted.unwrap().0).await),
                    _ = &mut stopped => return exports,
                }
            }
        });
        Self(serving, stop, endpoint)
    }

    async fn exports(self) -> Vec<(String, Vec<u8>)> {
        let _ = self.1.send(());
        within(self.0).await.unwrap()
    }
}

/// Reads the requests of a connection to its end, and answers each.
async fn take(mut stream: TcpStream) -> Vec<(String, Vec<u8>)> {
    let (mut bytes, mut exports) = (Vec::new(), Vec::new());
    loop {
        while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let whole = end + 4 + length.parse::<usize>().unwrap();
            while bytes.len() < whole {
                assert!(within(stream.read_buf(&mut bytes)).await.unwrap() > 0);
            }
            exports.push((head, bytes[end + 4..whole].to_vec()));
            bytes.drain(..whole);
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
        if within(stream.read_buf(&mut bytes)).await.unwrap_or(0) == 0 {
            return exports;
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

async fn complete(program: &Program, headers: &[(&str, &str)]) -> String {
    let job = json!({"kind": "noop", "payload": {"name": "canary-payload"}});
    let mut all = vec![("prefer", "wait=20")];
    all.extend(headers);
    let answer = program.ask(Method::POST, "/api/jobs", &all, &job).await;
    assert_eq!(answer.status(), 303);
    answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn request_and_attempt_are_parts_of_the_callers_trace() {
    let collector = Collector::start().await;
    let program = Program::start(
        &["log.level=warn,backroom::cli=info"],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.2)],
    )
    .await;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let id = complete(&program, &[("traceparent", &traceparent)]).await;
    program.stop().await;
    let exports = collector.exports().await;
    let (heads, bodies): (Vec<_>, Vec<_>) = exports.into_iter().unzip();
    assert!(!bodies.is_empty(), "nothing was exported");
    for head in heads {
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    }
    let all = bodies.concat();
    let mut of_trace = Vec::new();
    let trace = bytes_of(TRACE);
    // Both spans stand in the same trace: its id is there for each of them.
    for (at, window) in all.windows(16).enumerate() {
        if window == trace {
            of_trace.push(at);
        }
    }
    assert!(of_trace.len() >= 2, "the trace is in {} spans", of_trace.len());
    assert!(contains(&all, &bytes_of(PARENT)), "the request is a child of the caller's span");
    for name in ["process default", "POST /api/jobs", "noop", "completed", id.as_str(), "backroom"] {
        assert!(contains(&all, name.as_bytes()), "no {name:?}");
    }
    assert!(!contains(&all, b"canary"), "a payload was exported");
}

#[tokio::test]
async fn a_trace_that_is_not_recorded_is_not_exported() {
    let collector = Collector::start().await;
    let program = Program::start(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.2)]).await;
    complete(&program, &[("traceparent", &format!("00-{TRACE}-{PARENT}-00"))]).await;
    program.stop().await;
    let all: Vec<u8> = collector.exports().await.into_iter().flat_map(|(_, body)| body).collect();
    assert!(!contains(&all, &bytes_of(TRACE)));
}

#[tokio::test]
async fn a_collector_that_is_gone_holds_up_no_job_and_no_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    // It takes connections, and never answers.
    let program = Program::start(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
    complete(&program, &[]).await;
    let lines = program.stop().await;
    let report = lines.iter().find(|line| line["message"] == "drain report").unwrap();
    assert_eq!(report["lost"], "", "{report}");
}
