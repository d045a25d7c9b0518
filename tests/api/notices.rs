//! Webhooks and mails that tell of jobs.

use std::time::Duration;

use backroom::config::Config;
use backroom::egress::Allow;
use backroom::job::{Backoff, Job, JobId, StateName};
use backroom::sign::{Secret, Signer};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::app::{SECRET, TestApp};
use crate::receiver::{Receiver, Request};

/// Failed webhooks are tried again at once.
fn at_once(config: &mut Config) {
    config.retry.get_mut("patient").unwrap().backoff = Backoff::Delays(vec![Duration::ZERO]);
}

fn told(payload: &Value, url: &str) -> Value {
    json!({"kind": "act", "payload": payload, "callback_url": url})
}

impl TestApp {
    async fn deliveries(&self, id: &str) -> Vec<Value> {
        let answer = self.get(&format!("/api/jobs/{id}/deliveries")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["items"].as_array().unwrap().clone()
    }

    /// Waits until the notices of a job are in this state; there are so many of them.
    async fn notices(&self, id: &str, count: usize, state: StateName) -> Vec<Arc<Job>> {
        let id: JobId = id.parse().unwrap();
        let notices = self.jobs().deliveries(id).await.unwrap().unwrap();
        assert_eq!(notices.len(), count, "{notices:#?}");
        let mut there = Vec::new();
        for notice in notices {
            there.push(self.until(&notice.id().to_string(), state).await);
        }
        there
    }

    async fn ended(&self, id: &str, state: StateName) {
        self.until(id, state).await;
    }
}

#[track_caller]
fn assert_signed(request: &Request) {
    let signer = Signer::new(vec![Secret::parse(SECRET).unwrap()]);
    let seconds = request.header("webhook-timestamp").parse().unwrap();
    let signed = signer.sign(request.header("webhook-id"), seconds, request.body.as_bytes());
    assert_eq!(request.header("webhook-signature"), signed.signature);
}

#[tokio::test]
async fn the_end_of_a_job_is_told() {
    let app = TestApp::start().await;
    let mut receiver = Receiver::answering(&["204"]).await;
    let payload =
        json!({"text": "{\"pages\": 3}", "media_type": "application/json", "data": {"iban": "DE12"}});
    let url = receiver.url.replace("http://", "http://ada:s3cret@") + "?token=t0ken";
    let id = app.submit(&told(&payload, &url)).await;
    let request = receiver.next().await;
    assert!(request.head.starts_with("POST /hooks?token=t0ken HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("authorization"), "Basic YWRhOnMzY3JldA==");
    assert_signed(&request);
    let envelope = request.json();
    assert_eq!((&envelope["type"], &envelope["data"]["id"]), (&json!("job.completed"), &json!(id)));
    assert_eq!(envelope["data"]["result"], json!({"pages": 3}));
    assert_eq!(envelope["data"]["callback"], json!({"url": receiver.url, "state": "pending"}));

    let notice = app.notices(&id, 1, StateName::Completed).await.remove(0);
    assert_eq!(request.header("webhook-id"), notice.id().to_string());
    assert_eq!(notice.sequence, 3, "that it is pending was told once, that it runs, and its end");
    let job = app.job(&id).await;
    assert_eq!(job["callback"], json!({"url": receiver.url, "state": "delivered"}));
    assert_eq!((&job["sequence"], &job["state"]), (&Value::Null, &json!("completed")));
    let delivery = app.deliveries(&id).await.remove(0);
    for (member, value) in [
        ("id", json!(notice.id())),
        ("channel", json!("webhook")),
        ("event", json!("job.completed")),
        ("target", json!(receiver.url)),
        ("state", json!("delivered")),
        ("attempts", json!(1)),
        ("max_attempts", json!(10)),
        ("last_error", Value::Null),
        ("next_attempt_at", Value::Null),
    ] {
        assert_eq!(delivery[member], value, "{member}");
    }
    // A notice is a job like any other, but that nobody is told of it and nothing in it is secret.
    let list = app.get("/api/jobs?queue=notices").await.json();
    assert_eq!((&list["items"][0]["id"], &list["items"][0]["kind"]), (&delivery["id"], &json!("webhook")));
    assert_eq!(list["items"][0]["callback"], Value::Null);
    assert_eq!(app.deliveries(&notice.id().to_string()).await, [] as [Value; 0]);
    let payload = app.get(&format!("/api/jobs/{}/payload", notice.id())).await.text();
    for secret in ["s3cret", "t0ken", "DE12"] {
        assert!(!payload.contains(secret), "{payload}");
    }
    assert!(payload.contains("job.completed"), "{payload}");
    assert!(receiver.is_empty());
    app.stop().await;
}

#[tokio::test]
async fn a_repeat_is_the_same_webhook() {
    let app = TestApp::with(at_once).await;
    let mut receiver = Receiver::answering(&["503", "429 retry-after: 0", "200"]).await;
    let id = app.submit(&told(&json!({"permanent": "no"}), &receiver.url)).await;
    let [first, second, third] = [receiver.next().await, receiver.next().await, receiver.next().await];
    for request in [&second, &third] {
        assert_eq!(request.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(request.body, first.body);
        assert_signed(request);
    }
    assert_eq!(first.json()["type"], "job.dead_lettered");
    app.notices(&id, 1, StateName::Completed).await;
    let delivery = app.deliveries(&id).await.remove(0);
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("delivered"), &json!(3)));
    assert_eq!(app.job(&id).await["state"], "dead_lettered", "a delivery never changes the job");
    app.stop().await;
}

#[tokio::test]
async fn what_fails_is_seen_and_can_be_sent_again() {
    let app = TestApp::start().await;
    let mut receiver = Receiver::answering(&["503", "404", "200"]).await;
    let id = app.submit(&told(&json!({}), &receiver.url)).await;
    let notice = app.notices(&id, 1, StateName::Failed).await.remove(0).id().to_string();
    assert_eq!(app.job(&id).await["callback"]["state"], "retrying");
    let delivery = app.deliveries(&id).await.remove(0);
    assert_eq!(
        (&delivery["state"], &delivery["last_error"]["code"]),
        (&json!("retrying"), &json!("http-503"))
    );
    assert_eq!(delivery["next_attempt_at"], app.job(&notice).await["next_attempt_at"]);
    let again = format!("/api/jobs/{notice}/retry");
    assert_eq!(app.post(&again, &json!({})).await.status, 202);
    app.ended(&notice, StateName::DeadLettered).await;
    assert_eq!(app.job(&id).await["callback"]["state"], "exhausted");
    let dead = app.get("/api/jobs?state=dead_lettered&queue=notices").await.json();
    assert_eq!(dead["items"][0]["id"], json!(notice));
    assert_eq!(app.post(&again, &json!({})).await.status, 202);
    app.ended(&notice, StateName::Completed).await;
    assert_eq!(app.job(&id).await["callback"]["state"], "delivered");
    let ids = [receiver.next().await, receiver.next().await, receiver.next().await]
        .map(|request| request.header("webhook-id").to_owned());
    assert_eq!(ids, [notice.clone(), notice.clone(), notice]);
    app.stop().await;
}

#[tokio::test]
async fn every_state_can_be_told() {
    let app = TestApp::start().await;
    let mut receiver = Receiver::answering(&["200"]).await;
    let mut job = told(&json!({}), &receiver.url);
    job["callback_events"] = json!(["job.pending", "job.processing", "job.completed"]);
    let batch = app.post("/api/jobs/batch", &json!({"jobs": [job, {"kind": "act"}]})).await.json();
    let id = batch["jobs"][0]["id"].as_str().unwrap();
    let mut types = Vec::new();
    for _ in 0..3 {
        let envelope = receiver.next().await.json();
        types.push((envelope["sequence"].as_u64().unwrap(), envelope["type"].as_str().unwrap().to_owned()));
    }
    types.sort();
    let types: Vec<_> = types.iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(types, ["job.pending", "job.processing", "job.completed"]);
    app.notices(id, 3, StateName::Completed).await;
    let events: Vec<_> = app.deliveries(id).await.iter().map(|item| item["event"].clone()).collect();
    assert_eq!(events, ["job.pending", "job.processing", "job.completed"]);

    job["callback_events"] = json!(["job.scheduled", "job.canceled", "job.failed"]);
    job["delay"] = json!("1h");
    let id = app.submit(&job).await;
    assert_eq!(receiver.next().await.json()["type"], "job.scheduled");
    app.request("DELETE", &format!("/api/jobs/{id}")).send().await.unwrap();
    assert_eq!(receiver.next().await.json()["type"], "job.canceled");
    app.notices(&id, 2, StateName::Completed).await;
    app.stop().await;
}

#[tokio::test]
async fn another_round_is_told_again_and_a_duplicate_never() {
    let app = TestApp::start().await;
    let mut receiver = Receiver::answering(&["200"]).await;
    let id = app.submit(&told(&json!({"permanent": "no"}), &receiver.url)).await;
    receiver.next().await;
    app.ended(&id, StateName::DeadLettered).await;
    app.post(&format!("/api/jobs/{id}/retry"), &json!({})).await;
    assert_eq!(receiver.next().await.json()["data"]["id"], json!(id));
    app.notices(&id, 2, StateName::Completed).await;

    let mut job = told(&json!({}), &receiver.url);
    (job["unique"], job["delay"]) = (json!({"key": "once"}), json!("1h"));
    job["callback_events"] = json!(["job.scheduled"]);
    let id = app.submit(&job).await;
    let batch = app.post("/api/jobs/batch", &json!({"jobs": [job, job]})).await.json();
    assert_eq!(batch["jobs"][1]["id"], json!(id));
    assert_eq!(app.submit(&job).await, id);
    app.notices(&id, 1, StateName::Completed).await;
    receiver.next().await;
    assert!(receiver.is_empty());
    app.stop().await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_told_no_more_of_this_job() {
    let change = |config: &mut Config| {
        config.queues.get_mut("notices").unwrap().concurrency = 1;
    };
    for answer in ["410", "500 webhook-delivery: disable", "200 webhook-delivery: disable"] {
        let app = TestApp::with(change).await;
        let mut receiver = Receiver::answering(&[answer, "200"]).await;
        let mut job = told(&json!({"wait": true}), &receiver.url);
        job["callback_events"] = json!(["job.pending", "job.processing", "job.completed"]);
        let id = app.submit(&job).await;
        app.until(&id, StateName::Processing).await;
        receiver.next().await;
        // The second was made before the receiver was heard, and waits behind the first.
        let ids = app.jobs().deliveries(id.parse().unwrap()).await.unwrap().unwrap();
        let [first, second] = [ids[0].id().to_string(), ids[1].id().to_string()];
        app.ended(&second, StateName::Skipped).await;
        assert_eq!(app.job(&second).await["skip_reason"], "callback-disabled");
        assert_eq!(app.job(&id).await["callback"]["state"], "disabled", "{answer}");
        app.let_go(1);
        app.ended(&id, StateName::Completed).await;
        assert_eq!(app.deliveries(&id).await.len(), 2, "no more are made");
        assert!(receiver.is_empty());
        // Other jobs of the same receiver are told.
        let other = app.submit(&told(&json!({}), &receiver.url)).await;
        assert_eq!(receiver.next().await.json()["data"]["id"], json!(other));
        app.notices(&other, 1, StateName::Completed).await;
        // Who sends one again wants it sent.
        app.post(&format!("/api/jobs/{second}/retry"), &json!({})).await;
        assert_eq!(receiver.next().await.header("webhook-id"), second);
        app.ended(&second, StateName::Completed).await;
        assert_eq!(app.job(&id).await["callback"]["state"], "delivered");
        let state = app.job(&first).await["state"].clone();
        assert_eq!(state, if answer.starts_with("200") { "completed" } else { "dead_lettered" });
        app.stop().await;
    }
}

#[tokio::test]
async fn a_full_queue_of_notices_holds_up_no_job() {
    let change = |config: &mut Config| {
        let queue = config.queues.get_mut("notices").unwrap();
        (queue.capacity, queue.concurrency) = (1, 1);
    };
    let app = TestApp::with(change).await;
    let mut receiver = Receiver::waiting().await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(app.submit(&told(&json!({}), &receiver.url)).await);
    }
    for id in &ids {
        app.until(id, StateName::Completed).await;
    }
    receiver.next().await;
    assert!(receiver.is_empty(), "the first is not answered yet");
    receiver.gate.as_ref().unwrap().add_permits(6);
    for id in &ids {
        app.notices(id, 1, StateName::Completed).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn the_notices_of_the_last_jobs_leave_during_the_drain() {
    let app = TestApp::start().await;
    let mut receiver = Receiver::answering(&["200"]).await;
    let mut job = told(&json!({"wait": true}), &receiver.url);
    job["notify_email"] = json!("ada@example.com");
    let id = app.submit(&job).await;
    app.until(&id, StateName::Processing).await;
    let report = app.stop().await;
    assert_eq!((report.finished, report.spilled), (3, 0), "the job, its webhook and its mail");
    assert_eq!(receiver.next().await.json()["data"]["state"], "completed");
}

#[tokio::test]
async fn a_notice_that_waits_for_its_next_attempt_is_spilled() {
    let app = TestApp::start().await;
    let mut receiver = Receiver::answering(&["503"]).await;
    let id = app.submit(&told(&json!({"wait": true}), &receiver.url)).await;
    app.until(&id, StateName::Processing).await;
    // It fails within the drain, and its next attempt is in an hour.
    let report = app.stop().await;
    receiver.next().await;
    assert_eq!((report.finished, report.spilled), (1, 1));
}

#[tokio::test]
async fn a_mail_tells_of_the_end() {
    let app = TestApp::start().await;
    let id = app
        .submit(&json!({"kind": "act", "payload": {"permanent": "no paper"}, "notify_email": "Ada <ada@example.com>"}))
        .await;
    app.until(&id, StateName::DeadLettered).await;
    let notice = app.notices(&id, 1, StateName::Completed).await.remove(0);
    assert_eq!((notice.spec.kind.as_str(), notice.spec.queue.as_str()), ("email", "notices"));
    let mails = app.get("/api/mail").await.json();
    let mail = app.get(&format!("/api/mail/{}", mails["items"][0]["id"].as_str().unwrap())).await.json();
    assert_eq!(mail["subject"], "[Backroom] Job failed: act");
    assert!(mail["text"].as_str().unwrap().contains("Error:    act-refused: no paper"), "{mail}");
    let headers = mail["headers"].to_string();
    assert!(headers.contains("Auto-Submitted") && headers.contains("auto-generated"), "{headers}");
    assert!(headers.contains(&format!("<{}@localhost>", notice.id())), "{headers}");
    assert_eq!(app.job(&id).await["callback"], Value::Null);
    let delivery = app.deliveries(&id).await.remove(0);
    assert_eq!((&delivery["channel"], &delivery["target"]), (&json!("email"), &json!("a***@example.com")));
    assert_eq!(delivery["event"], "job.dead_lettered");
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_told_is_refused() {
    let app = TestApp::start().await;
    let faults = async |members: Value| {
        let mut job = json!({"kind": "noop"});
        job.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        app.post("/api/jobs", &job).await.faults("validation-failed")
    };
    let url = "https://app.example/hooks";
    let long = |length: usize| format!("https://app.example/{}", "x".repeat(length - 20));
    for (members, fault) in [
        (json!({"callback_url": 5}), "/callback_url: must be a string"),
        (json!({"callback_url": "/hooks"}), "/callback_url: must be an absolute URL"),
        (json!({"callback_url": "ftp://app.example/"}), "/callback_url: must begin with http:// or https://"),
        (json!({"callback_url": long(2_049)}), "/callback_url: must be at most 2048 bytes"),
        (json!({"callback_events": ["job.failed"]}), "/callback_events: goes with callback_url only"),
        (
            json!({"callback_url": url, "callback_events": "x"}),
            "/callback_events: must be an array of strings",
        ),
        (
            json!({"callback_url": url, "callback_events": []}),
            "/callback_events: must name at least one event",
        ),
        (json!({"callback_url": url, "callback_events": [5]}), "/callback_events/0: must be a string"),
        (
            json!({"callback_url": url, "callback_events": ["job.failed", "job.progress"]}),
            "/callback_events/1: must be one of job.scheduled, job.pending",
        ),
        (
            json!({"callback_url": url, "callback_events": ["job.failed", "job.failed"]}),
            "/callback_events/1: stands twice",
        ),
        (json!({"notify_email": ["a@b.example"]}), "/notify_email: must be a string"),
        (json!({"notify_email": "ada"}), "/notify_email: must be one address"),
        (
            json!({"notify_email": "a@b.example\r\nBcc: c@d.example"}),
            "/notify_email: must not contain control",
        ),
        (json!({"queue": "notices"}), "/queue: is for the notices that the server makes itself"),
    ] {
        let found = faults(members.clone()).await;
        assert_eq!(found.len(), 1, "{members}: {found:?}");
        assert!(found[0].starts_with(fault), "{members}: {found:?}");
    }
    for length in [2_047, 2_048] {
        app.submit(&json!({"kind": "noop", "delay": "1h", "callback_url": long(length)})).await;
    }
    let id = app.submit(&json!({"kind": "noop", "callback_url": null, "notify_email": null})).await;
    assert_eq!(app.deliveries(&id).await, [] as [Value; 0]);
    let webhook = json!({"kind": "webhook", "payload": {"url": url, "body": {}}});
    let found = app.post("/api/jobs", &webhook).await.faults("unknown-kind");
    assert!(found[0].starts_with("/kind: there is no kind of this name"), "{found:?}");
    assert!(!app.get("/api/kinds").await.text().contains("webhook"));
    app.get("/api/jobs/01a1fa71-0000-7000-8000-000000000000/deliveries").await.problem(404, "job-not-found");
    app.stop().await;
}

#[tokio::test]
async fn a_callback_must_not_lead_inside() {
    let app =
        TestApp::with(|config| config.webhooks.allow = vec![Allow::parse("10.1.0.0/16").unwrap()]).await;
    for url in ["http://10.0.0.1/", "http://ada:pw@192.168.1.1/x?token=y", "http://169.254.169.254/latest"] {
        let job = json!({"kind": "noop", "callback_url": url});
        let faults = app.post("/api/jobs", &job).await.faults("callback-url-forbidden");
        assert!(faults[0].starts_with("/callback_url: 1"), "{faults:?}");
        assert!(!faults[0].contains("pw") && !faults[0].contains("token"), "{faults:?}");
        let batch = json!({"jobs": [{"kind": "noop"}, job]});
        let faults = app.post("/api/jobs/batch", &batch).await.faults("callback-url-forbidden");
        assert!(faults[0].starts_with("/jobs/1/callback_url: 1"), "{faults:?}");
        // With something else it is one fault among others.
        let both = json!({"kind": "noop", "callback_url": url, "max_attempts": 0});
        assert_eq!(app.post("/api/jobs", &both).await.faults("validation-failed").len(), 2);
        let batch = json!({"jobs": [{"kind": "noop", "max_attempts": 0}, job]});
        assert_eq!(app.post("/api/jobs/batch", &batch).await.faults("validation-failed").len(), 2);
    }
    let allowed = json!({"kind": "noop", "delay": "1h", "callback_url": "http://10.1.2.3/"});
    let id = app.submit(&allowed).await;
    assert_eq!(app.job(&id).await["callback"], json!({"url": "http://10.1.2.3/", "state": "pending"}));
    app.stop().await;
}
