//! Recurring jobs in the real program: they come, they end with the drain, and a planned restart goes on with them.

use nix::sys::signal::Signal;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::process::{PATIENCE, Place, Process};

const TICK: [&str; 3] =
    ["schedules.tick.cron=@every 1s", "schedules.tick.kind=noop", "schedules.tick.overlap=allow"];
/// Not due while a test runs.
const RARE: [&str; 2] = ["schedules.rare.cron=0 0 29 2 *", "schedules.rare.kind=noop"];

async fn schedule(process: &Process, name: &str) -> Value {
    process.get(&format!("/api/schedules/{name}")).await
}

/// The next so many jobs that complete, as the stream of events tells.
async fn completed(process: &Process, number: usize) -> Vec<Value> {
    let url = format!("{}/api/events?kind=noop", process.base);
    let mut response = process.client.get(url).send().await.unwrap();
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let (mut text, mut jobs) = (String::new(), Vec::new());
    let reading = async {
        while let Some(chunk) = response.chunk().await.unwrap() {
            text += std::str::from_utf8(&chunk).unwrap();
            while let Some(end) = text.find("\n\n") {
                let event: String = text.drain(..end + 2).collect();
                let data: String = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                let envelope = serde_json::from_str::<Value>(&data).unwrap_or_default();
                if envelope["type"] == "job.completed" {
                    jobs.push(envelope["data"].clone());
                }
            }
            if jobs.len() >= number {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("runs in time");
    jobs
}

#[tokio::test]
async fn runs_come_every_second_until_the_drain() {
    let place = Place::new(&TICK);
    let process = place.start().await;
    let runs = completed(&process, 3).await;
    for run in &runs {
        assert_eq!(run["tags"], json!(["schedule:tick"]));
    }
    let shown = schedule(&process, "tick").await;
    assert_eq!(shown["last_run"]["outcome"], "submitted");
    let ended = process.stop().await;
    assert_eq!((ended.code, ended.report().lost.len()), (Some(0), 0));
    // A healthy run is no news.
    assert!(!ended.text().contains("tick"), "{}", ended.text());
}

#[tokio::test]
async fn a_pause_and_the_last_run_outlive_a_restart() {
    let place = Place::new(&RARE);
    let process = place.start().await;
    let url = format!("{}/api/schedules/rare", process.base);
    let run = process.client.post(format!("{url}/run")).header("prefer", "wait=25").send().await.unwrap();
    assert_eq!(run.status(), 303);
    let paused = process.client.patch(&url).json(&json!({"paused": true})).send().await.unwrap();
    let mut before: Value = paused.json().await.unwrap();
    assert_eq!((&before["paused"], &before["last_run"]["job_state"]), (&json!(true), &json!("completed")));
    assert_eq!(process.stop().await.code, Some(0));

    let process = place.start().await;
    // The job itself is forgotten: it was finished.
    before["last_run"]["job_state"] = Value::Null;
    assert_eq!(schedule(&process, "rare").await, before);
    assert_eq!(process.stop().await.code, Some(0));
    // A schedule that is gone is forgotten, and so is what was kept of it.
    let other = Place { folder: place.folder, sets: Vec::new(), is_tight: false };
    let process = other.start().await;
    assert_eq!(process.get("/api/schedules").await, json!({"items": []}));
    assert_eq!(process.stop().await.code, Some(0));
    assert_eq!(other.files(), [""; 0]);
}

/// Times that passed while the server was down: as if it had been for a day.
#[tokio::test]
async fn what_passed_during_a_restart_is_missed_or_caught_up_with() {
    for (catch_up, outcome) in [("skip", "missed"), ("once", "submitted")] {
        let mut place = Place::new(&RARE);
        place.sets.push(format!("schedules.rare.catch_up={catch_up}"));
        assert_eq!(place.start().await.stop().await.code, Some(0));
        let spill = std::fs::read_to_string(place.spill()).unwrap();
        let mut header: Value = serde_json::from_str(spill.lines().next().unwrap()).unwrap();
        header["schedules"][0]["next"] = "2024-02-29T00:00:00.000Z".into();
        std::fs::write(place.spill(), format!("{header}\n")).unwrap();

        let process = place.start().await;
        let looked_at = async {
            loop {
                let shown = schedule(&process, "rare").await;
                if shown["last_run"].is_object() {
                    return shown["last_run"].clone();
                }
            }
        };
        let last = tokio::time::timeout(PATIENCE, looked_at).await.expect("a look in time");
        assert_eq!(
            (&last["outcome"], &last["due_at"]),
            (&outcome.into(), &"2024-02-29T00:00:00.000Z".into())
        );
        assert_eq!(process.stop().await.code, Some(0));
    }
}

#[tokio::test]
async fn after_a_crash_nothing_is_known_and_nothing_in_the_way() {
    let place = Place::new(&RARE);
    let process = place.start().await;
    let url = format!("{}/api/schedules/rare", process.base);
    process.client.patch(&url).json(&json!({"paused": true})).send().await.unwrap();
    process.signal(Signal::SIGKILL);
    process.ended().await;
    let process = place.start().await;
    let shown = schedule(&process, "rare").await;
    assert_eq!((&shown["paused"], &shown["last_run"]), (&json!(false), &Value::Null));
    assert_eq!(process.stop().await.code, Some(0));
}

/// What a file says of the schedules is less than the jobs in it.
#[tokio::test]
async fn what_was_kept_of_a_schedule_and_cannot_be_read_spoils_no_job() {
    let place = Place::new(&RARE);
    let process = place.start().await;
    let id = process.accepted(&json!({"kind": "noop", "delay": "1h"})).await;
    assert_eq!(process.stop().await.report().spilled, 1);
    let spill = std::fs::read_to_string(place.spill()).unwrap();
    assert!(spill.contains("\"next\":\""), "{spill}");
    std::fs::write(place.spill(), spill.replace("\"next\":\"", "\"next\":\"x")).unwrap();
    let process = place.start().await;
    assert_eq!(process.get(&format!("/api/jobs/{id}")).await["state"], "scheduled");
    assert_eq!(schedule(&process, "rare").await["last_run"], Value::Null);
    let ended = process.stop().await;
    ended.line("how a schedule stood cannot be read: it begins anew");
    assert_eq!(ended.report().spilled, 1);
}

#[tokio::test]
async fn faults_of_schedules_are_found_at_the_start() {
    let place = Place::new(&[]);
    let ended = place
        .fail(&["schedules.a.cron=61 * * * *", "schedules.a.kind=nop", "schedules.a.time_zone=Berlin"])
        .await;
    assert_eq!(ended.code, Some(78));
    for part in ["schedules.a.cron: the minute", "did you mean \"noop\"?", "did you mean \"Europe/Berlin\"?"]
    {
        assert!(ended.text().contains(part), "{part}: {}", ended.text());
    }
    // What only the kind can say, of every schedule at once.
    let ended = place
        .fail(&[
            "schedules.a.cron=@daily",
            "schedules.a.kind=noop",
            "schedules.a.payload={ steps = -1, sleep = \"long\" }",
            "schedules.b.cron=@daily",
            "schedules.b.kind=email",
        ])
        .await;
    assert_eq!(ended.code, Some(78));
    for part in ["schedules.a.payload: /steps", "schedules.a.payload: /sleep", "schedules.b.payload: /to"] {
        assert!(ended.text().contains(part), "{part}: {}", ended.text());
    }
    assert_eq!(place.files(), [""; 0]);
}
