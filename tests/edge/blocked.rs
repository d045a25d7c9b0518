//! Handlers that block every thread they are given keep nobody else from anything.

use std::sync::{Arc, Condvar, Mutex};

use backroom::config::Config;
use backroom::handler::{Context, Failure, Handler, Outcome, Payload};
use backroom::job::StateName;
use backroom::server::{Backroom, CancellationToken, Server};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::within;

#[derive(Serialize, Deserialize)]
struct Block {}

impl Payload for Block {
    const KIND: &'static str = "block";
}

/// Blocks the thread on which it runs until the test opens the gate.
#[derive(Clone, Default)]
struct Blocker(Arc<(Mutex<bool>, Condvar)>);

impl Blocker {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

impl Handler for Blocker {
    type Input = Block;

    async fn run(&self, _: Block, _: &Context) -> Result<Outcome, Failure> {
        let (open, bell) = &*self.0;
        drop(bell.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        Ok(Outcome::done())
    }
}

#[tokio::test]
async fn a_drain_reports_while_every_thread_is_blocked() {
    const THREADS: usize = 2;
    let folder = tempfile::tempdir().unwrap();
    let workers =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap();
    let mut config = Config::default();
    config.server.bind.set_port(0);
    config.server.http_workers = 1;
    config.shutdown.spill_file = Some(folder.path().join("spill.jsonl"));
    let blocker = Blocker::default();
    let builder = Backroom::builder(config).handler(blocker.clone()).workers_on(workers.handle().clone());
    let server = Server::start(builder).await.unwrap();

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let base = format!("http://{}", server.address());
    let mut watch = server.backroom().jobs().events().watch();
    for _ in 0..2 * THREADS {
        let job = json!({"kind": "block", "payload": {}});
        let answer = client.post(format!("{base}/api/jobs")).json(&job).send();
        assert_eq!(within("an answer", answer).await.unwrap().status(), 202);
    }
    // As many as there are threads: from here on nothing else moves on that runtime.
    let mut running = 0;
    while running < THREADS {
        let event = within("the jobs to run", watch.recv()).await.unwrap();
        running += usize::from(event.job.state.name() == StateName::Processing);
    }
    let jobs = within("an answer", client.get(format!("{base}/api/jobs")).send()).await.unwrap();
    let jobs: Value = jobs.json().await.unwrap();
    assert_eq!(jobs["items"].as_array().unwrap().len(), 2 * THREADS);

    let hurry = CancellationToken::new();
    hurry.cancel();
    let report = within("the drain", server.stop(&hurry)).await;
    assert_eq!((report.finished, report.lost.len()), (0, 0), "{report:?}");
    assert_eq!((report.interrupted, report.spilled), (THREADS as u64, 2 * THREADS as u64), "{report:?}");
    blocker.open();
    workers.shutdown_background();
}
