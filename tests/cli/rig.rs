//! The program as a script calls it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::process::{PATIENCE, Place, Process};

/// A server, and somebody who types commands in the folder of it.
pub(crate) struct Rig {
    place: Place,
    pub(crate) server: Process,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Rig {
    pub(crate) async fn new(sets: &[&str]) -> Self {
        let place = Place::new(sets);
        let server = place.start().await;
        Self { place, server }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    /// Runs a command against the server.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, &[], "").await
    }

    pub(crate) async fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)], stdin: &str) -> Run {
        let mut command = backroom(self.place.folder.path(), &self.server.base, arguments);
        command.envs(variables.iter().copied());
        ended(command, stdin).await
    }

    /// Runs a command that must end with 0, and reads the JSON that it writes.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        let run = self.run(&all).await;
        assert_eq!(run.code, 0, "{run:?}");
        run.json()
    }

    /// Submits a job and gives back its id.
    pub(crate) async fn enqueue(&self, arguments: &[&str]) -> String {
        let run = self.run(&[&["enqueue"], arguments].concat()).await;
        assert_eq!(run.code, 0, "{run:?}");
        run.out.trim().to_owned()
    }

    /// Submits a job and waits until it has ended.
    pub(crate) async fn ended(&self, arguments: &[&str]) -> String {
        let id = self.enqueue(arguments).await;
        self.server.end(&id).await;
        id
    }
}

impl Run {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// That it ended with this code, and what it said.
    pub(crate) fn refused(&self, code: i32, said: &str) {
        assert!(self.code == code && self.err.contains(said), "not {code} with {said:?}: {self:?}");
    }
}

/// The program in a folder, away from what the machine says about it, with a server to ask.
pub(crate) fn backroom(folder: &Path, server: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backroom"));
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BACKROOM_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command.args(arguments).env("BACKROOM_URL", server).current_dir(folder).kill_on_drop(true);
    command
}

/// Runs a program to its end.
pub(crate) async fn ended(mut command: Command, stdin: &str) -> Run {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // Whoever reads nothing has closed it.
    let _ = pipe.write_all(stdin.as_bytes()).await;
    drop(pipe);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}
