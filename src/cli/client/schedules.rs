//! `backroom schedules`.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::job_text::{short, text};
use super::jobs::steer;
use super::problem::Failure;
use super::queues::patch;
use super::remote::{Remote, segment};
use super::screen::Screen;
use super::steer_args::{ScheduleArgs, ScheduleCommand};
use super::table::show;

const COLUMNS: [&str; 7] = ["NAME", "STATE", "CRON", "ZONE", "KIND", "NEXT", "LAST"];

/// Shows the schedules, or changes or runs one.
pub(super) async fn schedules(remote: &Remote, args: ScheduleArgs, screen: Screen) -> Result<(), Failure> {
    let (args, paused) = match args.command {
        None => {
            let answer = remote.ask(remote.request(Method::GET, "/api/schedules"), Duration::ZERO).await?;
            return show(&answer, args.access.json, screen, &COLUMNS, row);
        }
        Some(ScheduleCommand::Run(args)) => {
            let path = format!("/api/schedules/{}/run", segment(&args.name));
            return steer(remote, Method::POST, &path, args.access.json, screen).await;
        }
        Some(ScheduleCommand::Pause(args)) => (args, true),
        Some(ScheduleCommand::Resume(args)) => (args, false),
    };
    let path = format!("/api/schedules/{}", segment(&args.name));
    let answer = patch(remote, &path, &json!({ "paused": paused })).await?;
    show(&answer, args.access.json, screen, &COLUMNS, row)
}

fn row(schedule: &Value) -> Vec<String> {
    let of = |name: &str| text(&schedule[name]).to_owned();
    let state = if schedule["paused"] == true { "paused" } else { "open" };
    let next = short(text(&schedule["next_runs"][0]));
    vec![
        of("name"),
        state.to_owned(),
        of("cron"),
        of("time_zone"),
        of("kind"),
        next,
        last(&schedule["last_run"]),
    ]
}

/// The last run: a time, or an object with one and with what came of it.
fn last(run: &Value) -> String {
    match run {
        Value::String(at) => short(at),
        Value::Object(members) => {
            let times = members.values().filter_map(Value::as_str).filter(|text| is_time(text));
            let outcome =
                ["outcome", "state", "job"].into_iter().find_map(|name| members.get(name)?.as_str());
            let told = [times.min().map(short), outcome.map(str::to_owned)];
            told.into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

fn is_time(text: &str) -> bool {
    crate::job::Timestamp::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_a_row() {
        let mut schedule = json!({"name": "nightly", "cron": "0 3 * * *", "time_zone": "Europe/Berlin", "kind": "noop",
            "paused": false, "next_runs": ["2026-11-21T02:00:00.000Z"], "last_run": null});
        let next = "2026-11-21T02:00:00Z";
        assert_eq!(row(&schedule), ["nightly", "open", "0 3 * * *", "Europe/Berlin", "noop", next, ""]);
        schedule["last_run"] = json!({"at": "2026-11-20T02:00:00.000Z", "job": "019a"});
        schedule["paused"] = true.into();
        assert_eq!((&*row(&schedule)[1], &*row(&schedule)[6]), ("paused", "2026-11-20T02:00:00Z 019a"));
        schedule["last_run"] = json!("2026-11-20T02:00:00.000Z");
        assert_eq!(row(&schedule)[6], "2026-11-20T02:00:00Z");
    }
}
