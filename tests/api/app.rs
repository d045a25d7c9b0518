//! One server, its client, and what the tests ask of both.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backroom::config::Config;
use backroom::job::{Backoff, Job, JobId, StateName};
use backroom::jobs::Jobs;
use backroom::server::{Backroom, Server};
use backroom::shutdown::DrainReport;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::act::Actor;
use crate::conform;

/// What webhooks are signed with: the example of Standard Webhooks.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A test that waits longer than this hangs.
const TOO_LONG: Duration = Duration::from_secs(20);

pub(crate) struct TestApp {
    pub(crate) server: Server,
    pub(crate) actor: Actor,
    client: Client,
    folder: TempDir,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A server whose queue `default` runs one job at a time, and does not wait for room.
    pub(crate) async fn narrow(capacity: usize) -> Self {
        Self::with(|config| narrow(config, capacity)).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.server.bind = SocketAddr::from(([127, 0, 0, 1], 0));
        config.server.http_workers = 1;
        config.webhooks.secret = Some(SECRET.into());
        config.shutdown.spill_file = Some(folder.path().join("spill.jsonl"));
        // Long enough that a failed job stays failed while a test looks at it.
        for policy in config.retry.values_mut() {
            policy.backoff = Backoff::Delays(vec![Duration::from_hours(1)]);
        }
        change(&mut config);
        let actor = Actor::new();
        let builder = Backroom::builder(config).handler(actor.clone());
        let server = Server::start(builder).await.unwrap();
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TOO_LONG)
            .no_proxy()
            .build()
            .unwrap();
        Self { server, actor, client, folder }
    }

    pub(crate) fn jobs(&self) -> &Jobs {
        self.server.backroom().jobs()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.server.address());
        self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request("GET", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request("POST", path).json(body)).await
    }

    /// Posts a body as it is, as JSON.
    pub(crate) async fn post_bytes(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let request = self.request("POST", path);
        Answer::of(request.header("content-type", "application/json").body(body.into())).await
    }

    /// Submits a job that must be accepted; says its id.
    pub(crate) async fn submit(&self, body: &Value) -> String {
        let answer = self.post("/api/jobs", body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.id()
    }

    /// Submits an `act` job.
    pub(crate) async fn act(&self, payload: &Value) -> String {
        self.submit(&json!({"kind": "act", "payload": payload})).await
    }

    /// Submits a job that waits for the test, and sees it running.
    pub(crate) async fn hold(&self) -> String {
        let id = self.act(&json!({"wait": true})).await;
        self.until(&id, StateName::Processing).await;
        id
    }

    /// Lets waiting jobs go on.
    pub(crate) fn let_go(&self, jobs: usize) {
        self.actor.gate.add_permits(jobs);
    }

    pub(crate) fn runs(&self) -> usize {
        self.actor.runs.load(Ordering::SeqCst)
    }

    /// The job as `GET /api/jobs/{id}` shows it.
    pub(crate) async fn job(&self, id: &str) -> Value {
        let answer = self.get(&format!("/api/jobs/{id}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Waits until a job is in a state.
    pub(crate) async fn until(&self, id: &str, state: StateName) -> Arc<Job> {
        self.until_job(id, &format!("{id} to be {state}"), |job| job.state.name() == state).await
    }

    /// Waits until a job is as it should be.
    pub(crate) async fn until_job(&self, id: &str, what: &str, is: impl Fn(&Job) -> bool) -> Arc<Job> {
        let id: JobId = id.parse().unwrap();
        // Watch first, then look: nothing that happens in between is missed.
        let mut watch = self.jobs().events().watch();
        let job = self.jobs().get(id).await.unwrap().expect("there is such a job");
        if is(&job) {
            return job;
        }
        let waiting = async {
            loop {
                match watch.recv().await {
                    Ok(event) if event.job.id() == id && is(&event.job) => return event.job,
                    Ok(_) => {}
                    Err(RecvError::Lagged(lost)) => panic!("{lost} events were lost"),
                    Err(RecvError::Closed) => panic!("the server is gone"),
                }
            }
        };
        within(what, waiting).await
    }

    /// Stops the server, lets everything that waits finish, and checks the account of it.
    pub(crate) async fn stop(self) -> DrainReport {
        self.let_go(10_000);
        let jobs = self.jobs().clone();
        let report = within("the drain", self.server.stop(&CancellationToken::new())).await;
        assert_eq!(report.lost, [], "jobs were lost");
        assert_eq!(report.interrupted, 0, "jobs were interrupted");
        let mut waiting = 0;
        for name in jobs.queue_names() {
            let queue = jobs.queue(name.as_str()).await.unwrap().unwrap();
            assert_eq!((queue.pending, queue.processing), (0, 0), "queue {name}");
            waiting += queue.scheduled + queue.failed;
        }
        assert_eq!(report.spilled, waiting, "what waited for its time is in the spill file");
        self.folder.close().unwrap();
        report
    }
}

/// One job at a time, no waiting for room.
pub(crate) fn narrow(config: &mut Config, capacity: usize) {
    let queue = config.queues.get_mut("default").unwrap();
    queue.capacity = capacity;
    queue.concurrency = 1;
    queue.enqueue_wait = Duration::ZERO;
}

/// Waits for what must happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TOO_LONG, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

impl Answer {
    /// Sends a request, and holds the answer against the description of the API.
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let (client, request) = request.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = client.execute(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap().to_vec();
        conform::check(method.as_str(), &path, status.as_u16(), &headers, &body);
        Self { status, headers, body }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    pub(crate) fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }

    /// Checks the status, the type of problem, and what every problem has.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, slug: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["type"], format!("/problems/{slug}"), "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["request_id"], self.header("x-request-id"));
        body
    }

    /// Checks that the body was refused, and returns the faults as `pointer: detail`.
    #[track_caller]
    pub(crate) fn faults(&self, slug: &str) -> Vec<String> {
        let problem = self.problem(422, slug);
        let errors = problem["errors"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut faults: Vec<String> =
            errors.map(|error| format!("{}: {}", text(&error["pointer"]), text(&error["detail"]))).collect();
        faults.sort();
        faults
    }

    /// The whole answer as text: status, headers in order of their names, body.
    pub(crate) fn whole(&self) -> String {
        let mut text = format!("{}\n", self.status);
        let mut headers: Vec<_> = self.headers.iter().collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in headers {
            writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
        let is_json =
            self.headers.get("content-type").is_some_and(|media| media.to_str().unwrap().ends_with("json"));
        let body = if is_json { serde_json::to_string_pretty(&self.json()).unwrap() } else { self.text() };
        text + "\n" + &body
    }
}

/// Compares an answer with its snapshot, without what differs from run to run.
macro_rules! assert_answer {
    ($name:literal, $answer:expr) => {{
        let whole = $answer.whole();
        $crate::app::redacting(|| insta::assert_snapshot!($name, whole));
    }};
}
pub(crate) use assert_answer;

/// Hides what differs from run to run, and only where it has the form that the contract promises.
pub(crate) fn redacting(assert: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, shown) in [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", "[id]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "[time]"),
        (r"(?m)^date: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$", "date: [date]"),
        (r#"(?m)^etag: "[0-9a-f]{16}"$"#, r#"etag: "[tag]""#),
        (r"(?m)^x-request-id: [0-9a-f]{16}$", "x-request-id: [request]"),
        (r#""request_id": "[0-9a-f]{16}""#, r#""request_id": "[request]""#),
        (r"\[redacted [0-9a-f]{8}\]", "[redacted]"),
        (r#"(cursor=|"next_cursor": ")[A-Za-z0-9_-]{22}([>"])"#, "$1[cursor]$2"),
    ] {
        settings.add_filter(pattern, shown);
    }
    settings.bind(assert);
}
