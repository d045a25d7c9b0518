//! A job as people read it.

use std::io::{self, Write};

use serde_json::Value;

use super::screen::{Paint, Screen};
use super::text::clean;
use crate::cli::exit;
use crate::job::{StateName, Timestamp, format_duration};

/// The columns of a list of jobs.
pub(super) const COLUMNS: [&str; 7] = ["ID", "STATE", "QUEUE", "KIND", "ATTEMPT", "CREATED", "ERROR"];

/// A text of a job, `""` when there is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The state of this name, unless a later server has more of them.
pub(super) fn state(name: &str) -> Option<StateName> {
    StateName::ALL.into_iter().find(|state| state.as_str() == name)
}

/// Whether a job has come to its end.
pub(super) fn is_terminal(job: &Value) -> bool {
    state(text(&job["state"])).is_some_and(StateName::is_terminal)
}

/// The exit code that says how a job stands.
pub(super) fn code(job: &Value) -> u8 {
    match state(text(&job["state"])) {
        Some(StateName::Completed) => exit::OK,
        Some(StateName::DeadLettered) => exit::DEAD_LETTERED,
        Some(StateName::Canceled) => exit::CANCELED,
        Some(StateName::Skipped) => exit::SKIPPED,
        _ => exit::UNFINISHED,
    }
}

/// A job as a row of a list.
pub(super) fn row(job: &Value) -> Vec<String> {
    let attempts = format!("{}/{}", job["attempt"], job["max_attempts"]);
    let error = match (&job["error"], text(&job["skip_reason"])) {
        (Value::Object(error), _) => message(&error["code"], &error["message"]),
        (_, reason) => reason.to_owned(),
    };
    let of = |name: &str| text(&job[name]).to_owned();
    vec![of("id"), of("state"), of("queue"), of("kind"), attempts, short(text(&job["created_at"])), error]
}

/// Writes all that there is to say about a job, a line each.
pub(super) fn describe(job: &Value, screen: Screen, out: &mut impl Write) -> io::Result<()> {
    let mut line = |name: &str, value: &str| {
        if value.is_empty() {
            return Ok(());
        }
        writeln!(out, "{}{}", screen.paint(Paint::Dim, &format!("{name:<10}")), clean(value))
    };
    let of = |name: &str| text(&job[name]);
    line("id", of("id"))?;
    line("kind", of("kind"))?;
    line("queue", of("queue"))?;
    let mut state = of("state").to_owned();
    if job["cancel_requested"] == true {
        state.push_str(", asked to stop");
    }
    line("state", &state)?;
    line("waits", &waiting(&job["waiting"]))?;
    line("progress", &progress(&job["progress"]))?;
    line("reason", of("skip_reason"))?;
    line("tags", &strings(&job["tags"]))?;
    line("created", of("created_at"))?;
    if of("run_at") != of("created_at") {
        line("due", of("run_at"))?;
    }
    line("expires", of("expires_at"))?;
    line("finished", of("finished_at"))?;
    line("attempts", &format!("{} of {}", job["attempt"], job["max_attempts"]))?;
    for attempt in job["attempts"].as_array().into_iter().flatten() {
        let took = took(&attempt["started_at"], &attempt["finished_at"]);
        let error = message(&attempt["error"]["code"], &attempt["error"]["message"]);
        let told = format!("{}  {}  {took}  {error}", attempt["number"], text(&attempt["outcome"]));
        line("", told.trim_end())?;
    }
    if let Value::Object(callback) = &job["callback"] {
        line("webhook", text(&callback["state"]))?;
    }
    Ok(())
}

/// Why a job does not run yet.
pub(super) fn waiting(waiting: &Value) -> String {
    let what = match text(&waiting["for"]) {
        "" => return String::new(),
        "turn" => format!("for its turn, {} in front", waiting["ahead"]),
        "schedule" => "for its time".to_owned(),
        "retry" => "for its next attempt".to_owned(),
        "pause" => "because its queue is paused".to_owned(),
        "rate_limit" => "for the rate limit of its queue".to_owned(),
        "room" => "for room in its queue".to_owned(),
        other => format!("for {other}"),
    };
    match text(&waiting["until"]) {
        "" => what,
        until => format!("{what}, until {until}"),
    }
}

/// How far a job is, if it has said so.
pub(super) fn progress(progress: &Value) -> String {
    let (percent, message) = (progress["percent"].as_u64().unwrap_or_default(), text(&progress["message"]));
    match (percent, message) {
        (0, "") => String::new(),
        (percent, message) => format!("{percent} % {message}").trim_end().to_owned(),
    }
}

/// An error as `code: message`.
pub(super) fn message(code: &Value, message: &Value) -> String {
    match (text(code), text(message)) {
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    }
}

/// Several texts with commas between them.
pub(super) fn strings(value: &Value) -> String {
    value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(", ")
}

/// A time to the second, which is what fits into a table.
pub(super) fn short(time: &str) -> String {
    match (time.get(..19), time.get(19..)) {
        (Some(seconds), Some(rest)) if rest.starts_with('.') && rest.ends_with('Z') => format!("{seconds}Z"),
        _ => time.to_owned(),
    }
}

/// How long it was from one time to another.
pub(super) fn took(from: &Value, to: &Value) -> String {
    match (Timestamp::parse(text(from)), Timestamp::parse(text(to))) {
        (Ok(from), Ok(to)) => format_duration(to.since(from)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_is_told_with_its_attempts() {
        let job = json!({
            "id": "019a", "kind": "email", "queue": "mail", "state": "failed", "attempt": 1, "max_attempts": 5,
            "tags": ["a", "b"], "created_at": "2026-11-20T16:50:00.123Z", "run_at": "2026-11-20T16:50:00.123Z",
            "progress": {"percent": 40, "message": "half\u{1b}way"}, "cancel_requested": false,
            "waiting": {"for": "retry", "until": "2026-11-20T16:50:01.071Z", "ahead": 0},
            "attempts": [{"number": 1, "outcome": "failed", "started_at": "2026-11-20T16:50:00.130Z",
                "finished_at": "2026-11-20T16:50:00.380Z", "error": {"code": "smtp-451", "message": "later"}}],
            "error": {"code": "smtp-451", "message": "later"}
        });
        let mut out = Vec::new();
        describe(&job, Screen { terminal: false, color: false, width: None }, &mut out).unwrap();
        let lines = [
            "id        019a",
            "kind      email",
            "queue     mail",
            "state     failed",
            "waits     for its next attempt, until 2026-11-20T16:50:01.071Z",
            "progress  40 % half\\u{1b}way",
            "tags      a, b",
            "created   2026-11-20T16:50:00.123Z",
            "attempts  1 of 5",
            "          1  failed  250ms  smtp-451: later",
        ];
        assert_eq!(String::from_utf8(out).unwrap(), lines.join("\n") + "\n");
        let row = row(&job);
        assert_eq!(row[5..], ["2026-11-20T16:50:00Z", "smtp-451: later"]);
    }

    #[test]
    fn every_state_has_its_code() {
        let code = |state: &str| code(&json!({ "state": state }));
        let codes: Vec<u8> = StateName::ALL.into_iter().map(|state| code(state.as_str())).collect();
        assert_eq!(codes, [5, 5, 5, 5, 0, 7, 4, 6]);
        assert_eq!(code("something new"), exit::UNFINISHED);
    }
}
