//! A server that says what it was told to, for answers that a real one gives only by accident or not yet.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::process::PATIENCE;

/// Gives one answer to each connection, in order, and closes it.
pub(crate) struct Scripted {
    pub(crate) base: String,
    serving: JoinHandle<Vec<Asked>>,
}

/// A request that came in.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// An answer with a JSON body.
pub(crate) fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\
         {headers}\r\n{body}"
    )
}

/// The beginning of an event stream; it ends when the connection does.
pub(crate) fn stream(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}")
}

impl Scripted {
    pub(crate) fn new<const N: usize>(answers: [String; N]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let listener = TcpListener::from_std(listener).unwrap();
        let serving = tokio::spawn(async move {
            let mut all = Vec::new();
            for answer in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
                let asked = loop {
                    if let Some(asked) = Asked::whole(&bytes) {
                        break asked;
                    }
                    let read = connection.read(&mut chunk).await.unwrap();
                    assert!(read > 0, "the request is not whole: {}", String::from_utf8_lossy(&bytes));
                    bytes.extend_from_slice(&chunk[..read]);
                };
                all.push(asked);
                connection.write_all(answer.as_bytes()).await.unwrap();
                connection.shutdown().await.unwrap();
            }
            all
        });
        Self { base, serving }
    }

    /// What was asked, when all answers have been given.
    pub(crate) async fn asked(self) -> Vec<Asked> {
        tokio::time::timeout(PATIENCE, self.serving).await.expect("all answers are asked for").unwrap()
    }
}

impl Asked {
    fn whole(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let asked = Self { head: head.to_owned(), body: body.to_owned() };
        let length = asked.find("content-length").map_or(0, |length| length.parse().unwrap());
        (body.len() >= length).then_some(asked)
    }

    /// The method and the path.
    pub(crate) fn line(&self) -> &str {
        self.head.split(" HTTP/").next().unwrap_or_default()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }
}
