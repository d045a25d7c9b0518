//! `GET /api/mail…`: captured mail.

use backroom::config::MailTransport;
use backroom::job::StateName;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, assert_answer, redacting};

async fn send(app: &TestApp, payload: Value) -> String {
    let id = app.submit(&json!({"kind": "email", "payload": payload})).await;
    app.until(&id, StateName::Completed).await;
    id
}

#[tokio::test]
async fn captured_mail_is_listed_shown_and_forgotten() {
    let app = TestApp::start().await;
    let empty = app.get("/api/mail").await;
    assert_eq!((empty.status.as_u16(), empty.json()), (200, json!({"items": []})));
    let first = send(
        &app,
        json!({"to": ["Ada <ada@example.com>", "bob@example.com"], "cc": "eve@example.com", "subject": "Grüße",
               "text": "Hello", "html": "<p>Hello</p>",
               "attachments": [{"filename": "a.txt", "content_type": "text/plain", "content_base64": "QUJD"}]}),
    )
    .await;
    let second =
        send(&app, json!({"to": "ada@example.com", "template": "welcome", "data": {"name": "Ada"}})).await;
    let list = app.get("/api/mail").await;
    assert_answer!("mail_list", list);
    let items = list.json()["items"].clone();
    assert_eq!((&items[0]["job"], &items[1]["job"]), (&json!(second), &json!(first)));

    let path = format!("/api/mail/{}", items[1]["id"].as_str().unwrap());
    let mail = app.get(&path).await;
    assert_eq!(mail.header("cache-control"), "no-store");
    let mut shown = mail.json();
    assert_eq!((&shown["text"], &shown["html"]), (&json!("Hello"), &json!("<p>Hello</p>")));
    let headers = shown["headers"].take();
    // As it would have gone out.
    assert_eq!(headers["Subject"], "=?utf-8?b?R3LDvMOfZQ==?=");
    redacting(|| insta::assert_snapshot!("mail", serde_json::to_string_pretty(&shown).unwrap()));

    let raw = app.get(&format!("{path}/raw")).await;
    assert_eq!(raw.header("content-type"), "message/rfc822");
    assert_eq!(raw.header("x-content-type-options"), "nosniff");
    assert!(raw.text().contains("Content-Type: multipart/mixed"), "{}", raw.text());
    assert!(!raw.text().contains("Bcc"));

    let cleared = Answer::of(app.request("DELETE", "/api/mail")).await;
    assert_eq!((cleared.status.as_u16(), cleared.json()), (200, json!({"deleted": 2})));
    assert_answer!("mail_not_found", app.get(&path).await);
    assert_eq!(app.get("/api/mail").await.json(), json!({"items": []}));
    app.stop().await;
}

#[tokio::test]
async fn mail_that_is_not_there_is_not_found() {
    let app = TestApp::start().await;
    for id in ["01a1fa71-0000-7000-8000-000000000000", "x"] {
        app.get(&format!("/api/mail/{id}")).await.problem(404, "mail-not-found");
        app.get(&format!("/api/mail/{id}/raw")).await.problem(404, "mail-not-found");
    }
    app.stop().await;
}

#[tokio::test]
async fn without_capture_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let app = TestApp::with(|config| {
        config.mail.transport = MailTransport::File;
        config.mail.folder = folder.path().to_owned();
    })
    .await;
    send(&app, json!({"to": "ada@example.com", "subject": "Hi", "text": "Hello"})).await;
    assert_eq!(app.get("/api/mail").await.json(), json!({"items": []}));
    let problem = app.get("/api/mail/01a1fa71-0000-7000-8000-000000000000").await;
    let problem = problem.problem(404, "mail-not-found");
    assert_eq!(problem["detail"], "Mail is captured only with mail.transport = \"capture\".");
    let cleared = Answer::of(app.request("DELETE", "/api/mail")).await;
    assert_eq!(cleared.json(), json!({"deleted": 0}));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    app.stop().await;
}
