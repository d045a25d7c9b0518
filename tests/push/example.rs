//! `examples/push-app`, on the real binary.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::process::{Place, Process};

/// Addresses of this machine that no other test uses, so that their ports are free.
const SERVER: &str = "127.34.56.78:28734";
const OTHER_SERVER: &str = "127.34.56.79:28734";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The app, which ends when it is dropped, and where it listens.
async fn app(secret: &str, server: &str) -> (Child, String) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/push-app");
    let mut app = Command::new("python3")
        .args(["app.py", "0"])
        .current_dir(example)
        .env("BACKROOM_SECRET", secret)
        .env("BACKROOM_URL", format!("http://{server}"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python3 is installed");
    let mut lines = BufReader::new(app.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("it says where it listens");
    let url = line.strip_prefix("listening on ").unwrap().to_owned();
    (app, url)
}

/// A server in a copy of the example, as a user would start one there.
async fn serve(bind: &str, app: &str) -> (Place, Process) {
    let place = Place::new(&[]);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/push-app");
    for file in ["backroom.toml", "text.count.schema.json"] {
        std::fs::copy(example.join(file), place.path(file)).unwrap();
    }
    let url = format!("kinds.\"text.count\".url={app}/jobs");
    let bind = format!("server.bind={bind}");
    let secret = format!("webhooks.secret={SECRET}");
    let server = place.start_with(&[&bind, &url, &secret, "retry.interactive.initial=0s"]).await;
    (place, server)
}

fn count(payload: &Value) -> Value {
    json!({"kind": "text.count", "payload": payload})
}

#[tokio::test]
async fn an_app_in_another_language_runs_jobs() {
    let (_app, url) = app(SECRET, SERVER).await;
    let (_place, server) = serve(SERVER, &url).await;

    let id = server.accepted(&count(&json!({"text": "to be or not to be"}))).await;
    let job = server.end(&id).await;
    assert_eq!(
        (&job["state"], &job["progress"]),
        (&json!("completed"), &json!({"percent": 100, "message": "counting"}))
    );
    assert_eq!(server.get(&format!("/api/jobs/{id}/result")).await, json!({"words": 6}));

    let id = server.accepted(&count(&json!({"text": " "}))).await;
    let job = server.end(&id).await;
    assert_eq!(
        (&job["state"], &job["skip_reason"]),
        (&json!("skipped"), &json!("there is nothing to count"))
    );

    let id = server.accepted(&count(&json!({}))).await;
    let job = server.end(&id).await;
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("dead_lettered"), &json!("http-422")));

    let id = server.accepted(&count(&json!({"text": "a b", "busy_until_attempt": 3}))).await;
    let job = server.end(&id).await;
    assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(3)));
    assert_eq!(job["attempts"][0]["error"]["code"], "http-503");

    // What does not fit the schema never leaves.
    let refused = server.post(&count(&json!({"text": 5, "txet": ""}))).await;
    assert_eq!(refused.status(), 422);
    let problem: Value = refused.json().await.unwrap();
    let mut pointers: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/payload/text", "/payload/txet"]);

    let kinds = server.get("/api/kinds").await;
    let kind = kinds["items"].as_array().unwrap().iter().find(|kind| kind["name"] == "text.count").unwrap();
    assert_eq!(kind["description"], "Counts the words of a text.");
    assert_eq!(kind["example"], json!({"text": "to be or not to be"}));
    assert_eq!(server.stop().await.code, Some(0));
}

#[tokio::test]
async fn who_has_another_secret_is_turned_away_by_the_app() {
    let (_app, url) = app("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", OTHER_SERVER).await;
    let (_place, server) = serve(OTHER_SERVER, &url).await;
    let id = server.accepted(&count(&json!({"text": "a"}))).await;
    let job = server.end(&id).await;
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("dead_lettered"), &json!("http-401")));
}
