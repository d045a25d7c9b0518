//! `/api/schedules`: recurring jobs, seen and steered from outside.

use backroom::config::Config;
use backroom::event::EventKind;
use backroom::job::{NewJob, StateName};
use backroom::schedule::{CatchUp, Overlap, Schedule, Timetable};
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, assert_answer, narrow, redacting, within};

/// Never due while a test runs.
pub(crate) const RARE: &str = "0 0 29 2 *";

pub(crate) fn add(config: &mut Config, name: &str, cron: &str, change: impl FnOnce(&mut Schedule)) {
    let mut schedule = Schedule {
        name: name.parse().unwrap(),
        timetable: Timetable::new(cron, "Europe/Berlin").unwrap(),
        job: NewJob::new("act", &json!({})).unwrap(),
        overlap: Overlap::Skip,
        catch_up: CatchUp::Skip,
        paused: false,
    };
    change(&mut schedule);
    config.schedules.insert(schedule.name.clone(), schedule);
}

async fn app(cron: &str, change: impl FnOnce(&mut Schedule)) -> TestApp {
    TestApp::with(|config| add(config, "nightly", cron, change)).await
}

async fn patch(app: &TestApp, name: &str, body: &Value) -> Answer {
    Answer::of(app.request("PATCH", &format!("/api/schedules/{name}")).json(body)).await
}

async fn run(app: &TestApp, name: &str) -> Answer {
    Answer::of(app.request("POST", &format!("/api/schedules/{name}/run"))).await
}

async fn shown(app: &TestApp) -> Value {
    app.get("/api/schedules/nightly").await.json()
}

#[tokio::test]
async fn schedules_are_listed_by_name() {
    let app = TestApp::with(|config| {
        add(config, "nightly", RARE, |schedule| schedule.job.queue = Some("mail".parse().unwrap()));
        add(config, "asleep", "@every 90s", |schedule| {
            schedule.paused = true;
            (schedule.overlap, schedule.catch_up) = (Overlap::Queue, CatchUp::Once);
        });
    })
    .await;
    assert_answer!("schedules", app.get("/api/schedules").await);
    let one = app.get("/api/schedules/nightly").await;
    assert_eq!(one.json(), app.get("/api/schedules").await.json()["items"][1]);
    let next: Vec<String> = serde_json::from_value(one.json()["next_runs"].clone()).unwrap();
    assert_eq!(next[0][4..], *"-02-28T23:00:00.000Z", "midnight in Berlin");
    assert!(next.is_sorted() && next.len() == 5, "{next:?}");
    app.stop().await;
    let none = TestApp::start().await;
    assert_eq!(none.get("/api/schedules").await.json(), json!({"items": []}));
    assert!(none.get("/api/schedules/x").await.text().contains("there are none"));
    none.stop().await;
}

#[tokio::test]
async fn a_schedule_that_is_not_there_is_not_found() {
    let app = app(RARE, |_| {}).await;
    assert_answer!("schedule_not_found", app.get("/api/schedules/nihgtly").await);
    patch(&app, "daily", &json!({"paused": true})).await.problem(404, "schedule-not-found");
    run(&app, "%20").await.problem(404, "schedule-not-found");
    app.stop().await;
}

#[tokio::test]
async fn what_is_due_becomes_a_job_with_the_tag_of_its_schedule() {
    let app = app("* * * * * *", |_| {}).await;
    let mut watch = app.jobs().events().watch();
    let completed = async {
        loop {
            let event = watch.recv().await.unwrap();
            if event.kind == EventKind::State(StateName::Completed) {
                return event.job;
            }
        }
    };
    let job = within("a run", completed).await;
    assert_eq!(job.spec.tags[0].as_str(), "schedule:nightly");
    let listed = app.get("/api/jobs?tag=schedule:nightly&state=completed").await.json();
    assert!(listed["items"].as_array().unwrap().iter().any(|item| item["id"] == job.id().to_string()));
    let last = shown(&app).await["last_run"].clone();
    assert_eq!((&last["trigger"], &last["outcome"]), (&"schedule".into(), &"submitted".into()));
    let (_, fraction) = last["due_at"].as_str().unwrap().split_once('.').unwrap();
    assert_eq!(fraction, "000Z", "it was due at a whole second");
    app.stop().await;
}

#[tokio::test]
async fn a_run_by_hand_is_answered_like_a_submission() {
    let app = app(RARE, |schedule| schedule.paused = true).await;
    let answer = run(&app, "nightly").await;
    assert_answer!("schedule_run", answer);
    let id = answer.id();
    app.until(&id, StateName::Completed).await;
    let shown = shown(&app).await;
    redacting(|| {
        insta::assert_snapshot!("schedule_after_run", serde_json::to_string_pretty(&shown).unwrap());
    });
    assert_eq!(shown["last_run"]["job"], id);
    // It can be waited for.
    let request = app.request("POST", "/api/schedules/nightly/run").header("prefer", "wait=20");
    let waited = Answer::of(request).await;
    assert_eq!(waited.status, 303, "{}", waited.text());
    assert!(waited.header("location").ends_with("/result"));
    app.stop().await;
}

#[tokio::test]
async fn a_run_by_hand_is_made_whatever_else_runs() {
    let app = app(RARE, |schedule| schedule.job = NewJob::new("act", &json!({"wait": true})).unwrap()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = run(&app, "nightly").await.id();
        app.until(&id, StateName::Processing).await;
        ids.push(id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
    app.stop().await;
}

#[tokio::test]
async fn a_run_by_hand_with_a_key_is_made_once() {
    let app = TestApp::with(|config| {
        add(config, "nightly", RARE, |_| {});
        add(config, "weekly", RARE, |_| {});
    })
    .await;
    let keyed = |name: &str| {
        let request = app.request("POST", &format!("/api/schedules/{name}/run"));
        Answer::of(request.header("idempotency-key", "k"))
    };
    let first = keyed("nightly").await;
    let again = keyed("nightly").await;
    assert_eq!((first.status.as_u16(), &first.body), (202, &again.body));
    assert_eq!(again.header("idempotent-replayed"), "true");
    keyed("weekly").await.problem(422, "idempotency-key-reused");
    app.stop().await;
    assert_eq!(first.json()["tags"], json!(["schedule:nightly"]));
}

#[tokio::test]
async fn pausing_stops_what_is_due_and_null_takes_it_back() {
    let app = app(RARE, |_| {}).await;
    let paused = patch(&app, "nightly", &json!({"paused": true})).await;
    assert_eq!(paused.status, 200, "{}", paused.text());
    assert_eq!((&paused.json()["paused"], &paused.json()["next_runs"]), (&json!(true), &json!([])));
    assert_eq!(
        patch(&app, "nightly", &json!({})).await.json(),
        paused.json(),
        "nothing said, nothing changed"
    );
    let back = patch(&app, "nightly", &json!({"paused": null})).await.json();
    assert_eq!((&back["paused"], back["next_runs"].as_array().unwrap().len()), (&json!(false), 5));
    assert_eq!(patch(&app, "nightly", &json!({"paused": false})).await.json(), back);
    app.stop().await;
}

#[tokio::test]
async fn a_patch_is_read_strictly() {
    let app = app(RARE, |_| {}).await;
    assert_answer!(
        "schedule_patch_faults",
        patch(&app, "nightly", &json!({"pause": true, "cron": "x", "paused": 1})).await
    );
    let send = |media: &'static str, body: &'static str| {
        let request = app.request("PATCH", "/api/schedules/nightly").header("content-type", media);
        Answer::of(request.body(body))
    };
    for media in
        ["application/json", "application/merge-patch+json", "Application/Merge-Patch+JSON; charset=utf-8"]
    {
        assert_eq!(send(media, "{\"paused\":true}").await.status, 200, "{media}");
    }
    for media in ["text/plain", "application/json-patch+json", "application/x-www-form-urlencoded"] {
        send(media, "{\"paused\":true}").await.problem(415, "unsupported-media-type");
    }
    for body in ["", "{", "{\"paused\":true,\"paused\":false}"] {
        send("application/merge-patch+json", body).await.problem(400, "malformed-request");
    }
    for body in ["[]", "true", "null"] {
        send("application/merge-patch+json", body).await.problem(422, "validation-failed");
    }
    // As of a queue: what there is not cannot be changed, whatever is wrong with the change.
    let nobody = app.request("PATCH", "/api/schedules/nighly").header("content-type", "application/json");
    Answer::of(nobody.body("{")).await.problem(404, "schedule-not-found");
    let compressed = app.request("PATCH", "/api/schedules/nightly").header("content-encoding", "gzip");
    let compressed = compressed.header("content-type", "application/merge-patch+json").body("{}");
    Answer::of(compressed).await.problem(415, "unsupported-media-type");
    assert_eq!(shown(&app).await["paused"], true, "what was refused changed nothing");
    app.stop().await;
}

#[tokio::test]
async fn a_full_queue_holds_a_run_back_and_not_the_others() {
    let app = TestApp::with(|config| {
        narrow(config, 1);
        add(config, "nightly", "* * * * * *", |_| {});
        add(config, "other", "* * * * * *", |schedule| schedule.job.queue = Some("mail".parse().unwrap()));
        for schedule in config.schedules.values_mut() {
            schedule.paused = true;
        }
    })
    .await;
    app.hold().await;
    app.act(&json!({})).await;
    run(&app, "nightly").await.problem(503, "queue-full");
    patch(&app, "nightly", &json!({"paused": false})).await;
    let refused = async {
        loop {
            let shown = shown(&app).await;
            if shown["waiting_since"].is_string() && shown["last_run"]["outcome"] != Value::Null {
                return shown;
            }
        }
    };
    let refused = within("a run that waits", refused).await;
    assert!(["refused", "skipped"].contains(&refused["last_run"]["outcome"].as_str().unwrap()), "{refused}");
    let mut watch = app.jobs().events().watch();
    patch(&app, "other", &json!({"paused": false})).await;
    let completed = async {
        loop {
            let event = watch.recv().await.unwrap();
            let of = event.job.spec.tags.first().map(|tag| tag.as_str().to_owned());
            if let Some(of) = of.filter(|_| event.kind == EventKind::State(StateName::Completed)) {
                return of;
            }
        }
    };
    assert_eq!(within("the other one", completed).await, "schedule:other");
    // As soon as there is room the run is made.
    patch(&app, "other", &json!({"paused": true})).await;
    app.let_go(1);
    let made = async { while shown(&app).await["last_run"]["outcome"] != "submitted" {} };
    within("the run that waited", made).await;
    app.stop().await;
}

#[tokio::test]
async fn while_draining_no_run_is_made_and_a_pause_is_still_kept() {
    let app = app(RARE, |_| {}).await;
    app.hold().await;
    let schedules = app.server.backroom().pool().schedules().clone();
    let hurry = tokio_util::sync::CancellationToken::new();
    let during = async {
        while !app.jobs().is_draining() {
            tokio::task::yield_now().await;
        }
        run(&app, "nightly").await.problem(503, "draining");
        assert_eq!(patch(&app, "nightly", &json!({"paused": true})).await.status, 200);
        app.let_go(1);
    };
    let drain = async { tokio::join!(app.server.backroom().drain(&hurry), during) };
    let (report, ()) = within("the drain", drain).await;
    assert_eq!((report.finished, report.lost.len()), (1, 0));
    let kept = serde_json::to_value(schedules.kept()).unwrap();
    assert_eq!((&kept[0]["name"], &kept[0]["paused"]), (&json!("nightly"), &json!(true)));
}
