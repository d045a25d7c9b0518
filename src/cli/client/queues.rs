//! `backroom queues`.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::job_text::text;
use super::problem::Failure;
use super::remote::{Answer, Remote, segment};
use super::screen::Screen;
use super::steer_args::{PauseArgs, QueueArgs, QueueCommand, SetArgs};
use super::table::show;
use crate::clock::Clock;

const COLUMNS: [&str; 10] =
    ["NAME", "STATE", "PENDING", "RUNNING", "SCHEDULED", "FAILED", "DEAD", "CAPACITY", "OLDEST", "ABOUT"];

/// Shows the queues, or changes one and shows it.
pub(super) async fn queues(remote: &Remote, args: QueueArgs, screen: Screen) -> Result<(), Failure> {
    let (name, json, change) = match &args.command {
        None => {
            let answer = remote.ask(remote.request(Method::GET, "/api/queues"), Duration::ZERO).await?;
            return show(&answer, args.access.json, screen, &COLUMNS, row);
        }
        Some(QueueCommand::Show(args)) => {
            let path = format!("/api/queues/{}", segment(&args.name));
            let answer = remote.ask(remote.request(Method::GET, &path), Duration::ZERO).await?;
            return show(&answer, args.access.json, screen, &COLUMNS, row);
        }
        Some(QueueCommand::Pause(args)) => (&args.name, args.access.json, pause(args)),
        Some(QueueCommand::Resume(args)) => (&args.name, args.access.json, json!({ "paused": false })),
        Some(QueueCommand::Set(args)) => (&args.name, args.access.json, set(args)),
    };
    let answer = patch(remote, &format!("/api/queues/{}", segment(name)), &change).await?;
    show(&answer, json, screen, &COLUMNS, row)
}

/// Sends a merge patch (RFC 7396).
pub(super) async fn patch(remote: &Remote, path: &str, change: &Value) -> Result<Answer, Failure> {
    let request = remote.request(Method::PATCH, path).header("content-type", "application/merge-patch+json");
    remote.ask(request.body(change.to_string()), Duration::ZERO).await
}

/// What is not said is taken away: a pause without an end ends when it is told to, whatever one before it said.
fn pause(args: &PauseArgs) -> Value {
    let until = args.until.or_else(|| args.length.map(|length| Clock::system().now().after(length)));
    json!({ "paused": true, "pause_reason": args.reason, "pause_until": until })
}

fn set(args: &SetArgs) -> Value {
    let mut change = Map::new();
    if let Some(concurrency) = args.concurrency {
        change.insert("concurrency".to_owned(), concurrency.into());
    }
    if let Some(rate) = &args.rate_limit {
        let rate = match rate.as_str() {
            "none" => "".into(),
            "configured" => Value::Null,
            rate => rate.into(),
        };
        change.insert("rate_limit".to_owned(), rate);
    }
    Value::Object(change)
}

fn row(queue: &Value) -> Vec<String> {
    let number = |name: &str| queue[name].to_string();
    let state = if queue["paused"] == true { "paused" } else { "open" };
    let oldest = queue["oldest_pending_seconds"].as_f64().unwrap_or_default();
    vec![
        text(&queue["name"]).to_owned(),
        state.to_owned(),
        number("pending"),
        format!("{}/{}", queue["processing"], queue["concurrency"]),
        number("scheduled"),
        number("failed"),
        number("dead_lettered"),
        number("capacity"),
        format!("{oldest:.0}s"),
        about(queue),
    ]
}

fn about(queue: &Value) -> String {
    let mut parts = Vec::new();
    match text(&queue["pause_reason"]) {
        "" => {}
        reason => parts.push(reason.to_owned()),
    }
    match text(&queue["pause_until"]) {
        "" => {}
        until => parts.push(format!("until {until}")),
    }
    match &queue["rate_limit"] {
        Value::Null => {}
        Value::String(rate) => parts.push(format!("at most {rate}")),
        rate => parts.push(format!("at most {rate}")),
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_a_row() {
        let mut queue = json!({"name": "mail", "paused": true, "pause_reason": "down", "pause_until": "2026-11-20T17:00:00.000Z",
            "capacity": 1000, "concurrency": 4, "pending": 1, "processing": 2, "scheduled": 3, "failed": 4,
            "dead_lettered": 5, "oldest_pending_seconds": 6.6, "throughput_per_second": 0.1, "rate_limit": "10/s"});
        let about = "down, until 2026-11-20T17:00:00.000Z, at most 10/s";
        assert_eq!(row(&queue), ["mail", "paused", "1", "2/4", "3", "4", "5", "1000", "7s", about]);
        for name in ["pause_reason", "pause_until", "rate_limit"] {
            queue[name] = Value::Null;
        }
        queue["paused"] = false.into();
        assert_eq!(row(&queue)[1], "open");
        assert_eq!(row(&queue)[9], "");
    }
}
