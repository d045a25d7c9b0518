//! What is remembered of notices, whatever comes late.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::*;
use crate::job::{
    AttemptOutcome, Change, Ending, JobError, JobLog, JobResult, KindName, QueueName, Spec, Timestamp,
};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn job(n: u128, notices: Notices) -> Job {
    let spec = Spec {
        id: JobId::from_uuid(uuid::Uuid::from_u128(n)),
        kind: KindName::new("noop").unwrap(),
        queue: QueueName::new("default").unwrap(),
        payload: RawValue::from_string("{}".into()).unwrap(),
        created_at: at(0),
        max_attempts: 3,
        timeout: Duration::from_mins(1),
        tags: Box::default(),
        unique: None,
        trace: None,
        notices: Some(Box::new(notices)),
        log: JobLog::default(),
    };
    Job::new(spec, JobState::Pending { turn: None, since: at(0) }, None)
}

fn told() -> Job {
    let callback = Callback::new("https://app.example/hooks").events(StateName::ALL);
    job(1, Notices::Wanted(Wanted { callback: Some(callback), email: None }))
}

fn notice(n: u128, channel: Channel) -> Job {
    let of = JobId::from_uuid(uuid::Uuid::from_u128(1));
    job(n, Notices::Of(Notice { of, event: StateName::Completed, channel, target: "x".into() }))
}

fn settled(mut notice: Job, ending: Ending) -> Job {
    if notice.state.name() == StateName::Failed {
        notice.apply(Change::Enqueue { turn: 1 }, at(1)).unwrap();
    }
    notice.apply(Change::Start, at(1)).unwrap();
    let run = notice.runs;
    notice.apply(Change::Settle { run, ending }, at(1)).unwrap();
    notice
}

fn failed(code: &'static str, retryable: bool) -> Ending {
    let error = Arc::new(JobError { code: code.into(), message: "no".into(), retryable });
    Ending::Failed { outcome: AttemptOutcome::Failed, error, retry_at: at(9) }
}

fn taken(disabled: bool) -> Ending {
    let bytes = format!("{{\"status\":204,\"disabled\":{disabled}}}").into_bytes();
    Ending::Completed(JobResult { media_type: "application/json".into(), bytes: bytes.into() }.into())
}

#[test]
fn a_callback_stands_as_its_newest_webhook_does() {
    let mut job = told();
    assert_eq!(job.callback_state(), Delivery::Pending);
    let first = notice(10, Channel::Webhook);
    job.remember([&first]);
    assert_eq!(job.callback_state(), Delivery::Pending);
    let failing = settled(first, failed("http-503", true));
    assert!(job.hear(&failing, false));
    assert_eq!(job.callback_state(), Delivery::Retrying);
    let delivered = settled(failing.clone(), taken(false));
    assert!(job.hear(&delivered, false));
    assert_eq!(job.callback_state(), Delivery::Delivered);
    // What comes late, a mail, and an older webhook change nothing.
    assert!(!job.hear(&failing, false));
    let second = notice(20, Channel::Webhook);
    job.remember([&second, &notice(21, Channel::Email)]);
    assert_eq!(job.callback_state(), Delivery::Pending);
    assert!(!job.hear(&settled(notice(21, Channel::Email), failed("x", false)), false));
    assert!(!job.hear(&delivered, false));
    assert!(job.hear(&settled(second, failed("http-404", false)), false));
    assert_eq!(job.callback_state(), Delivery::Exhausted);
    assert_eq!(job.told.as_ref().unwrap().notices.len(), 3);
}

#[test]
fn a_disabled_callback_stays_so_until_a_repeat_is_asked_for() {
    for ending in [failed(CALLBACK_DISABLED, false), taken(true)] {
        let mut job = told();
        let (first, second) = (notice(10, Channel::Webhook), notice(20, Channel::Webhook));
        job.remember([&first, &second]);
        assert!(job.wants_webhook());
        // Not the newest, and it counts all the same.
        let mut gone = settled(first, ending);
        assert!(job.hear(&gone, false));
        assert_eq!(job.callback_state(), Delivery::Disabled);
        assert!(!job.wants_webhook(), "further ones are not made");
        assert!(!job.hear(&settled(second, taken(false)), false));
        assert_eq!(job.callback_state(), Delivery::Disabled);
        if gone.state.name() == StateName::DeadLettered {
            gone.apply(Change::Retry { turn: 1 }, at(5)).unwrap();
            assert!(job.hear(&gone, true));
            assert_eq!(job.callback_state(), Delivery::Pending);
            assert!(job.wants_webhook());
        }
    }
}

#[test]
fn memory_is_bounded_and_the_end_is_always_told() {
    let mut job = told();
    for n in 0..u128::from(CHATTY) {
        assert!(job.wants_webhook(), "{n}");
        job.remember([&notice(100 + n, Channel::Webhook)]);
    }
    assert!(!job.wants_webhook(), "it is pending for the 301st time");
    let told = job.told.as_ref().unwrap();
    assert_eq!(told.notices.len(), REMEMBERED);
    assert_eq!(told.notices.last().unwrap().as_uuid().as_u128(), 99 + u128::from(CHATTY));
    job.apply(Change::Cancel, at(1)).unwrap();
    assert!(job.wants_webhook());
    for (length, kept) in [(REMEMBERED, REMEMBERED), (REMEMBERED + 1, REMEMBERED)] {
        let many = Told { notices: vec![JobId::MIN; length], ..Told::NOTHING };
        assert_eq!(many.bounded().notices.len(), kept);
    }
}

#[test]
fn what_is_secret_in_a_url_is_not_shown() {
    for (url, shown) in [
        ("https://app.example/hooks", "https://app.example/hooks"),
        ("https://ada:pw@app.example:8443/hooks?token=x#y", "https://app.example:8443/hooks"),
        ("http://ada@127.0.0.1/?x", "http://127.0.0.1/"),
        ("no url", ""),
    ] {
        assert_eq!(Callback::new(url).shown(), shown);
    }
}

#[test]
fn urls_have_a_length() {
    for (length, good) in [(LONGEST_URL - 1, true), (LONGEST_URL, true), (LONGEST_URL + 1, false)] {
        assert_eq!(check_length(&"x".repeat(length)).is_none(), good, "{length}");
    }
}

#[test]
fn events_are_the_states() {
    assert_eq!(States::event("job.dead_lettered"), Ok(StateName::DeadLettered));
    for bad in ["completed", "job.", "job.progress", "job.Completed", "jobs.completed"] {
        assert!(States::event(bad).unwrap_err().contains("job.completed"), "{bad}");
    }
    let terminal: Vec<_> = StateName::ALL.into_iter().filter(|state| state.is_terminal()).collect();
    assert_eq!(States::TERMINAL.iter().collect::<Vec<_>>(), terminal);
    let text = serde_json::to_string(&States::TERMINAL).unwrap();
    assert_eq!(text, r#"["completed","skipped","dead_lettered","canceled"]"#);
    assert_eq!(serde_json::from_str::<States>(&text).unwrap(), States::TERMINAL);
}
