//! A server process, its log, and clients that talk to it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a test waits for anything before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Words that stand in payloads, addresses and passwords, and may stand in no log.
pub(crate) const CANARIES: [&str; 3] = ["canary-payload-8d1f", "canary-address-52aa", "canary-password-c09e"];

/// The working directory of a server, and what its processes are started with.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) sets: Vec<String>,
    /// Whether no file may grow beyond 100 kB, as on a disk that is full then.
    pub(crate) is_tight: bool,
}

/// A process that serves. Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) base: String,
    pub(crate) client: Client,
    log: Log,
}

struct Log {
    lines: watch::Receiver<Vec<String>>,
    reading: JoinHandle<()>,
}

/// How a process ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<String>,
}

/// What the drain report says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) finished: u64,
    pub(crate) interrupted: u64,
    pub(crate) spilled: u64,
    pub(crate) lost: Vec<String>,
    pub(crate) duration_ms: u64,
}

impl Place {
    pub(crate) fn new(sets: &[&str]) -> Self {
        let sets = sets.iter().map(|set| (*set).to_owned()).collect();
        Self { folder: TempDir::new().unwrap(), sets, is_tight: false }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn spill(&self) -> PathBuf {
        self.path("backroom.spill.jsonl")
    }

    /// The lines of the spill file after the first one.
    pub(crate) fn spilled(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.spill()).unwrap();
        text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Everything that lies in the working directory, sorted; but for the secret that every start without one makes.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "backroom.webhook-secret");
        names.sort();
        names
    }

    fn spawn(&self, more: &[&str]) -> (Child, Log) {
        let program = env!("CARGO_BIN_EXE_backroom");
        let mut command = Command::new(program);
        if self.is_tight {
            // A write beyond the limit fails, where the signal that comes with it is ignored.
            command = Command::new("sh");
            command.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"", program]);
        }
        let fixed = ["server.bind=127.0.0.1:0", "server.http_workers=2", "log.format=json"];
        for set in fixed.into_iter().chain(self.sets.iter().map(String::as_str)).chain(more.iter().copied()) {
            command.args(["--set", set]);
        }
        let mut child = command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, lines) = watch::channel(Vec::new());
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                sender.send_modify(|lines| lines.push(line));
            }
        });
        (child, Log { lines, reading })
    }

    /// Starts a server and waits until it listens.
    pub(crate) async fn start(&self) -> Process {
        self.start_with(&[]).await
    }

    pub(crate) async fn start_with(&self, more: &[&str]) -> Process {
        let (child, log) = self.spawn(more);
        let listening = message(&log, "listening").await;
        let text = |name: &str| listening[name].as_str().unwrap().to_owned();
        let base = format!("{}://{}", text("scheme"), text("address"));
        Process {
            child,
            base,
            client: Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(PATIENCE)
                .build()
                .unwrap(),
            log,
        }
    }

    /// Starts a server without waiting for anything.
    pub(crate) fn begin(&self) -> Process {
        let (child, log) = self.spawn(&[]);
        Process { child, base: String::new(), client: Client::new(), log }
    }

    /// Starts a server that is not meant to live.
    pub(crate) async fn fail(&self, more: &[&str]) -> Ended {
        let (child, log) = self.spawn(more);
        ended(child, log).await
    }
}

/// Waits for a line with this message.
async fn message(log: &Log, wanted: &str) -> Value {
    let find = |lines: &[String]| {
        lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["message"] == wanted)
    };
    let mut lines = log.lines.clone();
    let waiting = lines.wait_for(|lines| find(lines).is_some());
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    match waited {
        Ok(Ok(lines)) => find(&lines).unwrap(),
        _ => panic!("no {wanted:?} in {:#?}", *log.lines.borrow()),
    }
}

async fn ended(mut child: Child, log: Log) -> Ended {
    let Ok(status) = tokio::time::timeout(PATIENCE, child.wait()).await else {
        panic!("it does not end: {:#?}", *log.lines.borrow())
    };
    log.reading.await.unwrap();
    let lines = log.lines.borrow().clone();
    for line in &lines {
        for canary in CANARIES {
            assert!(!line.contains(canary), "{line}");
        }
    }
    Ended { code: status.unwrap().code(), lines }
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it lives")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// Ends it on the spot.
    pub(crate) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    pub(crate) async fn message(&self, wanted: &str) -> Value {
        message(&self.log, wanted).await
    }

    /// The line that has this message for so many times, counted from 1.
    pub(crate) async fn nth_message(&self, wanted: &str, nth: usize) -> Value {
        let find = |lines: &[String]| {
            let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.filter(|line| line["message"] == wanted).nth(nth - 1)
        };
        let mut lines = self.log.lines.clone();
        let waiting = lines.wait_for(|lines| find(lines).is_some());
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(Ok(lines)) => find(&lines).unwrap(),
            _ => panic!("no {wanted:?} number {nth} in {:#?}", *self.log.lines.borrow()),
        }
    }

    /// Changes a queue; it must be changed.
    pub(crate) async fn patch_queue(&self, name: &str, patch: &Value) -> Value {
        let url = format!("{}/api/queues/{name}", self.base);
        let response = self.client.patch(url).json(patch).send().await.unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    pub(crate) async fn ended(self) -> Ended {
        ended(self.child, self.log).await
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(self) -> Ended {
        self.signal(Signal::SIGTERM);
        self.ended().await
    }

    pub(crate) async fn post(&self, job: &Value) -> Response {
        let url = format!("{}/api/jobs", self.base);
        self.client.post(url).json(job).send().await.unwrap()
    }

    /// Submits a job that must be accepted; gives back its id.
    pub(crate) async fn accepted(&self, job: &Value) -> String {
        let response = self.post(job).await;
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn batch(&self, jobs: Vec<Value>) -> Vec<String> {
        let url = format!("{}/api/jobs/batch", self.base);
        let response = self.client.post(url).json(&json!({ "jobs": jobs })).send().await;
        let body: Value = response.unwrap().json().await.unwrap();
        let jobs = body["jobs"].as_array().unwrap_or_else(|| panic!("{body}"));
        jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.client.get(format!("{}{path}", self.base)).send().await;
        response.unwrap().json().await.unwrap()
    }

    /// The job when it has come to its end.
    pub(crate) async fn end(&self, id: &str) -> Value {
        let request = self.client.get(format!("{}/api/jobs/{id}", self.base)).header("prefer", "wait=25");
        request.send().await.unwrap().json().await.unwrap()
    }

    /// Waits until the server says that a job is in this state.
    pub(crate) async fn state(&self, id: &str, wanted: &str) -> Value {
        let waiting = async {
            loop {
                let job = self.get(&format!("/api/jobs/{id}")).await;
                if job["state"] == wanted {
                    return job;
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{id} is not {wanted}"))
    }

    /// How many jobs are in this state.
    pub(crate) async fn count(&self, state: &str) -> usize {
        let (mut count, mut cursor) = (0, String::new());
        loop {
            let page = self.get(&format!("/api/jobs?state={state}&limit=100{cursor}")).await;
            count += page["items"].as_array().unwrap().len();
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return count,
            }
        }
    }
}

impl Ended {
    /// The lines of the log; every one is JSON.
    pub(crate) fn log(&self) -> Vec<Value> {
        let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        self.lines.iter().map(parse).collect()
    }

    pub(crate) fn line(&self, message: &str) -> Value {
        let found = self.log().into_iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("no {message:?} in {:#?}", self.lines))
    }

    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }

    pub(crate) fn report(&self) -> Report {
        let line = self.line("drain report");
        let number = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("{name} in {line}"));
        let lost = line["lost"].as_str().unwrap();
        Report {
            finished: number("finished"),
            interrupted: number("interrupted"),
            spilled: number("spilled"),
            lost: lost.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect(),
            duration_ms: number("duration_ms"),
        }
    }
}

/// A `noop` job with a word that no log may have.
pub(crate) fn noop(orders: &Value) -> Value {
    let mut payload = json!({ "secret": CANARIES[0] });
    for (name, value) in orders.as_object().unwrap() {
        payload[name] = value.clone();
    }
    json!({ "kind": "noop", "payload": payload })
}

/// An `email` job with words that no log may have.
pub(crate) fn email() -> Value {
    json!({ "kind": "email", "payload": {
        "to": format!("{}@example.com", CANARIES[1]), "subject": CANARIES[0], "text": CANARIES[0] } })
}

pub(crate) fn exists(path: &Path) -> bool {
    path.try_exists().unwrap()
}
