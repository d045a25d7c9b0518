//! `backroom demo`: a full round on an embedded server, over real HTTP, explained as it goes.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Ended;
use crate::config::Config;
use crate::event::{EventKind, Watcher};
use crate::job::{Backoff, Jitter};
use crate::server::{Backroom, Server};
use crate::shutdown::DrainReport;

/// The longest that any step may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a server on a free port, sends two mails and a job that fails twice, shows what happens, and drains.
///
/// # Errors
///
/// With exit code 1 when anything goes otherwise than told.
pub async fn demo() -> Result<(), Ended> {
    run().await.map_err(Ended::from)
}

async fn run() -> anyhow::Result<()> {
    let say = Narrator { color: std::io::stdout().is_terminal() };
    say.title("Backroom: a full round, on a server inside this very process");
    let folder = TemporaryFolder::new()?;
    let config = config(&folder.0);
    let server = Server::start(Backroom::builder(config.clone())).await?;
    let base = format!("http://{}", server.address());
    say.text(&format!(
        "It listens on {base}, keeps jobs in memory, and captures mail instead of sending it."
    ));
    // Plain HTTP: the certificate authorities of the system are of no use, and a container may have none.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE).build()?;
    let demo = Demo { base, client, say };

    say.title("1. An app submits jobs and goes on at once");
    let events = server.backroom().jobs().events().watch();
    let ids = demo.submit_some().await?;
    say.title("2. Workers run them; what fails is tried again");
    watch(events, ids.len(), say).await?;
    demo.see_them_end(&ids).await?;
    say.title("3. The mails that would have gone out");
    demo.show_mails().await?;
    say.title("4. On SIGTERM it drains and accounts for every job");
    let later = demo.submit("a job for in an hour", &json!({"kind": "noop", "delay": "1h"})).await?;
    let report = server.stop(&CancellationToken::new()).await;
    let (lost, took) = (report.lost.len(), report.duration.as_millis());
    let DrainReport { finished, interrupted, spilled, .. } = report;
    say.text(&format!(
        "finished {finished}, interrupted {interrupted}, spilled {spilled}, lost {lost} ({took} ms)"
    ));
    anyhow::ensure!((spilled, lost) == (1, 0), "the job for later should be in the spill file");
    say.title("5. The next start takes up what was spilled");
    let server = Server::start(Backroom::builder(config)).await?;
    let demo = Demo { base: format!("http://{}", server.address()), ..demo };
    demo.find_again(&later).await?;
    server.stop(&CancellationToken::new()).await;

    say.title("Next");
    say.text("backroom serve                  a server on http://127.0.0.1:8080");
    say.text("curl -i 127.0.0.1:8080/api/jobs -H 'content-type: application/json' -d '{\"kind\":\"noop\"}'");
    Ok(())
}

/// A folder of its own for the spill file, gone when the demo is.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("backroom-demo-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// As shipped, but on a free port, with its files in `folder`, and with short rests between attempts.
fn config(folder: &Path) -> Config {
    let mut config = Config::default();
    config.server.bind.set_port(0);
    config.server.http_workers = 1;
    config.shutdown.spill_file = Some(folder.join("spill.jsonl"));
    config.webhooks.made_secret_file = Some(folder.join("webhook-secret"));
    for policy in config.retry.values_mut() {
        policy.backoff = Backoff::Exponential {
            initial: Duration::from_millis(250),
            factor: 2.0,
            max: Duration::from_secs(1),
            jitter: Jitter::None,
        };
    }
    config
}

struct Demo {
    base: String,
    client: reqwest::Client,
    say: Narrator,
}

impl Demo {
    async fn submit_some(&self) -> anyhow::Result<Vec<String>> {
        let welcome = json!({"kind": "email", "payload": {
            "to": "ada@example.com", "template": "welcome",
            "data": {"name": "Ada", "action_url": "https://app.example/start"}}});
        let reset = json!({"kind": "email", "expires_in": "30m", "payload": {
            "to": "grace@example.com", "template": "password_reset",
            "data": {"name": "Grace", "reset_url": "https://app.example/reset?token=3f9c", "expires_in": "30 minutes"}}});
        let flaky = json!({"kind": "noop", "payload": {
            "sleep": "300ms", "steps": 3, "fail": "transient", "fail_times": 2}});
        Ok(vec![
            self.submit("a welcome mail", &welcome).await?,
            self.submit("a password reset", &reset).await?,
            self.submit("a job that fails twice", &flaky).await?,
        ])
    }

    async fn see_them_end(&self, ids: &[String]) -> anyhow::Result<()> {
        let mut job = Value::Null;
        for id in ids {
            job = self.get(&format!("/api/jobs/{id}"), Some("wait=20")).await?;
            anyhow::ensure!(job["state"] == "completed", "job {id} ended as {}", job["state"]);
        }
        for attempt in job["attempts"].as_array().into_iter().flatten() {
            let error = attempt["error"]["message"].as_str().unwrap_or("no error");
            self.say.text(&format!("attempt {}: {} ({error})", attempt["number"], text(&attempt["outcome"])));
        }
        Ok(())
    }

    async fn show_mails(&self) -> anyhow::Result<()> {
        let mails = self.get("/api/mail", None).await?;
        for mail in mails["items"].as_array().into_iter().flatten() {
            let mail = self.get(&format!("/api/mail/{}", text(&mail["id"])), None).await?;
            self.say.text(&format!("To: {}   Subject: {}", text(&mail["to"][0]), text(&mail["subject"])));
            self.say.quote(text(&mail["text"]));
        }
        Ok(())
    }

    async fn find_again(&self, id: &str) -> anyhow::Result<()> {
        let job = self.get(&format!("/api/jobs/{id}"), None).await?;
        self.say.text(&format!("GET /api/jobs/{id}"));
        self.say.quote(&format!("{}, due at {}", text(&job["state"]), text(&job["run_at"])));
        anyhow::ensure!(job["state"] == "scheduled", "job {id} was not taken up");
        Ok(())
    }

    async fn submit(&self, what: &str, request: &Value) -> anyhow::Result<String> {
        self.say.text(&format!("POST /api/jobs   {what}"));
        let response = self.client.post(format!("{}/api/jobs", self.base)).json(request).send().await?;
        let status = response.status();
        let location =
            response.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let job: Value = response.json().await?;
        anyhow::ensure!(status == 202, "the answer was {status}: {job}");
        self.say.quote(&format!("{status}   Location: {}", location.unwrap_or_default()));
        Ok(text(&job["id"]).to_owned())
    }

    async fn get(&self, path: &str, prefer: Option<&str>) -> anyhow::Result<Value> {
        let mut request = self.client.get(format!("{}{path}", self.base));
        if let Some(prefer) = prefer {
            request = request.header("prefer", prefer);
        }
        Ok(request.send().await?.error_for_status()?.json().await?)
    }
}

/// Tells every change of state as it happens, until so many jobs have come to their end.
async fn watch(mut events: Watcher, mut jobs: usize, say: Narrator) -> anyhow::Result<()> {
    while jobs > 0 {
        let event =
            tokio::time::timeout(PATIENCE, events.recv()).await.context("the jobs take too long")??;
        let job = &event.job;
        let id = job.id().to_string();
        let what = match event.kind {
            EventKind::State(state) => state.as_str().to_owned(),
            EventKind::Progress => format!("{} %", job.progress.percent),
        };
        say.text(&format!("  …{}  {:<6} {what}", &id[id.len() - 6..], job.spec.kind));
        jobs -= usize::from(job.state.is_terminal());
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[derive(Clone, Copy)]
struct Narrator {
    color: bool,
}

impl Narrator {
    fn title(self, text: &str) {
        if self.color {
            print(&format!("\n\x1b[1m{text}\x1b[0m"));
        } else {
            print(&format!("\n{text}"));
        }
    }

    #[expect(clippy::unused_self, reason = "one of three ways to say something")]
    fn text(self, text: &str) {
        print(&format!("  {text}"));
    }

    fn quote(self, text: &str) {
        for line in text.trim_end().lines() {
            let quoted = format!("    | {line}");
            if self.color {
                print(&format!("\x1b[2m{quoted}\x1b[0m"));
            } else {
                print(&quoted);
            }
        }
    }
}

fn print(text: &str) {
    // A reader that has gone away is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{text}");
}
