//! A client of the hub that says whatever a test wants, over a WebSocket or by requests.

use std::collections::VecDeque;
use std::time::Duration;

use backroom::http::Transport;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::app::{Answer, TestApp, within};

pub(crate) const END: char = '\u{1e}';

/// One message with its end.
pub(crate) fn record(value: &Value) -> String {
    format!("{value}{END}")
}

pub(crate) fn handshake() -> Value {
    json!({"protocol": "json", "version": 1})
}

pub(crate) fn call(id: &str, method: &str, argument: impl Into<Value>) -> Value {
    json!({"invocationId": id, "target": method, "arguments": [argument.into()], "type": 1})
}

/// What stands between the ends. All of it must be whole.
pub(crate) fn records(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with(END), "half a record: {text}");
    text.split_terminator(END).map(|record| serde_json::from_str(record).unwrap()).collect()
}

/// Negotiates, and says the answer.
pub(crate) async fn negotiate(app: &TestApp, query: &str) -> Value {
    let answer = Answer::of(app.request("POST", &format!("/hubs/jobs/negotiate{query}"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Negotiates a connection, and says the path at which it is opened.
pub(crate) async fn place(app: &TestApp) -> String {
    let negotiated = negotiate(app, "?negotiateVersion=1").await;
    format!("/hubs/jobs?id={}", negotiated["connectionToken"].as_str().unwrap())
}

/// Waits until so many connections are open over a transport.
pub(crate) async fn until_open(app: &TestApp, transport: Transport, number: usize) {
    within("the connections of the hub", async {
        while app.server.backroom().hub().open(transport) != number {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Waits until nobody is connected, nor watches anything.
pub(crate) async fn until_forgotten(app: &TestApp) {
    within("the hub to be empty", async {
        while app.server.backroom().hub().connections() + app.jobs().events().watchers() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A WebSocket.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
    heard: VecDeque<Value>,
}

impl Socket {
    /// Opens one; or says the status with which it is refused.
    pub(crate) async fn open(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let address = app.server.address();
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        let stream = TcpStream::connect(address).await.unwrap();
        match within("a WebSocket", client_async(request, stream)).await {
            Ok((stream, _)) => Ok(Self { stream, heard: VecDeque::new() }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    /// One that has shaken hands.
    pub(crate) async fn ready(app: &TestApp, headers: &[(&str, &str)]) -> Self {
        let mut socket = Self::open(app, "/hubs/jobs", headers).await.expect("it is let in");
        socket.say(&handshake()).await;
        assert_eq!(socket.hear().await, json!({}));
        socket
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    pub(crate) async fn say(&mut self, value: &Value) {
        self.send(Message::text(record(value))).await;
    }

    /// The next frame that is no message.
    pub(crate) async fn frame(&mut self) -> Option<Message> {
        loop {
            match within("a frame", self.stream.next()).await {
                Some(Ok(Message::Text(text))) => self.heard.extend(records(&text)),
                Some(Ok(other)) => return Some(other),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            match within("a message", self.stream.next()).await {
                Some(Ok(Message::Text(text))) => self.heard.extend(records(&text)),
                other => panic!("no message, but {other:?}"),
            }
        }
    }

    /// Calls a method and waits for the answer, which must be the next thing that is said.
    pub(crate) async fn invoke(&mut self, method: &str, argument: impl Into<Value>) -> Result<Value, String> {
        self.say(&call("c", method, argument)).await;
        let mut answer = self.hear().await;
        assert_eq!((&answer["type"], &answer["invocationId"]), (&json!(3), &json!("c")), "{answer}");
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(answer["error"].as_str().unwrap().to_owned()),
        }
    }

    /// The next `JobUpdated`: type, job and sequence.
    pub(crate) async fn update(&mut self) -> (String, String, u64) {
        let mut heard = self.hear().await;
        assert_eq!((&heard["type"], &heard["target"]), (&json!(1), &json!("JobUpdated")), "{heard}");
        let envelope = heard["arguments"][0].take();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&envelope["type"]), text(&envelope["data"]["id"]), envelope["sequence"].as_u64().unwrap())
    }

    /// Everything that is still said, and the code with which it is closed; the connection must end.
    pub(crate) async fn rest(mut self) -> (Vec<Value>, Option<u16>) {
        let mut code = None;
        while let Some(frame) = self.frame().await {
            if let Message::Close(Some(CloseFrame { code: told, .. })) = frame {
                code = Some(told.into());
            }
        }
        (self.heard.into(), code)
    }
}

/// How long a client is patient in tests that must not wait for a default.
pub(crate) const SHORT: Duration = Duration::from_millis(200);
