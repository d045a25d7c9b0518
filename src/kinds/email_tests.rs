//! What the `email` kind is expected to do, seen from outside.

use serde_json::{Value, json};

use super::testing::context;
use super::{Email, EmailHandler};
use crate::clock::Clock;
use crate::handler::{Handler as _, Outcome};
use crate::job::JobError;
use crate::mail::{MAX_RECIPIENTS, Mailer, Settings, TransportSettings};

fn handler(max_bytes: usize) -> EmailHandler {
    let transport = TransportSettings::Capture { max_messages: 10, max_bytes };
    let settings = Settings {
        from: "Shop <shop@example.com>".into(),
        app_name: "Shop".into(),
        templates: None,
        transport,
    };
    EmailHandler { mailer: Mailer::new(settings, Clock::system()).unwrap() }
}

fn email(payload: Value) -> Email {
    serde_json::from_value(payload).unwrap()
}

fn faults(payload: Value) -> Vec<(String, String)> {
    let faults = handler(1 << 20).check(&email(payload));
    faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
}

fn pointers(payload: Value) -> Vec<String> {
    faults(payload).into_iter().map(|(pointer, _)| pointer).collect()
}

/// A payload that is fine, with some members changed.
fn plain(changes: Value) -> Value {
    let mut payload = json!({"to": "ada@example.com", "subject": "s", "text": "t"});
    if let Value::Object(changes) = changes {
        payload.as_object_mut().unwrap().extend(changes);
    }
    payload
}

#[test]
fn good_payloads_have_no_faults() {
    let file =
        json!({"filename": "a.txt", "content_type": "text/plain; charset=utf-8", "content_base64": "aGk="});
    for payload in [
        plain(json!({})),
        plain(json!({"to": ["ada@example.com", "Bob <bob@example.com>"], "cc": [], "bcc": null})),
        plain(json!({"to": null, "bcc": "ada@example.com"})),
        plain(
            json!({"text": null, "html": "<p>t</p>", "reply_to": "help@example.com", "attachments": [file]}),
        ),
        json!({"to": "ada@example.com", "template": "welcome", "data": {"name": "Ada"}, "locale": "de-AT"}),
        json!({"to": ["ada@example.com"], "template": "password_reset",
            "data": {"name": "Ada", "reset_url": "https://example.com/r"}, "subject": null}),
    ] {
        assert_eq!(faults(payload.clone()), [], "{payload}");
    }
}

#[test]
fn every_fault_is_found_at_once() {
    let payload = json!({
        "to": ["ada@example.com", "nobody", 5],
        "cc": {"a": 1},
        "bcc": "x@y\r\nTo: eve@example.com",
        "reply_to": ["help@example.com"],
        "subject": "s\nBcc: eve@example.com",
        "text": 7,
        "html": "",
        "attachments": [
            {"filename": "a\r\nb", "content_type": "nothing", "content_base64": "?"},
            {"content_base64": 5, "size": 3},
            "file",
        ],
        "priority/x": 1,
    });
    let expected = [
        "/priority~1x",
        "/to/1",
        "/to/2",
        "/cc",
        "/bcc",
        "/reply_to",
        "/subject",
        "/text",
        "/attachments/0/filename",
        "/attachments/0/content_type",
        "/attachments/0/content_base64",
        "/attachments/1/size",
        "/attachments/1/filename",
        "/attachments/1/content_type",
        "/attachments/1/content_base64",
        "/attachments/2",
    ];
    let found = faults(payload);
    assert_eq!(found.iter().map(|(pointer, _)| pointer.as_str()).collect::<Vec<_>>(), expected);
    assert!(!format!("{found:?}").contains("eve"), "a fault repeats a value");
}

#[test]
fn template_and_text_exclude_each_other_and_one_is_needed() {
    let welcome = json!({"template": "welcome", "data": {"name": "Ada"}});
    assert_eq!(pointers(plain(welcome)), ["/subject", "/text"]);
    assert_eq!(pointers(json!({"to": "ada@example.com"})), ["/template"]);
    assert_eq!(pointers(json!({"to": "ada@example.com", "subject": "s"})), ["/text"]);
    assert_eq!(
        pointers(json!({"to": "ada@example.com", "subject": "s", "text": "", "html": null})),
        ["/text"]
    );
    assert_eq!(pointers(json!({"to": "ada@example.com", "html": "t"})), ["/subject"]);
    assert_eq!(pointers(plain(json!({"data": {}, "locale": "de"}))), ["/data", "/locale"]);
    assert_eq!(pointers(plain(json!({"subject": " "}))), ["/subject"]);
}

#[test]
fn templates_are_checked_with_the_rest() {
    let reset = json!({"template": "password_reset", "locale": 5, "data": {"name": ""}, "to": "nobody"});
    assert_eq!(pointers(reset), ["/to", "/locale", "/data/reset_url"]);
    let to = |rest: Value| {
        let mut payload = json!({"to": "ada@example.com"});
        payload.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        pointers(payload)
    };
    assert_eq!(to(json!({"template": "password_reset"})), ["/data/name", "/data/reset_url"]);
    assert_eq!(to(json!({"template": "password_rest", "data": {}})), ["/template"]);
    assert_eq!(to(json!({"template": 5})), ["/template"]);
    assert_eq!(to(json!({"template": "welcome", "data": []})), ["/data"]);
    let script = json!({"template": "password_reset", "data": {"name": "A", "reset_url": "javascript:x"}});
    assert_eq!(to(script), ["/data/reset_url"]);
}

#[test]
fn recipients_are_limited_together() {
    let many = |n: usize| vec!["ada@example.com"; n];
    for (to, cc, bcc, ok) in
        [(1, 0, 0, true), (48, 1, 1, true), (49, 1, 1, false), (0, 0, 0, false), (51, 0, 0, false)]
    {
        let found = pointers(plain(json!({"to": many(to), "cc": many(cc), "bcc": many(bcc)})));
        assert_eq!(found.is_empty(), ok, "{to} {cc} {bcc}: {found:?}");
    }
    assert_eq!(pointers(plain(json!({"to": vec![5; 10 * MAX_RECIPIENTS]}))).len(), MAX_RECIPIENTS + 1);
    for payload in [json!(5), json!([]), json!("x"), json!(null)] {
        assert_eq!(pointers(payload), [""]);
    }
}

#[test]
fn faults_are_limited() {
    let found = faults(plain(json!({"attachments": vec![0; 100_000]})));
    assert_eq!(found.len(), 51);
    assert_eq!(found[0], ("/attachments".to_owned(), "at most 50 files".to_owned()));
    let unknown = |n: usize| plain((0..n).map(|n| (format!("x{n:03}"), json!(0))).collect());
    let found = faults(unknown(100));
    assert_eq!(found.len(), 100);
    assert!(!found[99].1.contains("more"), "{found:?}");
    let found = faults(unknown(101));
    assert_eq!(found.len(), 100);
    assert!(found[99].1.ends_with("; and more is wrong"), "{found:?}");
    let lists = json!({"to": vec![0; 40], "cc": vec![0; 40], "bcc": vec![0; 40]});
    assert_eq!(pointers(plain(lists)).len(), MAX_RECIPIENTS + 1);
    let links = json!({"to": "ada@example.com", "template": "password_reset",
        "data": {"name": "A", "reset_url": vec!["/"; 1_000]}});
    assert_eq!(pointers(links).len(), 100);
}

#[tokio::test]
async fn a_mail_is_sent_and_its_result_says_how() {
    let handler = handler(1 << 20);
    let (cx, _, heard) = context("email", 1);
    let input = Email::from_template("Ada <ada@example.com>", "welcome", &json!({"name": "Ada"}))
        .with("cc", json!(["bob@example.com"]))
        .attach("a.txt", "text/plain", b"hi")
        .attach("b.txt", "text/plain", b"ho");
    let Outcome::Completed(result) = handler.run(input, &cx).await.unwrap() else { panic!("not completed") };
    let result: Value = serde_json::from_slice(&result.bytes).unwrap();
    assert_eq!(result["message_id"], "<ffffffff-ffff-ffff-ffff-ffffffffffff@example.com>");
    assert_eq!(result["accepted"], json!(["ada@example.com", "bob@example.com"]));
    assert!(result["response"].as_str().unwrap().starts_with("250 "));
    let log = heard.log.lock().unwrap().join("\n");
    assert!(log.contains("a***@example.com, b***@example.com"), "{log}");
    assert!(!log.contains("ada@") && !log.contains("bob@") && !log.contains("Welcome"), "{log}");
    let mail = handler.mailer.captured().unwrap().list().remove(0);
    assert_eq!(mail.summary.subject, "Welcome to Shop");
    assert_eq!(mail.summary.attachments.len(), 2);
    assert_eq!(mail.headers["Date"], "Fri, 02 Jan 1970 00:00:00 +0000", "the date is when the job was due");
    assert!(!mail.headers.contains_key("Auto-Submitted"));
}

#[tokio::test]
async fn the_notice_of_a_job_says_that_a_machine_wrote_it() {
    let handler = handler(1 << 20);
    let job = json!({"job": {"id": "i", "kind": "k", "state": "completed"}});
    let (cx, _, _) = context("email", 1);
    handler.run(Email::from_template("ops@example.com", "job_finished", &job), &cx).await.unwrap();
    let mail = handler.mailer.captured().unwrap().list().remove(0);
    assert_eq!(mail.headers["Auto-Submitted"], "auto-generated");
}

#[tokio::test]
async fn what_cannot_be_sent_fails_for_good_or_for_now() {
    let text = || Email::from_text("ada@example.com", "s", "t");
    let (cx, token, _) = context("email", 1);
    let error = JobError::from(handler(10).run(text(), &cx).await.unwrap_err());
    assert_eq!((&*error.code, error.retryable), ("mail-too-large", false));
    let error = JobError::from(handler(1 << 20).run(text().with("to", "nobody"), &cx).await.unwrap_err());
    assert_eq!((&*error.code, error.retryable), ("invalid-payload", false));
    assert!(
        error.message.contains("/payload/to: ") && !error.message.contains("nobody"),
        "{}",
        error.message
    );
    token.cancel();
    let handler = handler(1 << 20);
    let error = JobError::from(handler.run(text(), &cx).await.unwrap_err());
    assert_eq!((&*error.code, error.retryable), ("canceled", true));
    assert!(handler.mailer.captured().unwrap().list().is_empty());
}
