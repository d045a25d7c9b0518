//! A client that waits for each answer.

use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;

use super::now;

/// How long a server may take for what takes long.
const PATIENCE: Duration = Duration::from_mins(10);

/// Asks one server.
pub(crate) struct Http {
    runtime: Runtime,
    client: reqwest::Client,
    base: String,
}

impl Http {
    pub(crate) fn new(address: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let redirects = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().no_proxy().redirect(redirects).timeout(PATIENCE).build();
        Self { runtime, client: client.expect("a client"), base: format!("http://{address}") }
    }

    /// The status and the body of the answer; the body is null when it is no JSON.
    fn ask(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        self.runtime.block_on(async {
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            let body = answer.bytes().await.expect("a whole answer");
            (status, serde_json::from_slice(&body).unwrap_or_default())
        })
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.ask(self.client.get(format!("{}{path}", self.base)))
    }

    pub(crate) fn delete(&self, path: &str) -> (u16, Value) {
        self.ask(self.client.delete(format!("{}{path}", self.base)))
    }

    /// Sends JSON that must be accepted.
    pub(crate) fn post(&self, path: &str, body: &str) -> Value {
        let request = self.client.post(format!("{}{path}", self.base));
        let (status, answer) =
            self.ask(request.header("content-type", "application/json").body(body.to_owned()));
        assert_eq!(status, 202, "{path}: {answer}");
        answer
    }

    /// Submits one job; gives its id.
    pub(crate) fn submit(&self, job: &str) -> String {
        self.post("/api/jobs", job)["id"].as_str().expect("an id").to_owned()
    }

    /// Submits the same job so many times, a thousand in each batch; gives the id of the first one.
    pub(crate) fn submit_many(&self, job: &str, count: usize) -> String {
        let mut first = None;
        for begun in (0..count).step_by(1_000) {
            let jobs = vec![job; (count - begun).min(1_000)].join(",");
            let answer = self.post("/api/jobs/batch", &format!("{{\"jobs\":[{jobs}]}}"));
            first.get_or_insert_with(|| answer["jobs"][0]["id"].as_str().expect("an id").to_owned());
        }
        first.expect("at least one job")
    }

    /// A number of a queue.
    pub(crate) fn queue(&self, name: &str, member: &str) -> u64 {
        self.get(&format!("/api/queues/{name}")).1[member].as_u64().expect("a number")
    }

    /// Waits until a queue has nothing to run; says how many seconds that took.
    pub(crate) fn until_idle(&self, queue: &str) -> f64 {
        let began = now();
        while self.queue(queue, "pending") + self.queue(queue, "processing") > 0 {
            assert!(began.elapsed() < PATIENCE, "the queue {queue} does not become empty");
            std::thread::sleep(Duration::from_millis(1));
        }
        began.elapsed().as_secs_f64()
    }
}
