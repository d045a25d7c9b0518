//! What notices say.

use super::*;
use crate::job::{AttemptOutcome, Change, Ending, JobError};
use crate::kinds::testing::context;

fn herald(base_url: &str) -> Herald {
    let policy = Policy::new("webhooks.allow", Vec::new(), false);
    Herald { policy, base_url: base_url.into(), durability: Durability::Memory }
}

fn ended(ending: Ending) -> Job {
    let (cx, _, _) = context("report", 0);
    let mut job = cx.job().clone();
    job.apply(Change::Start, Timestamp::from_millis(1)).unwrap();
    job.apply(Change::Settle { run: 1, ending }, Timestamp::from_millis(2)).unwrap();
    job
}

fn completed(media_type: &'static str, bytes: impl Into<Vec<u8>>) -> Job {
    let result = JobResult { media_type: media_type.into(), bytes: bytes.into().into() };
    ended(Ending::Completed(ResultSlot::from(result)))
}

fn body(job: &Job) -> Value {
    let callback = Callback::new("https://ada:pw@app.example/hooks?token=x");
    let payload = herald("").webhook(job, Timestamp::from_millis(3), None, &callback);
    let payload: Webhook = serde_json::from_str(payload.get()).unwrap();
    assert_eq!(payload.url, "https://ada:pw@app.example/hooks?token=x");
    assert!(!payload.body.get().contains('\n'), "a notice is one line of a spill file");
    serde_json::from_str(payload.body.get()).unwrap()
}

#[test]
fn a_webhook_is_the_envelope_with_the_result() {
    let whole = body(&completed("application/json", "{\"pages\":\n 3}"));
    assert_eq!(whole["type"], "job.completed");
    assert_eq!(whole["timestamp"], "1970-01-01T00:00:00.003Z");
    assert_eq!((&whole["sequence"], &whole["data"]["state"]), (&json!(3), &json!("completed")));
    assert_eq!(whole["data"]["result"], json!({"pages": 3}));
    assert_eq!(whole["data"].get("payload"), None);
    for (media_type, bytes, result) in [
        ("application/problem+json; charset=utf-8", b"[1]".to_vec(), Some(json!([1]))),
        ("text/plain; charset=utf-8", "line\n\"two\"".into(), Some(json!("line\n\"two\""))),
        ("application/json", b"no json".to_vec(), None),
        ("text/plain", vec![0xff], None),
        ("application/pdf", b"%PDF".to_vec(), None),
        ("text/plain", vec![b'x'; INLINE - 1], Some("x".repeat(INLINE - 1).into())),
        ("text/plain", vec![b'x'; INLINE], Some("x".repeat(INLINE).into())),
        ("text/plain", vec![b'x'; INLINE + 1], None),
    ] {
        let job = completed(media_type, bytes);
        let data = &body(&job)["data"];
        let url = format!("/api/jobs/{}/result", job.id());
        assert_eq!(data.get("result"), result.as_ref(), "{media_type}");
        assert_eq!(data.get("result_url"), result.is_none().then_some(&json!(url)), "{media_type}");
    }
    let nothing = &body(&ended(Ending::Completed(ResultSlot::Null)))["data"];
    assert_eq!(nothing.get("result"), Some(&Value::Null));
    let skipped = &body(&ended(Ending::Skipped { reason: "no".into() }))["data"];
    assert_eq!((skipped.get("result"), skipped.get("result_url")), (None, None));
}

#[test]
fn a_mail_fits_its_template() {
    let settings = crate::mail::Settings {
        from: "a@b.example".into(),
        app_name: "Shop".into(),
        templates: None,
        transport: crate::mail::TransportSettings::Capture { max_messages: 1, max_bytes: 1_000 },
    };
    let mailer = crate::mail::Mailer::new(settings, crate::clock::Clock::system()).unwrap();
    let error = std::sync::Arc::new(JobError { code: "x".into(), message: "y".into(), retryable: false });
    let failed =
        Ending::Failed { outcome: AttemptOutcome::Failed, error, retry_at: Timestamp::from_millis(9) };
    let skipped = Ending::Skipped { reason: "nothing new".into() };
    for (ending, says) in [
        (Ending::Completed(ResultSlot::Null), "The job is done."),
        (failed, "Error:    x: y"),
        (skipped, "Reason:   nothing new"),
        (Ending::Canceled, "was canceled"),
    ] {
        for base in ["", "https://jobs.example"] {
            let job = ended(ending.clone());
            let payload = herald(base).email(&job, "Ada <ada@example.com>");
            let email: Email = serde_json::from_str(payload.get()).unwrap();
            let draft = email.parse(mailer.templates()).unwrap();
            assert!(draft.auto_submitted);
            let text = draft.text.unwrap();
            assert!(text.contains(says), "{text}");
            assert_eq!(
                text.contains(&format!("https://jobs.example/api/jobs/{}", job.id())),
                !base.is_empty()
            );
        }
    }
}

#[test]
fn targets_are_judged_without_their_credentials() {
    let herald = herald("");
    assert!(herald.check_url("https://ada:pw@app.example/hooks?x=1").is_ok());
    assert!(matches!(herald.check_url("http://ada:pw@127.0.0.1/"), Err(Refused::Range { .. })));
    assert_eq!(herald.check_url("/hooks"), Err(Refused::NotAUrl));
    assert_eq!(herald.check_url("mailto:ada@example.com"), Err(Refused::Scheme));
    assert!(herald.check_address("Ada <ada@example.com>").is_ok());
    assert!(herald.check_address("ada@example.com, bob@example.com").is_err());
    assert_eq!(herald.shown_address("Ada <ada@example.com>"), "a***@example.com");
}
