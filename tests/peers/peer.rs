//! A program that uses a public client, written for one test, and what it says.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::process::PATIENCE;

/// A running program: it writes a JSON value a line, and may read lines. Killed when it is dropped.
pub(crate) struct Peer {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// Starts `node <script>`, a file of this folder.
    pub(crate) fn node(script: &str, arguments: &[&str]) -> Self {
        installed("node_modules");
        Self::start("node", script, arguments)
    }

    /// Starts `python3 <script>`, a file of this folder.
    pub(crate) fn python(script: &str, arguments: &[&str]) -> Self {
        installed("python_modules");
        Self::start("python3", script, arguments)
    }

    fn start(program: &str, script: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .arg(script)
            .args(arguments)
            .current_dir(folder())
            .env("PYTHONPATH", folder().join("python_modules"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; scripts/test installs it"));
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, stdin, lines }
    }

    /// Tells it something.
    pub(crate) async fn say(&mut self, line: &str) {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The next value that it writes.
    pub(crate) async fn hear(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("it says something");
        let line = line.unwrap().expect("it has more to say");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"))
    }

    /// Waits until it has ended, which it must do with 0, and gives back what it has still said.
    pub(crate) async fn end(mut self) -> Vec<Value> {
        drop(self.stdin);
        let mut said = Vec::new();
        let reading = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                said.push(serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}")));
            }
            self.child.wait().await.unwrap()
        };
        let status = tokio::time::timeout(PATIENCE, reading).await.expect("it ends");
        assert!(status.success(), "{status}: {said:#?}");
        said
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

fn installed(modules: &str) {
    assert!(folder().join(modules).is_dir(), "tests/peers/{modules} is not there: run scripts/peers");
}
