//! `[schedules.<name>]`: jobs that come back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::to_raw_value;

use super::bounds::{EXPIRES_IN, MAX_ATTEMPTS, SCHEDULE_TAGS, SCHEDULES, TIMEOUT};
use super::fault::instead_of;
use super::kinds::Kind;
use super::queues::Queue;
use super::reader::{Reader, Section};
use crate::job::{KindName, NewJob, QueueName, ScheduleName, Tag};
use crate::schedule::{CatchUp, Overlap, Schedule, Timetable};

const OVERLAP: [(&str, Overlap); 3] =
    [("skip", Overlap::Skip), ("queue", Overlap::Queue), ("allow", Overlap::Allow)];
const CATCH_UP: [(&str, CatchUp); 2] = [("skip", CatchUp::Skip), ("once", CatchUp::Once)];

/// Reads every schedule.
pub(super) fn read_all(reader: &mut Reader<'_>) -> BTreeMap<ScheduleName, Schedule> {
    let (mut schedules, mut number) = (BTreeMap::new(), 0);
    reader.each("schedules", |name, s| {
        number += 1;
        match ScheduleName::new(name) {
            Ok(name) => schedules.extend(read(name.clone(), s).map(|schedule| (name, schedule))),
            Err(error) => {
                s.fault_here(error.to_string());
                // The rest of it is looked at all the same.
                read(stand_in(), s);
            }
        }
    });
    if let Some(reason) = too_many(number) {
        reader.found.fault("schedules", reason);
    }
    schedules
}

/// What is wrong with their number.
pub(super) fn too_many(number: usize) -> Option<String> {
    let most = SCHEDULES.end();
    (number > *most).then(|| format!("must be at most {most} (found {number})"))
}

fn stand_in() -> ScheduleName {
    ScheduleName::new("0").expect("a name")
}

/// Reads one as far as that is possible, so that what it refers to is looked at too. `None` only together with a fault.
fn read(name: ScheduleName, s: &mut Section<'_>) -> Option<Schedule> {
    let cron = s.text("cron", None, |text| Timetable::check_cron(text).map(|()| Some(text.to_owned())));
    let zone = |text: &str| Timetable::check_zone(text).map(|()| Some(text.to_owned()));
    let zone = s.optional("time_zone", |s, key| s.text(key, None, zone)).unwrap_or(Some("UTC".to_owned()));
    let kind = s.text("kind", None, |text| KindName::new(text).map(Some).map_err(|error| error.to_string()));
    let payload = s.json("payload").unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let job = NewJob {
        queue: s.optional("queue", |s, key| s.text(key, None, queue_name)).flatten(),
        timeout: duration(s, "timeout", &TIMEOUT),
        max_attempts: s.optional("max_attempts", |s, key| s.integer(key, MAX_ATTEMPTS)),
        expires_in: duration(s, "expires_in", &EXPIRES_IN),
        tags: s.optional("tags", |s, key| s.list(key, SCHEDULE_TAGS, tag)).unwrap_or_default(),
        // A kind that has no name has a fault; the others are looked for all the same.
        ..NewJob::from_raw(kind.clone().unwrap_or_else(no_kind), to_raw_value(&payload).ok()?)
    };
    // Both were checked, each by itself; what was refused has a fault.
    let (cron, zone) = (cron.as_deref().unwrap_or("@daily"), zone.as_deref().unwrap_or("UTC"));
    let schedule = Schedule {
        name,
        timetable: Timetable::new(cron, zone).map_err(|reason| s.fault("cron", reason)).ok()?,
        job,
        overlap: s.optional("overlap", |s, key| s.choice(key, &OVERLAP)).unwrap_or(Overlap::Skip),
        catch_up: s.optional("catch_up", |s, key| s.choice(key, &CATCH_UP)).unwrap_or(CatchUp::Skip),
        paused: s.optional("paused", Section::flag).unwrap_or(false),
    };
    kind.map(|_| schedule)
}

fn duration(
    s: &mut Section<'_>,
    key: &'static str,
    range: &std::ops::RangeInclusive<Duration>,
) -> Option<Duration> {
    s.optional(key, |s, key| s.duration(key, range.clone()))
}

fn no_kind() -> KindName {
    KindName::new("0").expect("a name")
}

fn queue_name(text: &str) -> Result<Option<QueueName>, String> {
    QueueName::new(text).map(Some).map_err(|error| error.to_string())
}

fn tag(text: &str) -> Result<Tag, String> {
    Tag::new(text).map_err(|error| error.to_string())
}

/// Finds kinds and queues that do not exist: the keys that refer to them, each with the reason.
pub(super) fn unknown_references(
    schedules: &BTreeMap<ScheduleName, Schedule>,
    queues: &BTreeMap<QueueName, Queue>,
    kinds: Option<(&BTreeMap<KindName, Kind>, &[&str])>,
) -> Vec<(String, String)> {
    let mut unknown = Vec::new();
    for (name, schedule) in schedules {
        if let Some(queue) = schedule.job.queue.as_ref().filter(|queue| !queues.contains_key(*queue)) {
            let instead = instead_of(queue.as_str(), queues.keys().map(QueueName::as_str));
            unknown
                .push((format!("schedules.{name}.queue"), format!("unknown queue \"{queue}\"; {instead}")));
        }
        let Some((configured, known)) = kinds else { continue };
        let kind = schedule.job.kind.as_str();
        if !known.contains(&kind) && !configured.contains_key(kind) {
            let own = configured.iter().filter(|(_, kind)| kind.run.is_some()).map(|(name, _)| name.as_str());
            let instead = instead_of(kind, known.iter().copied().chain(own));
            unknown.push((format!("schedules.{name}.kind"), format!("unknown kind \"{kind}\"; {instead}")));
        }
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{config, faults, loaded, with_all, with_file};

    const WHOLE: &str = r#"
[schedules.nightly]
cron = "30 3 * * *"
time_zone = "europe/berlin"
kind = "noop"
payload = { steps = 3, list = [1, 2.5, { a = true }], to = "ada" }
queue = "mail"
timeout = "5m"
max_attempts = 2
expires_in = "1h"
tags = ["backup"]
overlap = "queue"
catch_up = "once"
paused = true
"#;

    #[test]
    fn a_schedule_is_a_timetable_and_a_job() {
        let schedule = with_file(WHOLE, &[]).unwrap().config.schedules["nightly"].clone();
        assert_eq!(schedule.timetable.to_string(), "30 3 * * * Europe/Berlin");
        assert_eq!(schedule.job.payload.get(), r#"{"list":[1,2.5,{"a":true}],"steps":3,"to":"ada"}"#);
        let job = schedule.new_job();
        assert_eq!((job.kind.as_str(), job.queue.unwrap().as_str()), ("noop", "mail"));
        assert_eq!((job.timeout, job.max_attempts), (Some(Duration::from_mins(5)), Some(2)));
        assert_eq!(job.expires_in, Some(Duration::from_hours(1)));
        assert_eq!(job.tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["backup", "schedule:nightly"]);
        assert_eq!((schedule.overlap, schedule.catch_up), (Overlap::Queue, CatchUp::Once));
        assert!(schedule.paused);
    }

    #[test]
    fn only_cron_and_kind_are_required() {
        let schedule = config(&["schedules.a.cron=@hourly", "schedules.a.kind=noop"]).schedules["a"].clone();
        assert_eq!(schedule.timetable.to_string(), "@hourly UTC");
        assert_eq!((schedule.overlap, schedule.catch_up), (Overlap::Skip, CatchUp::Skip));
        assert_eq!((schedule.job.payload.get(), schedule.paused), ("{}", false));
        let found = faults(&["schedules.a.overlap=skip"]);
        assert_eq!(found, ["--set: schedules.a.cron: is missing", "--set: schedules.a.kind: is missing"]);
        assert!(config(&[]).schedules.is_empty());
    }

    #[test]
    fn every_fault_is_found_at_once() {
        let found = faults(&[
            "schedules.a.cron=61 3 * * *",
            "schedules.a.time_zone=Europe/Berln",
            "schedules.a.kind=nop",
            "schedules.a.queue=mial",
            "schedules.a.overlap=later",
            "schedules.a.catch_up=all",
            "schedules.a.paused=yes",
            "schedules.a.tags=a,",
            "schedules.a.cronn=x",
            "schedules.B.cron=30 2 30 2 *",
            "schedules.B.kind=No Kind",
            "schedules.c.cron=@daily",
            "schedules.c.kind=nop",
            "schedules.c.queue=mial",
        ]);
        insta::assert_snapshot!(found.join("\n"));
    }

    #[test]
    fn a_payload_can_come_from_everywhere() {
        let base = ["schedules.a.cron=@daily", "schedules.a.kind=noop"];
        let payload = |more: &[&str]| {
            let set = [base.as_slice(), more].concat();
            config(&set).schedules["a"].job.payload.get().to_owned()
        };
        assert_eq!(payload(&[r#"schedules.a.payload={"steps": 3}"#]), r#"{"steps":3}"#);
        assert_eq!(payload(&["schedules.a.payload={ steps = 3 }"]), r#"{"steps":3}"#);
        let single =
            ["schedules.a.payload.steps=3", "schedules.a.payload.to=ada", "schedules.a.payload.x=true"];
        assert_eq!(payload(&single), r#"{"steps":3,"to":"ada","x":true}"#);
        let variable = [("BACKROOM_SCHEDULES__A__PAYLOAD", "{\"Steps\":1}")];
        let loaded = with_all("", &variable, &base).unwrap();
        assert_eq!(loaded.config.schedules["a"].job.payload.get(), r#"{"Steps":1}"#);
        let date =
            with_file("[schedules.a]\ncron='@daily'\nkind='noop'\npayload={at=2026-01-01, n=nan}\n", &[]);
        let date = date.unwrap_err();
        assert!(date.len() == 1 && date[0].reason.contains("has no form in JSON"), "{date:?}");
    }

    #[test]
    fn a_payload_is_listed() {
        let loaded =
            loaded(&["schedules.a.cron=@daily", "schedules.a.kind=noop", "schedules.a.payload.steps=3"]);
        let listed = loaded.effective.iter().find(|v| v.key == "schedules.a.payload").unwrap();
        assert_eq!(listed.value, serde_json::json!({"steps": 3}));
    }

    #[test]
    fn a_thousand_schedules_are_enough() {
        let with = |number: usize| {
            let tables: Vec<_> =
                (0..number).map(|n| format!("[schedules.s{n}]\ncron='@daily'\nkind='noop'\n")).collect();
            with_file(&tables.concat(), &[])
        };
        assert_eq!(with(999).unwrap().config.schedules.len(), 999);
        assert_eq!(with(1_000).unwrap().config.schedules.len(), 1_000);
        let found = with(1_001).unwrap_err();
        assert!(found.len() == 1 && found[0].reason == "must be at most 1000 (found 1001)", "{found:?}");
    }

    #[test]
    fn one_tag_is_left_to_the_schedule() {
        let tags = |number: usize| {
            let tags = (0..number).map(|n| format!("t{n}")).collect::<Vec<_>>().join(",");
            format!("schedules.a.tags={tags}")
        };
        let base = ["schedules.a.cron=@daily", "schedules.a.kind=noop"];
        for number in [18, 19] {
            let tags = tags(number);
            let schedule = config(&[base[0], base[1], &tags]).schedules["a"].clone();
            assert_eq!(schedule.new_job().tags.len(), number + 1);
        }
        assert_eq!(faults(&[base[0], base[1], &tags(20)]).len(), 1);
    }
}
