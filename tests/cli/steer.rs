//! `backroom queues` and `backroom schedules`: against the real server what it has, against a scripted one the rest.

use serde_json::{Value, json};

use crate::process::Place;
use crate::rig::{Rig, Run, backroom, ended};
use crate::scripted::{Asked, Scripted, answer};

const QUEUE: &str = r#"{"name":"mail","paused":true,"pause_reason":"down\u001b[2J","pause_until":null,"capacity":10,
    "concurrency":4,"pending":1,"processing":0,"scheduled":0,"failed":0,"dead_lettered":0,"oldest_pending_seconds":1.5,
    "throughput_per_second":0.0,"rate_limit":null}"#;

const SCHEDULE: &str = r#"{"name":"nightly","cron":"0 3 * * *","time_zone":"Europe/Berlin","kind":"noop","paused":false,
    "next_runs":["2026-11-21T02:00:00.000Z"],"last_run":null}"#;

async fn asked(arguments: &[&str], status: &str, body: &str) -> (Run, Asked) {
    let server = Scripted::new([answer(status, &[], body)]);
    let place = Place::new(&[]);
    let run = ended(backroom(place.folder.path(), &server.base, arguments), "").await;
    assert_eq!(run.code, 0, "{run:?}");
    (run, server.asked().await.remove(0))
}

fn patch(asked: &Asked, path: &str) -> Value {
    assert_eq!(asked.line(), format!("PATCH {path}"));
    assert_eq!(asked.header("content-type"), "application/merge-patch+json");
    serde_json::from_str(&asked.body).unwrap()
}

#[tokio::test]
async fn queues_are_shown() {
    let rig = Rig::new(&[]).await;
    let table = rig.run(&["queues"]).await;
    assert_eq!((table.code, table.out.lines().count()), (0, 4), "{table:?}");
    assert!(table.out.starts_with("NAME     STATE  PENDING  RUNNING"), "{table:?}");
    assert_eq!(rig.json(&["queues"]).await["items"][0]["name"], "default");
    assert_eq!(rig.json(&["queues", "show", "mail"]).await["name"], "mail");
    rig.run(&["queues", "show", "a/b c"]).await.refused(1, "(404");
    rig.run(&["queues", "--server", "http://127.0.0.1:1", "show", "x"]).await.refused(2, "");
}

#[tokio::test]
async fn queues_are_paused_resumed_and_changed() {
    let (run, request) = asked(&["queues", "pause", "mail", "--reason", "down"], "200 OK", QUEUE).await;
    assert_eq!(
        patch(&request, "/api/queues/mail"),
        json!({"paused": true, "pause_reason": "down", "pause_until": null})
    );
    assert!(
        run.out.contains("mail  paused  1        0/4") && run.out.ends_with("down\\u{1b}[2J\n"),
        "{run:?}"
    );
    let until = ["queues", "pause", "mail", "--until", "2099-01-01T01:00:00+01:00", "--json"];
    let (run, request) = asked(&until, "200 OK", QUEUE).await;
    assert_eq!(patch(&request, "/api/queues/mail")["pause_until"], "2099-01-01T00:00:00.000Z");
    assert_eq!(run.json(), serde_json::from_str::<Value>(QUEUE).unwrap());
    let (_, request) = asked(&["queues", "pause", "mail", "--for", "365d"], "200 OK", QUEUE).await;
    let until = patch(&request, "/api/queues/mail")["pause_until"].as_str().unwrap().to_owned();
    assert!(&*until > "2026-11-27" && until.ends_with('Z'), "{until}");
    let (_, request) = asked(&["queues", "resume", "mail"], "200 OK", QUEUE).await;
    assert_eq!(patch(&request, "/api/queues/mail"), json!({"paused": false}));
    let set = ["queues", "set", "a/b", "--concurrency", "2", "--rate-limit", "10/s"];
    let (_, request) = asked(&set, "200 OK", QUEUE).await;
    assert_eq!(patch(&request, "/api/queues/a%2Fb"), json!({"concurrency": 2, "rate_limit": "10/s"}));
    let place = Place::new(&[]);
    for bad in [
        &["queues", "set", "mail"][..],
        &["queues", "pause", "mail", "--for", "5"],
        &["queues", "pause", "mail", "--until", "soon"],
        &["queues", "pause", "mail", "--for", "5m", "--until", "2099-01-01T00:00:00Z"],
        &["queues", "pause"],
    ] {
        let run = ended(backroom(place.folder.path(), "http://127.0.0.1:1", bad), "").await;
        assert_eq!(run.code, 2, "{bad:?}: {run:?}");
    }
}

#[tokio::test]
async fn a_rate_limit_is_set_taken_away_and_as_it_was_configured() {
    let rig = Rig::new(&["queues.mail.rate_limit=50/s"]).await;
    for (rate, limit) in [("10/m", json!("10/m")), ("none", Value::Null), ("configured", json!("50/s"))] {
        let queue = rig.json(&["queues", "set", "mail", "--rate-limit", rate]).await;
        assert_eq!(queue["rate_limit"], limit, "{rate}");
    }
    let run = rig.run(&["queues", "set", "mail", "--rate-limit", "fast"]).await;
    run.refused(1, "/rate_limit: ");
}

#[tokio::test]
async fn schedules_are_shown_paused_resumed_and_run() {
    let list = format!("{{\"items\":[{SCHEDULE}]}}");
    let (run, request) = asked(&["schedules"], "200 OK", &list).await;
    assert_eq!(request.line(), "GET /api/schedules");
    assert!(
        run.out.contains("nightly  open   0 3 * * *  Europe/Berlin  noop  2026-11-21T02:00:00Z\n"),
        "{run:?}"
    );
    let (run, _) = asked(&["schedules", "--json"], "200 OK", &list).await;
    assert_eq!(run.json(), serde_json::from_str::<Value>(&list).unwrap());
    for (command, paused) in [("pause", true), ("resume", false)] {
        let (_, request) = asked(&["schedules", command, "nightly"], "200 OK", SCHEDULE).await;
        assert_eq!(patch(&request, "/api/schedules/nightly"), json!({ "paused": paused }));
    }
    let job = r#"{"id":"019a","state":"pending","attempt":0,"max_attempts":8}"#;
    let (run, request) = asked(&["schedules", "run", "nightly"], "202 Accepted", job).await;
    assert_eq!(request.line(), "POST /api/schedules/nightly/run");
    assert!(run.out.starts_with("id        019a\nstate     pending\n"), "{run:?}");
}
