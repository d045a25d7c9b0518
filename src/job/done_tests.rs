use proptest::prelude::*;

use super::*;
use crate::job::{Change, Ending, JobResult};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn spec(payload: &str) -> Spec {
    Spec {
        id: JobId::MIN,
        kind: KindName::new("invoice.render").unwrap(),
        queue: QueueName::new("bulk").unwrap(),
        payload: RawValue::from_string(payload.to_owned()).unwrap(),
        created_at: at(7),
        max_attempts: 100,
        timeout: Duration::from_hours(24),
        tags: Box::default(),
        unique: None,
        trace: None,
        notices: None,
        log: JobLog::default(),
    }
}

fn waiting(spec: Spec) -> Job {
    Job::new(spec, JobState::Scheduled { due: at(8) }, None)
}

/// A job after these changes, the first at 10 ms and each a millisecond later.
fn after(mut job: Job, changes: impl IntoIterator<Item = Change>) -> Job {
    for (change, now) in changes.into_iter().zip(10..) {
        job.apply(change, at(now)).unwrap();
    }
    job
}

fn completed(job: Job, result: ResultSlot) -> Job {
    let ending = Ending::Completed(result);
    after(job, [Change::Enqueue { turn: 3 }, Change::Start, Change::Settle { run: 1, ending }])
}

fn kept(media_type: &str, bytes: &[u8]) -> ResultSlot {
    JobResult { media_type: media_type.to_owned().into(), bytes: bytes.to_vec().into() }.into()
}

/// A job word for word: of everything that it holds, this tells.
fn told(job: &Job) -> String {
    format!("{job:?}")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_the_same_job_again(
        text in ".{0,60}",
        result in prop::option::of((prop::sample::select(vec!["application/json", "text/plain; charset=\u{fc}", ""]),
            prop::collection::vec(any::<u8>(), 0..60))),
        expired in any::<bool>(),
        shape in 0..3,
    ) {
        let result = result.map_or(ResultSlot::Null, |(media_type, bytes)| kept(media_type, &bytes));
        let payload = serde_json::to_string(&text).unwrap();
        let payload = match shape {
            0 => payload,
            1 => format!("{{ \"to\" : [{payload}, 1.50e3, null] }}"),
            _ => "-0".to_owned(),
        };
        let mut job = completed(waiting(spec(&payload)), result);
        if expired {
            job.expire_result();
        }
        let done = Done::of(&job).unwrap();
        prop_assert_eq!(told(&done.job(job.id())), told(&job));
        prop_assert_eq!(done.has_result(), job.has_result());
        prop_assert_eq!(Some(done.finished_at()), job.state.finished_at());
        prop_assert_eq!(done.queue(), &job.spec.queue);
        prop_assert!(done.weight() < job.weight());
    }
}

#[test]
fn only_what_is_told_whole_is_told_so() {
    let plain = || completed(waiting(spec("1")), ResultSlot::Null);
    assert!(Done::of(&plain()).is_some());
    let with = |change: fn(&mut Job)| {
        let mut job = plain();
        change(&mut job);
        job
    };
    let of_spec = |change: fn(&mut Spec)| {
        let mut spec = spec("1");
        change(&mut spec);
        completed(waiting(spec), ResultSlot::Null)
    };
    let start = || after(waiting(spec("1")), [Change::Enqueue { turn: 3 }, Change::Start]);
    let ended = |ending| after(start(), [Change::Settle { run: 1, ending }]);
    let again = || {
        let ending = Ending::Completed(ResultSlot::Null);
        after(
            ended(Ending::Interrupted),
            [Change::Enqueue { turn: 4 }, Change::Start, Change::Settle { run: 2, ending }],
        )
    };
    let said = || {
        let progress = Some(Progress::new(50, Some("half")));
        let ending = Ending::Completed(ResultSlot::Null);
        after(start(), [Change::Progress { run: 1, progress, told: true }, Change::Settle { run: 1, ending }])
    };
    let line = || crate::job::LogLine::new(at(9), 1, crate::job::LogLevel::Info, "a line");
    for (what, job) in [
        ("waits", waiting(spec("1"))),
        ("runs", start()),
        ("was skipped", ended(Ending::Skipped { reason: "x".into() })),
        ("was run twice", again()),
        ("said something", said()),
        ("wrote a line", {
            let mut job = plain();
            job.log.append(line());
            job
        }),
        ("has an end of its use", with(|job| job.expires_at = Some(at(99)))),
        ("remembers notices", with(|job| job.told = Some(Box::new(crate::job::Told::NOTHING)))),
        ("has a tag", of_spec(|spec| spec.tags = Box::new([crate::job::Tag::new("x").unwrap()]))),
        ("has more attempts than can be", of_spec(|spec| spec.max_attempts = 65_536)),
    ] {
        assert!(Done::of(&job).is_none(), "{what}");
    }
}

#[test]
fn what_is_large_stays_as_it_is() {
    for (bytes, fits) in [(1_019, true), (1_020, true), (1_021, false)] {
        // Two bytes before a result say of what type it is, and two marks stand around the payload.
        let job = completed(waiting(spec("\"\"")), kept("application/json", &vec![b'1'; bytes]));
        assert_eq!(Done::of(&job).is_some(), fits, "{bytes}");
    }
}

/// That is what it is for.
#[test]
fn it_takes_one_and_a_half_lines_of_memory() {
    assert_eq!(size_of::<Done>(), 96);
}
