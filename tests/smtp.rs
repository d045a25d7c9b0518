//! Mail end to end: posted over HTTP, run by the pool, spoken over SMTP.

use std::time::Duration;

use backroom::config::{FileSource, Sources, load};
use backroom::server::{BUILT_IN_KINDS, Backroom, Server};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

#[expect(dead_code, reason = "other tests need the rest of it")]
#[path = "support/smtp.rs"]
mod smtp;

use smtp::{Act, Options};

/// Far beyond what a retry in these tests rests.
const PATIENCE: Duration = Duration::from_secs(20);

struct App {
    server: Server,
    client: Client,
    base: String,
    _folder: TempDir,
}

impl App {
    /// A server that sends its mail to this port, and rests for 20 ms after a failure.
    async fn start(port: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let set = [
            "server.bind=127.0.0.1:0".to_owned(),
            "server.http_workers=1".to_owned(),
            format!("shutdown.spill_file={}", folder.path().join("spill").display()),
            "mail.transport=smtp".to_owned(),
            "mail.from=Shop <shop@example.com>".to_owned(),
            format!("mail.smtp_url=smtp://127.0.0.1:{port}?tls=none"),
            "retry.interactive.initial=20ms".to_owned(),
            "retry.interactive.factor=1".to_owned(),
            "retry.interactive.jitter=none".to_owned(),
            "retry.interactive.max_attempts=50".to_owned(),
        ];
        let sources = Sources { file: FileSource::None, environment: Vec::new(), set: set.to_vec() };
        let config = load(sources, &BUILT_IN_KINDS).unwrap().config;
        let server = Server::start(Backroom::builder(config)).await.unwrap();
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let base = format!("http://{}/api/jobs", server.address());
        Self { server, client, base, _folder: folder }
    }

    async fn post(&self) -> String {
        let job = json!({"kind": "email", "payload": {
            "to": ["ada@example.com", "bob@example.com"], "template": "welcome", "data": {"name": "Ada"}}});
        let response = self.client.post(&self.base).json(&job).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 202);
        let job: Value = response.json().await.unwrap();
        job["id"].as_str().unwrap().to_owned()
    }

    /// The job when it has come to its end.
    async fn end(&self, id: &str) -> Value {
        let request = self.client.get(format!("{}/{id}", self.base)).header("prefer", "wait=15");
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn stop(self) {
        let report = self.server.stop(&CancellationToken::new()).await;
        assert_eq!((report.spilled, report.lost.len()), (0, 0));
    }
}

/// How the attempts ended, each with the code of its error.
fn attempts(job: &Value) -> Vec<(&str, &str)> {
    let attempts = job["attempts"].as_array().unwrap().iter();
    attempts
        .map(|attempt| {
            let code = attempt["error"]["code"].as_str().unwrap_or_default();
            (attempt["outcome"].as_str().unwrap(), code)
        })
        .collect()
}

fn message_id(message: &str) -> &str {
    message.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap().trim_end()
}

#[tokio::test]
async fn a_mail_that_is_put_off_twice_is_sent_by_the_third_attempt() {
    let mail = smtp::Server::start(Options::default()).await;
    mail.script("MESSAGE", Act::Reply("451 4.3.0 try again later"));
    mail.script("RCPT", Act::Reply("450 4.2.0 mailbox busy"));
    let app = App::start(mail.port()).await;
    let id = app.post().await;
    let job = app.end(&id).await;
    assert_eq!(attempts(&job), [("failed", "smtp-450"), ("failed", "smtp-451"), ("completed", "")]);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(3)));
    assert_eq!(job["error"], Value::Null);
    let received = mail.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].to, ["ada@example.com", "bob@example.com"]);
    // The same in every attempt: it is made from the id of the job.
    assert_eq!(message_id(&received[0].message), format!("<{id}@example.com>"));
    app.stop().await;
}

/// The mail was taken, but the answer was lost on the way: whoever receives it twice can tell by its Message-ID.
#[tokio::test]
async fn a_repeat_keeps_its_message_id() {
    let mail = smtp::Server::start(Options::default()).await;
    mail.script("MESSAGE", Act::TakeAndClose);
    let app = App::start(mail.port()).await;
    let id = app.post().await;
    let job = app.end(&id).await;
    assert_eq!((&job["state"], attempts(&job).len()), (&json!("completed"), 2));
    let received = mail.received();
    assert_eq!(received.len(), 2, "at least once");
    for mail in received {
        assert_eq!(message_id(&mail.message), format!("<{id}@example.com>"));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_mail_that_is_refused_is_a_dead_letter_at_once() {
    let mail = smtp::Server::start(Options::default()).await;
    mail.script("RCPT", Act::Reply("550 5.1.1 no such user"));
    let app = App::start(mail.port()).await;
    let job = app.end(&app.post().await).await;
    assert_eq!(job["state"], "dead_lettered");
    assert_eq!(attempts(&job), [("failed", "smtp-550")]);
    assert_eq!(job["error"]["retryable"], false);
    assert!(mail.received().is_empty());
    app.stop().await;
}

#[tokio::test]
async fn a_mail_waits_for_a_server_that_is_down() {
    // Bound, so that nobody else gets the port, and not listening: whoever calls is refused.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let app = App::start(socket.local_addr().unwrap().port()).await;
    let mut watch = app.server.backroom().jobs().events().watch();
    let id = app.post().await;
    // Twice, so that one failure is surely recorded before the server comes up.
    for _ in 0..2 {
        let failed = async {
            while watch.recv().await.unwrap().job.state.name() != backroom::job::StateName::Failed {}
        };
        tokio::time::timeout(PATIENCE, failed).await.unwrap();
    }
    let mail = smtp::Server::start_on(socket.listen(8).unwrap(), Options::default());
    let job = app.end(&id).await;
    assert_eq!(job["state"], "completed", "{job}");
    let attempts = attempts(&job);
    assert!(job["attempt"].as_u64().unwrap() >= 3);
    assert_eq!(attempts[0], ("failed", "smtp-connect"));
    assert_eq!(attempts.last(), Some(&("completed", "")));
    assert_eq!(mail.received().len(), 1);
    app.stop().await;
}
