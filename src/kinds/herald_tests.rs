//! What notices say.

use super::*;
use crate::job::{
    AttemptOutcome, Change, Channel, Ending, JobError, JobId, JobLog, JobResult, KindName, Notice, Notices,
    Progress, QueueName, Spec, StateName, Tag, Wanted,
};
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
    let json_of = |length: usize| format!("\"{}\"", "x".repeat(length - 2)).into_bytes();
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
        ("application/json", json_of(INLINE - 1), Some("x".repeat(INLINE - 3).into())),
        ("application/json", json_of(INLINE), Some("x".repeat(INLINE - 2).into())),
        ("application/json", json_of(INLINE + 1), None),
        ("text/plain", vec![b'x'; INLINE - 3], Some("x".repeat(INLINE - 3).into())),
        ("text/plain", vec![b'x'; INLINE - 2], Some("x".repeat(INLINE - 2).into())),
        ("text/plain", vec![b'x'; INLINE - 1], None),
        // It is what stands in the webhook that counts.
        ("text/plain", vec![1; INLINE / 2], None),
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

fn spec(kind: &str, queue: &str, payload: Box<RawValue>, notices: Notices) -> Spec {
    Spec {
        id: JobId::MAX,
        kind: KindName::new(kind).unwrap(),
        queue: QueueName::new(queue).unwrap(),
        payload,
        created_at: Timestamp::from_millis(0),
        max_attempts: 30,
        timeout: std::time::Duration::from_mins(1),
        tags: Box::default(),
        unique: None,
        trace: None,
        notices: Some(Box::new(notices)),
        log: JobLog::default(),
    }
}

/// A job whose texts are as long as they can be, and made of what JSON and URLs escape.
fn wordy(progress: bool) -> Job {
    let url = format!("https://\u{1}@app.example/{}", "\u{1}".repeat(2_028));
    let address = format!("\"{}\" <{}@example.com>", "\\\"".repeat(100), "a".repeat(64));
    let wanted = Wanted { callback: Some(Callback::new(url)), email: Some(address.into()) };
    let mut spec = spec(&"k".repeat(64), &"q".repeat(64), RawValue::NULL.to_owned(), Notices::Wanted(wanted));
    spec.tags = vec![Tag::new(&"\"".repeat(64)).unwrap(); 20].into();
    let mut job = Job::new(spec, JobState::Pending { turn: Some(1), since: Timestamp::from_millis(0) }, None);
    for _ in 0..29 {
        job.apply(Change::Start, Timestamp::from_millis(1)).unwrap();
        if progress {
            job.progress = Progress::new(7, Some(&"\u{1}".repeat(256)));
        }
        let message = "\u{1}".repeat(2_048).into();
        let error = std::sync::Arc::new(JobError { code: "\"".repeat(64).into(), message, retryable: true });
        let ending =
            Ending::Failed { outcome: AttemptOutcome::Failed, error, retry_at: Timestamp::from_millis(9) };
        job.apply(Change::Settle { run: job.runs, ending }, Timestamp::from_millis(2)).unwrap();
        job.apply(Change::Enqueue { turn: 1 }, Timestamp::from_millis(9)).unwrap();
    }
    job.apply(Change::Start, Timestamp::from_millis(9)).unwrap();
    job
}

/// However much a job says, what it has paid for is enough for the notices of its end, once they are short.
#[test]
fn short_notices_are_paid_for() {
    let herald = herald("https://jobs.example.com");
    let shy = Ending::Skipped { reason: "\"".repeat(500).into() };
    let result = JobResult { media_type: "application/json".into(), bytes: vec![b'1'; 9_000].into() };
    let failed = || {
        let message = "\\".repeat(2_048).into();
        let error = std::sync::Arc::new(JobError { code: "x".into(), message, retryable: false });
        Ending::Failed { outcome: AttemptOutcome::Failed, error, retry_at: Timestamp::from_millis(9) }
    };
    for ending in [shy, Ending::Completed(ResultSlot::from(result)), Ending::Canceled, failed()] {
        for progress in [false, true] {
            let mut job = wordy(progress);
            let (paid, accepted) = (job.reserve(), job.weight());
            job.apply(Change::Settle { run: job.runs, ending: ending.clone() }, Timestamp::from_millis(10))
                .unwrap();
            assert_eq!(job.reserve(), 0, "it is released when they are made");
            let short = job.shortened();
            let wanted = short.wanted().unwrap();
            let (callback, email) = (wanted.callback.as_ref().unwrap(), wanted.email.as_deref().unwrap());
            let webhook = herald.webhook(&short, Timestamp::from_millis(11), None, callback);
            let said: Value =
                serde_json::from_str(serde_json::from_str::<Webhook>(webhook.get()).unwrap().body.get())
                    .unwrap();
            assert_eq!(said["data"].get("result"), None);
            assert_eq!(said["data"].get("result_url").is_some(), job.state.name() == StateName::Completed);
            let row = |kind: &str, target: String, payload| {
                let target = target.into();
                let of = Notice { of: job.id(), event: job.state.name(), channel: Channel::Webhook, target };
                let spec = spec(kind, "notices", payload, Notices::Of(of));
                let state = JobState::Pending { turn: None, since: Timestamp::from_millis(11) };
                Job::new(spec, state, None)
            };
            let mail = herald.email(&short, email);
            let rows =
                [row("webhook", callback.shown(), webhook), row("email", herald.shown_address(email), mail)];
            let mut told = job.clone();
            told.thin();
            told.expire_result();
            let before = told.weight();
            told.remember(&rows);
            let weight = rows.iter().map(Job::weight).sum::<usize>() + told.weight() - before;
            assert!(weight <= paid, "{weight} of {paid}, {:?}", job.state.name());
            assert!(told.weight() + weight <= accepted + 500, "nothing but the reason is on top");
        }
    }
}
