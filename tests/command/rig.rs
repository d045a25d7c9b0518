//! A server whose kind `mine` is a program, and a pipe that tells whether anybody of it is left.

use std::fs::File;
use std::future::Future;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backroom::config::{Command, Config, Kind, Run, Variable};
use backroom::job::{Job, JobId, JobResult, JobState, KindName, LogLevel, NewJob, ResultSlot};
use backroom::server::Backroom;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// A test that waits longer than this hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Rig {
    pub(crate) backroom: Backroom,
    _folder: TempDir,
}

/// A program of these words, with the `PATH` of the server.
pub(crate) fn program(words: &[&str]) -> Command {
    Command {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        folder: None,
        env: vec![Variable::Passed("PATH".into())],
        result_type: "text/plain; charset=utf-8".into(),
        retry_on_exit: true,
    }
}

/// A program in the language of the shell.
pub(crate) fn sh(script: &str) -> Command {
    program(&["sh", "-c", script])
}

impl Rig {
    pub(crate) async fn new(command: Command) -> Self {
        Self::with(command, |_, _| {}).await
    }

    /// A job has one attempt, unless `change` says otherwise.
    pub(crate) async fn with(command: Command, change: impl FnOnce(&mut Config, &mut Kind)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.shutdown.spill_file = Some(folder.path().join("spill.jsonl"));
        let mut kind = Kind { run: Some(Run::Command(command)), max_attempts: Some(1), ..Kind::default() };
        change(&mut config, &mut kind);
        config.kinds.insert(KindName::new("mine").unwrap(), kind);
        Self { backroom: Backroom::builder(config).start().await.unwrap(), _folder: folder }
    }

    pub(crate) async fn submit(&self, payload: &Value) -> JobId {
        let new = NewJob::new("mine", payload).unwrap();
        self.backroom.jobs().submit(new).await.unwrap().id()
    }

    /// The job when it has come to its end.
    pub(crate) async fn end(&self, id: JobId) -> Arc<Job> {
        let waiting = self.backroom.jobs().wait(id, PATIENCE, std::future::pending());
        let job = waiting.await.unwrap().unwrap();
        assert!(job.state.is_terminal(), "{:?}", job.state);
        job
    }

    pub(crate) async fn run(&self, payload: &Value) -> Arc<Job> {
        let id = self.submit(payload).await;
        self.end(id).await
    }
}

/// Runs one job of a program.
pub(crate) async fn run(command: Command, payload: &Value) -> Arc<Job> {
    Rig::new(command).await.run(payload).await
}

/// The state of a job, and the code of its error with whether it would be tried again.
pub(crate) fn fate(job: &Arc<Job>) -> (&'static str, Option<(&str, bool)>) {
    let error = job.error.as_deref().map(|error| (&*error.code, error.retryable));
    (job.state.name().as_str(), error)
}

/// The result of a job that was completed: its media type and its bytes.
pub(crate) fn result(job: &Arc<Job>) -> (String, Vec<u8>) {
    match &job.state {
        JobState::Completed { result: ResultSlot::Kept(result), .. } => {
            (result.media_type().to_string(), result.bytes().to_vec())
        }
        JobState::Completed { result: ResultSlot::Null, .. } => {
            let null = JobResult::null();
            (null.media_type.to_string(), null.bytes.to_vec())
        }
        other => panic!("{other:?}, {:?}", job.error),
    }
}

pub(crate) fn text(job: &Arc<Job>) -> String {
    String::from_utf8(result(job).1).unwrap()
}

pub(crate) fn log(job: &Arc<Job>) -> Vec<(LogLevel, String)> {
    job.log.lines().into_iter().map(|line| (line.level, line.message.into())).collect()
}

/// Waits for what must happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// A pipe with a name. Programs open it for writing; it ends when the last process that holds it is gone.
pub(crate) struct Pipe {
    folder: TempDir,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Pipe {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let (sender, lines) = mpsc::unbounded_channel();
        // Opening it waits for somebody who writes.
        std::thread::spawn(move || {
            let lines = BufReader::new(File::open(path).unwrap()).lines();
            lines.map_while(Result::ok).take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        Self { folder, lines }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("pipe")
    }

    /// A program that holds this pipe as its descriptor 9.
    pub(crate) fn sh(&self, script: &str) -> Command {
        sh(&format!("exec 9>{}\n{script}", self.path().display()))
    }

    /// The next line that was written.
    pub(crate) async fn line(&mut self) -> String {
        within("a line", self.lines.recv()).await.expect("somebody writes")
    }

    /// Waits until nobody holds it any more.
    pub(crate) async fn is_left_by_all(&mut self) {
        let rest = within("everybody to be gone", self.lines.recv()).await;
        assert_eq!(rest, None, "somebody wrote after all");
    }
}

/// Waits until a process is not even a zombie any more. Nothing tells that.
pub(crate) async fn is_reaped(pid: &str) {
    let path = format!("/proc/{pid}");
    within("the process to be reaped", async {
        while Path::new(&path).exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
