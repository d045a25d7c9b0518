//! What handlers say about a job can repeat its payload. Nobody gets to see the secrets of it: not by the API, not by
//! events, not in the log of the server, and not in what the spill file keeps beside the payload.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};

use backroom::job::{Job, StateName};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::app::{TestApp, within};

/// The log of all servers of this process.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    /// Collects everything from now on, whatever its level, as often as this is called.
    fn start() -> Self {
        static LOGGED: OnceLock<Logged> = OnceLock::new();
        let logged = LOGGED.get_or_init(|| {
            let logged = Self::default();
            let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
            lines.with_writer(logged.clone()).init();
            logged
        });
        logged.clone()
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logged {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything that a job keeps beside its payload.
fn kept(job: &Job) -> String {
    format!("{:?} {:?} {:?} {:?} {:?}", job.state, job.progress, job.error, job.attempts, job.log)
}

/// Every answer about a job.
async fn answers(app: &TestApp, id: &str) -> String {
    let mut all = String::new();
    for part in ["", "/status", "/result", "/payload", "/log"] {
        all += &app.get(&format!("/api/jobs/{id}{part}")).await.text();
    }
    for path in ["/api/jobs", "/api/queues", "/api/mail"] {
        all += &app.get(path).await.text();
    }
    all
}

/// An `act` job that says its secret wherever a handler can say something, and ends as `how` says.
fn telling(place: &Value, said: &str, how: &str) -> Value {
    let mut payload = json!({
        "data": place, "log": [said, format!("{}{said}", "x".repeat(1_003))], "progress": [50, said],
    });
    payload[how] = said.into();
    json!({"kind": "act", "payload": payload, "max_attempts": 1})
}

#[tokio::test]
async fn errors_lines_progress_and_reasons_hold_no_secret() {
    let logged = Logged::start();
    let app = TestApp::start().await;
    let mut watch = app.jobs().events().watch();
    for (how, state) in [
        ("permanent", StateName::DeadLettered),
        ("fail", StateName::DeadLettered),
        ("skip", StateName::Skipped),
    ] {
        let said = "login as ada with Zq-geheim-1 failed";
        let id = app.submit(&telling(&json!([{"password": "Zq-geheim-1"}]), said, how)).await;
        app.until(&id, state).await;
        let all = answers(&app, &id).await;
        assert!(!all.contains("Zq-"), "{all}");
        // By the same mark, so that somebody can see what is repeated.
        let payload = app.get(&format!("/api/jobs/{id}/payload")).await.json();
        let mark = payload["data"][0]["password"].as_str().unwrap();
        let wanted = format!("login as ada with {mark} failed");
        let job = app.job(&id).await;
        let told = if how == "skip" { &job["skip_reason"] } else { &job["error"]["message"] };
        assert_eq!(*told, wanted);
        assert_eq!(job["progress"]["message"], wanted);
        let log = app.get(&format!("/api/jobs/{id}/log")).await.json();
        assert_eq!(log["lines"][0]["message"], wanted);
        // Cut after it was redacted: half a secret looks like none.
        assert!(log["lines"][1]["message"].as_str().unwrap().ends_with("xlogin as ada with [re"), "{log}");
    }
    let mut ended = 0;
    while ended < 3 {
        let event = within("an event", watch.recv()).await.unwrap();
        assert!(!kept(&event.job).contains("Zq-"), "{}", kept(&event.job));
        ended += usize::from(event.job.state.is_terminal());
    }
    let text = logged.text();
    assert!(text.contains("attempt failed") && !text.contains("Zq-"), "{text}");
    app.stop().await;
}

#[tokio::test]
async fn what_looks_like_a_secret_is_hidden_without_being_in_the_payload() {
    let app = TestApp::start().await;
    let said = "cannot reach smtp://me:hunter2@mail.example: Authorization: Bearer abcDEF123";
    let id = app.submit(&telling(&json!({}), said, "permanent")).await;
    app.until(&id, StateName::DeadLettered).await;
    let message = app.job(&id).await["error"]["message"].clone();
    let message = message.as_str().unwrap();
    assert!(message.starts_with("cannot reach smtp://[redacted "), "{message}");
    assert!(message.contains("]@mail.example: Authorization: [redacted "), "{message}");
    let all = answers(&app, &id).await;
    assert!(!all.contains("hunter2") && !all.contains("abcDEF123"), "{all}");
    app.stop().await;
}

#[tokio::test]
async fn names_that_a_kind_lists_hold_for_what_it_says() {
    let app = TestApp::with(|config| {
        let kind = backroom::config::Kind { sensitive: vec!["iban".to_owned()], ..Default::default() };
        config.kinds.insert("act".parse().unwrap(), kind);
    })
    .await;
    let id = app.submit(&telling(&json!({"iban": "DE0212"}), "DE0212 and iban=DE0213", "permanent")).await;
    app.until(&id, StateName::DeadLettered).await;
    let all = answers(&app, &id).await;
    assert!(!all.contains("DE02"), "{all}");
    app.stop().await;
}

#[tokio::test]
async fn messages_are_cut_after_they_were_redacted() {
    let app = TestApp::start().await;
    // How much of each is kept: see `GET /api/jobs/{id}`.
    for (length, how, member) in [(2_048, "permanent", "/error/message"), (1_024, "skip", "/skip_reason")] {
        for lead in [length - 14, length - 7, length - 1] {
            let said = format!("{} Zq-geheim-1 and so on", "x".repeat(lead - 1));
            let id = app.submit(&telling(&json!({"secret": "Zq-geheim-1"}), &said, how)).await;
            app.until_job(&id, "its end", |job| job.state.is_terminal()).await;
            let job = app.job(&id).await;
            let told = job.pointer(member).unwrap().as_str().unwrap();
            assert!(told.len() == length && !told.contains("Zq"), "{told}");
        }
    }
    for (length, kept) in [(1_023, 1_023), (1_024, 1_024), (1_025, 1_024)] {
        let id = app.act(&json!({"skip": "x".repeat(length)})).await;
        app.until(&id, StateName::Skipped).await;
        assert_eq!(app.job(&id).await["skip_reason"].as_str().unwrap().len(), kept);
    }
    for (length, kept) in [(255, 255), (256, 256), (257, 256)] {
        let id = app.act(&json!({"progress": [1, "x".repeat(length)], "skip": "y"})).await;
        let job = app.until(&id, StateName::Skipped).await;
        assert_eq!(job.progress.message.as_deref().unwrap().len(), kept);
    }
    for lead in [242, 249, 255] {
        let said = format!("{} Zq-geheim-1 and so on", "x".repeat(lead - 1));
        let id = app.submit(&telling(&json!({"secret": "Zq-geheim-1"}), &said, "permanent")).await;
        let job = app.until(&id, StateName::DeadLettered).await;
        let message = job.progress.message.as_deref().unwrap();
        assert!(message.len() == 256 && !message.contains("Zq"), "{message}");
    }
    app.stop().await;
}

/// Whoever takes the jobs up needs the payload; nobody needs the rest.
#[tokio::test]
async fn the_spill_file_holds_the_payload_and_no_secret_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spill.jsonl");
    let spill = path.clone();
    let app = TestApp::with(|config| config.shutdown.spill_file = Some(spill)).await;
    let said = "Zq-geheim-1 is wrong";
    let mut job = telling(&json!({"password": "Zq-geheim-1"}), said, "fail");
    job["max_attempts"] = 5.into();
    let id = app.submit(&job).await;
    app.until(&id, StateName::Failed).await;
    let report = app.stop().await;
    assert_eq!(report.spilled, 1);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut line: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(line["payload"]["data"]["password"], "Zq-geheim-1");
    line.as_object_mut().unwrap().remove("payload");
    assert!(!line.to_string().contains("Zq-"), "{line}");
    assert!(line["error"]["message"].as_str().unwrap().ends_with("] is wrong"), "{line}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn marks_of_two_starts_differ() {
    let mut marks = Vec::new();
    for _ in 0..2 {
        let app = TestApp::start().await;
        let id = app.submit(&json!({"kind": "noop", "payload": {"password": "Zq-geheim-1"}})).await;
        marks.push(app.get(&format!("/api/jobs/{id}/payload")).await.json()["password"].clone());
        app.stop().await;
    }
    assert_ne!(marks[0], marks[1]);
}

/// Any secret, at any place, said in any way, by a handler that says it wherever it can.
#[test]
fn no_secret_is_ever_seen() {
    let logged = Logged::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(TestApp::start());
    // No cursor and no hash has a '~'.
    let secret = "Zq~[ -~äß€\\t\"\\\\]{4,50}";
    let name = prop_oneof!["password", "apiKey", "X-Auth-Token", "client_secret", "Set-Cookie", "passphrase"];
    let ways = [
        |secret: &str| format!("failed with {secret} of ada"),
        |secret: &str| format!("failed with {secret:?}"),
        |secret: &str| format!("failed with {}", json!({"x": [secret]})),
        |secret: &str| format!("{secret}{secret}"),
        |secret: &str| format!("token={secret}"),
    ];
    let how = prop_oneof![Just("permanent"), Just("fail"), Just("skip")];
    let cases = (secret, name, 0..ways.len(), 0..4_usize, how);
    let cases_count = Cases { cases: 64, failure_persistence: None, ..Cases::default() };
    let outcome = TestRunner::new(cases_count).run(&cases, |(secret, name, way, place, how)| {
        let place = match place {
            0 => json!({ name: secret }),
            1 => json!([[{ name: {"deep": [secret]} }]]),
            2 => json!({"headers": [{"name": name, "value": secret}]}),
            _ => json!({"headers": [[name, secret]]}),
        };
        let (all, events) = runtime.block_on(async {
            let mut watch = app.jobs().events().watch();
            let id = app.submit(&telling(&place, &ways[way](&secret), how)).await;
            app.until_job(&id, "its end", |job| job.state.is_terminal()).await;
            let mut events = String::new();
            let ended = async {
                while let Ok(event) = watch.recv().await {
                    events += &kept(&event.job);
                    if event.job.state.is_terminal() {
                        break;
                    }
                }
            };
            within("the last event", ended).await;
            (answers(&app, &id).await, events)
        });
        for text in [&all, &events, &logged.text()] {
            let at = text.find("Zq~").unwrap_or(text.len());
            prop_assert!(at == text.len(), "{}", &text[text.floor_char_boundary(at.saturating_sub(200))..at]);
        }
        prop_assert!(all.contains("[redacted "));
        Ok(())
    });
    outcome.unwrap();
    assert!(logged.text().contains("attempt failed"));
    runtime.block_on(app.stop());
}
