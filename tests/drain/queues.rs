//! Queues that are changed while the program runs: paused over a drain, and configured anew with SIGHUP.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::process::{Place, Process, exists, noop};

const RELOADED: &str = "configuration reloaded";

/// What can be changed of the queue `default`.
async fn queue(process: &Process) -> Value {
    let queue = process.get("/api/queues/default").await;
    json!([queue["paused"], queue["concurrency"], queue["rate_limit"]])
}

#[tokio::test]
async fn what_is_paused_is_spilled_and_run_in_order_by_the_next_start() {
    let place = Place::new(&["queues.default.concurrency=1", "shutdown.grace=20s"]);
    let process = place.start().await;
    let running = process.accepted(&noop(&json!({"sleep": "500ms"}))).await;
    process.state(&running, "processing").await;
    let pause = json!({"paused": true, "pause_reason": "a night without mails", "concurrency": 3});
    process.patch_queue("default", &pause).await;
    let ids = process.batch(vec![noop(&json!({})); 5]).await;
    let ended = process.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    // What ran was finished, and nobody waited for the rest until the grace was over.
    let report = ended.report();
    assert_eq!((report.finished, report.interrupted, report.spilled), (1, 0, 5));
    assert!(report.duration_ms < 10_000, "{report:?}");
    let spilled: Vec<Value> = place.spilled().iter().map(|line| line["id"].clone()).collect();
    assert_eq!(spilled, ids);
    assert!(ended.line("queue changed")["paused"].as_bool().unwrap());

    // The pause and the other changes have ended with the process.
    let process = place.start().await;
    let mut started = Vec::new();
    for id in &ids {
        let job = process.end(id).await;
        assert_eq!(job["state"], "completed", "{job}");
        started.push(job["started_at"].as_str().unwrap().to_owned());
    }
    assert!(started.is_sorted(), "{started:?}");
    assert_eq!(queue(&process).await, json!([false, 1, null]));
    assert_eq!(process.stop().await.code, Some(0));
    assert!(!exists(&place.spill()));
}

/// The queue of notices is paused and overfull: what finds no room in it is spilled, and nobody waits for that.
#[tokio::test]
async fn paused_notices_are_spilled_at_once_however_many() {
    let place =
        Place::new(&["queues.notices.capacity=1", "queues.notices.concurrency=1", "shutdown.grace=20s"]);
    let process = place.start().await;
    process.patch_queue("notices", &json!({"paused": true})).await;
    let mut told = noop(&json!({}));
    told["callback_url"] = json!("http://127.0.0.1:9/");
    for id in process.batch(vec![told; 6]).await {
        process.end(&id).await;
    }
    let ended = process.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let report = ended.report();
    assert_eq!((report.interrupted, report.spilled), (0, 6));
    assert!(report.duration_ms < 10_000, "{report:?}");
}

/// A job that was pending when its server stopped, and is found so by the next, enters no state by that.
#[tokio::test]
async fn what_was_pending_before_a_start_is_told_once() {
    let place = Place::new(&[]);
    let process = place.start().await;
    for queue in ["default", "notices"] {
        process.patch_queue(queue, &json!({"paused": true})).await;
    }
    let mut told = noop(&json!({}));
    (told["callback_url"], told["callback_events"]) = (json!("http://127.0.0.1:9/"), json!(["job.pending"]));
    let id = process.accepted(&told).await;
    assert_eq!(process.stop().await.code, Some(0));
    let process = place.start().await;
    process.end(&id).await;
    let deliveries = process.get(&format!("/api/jobs/{id}/deliveries")).await;
    let events: Vec<&Value> =
        deliveries["items"].as_array().unwrap().iter().map(|item| &item["event"]).collect();
    assert_eq!(events, [&json!("job.pending")]);
    assert_eq!(process.stop().await.code, Some(0));
}

#[tokio::test]
async fn sighup_takes_over_what_the_configuration_says_anew_and_leaves_the_rest() {
    let place = Place::new(&["queues.mail.concurrency=2"]);
    let write = |text: &str| std::fs::write(place.path("backroom.toml"), text).unwrap();
    write("[queues.default]\nconcurrency = 5\nrate_limit = \"9/s\"\n");
    let process = place.start().await;
    assert_eq!(queue(&process).await, json!([false, 5, "9/s"]));
    process.patch_queue("default", &json!({"paused": true, "concurrency": 7, "rate_limit": "1/h"})).await;

    // Only what the configuration says otherwise than before is taken over; the rest stays as somebody has set it.
    write("[queues.default]\nconcurrency = 6\nrate_limit = \"9/s\"\n[queues.mail]\nconcurrency = 3\n");
    process.signal(Signal::SIGHUP);
    let line = process.nth_message(RELOADED, 1).await;
    assert_eq!(line["changed"], "queues.default.concurrency 5 -> 6");
    assert_eq!(queue(&process).await, json!([true, 6, "1/h"]));
    assert_eq!(process.get("/api/queues/mail").await["concurrency"], 2, "--set is stronger than the file");
    process.signal(Signal::SIGHUP);
    assert_eq!(process.nth_message(RELOADED, 2).await["changed"], "");
    process.patch_queue("default", &json!({"concurrency": null, "rate_limit": null})).await;
    assert_eq!(queue(&process).await, json!([true, 6, "9/s"]), "null is what is configured now");

    // Of a configuration with faults nothing is taken over, and all of them are told.
    write(
        "[queues.default]\nconcurrency = 0\nrate_limit = \"fast\"\n[log]\nlevel = \"loud\"\n[retention]\nmax_finished = 9\n",
    );
    process.signal(Signal::SIGHUP);
    let line =
        process.message("configuration not reloaded: it has faults, and nothing of it was taken over").await;
    let faults = line["faults"].as_str().unwrap();
    for key in ["queues.default.concurrency: ", "queues.default.rate_limit: ", "log.level: "] {
        assert!(faults.contains(key), "{faults}");
    }
    assert_eq!(queue(&process).await, json!([true, 6, "9/s"]));

    // What is read at start only is named, each time.
    write("[queues.default]\nconcurrency = 6\n[queues.bulk]\ncapacity = 5\n[retention]\nmax_finished = 9\n");
    process.signal(Signal::SIGHUP);
    let line = process.nth_message(RELOADED, 3).await;
    assert_eq!(line["changed"], "queues.default.rate_limit \"9/s\" -> \"\"");
    let line =
        process.message("these have changed too, but are read at start only: restart to change them").await;
    let options = line["options"].as_str().unwrap();
    assert!(
        options.starts_with("queues.bulk.capacity, ") && options.ends_with("retention.max_finished"),
        "{options}"
    );
    assert_eq!(queue(&process).await, json!([true, 6, null]));
    assert_eq!(process.stop().await.code, Some(0));
}

#[tokio::test]
async fn sighup_changes_how_much_is_logged() {
    let place = Place::new(&[]);
    let write = |level: &str| {
        std::fs::write(place.path("backroom.toml"), format!("log.level = {level:?}\n")).unwrap();
    };
    write("info");
    let process = place.start().await;
    process.patch_queue("default", &json!({"concurrency": 2})).await;
    write("error");
    process.signal(Signal::SIGHUP);
    let line = process.nth_message(RELOADED, 1).await;
    assert_eq!(
        line["changed"], "log.level info -> error",
        "told although the level would not let it through"
    );
    process.patch_queue("default", &json!({"concurrency": 3})).await;
    write("warn,backroom::jobs=info");
    process.signal(Signal::SIGHUP);
    process.nth_message(RELOADED, 2).await;
    process.patch_queue("default", &json!({"concurrency": 4})).await;
    let ended = process.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let log = ended.log();
    let changed = log.iter().filter(|line| line["message"] == "queue changed");
    let concurrency: Vec<u64> = changed.map(|line| line["concurrency"].as_u64().unwrap()).collect();
    assert_eq!(concurrency, [2, 4]);
}
