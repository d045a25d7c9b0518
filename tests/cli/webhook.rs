//! `backroom webhook listen`.

use std::path::Path;
use std::process::Stdio;

use backroom::clock::Clock;
use backroom::sign::{Secret, Signer};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::process::PATIENCE;
use crate::rig::{Run, backroom, ended};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY: &str = "{\"type\":\"job.completed\",\"data\":{\"text\":\"a\\u001b[2J\u{9b}\"}}";

struct Listener {
    child: Child,
    url: String,
    out: Lines<BufReader<ChildStdout>>,
}

impl Listener {
    async fn start(folder: &Path, more: &[&str]) -> Self {
        let arguments = [&["webhook", "listen", "--bind", "127.0.0.1:0"], more].concat();
        let mut command = backroom(folder, "http://127.0.0.1:1", &arguments);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
        let told =
            tokio::time::timeout(PATIENCE, err.next_line()).await.unwrap().unwrap().expect("it listens");
        let url = told.split_whitespace().nth(2).unwrap().trim_end_matches(';').to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{told}");
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, url, out }
    }

    /// Sends a body, signed so many seconds off; gives back the status.
    async fn send(&self, secret: &str, off: i64, body: &str) -> StatusCode {
        let now = Clock::system().now().as_millis() / 1_000;
        let signer = Signer::new(vec![Secret::parse(secret).unwrap()]);
        let signed = signer.sign("msg_1", now + off, body.as_bytes());
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let request = client.post(format!("{}/hooks?a=b", self.url)).body(body.to_owned());
        let request = request.header("webhook-id", signed.id).header("webhook-timestamp", signed.timestamp);
        request.header("webhook-signature", signed.signature).send().await.unwrap().status()
    }

    async fn line(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.out.next_line())
            .await
            .expect("it says something")
            .unwrap()
            .unwrap()
    }

    async fn code(mut self) -> Option<i32> {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap().code()
    }

    async fn interrupted(self) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap());
        nix::sys::signal::kill(pid, Signal::SIGINT).unwrap();
        self.code().await
    }
}

#[tokio::test]
async fn deliveries_are_verified_shown_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("backroom.webhook-secret"), format!("{SECRET}\n")).unwrap();
    let mut listener = Listener::start(folder.path(), &[]).await;
    assert_eq!(listener.send(SECRET, 0, BODY).await, StatusCode::NO_CONTENT);
    let line = listener.line().await;
    assert!(line.ends_with("  job.completed  /hooks?a=b  msg_1  verified; answered with 204"), "{line}");
    let mut shown = Vec::new();
    while shown.last().is_none_or(|line| line != "    }") {
        shown.push(listener.line().await);
    }
    // What a delivery says does not steer the terminal.
    assert!(shown.iter().any(|line| line == "        \"text\": \"a\\u001b[2J\\u{9b}\""), "{shown:?}");
    let other = Secret::from_random([1; 32]).expose();
    for (secret, off, reason) in
        [(&*other, 0, "no signature fits"), (SECRET, -400, "5 minutes ago"), (SECRET, 400, "5 minutes ahead")]
    {
        assert_eq!(listener.send(secret, off, "x").await, StatusCode::UNAUTHORIZED);
        let mut line = listener.line().await;
        while !line.contains("answered with") {
            line = listener.line().await;
        }
        assert!(line.contains("NOT VERIFIED") && line.contains(reason), "{line}");
    }
    assert_eq!(listener.interrupted().await, Some(0));
}

#[tokio::test]
async fn one_is_enough_as_json_with_another_status() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("secret"),
        format!("{}\n{SECRET}\n", Secret::from_random([1; 32]).expose()),
    )
    .unwrap();
    let with = ["--secret-file", "secret", "--once", "--json", "--status", "503"];
    let mut listener = Listener::start(folder.path(), &with).await;
    assert_eq!(listener.send(SECRET, 0, BODY).await, StatusCode::SERVICE_UNAVAILABLE);
    let line: Value = serde_json::from_str(&listener.line().await).unwrap();
    assert_eq!(
        (&line["verified"], &line["reason"], &line["status"]),
        (&json!(true), &Value::Null, &json!(503))
    );
    assert_eq!(line["body"]["type"], "job.completed");
    assert_eq!(listener.code().await, Some(0));

    let mut listener = Listener::start(folder.path(), &["--secret", SECRET, "--once", "--json"]).await;
    assert_eq!(listener.send(SECRET, -1_000, "no JSON").await, StatusCode::UNAUTHORIZED);
    let line: Value = serde_json::from_str(&listener.line().await).unwrap();
    assert_eq!((&line["verified"], &line["body"]), (&json!(false), &json!("no JSON")));
    assert_eq!(listener.code().await, Some(1));
}

#[tokio::test]
async fn what_is_no_webhook_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut listener = Listener::start(folder.path(), &["--secret", SECRET, "--json"]).await;
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let get = client.get(&listener.url).send().await.unwrap();
    assert_eq!(
        (get.status(), get.headers()["allow"].to_str().unwrap()),
        (StatusCode::METHOD_NOT_ALLOWED, "POST")
    );
    let most = "x".repeat(1 << 20);
    assert_eq!(listener.send(SECRET, 0, &most).await, StatusCode::NO_CONTENT);
    assert!(listener.line().await.contains("\"verified\":true"));
    let bare = client.post(&listener.url).body("x").send().await.unwrap();
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    assert!(listener.line().await.contains("webhook-id is missing"));
    assert_eq!(listener.send(SECRET, 0, &format!("{most}x")).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(listener.interrupted().await, Some(0));
}

#[tokio::test]
async fn without_a_secret_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let listen = async |more: &[&str]| -> Run {
        ended(backroom(folder.path(), "http://127.0.0.1:1", &[&["webhook", "listen"], more].concat()), "")
            .await
    };
    listen(&[]).await.refused(2, "name the secret with --secret-file or --secret");
    let run = listen(&["--secret", "whsec_s3cret"]).await;
    run.refused(2, "the secret must be");
    assert!(!run.err.contains("s3cret"), "{run:?}");
    for status in ["199", "600", "ok"] {
        listen(&["--secret", SECRET, "--status", status]).await.refused(2, "--status");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    listen(&["--secret", SECRET, "--bind", &bind]).await.refused(1, "cannot listen on");
}
