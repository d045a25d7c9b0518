//! A receiver of webhooks that answers as it is told.

use reqwest::StatusCode;
use serde_json::Value;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::app::within;

/// Listens until it is dropped.
pub(crate) struct Receiver {
    pub(crate) url: String,
    /// A permit lets one request be answered, if they wait for that.
    pub(crate) gate: Option<Arc<Semaphore>>,
    requests: mpsc::UnboundedReceiver<Request>,
    serving: JoinHandle<()>,
}

/// What was received.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Receiver {
    /// Answers with these, one after the other, and with the last of them from then on: `"503"`, or a status and headers.
    pub(crate) async fn answering(answers: &[&str]) -> Self {
        Self::start(answers, None).await
    }

    /// Answers with 200 when it is let.
    pub(crate) async fn waiting() -> Self {
        Self::start(&["200"], Some(Arc::new(Semaphore::new(0)))).await
    }

    async fn start(answers: &[&str], gate: Option<Arc<Semaphore>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let (sender, requests) = mpsc::unbounded_channel();
        let at_the_gate = gate.clone();
        let serving = tokio::spawn(async move {
            let mut count = 0;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = answers[count.min(answers.len() - 1)].clone();
                count += 1;
                tokio::spawn(serve(stream, answer, at_the_gate.clone(), sender.clone()));
            }
        });
        Self { url, gate, requests, serving }
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Request {
        within("a webhook", self.requests.recv()).await.unwrap()
    }

    /// Whether there was none beside those that were looked at.
    pub(crate) fn is_empty(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: String,
    gate: Option<Arc<Semaphore>>,
    sender: mpsc::UnboundedSender<Request>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let mut request = Request { head: String::from_utf8(head).unwrap(), body: String::new() };
    let mut body = vec![0; request.header("content-length").parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    request.body = String::from_utf8(body).unwrap();
    let _ = sender.send(request);
    if let Some(gate) = gate {
        gate.acquire().await.unwrap().forget();
    }
    let (status, headers) = answer.split_once(' ').unwrap_or((&answer, ""));
    let headers = if headers.is_empty() { String::new() } else { format!("{headers}\r\n") };
    let reason = StatusCode::from_bytes(status.as_bytes()).unwrap().canonical_reason().unwrap();
    let head =
        format!("HTTP/1.1 {status} {reason}\r\n{headers}connection: close\r\ncontent-length: 0\r\n\r\n");
    // The server may have gone meanwhile.
    let _ = stream.write_all(head.as_bytes()).await;
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        });
        found.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}
