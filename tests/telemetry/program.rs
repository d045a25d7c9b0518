//! A server process with its log.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, Method, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// A test that waits longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    base: String,
    client: Client,
    _folder: TempDir,
}

impl Program {
    /// Starts a server and waits until it listens.
    pub(crate) async fn start(sets: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_backroom"));
        for set in ["server.bind=127.0.0.1:0", "log.format=json"].iter().chain(sets) {
            command.args(["--set", set]);
        }
        let mut child = command
            .envs(environment.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = within(log.next_line()).await.unwrap().expect("the server listens");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["message"] == "listening" {
                break line["address"].as_str().unwrap().to_owned();
            }
        };
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = client.timeout(PATIENCE).build().unwrap();
        Self { child, log, base: format!("http://{address}"), client, _folder: folder }
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    /// Stops the server; the lines of its log after it had begun to listen.
    pub(crate) async fn stop(mut self) -> Vec<Value> {
        let pid = Pid::from_raw(self.child.id().unwrap().cast_signed());
        kill(pid, Signal::SIGTERM).unwrap();
        let mut lines = Vec::new();
        while let Some(line) = within(self.log.next_line()).await.unwrap() {
            lines.push(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}")));
        }
        assert!(within(self.child.wait()).await.unwrap().success());
        lines
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it does not hang")
}
