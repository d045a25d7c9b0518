//! A connection on which bytes are sent as they are.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::app::{TestApp, within};

pub(crate) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

pub(crate) struct RawAnswer {
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Raw {
    pub(crate) async fn connect(app: &TestApp) -> Self {
        let stream = TcpStream::connect(app.server.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn more(&mut self) -> bool {
        let read = within("bytes from the server", self.stream.read_buf(&mut self.read)).await;
        read.is_ok_and(|count| count > 0)
    }

    /// The next answer. `head` when it is one to `HEAD`, which has no body.
    async fn next(&mut self, head: bool) -> RawAnswer {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            assert!(self.more().await, "the connection ended after {so_far:?}");
        };
        let text = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let mut lines = text.split("\r\n");
        let (version, status) = lines.next().unwrap().split_once(' ').unwrap();
        let status: u16 = status[..3].parse().unwrap();
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = match headers.get("content-length") {
            Some(length) if !head && status != 304 => length.parse().unwrap(),
            _ => 0,
        };
        while self.read.len() < length {
            assert!(self.more().await, "the connection ended within a body");
        }
        let body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        RawAnswer { version: version.to_owned(), status, headers, body }
    }

    pub(crate) async fn answer(&mut self) -> RawAnswer {
        self.next(false).await
    }

    pub(crate) async fn head_answer(&mut self) -> RawAnswer {
        self.next(true).await
    }

    /// Whether the server has closed the connection and sent nothing more.
    pub(crate) async fn is_closed(&mut self) -> bool {
        !self.more().await && self.read.is_empty()
    }
}
