//! `unique`: the same work twice.

use std::time::Duration;

use backroom::config::Config;
use backroom::job::{Delay, NewJob, StateName, Unique, UniqueKey};
use backroom::server::Backroom;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::{Answer, TestApp, assert_answer};

fn unique(key: &str) -> Value {
    json!({"kind": "act", "payload": {"wait": true}, "unique": {"key": key}})
}

async fn kept(app: &TestApp) -> usize {
    app.get("/api/jobs?limit=100").await.json()["items"].as_array().unwrap().len()
}

/// The id, and whether it was known.
#[track_caller]
fn outcome(answer: &Answer) -> (String, bool) {
    assert_eq!(answer.status, 202, "{}", answer.text());
    let body = answer.json();
    assert_eq!(answer.header("location"), format!("/api/jobs/{}/status", answer.id()));
    assert_ne!(body.get("deduplicated"), Some(&json!(false)), "it stands there only where it says something");
    (answer.id(), body.get("deduplicated").is_some())
}

#[tokio::test]
async fn the_same_work_is_made_once() {
    let app = TestApp::start().await;
    let first = app.post("/api/jobs", &unique("a")).await;
    let (id, false) = outcome(&first) else { panic!("it is new") };
    app.until(&id, StateName::Processing).await;
    let again = app.post("/api/jobs", &unique("a")).await;
    assert_answer!("deduplicated", again);
    assert_eq!(outcome(&again), (id.clone(), true));
    assert!(!outcome(&app.post("/api/jobs", &unique("b")).await).1);
    let noop = json!({"kind": "noop", "payload": {"sleep": "1h"}, "unique": {"key": "a"}, "delay": "1h"});
    assert!(!outcome(&app.post("/api/jobs", &noop).await).1, "the key belongs to the kind");
    assert!(app.job(&id).await.get("deduplicated").is_none(), "only in the answer to a submission");
    app.let_go(2);
    // It has come to its end, but less than half an hour ago.
    app.until(&id, StateName::Completed).await;
    let again = app.post("/api/jobs", &unique("a")).await;
    assert_eq!((outcome(&again), &again.json()["state"]), ((id.clone(), true), &json!("completed")));
    let waiting = app.request("POST", "/api/jobs").header("prefer", "wait=20").json(&unique("a"));
    let waited = Answer::of(waiting).await;
    assert_eq!((waited.status.as_u16(), waited.id()), (303, id));
    assert_eq!(waited.json()["deduplicated"], true);
    assert_eq!(kept(&app).await, 3);
    app.stop().await;
}

#[tokio::test]
async fn a_key_is_free_again_when_its_time_is_over() {
    let app = TestApp::start().await;
    // Of its end nothing is kept; so it is new each time.
    let body = json!({"kind": "act", "unique": {"key": "a", "for": "0s"}});
    let (first, _) = outcome(&app.post("/api/jobs", &body).await);
    app.until(&first, StateName::Completed).await;
    let (second, known) = outcome(&app.post("/api/jobs", &body).await);
    assert!(!known && second != first);
    // One that was skipped counts as done, also when it came too late.
    let late = json!({"kind": "act", "delay": "1h", "expires_in": "1ms", "unique": {"key": "late"}});
    let (id, _) = outcome(&app.post("/api/jobs", &late).await);
    app.until(&id, StateName::Skipped).await;
    assert_eq!(outcome(&app.post("/api/jobs", &late).await), (id, true));
    app.stop().await;
}

#[tokio::test]
async fn who_was_canceled_or_given_up_frees_the_key_at_once() {
    let app = TestApp::start().await;
    let dead = json!({"kind": "act", "payload": {"permanent": "no"}, "unique": {"key": "a"}});
    let (first, _) = outcome(&app.post("/api/jobs", &dead).await);
    app.until(&first, StateName::DeadLettered).await;
    let later = json!({"kind": "act", "delay": "1h", "unique": {"key": "a"}});
    let (second, known) = outcome(&app.post("/api/jobs", &later).await);
    assert!(!known && second != first);
    assert_eq!(outcome(&app.post("/api/jobs", &later).await), (second.clone(), true));
    // The first one cannot come back while the second has the key.
    let retry = |id: &str| Answer::of(app.request("POST", &format!("/api/jobs/{id}/retry")));
    let refused = retry(&first).await;
    assert_eq!(refused.problem(409, "job-not-retryable")["job"], second);
    assert_answer!("retry_of_the_same_work", refused);
    assert_eq!(app.job(&first).await["state"], "dead_lettered");
    Answer::of(app.request("DELETE", &format!("/api/jobs/{second}"))).await;
    assert_eq!(retry(&first).await.status, 202, "the key is free");
    app.until_job(&first, "its second end", |job| job.runs == 2 && job.state.is_terminal()).await;
    assert!(!outcome(&app.post("/api/jobs", &later).await).1);
    app.stop().await;
}

#[tokio::test]
async fn a_batch_makes_each_work_once() {
    let app = TestApp::start().await;
    let job = |key: &str| json!({"kind": "act", "delay": "1h", "unique": {"key": key}});
    let (known, _) = outcome(&app.post("/api/jobs", &job("a")).await);
    let plain = json!({"kind": "act", "delay": "1h"});
    let batch = json!({"jobs": [plain, job("b"), job("a"), job("b"), plain, job("c")]});
    let answer = app.post("/api/jobs/batch", &batch).await;
    assert_eq!(answer.status, 202);
    let jobs = answer.json()["jobs"].as_array().unwrap().clone();
    let of = |member: &str| jobs.iter().map(|job| job[member].clone()).collect::<Vec<Value>>();
    assert_eq!(
        of("deduplicated"),
        [json!(null), json!(null), json!(true), json!(true), json!(null), json!(null)]
    );
    let ids = of("id");
    assert_eq!((&ids[2], &ids[3]), (&json!(known), &ids[1]));
    assert_eq!(kept(&app).await, 5);
    app.stop().await;
}

#[tokio::test]
async fn what_is_known_needs_no_room() {
    let app = TestApp::narrow(2).await;
    app.hold().await;
    let (first, _) = outcome(&app.post("/api/jobs", &unique("a")).await);
    let (second, _) = outcome(&app.post("/api/jobs", &unique("b")).await);
    app.post("/api/jobs", &unique("c")).await.problem(503, "queue-full");
    assert_eq!(outcome(&app.post("/api/jobs", &unique("a")).await), (first.clone(), true));
    let both = json!({"jobs": [unique("b"), unique("a"), unique("a")]});
    let answer = app.post("/api/jobs/batch", &both).await;
    let ids: Vec<Value> =
        answer.json()["jobs"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect();
    assert_eq!(ids, [second.as_str(), &first, &first]);
    // What was refused has taken no key.
    app.let_go(3);
    app.until(&second, StateName::Completed).await;
    assert!(!outcome(&app.post("/api/jobs", &unique("c")).await).1);
    app.stop().await;
}

#[tokio::test]
async fn every_fault_of_it_is_named() {
    let app = TestApp::start().await;
    for (value, faults) in [
        (json!(7), vec!["/unique: must be an object, as in {\"key\": \"report-7\", \"for\": \"30m\"}"]),
        (json!({}), vec!["/unique/key: is required"]),
        (
            json!({"key": 7, "for": 30, "fro": "1s"}),
            vec![
                "/unique/for: must be a duration with a unit, as a string: \"30m\"",
                "/unique/fro: is not a member of a job; did you mean \"for\"?",
                "/unique/key: must be a string",
            ],
        ),
        (
            json!({"key": "", "for": "30"}),
            vec![
                "/unique/for: a duration needs a unit: write \"30s\" or \"30ms\"",
                "/unique/key: a unique key is 1 to 255 characters without control characters",
            ],
        ),
        (json!({"key": "x", "for": "2592001s"}), vec!["/unique/for: must be at most 30d"]),
        (
            json!({"key": "a\nb"}),
            vec!["/unique/key: a unique key is 1 to 255 characters without control characters"],
        ),
        (
            json!({"key": "ü".repeat(256)}),
            vec!["/unique/key: a unique key is 1 to 255 characters without control characters"],
        ),
    ] {
        let answer = app.post("/api/jobs", &json!({"kind": "act", "unique": value})).await;
        assert_eq!(answer.faults("validation-failed"), faults, "{value}");
    }
    assert_eq!(kept(&app).await, 0);
    for value in
        [json!(null), json!({"key": "ü".repeat(255), "for": "30d"}), json!({"key": "x", "for": null})]
    {
        let accepted = app.post("/api/jobs", &json!({"kind": "act", "unique": value})).await;
        assert!(!outcome(&accepted).1, "{value}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_kind_derives_the_key_from_its_payload() {
    let app = TestApp::with(|config| {
        let kind = backroom::config::Kind {
            unique_by: vec!["/text".to_owned(), "/count".to_owned()],
            unique_for: Some(Duration::ZERO),
            ..Default::default()
        };
        config.kinds.insert("act".parse().unwrap(), kind);
    })
    .await;
    let post = async |payload: Value| {
        outcome(&app.post("/api/jobs", &json!({"kind": "act", "payload": payload, "delay": "1h"})).await)
    };
    let (first, false) = post(json!({"text": "a", "count": 1})).await else { panic!("it is new") };
    assert_eq!(post(json!({"count": 1, "wait": true, "text": "a"})).await, (first.clone(), true));
    assert!(!post(json!({"text": "a", "count": 2})).await.1);
    let (half, false) = post(json!({"text": "a"})).await else { panic!("it is new") };
    assert_eq!(
        post(json!({"text": "a", "count": null})).await,
        (half, true),
        "what is missing counts as null"
    );
    assert_eq!((post(json!({})).await.1, post(json!({})).await.1), (false, false), "nothing in common");
    // What the job says itself wins.
    let own =
        json!({"kind": "act", "payload": {"text": "a", "count": 1}, "delay": "1h", "unique": {"key": "own"}});
    let (own_id, false) = outcome(&app.post("/api/jobs", &own).await) else { panic!("it is new") };
    assert_eq!(outcome(&app.post("/api/jobs", &own).await), (own_id, true));
    // And the window is that of the kind.
    assert_eq!(app.post("/api/jobs", &json!({"kind": "act", "payload": {"text": "now"}})).await.status, 202);
    let (now, _) = outcome(
        &app.post("/api/jobs", &json!({"kind": "act", "payload": {"text": "now"}, "tags": ["2"]})).await,
    );
    app.until(&now, StateName::Completed).await;
    let (next, known) =
        outcome(&app.post("/api/jobs", &json!({"kind": "act", "payload": {"text": "now"}})).await);
    assert!(!known && next != now);
    app.stop().await;
}

#[tokio::test]
async fn an_idempotent_request_remembers_what_it_was_told() {
    let app = TestApp::start().await;
    let body = json!({"kind": "act", "delay": "1h", "unique": {"key": "a"}});
    let (first, _) = outcome(&app.post("/api/jobs", &body).await);
    let keyed = || Answer::of(app.request("POST", "/api/jobs").header("idempotency-key", "k").json(&body));
    let told = keyed().await;
    assert_eq!(outcome(&told), (first.clone(), true));
    Answer::of(app.request("DELETE", &format!("/api/jobs/{first}"))).await;
    let again = keyed().await;
    assert_eq!(
        (again.header("idempotent-replayed"), again.text()),
        ("true", told.text()),
        "nothing is made anew"
    );
    assert!(!outcome(&app.post("/api/jobs", &body).await).1, "without the key it is");
    app.stop().await;
}

#[tokio::test]
async fn a_key_is_held_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.shutdown.spill_file = Some(folder.path().join("spill.jsonl"));
    let start = || Backroom::builder(config.clone()).start();
    let new = |delay: u64| {
        let unique = Unique { key: UniqueKey::new("a").unwrap(), window: Duration::from_hours(1) };
        let job = NewJob::new("noop", &json!({})).unwrap().unique(unique);
        if delay > 0 { job.delay(Delay::For(Duration::from_hours(delay))) } else { job }
    };
    let before = start().await.unwrap();
    let first = before.jobs().submit(new(1)).await.unwrap().id();
    assert_eq!(before.drain(&CancellationToken::new()).await.lost, []);
    drop(before);
    let after = start().await.unwrap();
    let accepted = after.jobs().accept(new(0)).await.unwrap();
    assert!(accepted.is_duplicate());
    assert_eq!(accepted.job().id(), first);
    assert_eq!(after.drain(&CancellationToken::new()).await.lost, []);
}

/// Two files that somebody has put together can hold the same work twice. One of the two runs, and the other is kept aside.
#[tokio::test]
async fn a_spill_file_with_the_same_work_twice_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let spill = folder.path().join("spill.jsonl");
    let mut config = Config::default();
    config.shutdown.spill_file = Some(spill.clone());
    let start = || Backroom::builder(config.clone()).start();
    let unique = Unique::new(UniqueKey::new("a").unwrap());
    let new =
        NewJob::new("noop", &json!({})).unwrap().unique(unique).delay(Delay::For(Duration::from_hours(1)));
    let before = start().await.unwrap();
    let first = before.jobs().submit(new).await.unwrap().id();
    before.drain(&CancellationToken::new()).await;
    drop(before);
    let second = "019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a55";
    let content = std::fs::read_to_string(&spill).unwrap();
    let line = content.lines().nth(1).unwrap().replace(&first.to_string(), second);
    std::fs::write(&spill, format!("{content}{line}\n")).unwrap();
    let after = start().await.unwrap();
    assert!(after.jobs().get(first).await.unwrap().is_some());
    assert!(after.jobs().get(second.parse().unwrap()).await.unwrap().is_none());
    let rejected = std::fs::read_to_string(folder.path().join("spill.jsonl.rejected")).unwrap();
    assert!(rejected.contains(second) && !rejected.contains(&first.to_string()));
    after.drain(&CancellationToken::new()).await;
}

#[tokio::test]
async fn what_is_done_keeps_its_key_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let spill = folder.path().join("spill.jsonl");
    let mut config = Config::default();
    config.shutdown.spill_file = Some(spill.clone());
    let start = || Backroom::builder(config.clone()).start();
    let new = |key: &str, seconds: u64| {
        let unique = Unique { key: UniqueKey::new(key).unwrap(), window: Duration::from_secs(seconds) };
        NewJob::new("noop", &json!({"said": "é"})).unwrap().unique(unique)
    };
    let run = async |backroom: &Backroom, new: NewJob| {
        let accepted = backroom.jobs().accept(new).await.unwrap();
        let done = backroom.jobs().wait(accepted.job().id(), Duration::from_secs(20), std::future::pending());
        (accepted.is_duplicate(), done.await.unwrap().unwrap())
    };
    let before = start().await.unwrap();
    let (_, done) = run(&before, new("long", 3_600)).await;
    let (_, over) = run(&before, new("over", 0)).await;
    let expiring =
        new("skipped", 3_600).delay(Delay::For(Duration::from_hours(1))).expires_in(Duration::from_millis(1));
    let (_, skipped) = run(&before, expiring).await;
    assert_eq!(skipped.state.name(), StateName::Skipped);
    let report = before.drain(&CancellationToken::new()).await;
    assert_eq!((report.spilled, report.dead_letters_kept, report.lost.len()), (0, 0, 0), "they are no work");
    drop(before);
    assert!(spill.exists());
    let after = start().await.unwrap();
    let (known, again) = run(&after, new("long", 3_600)).await;
    assert!(known);
    assert_eq!((again.id(), &again.state), (done.id(), &done.state), "with its result");
    let (known, again) = run(&after, new("skipped", 3_600)).await;
    assert!(known);
    assert_eq!((again.id(), &again.state), (skipped.id(), &skipped.state));
    assert!(!run(&after, new("over", 0)).await.0);
    assert!(after.jobs().get(over.id()).await.unwrap().is_none(), "what holds no key is not kept");
    after.drain(&CancellationToken::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_make_one_job() {
    let app = TestApp::with(|config| config.server.http_workers = 4).await;
    // A thousand at the service, and some over real connections.
    let key = UniqueKey::new("a").unwrap();
    let new = NewJob::new("act", &json!({"wait": true})).unwrap().unique(Unique::new(key));
    let submits: Vec<_> = (0..1_000)
        .map(|_| {
            let (jobs, new) = (app.jobs().clone(), new.clone());
            tokio::spawn(async move { jobs.accept(new).await.unwrap() })
        })
        .collect();
    let posts: Vec<_> = (0..50)
        .map(|_| tokio::spawn(Answer::of(app.request("POST", "/api/jobs").json(&unique("a")))))
        .collect();
    let mut outcomes = Vec::new();
    for submit in submits {
        let accepted = submit.await.unwrap();
        outcomes.push((accepted.job().id().to_string(), accepted.is_duplicate()));
    }
    for post in posts {
        outcomes.push(outcome(&post.await.unwrap()));
    }
    let made: Vec<_> = outcomes.iter().filter(|(_, known)| !known).collect();
    assert_eq!(made.len(), 1);
    assert!(outcomes.iter().all(|(id, _)| *id == made[0].0), "everybody is told the same job");
    app.let_go(1);
    app.until(&made[0].0, StateName::Completed).await;
    assert_eq!((kept(&app).await, app.runs()), (1, 1));
    app.stop().await;
}
