//! A spill file that was damaged: whole lines are taken up, every other one is kept to the letter, or the start is refused
//! and the file left alone; and nothing panics, then or when the jobs are run.

use std::fs;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use backroom::job::{
    AttemptOutcome, Change, Ending, Job, JobError, JobId, JobLog, JobState, KindName, LogLevel, LogLine,
    QueueName, Spec, StateName, Tag, Timestamp,
};
use backroom::shutdown::take_up;
use backroom::spill::SpillFile;
use backroom::store::{Filter, ListQuery, Store as _};
use proptest::prelude::*;
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::rig::{EPOCH, service};

fn job(n: u128) -> Job {
    let at = EPOCH;
    let spec = Spec {
        id: JobId::from_uuid(uuid::Uuid::from_u128(n)),
        kind: KindName::new("act").unwrap(),
        queue: QueueName::new("default").unwrap(),
        payload: RawValue::from_string(r#"{"a": [1, "\nä"]}"#.to_owned()).unwrap(),
        created_at: at,
        max_attempts: 3,
        timeout: Duration::from_millis(1_500),
        unique: None,
        trace: None,
        tags: [Tag::new("ü").unwrap()].into(),
        notices: None,
        log: JobLog::default(),
    };
    let expiry = (n.is_multiple_of(2)).then_some(at.after(Duration::from_hours(1)));
    let mut job = Job::new(spec, JobState::Pending { turn: Some(3), since: at }, expiry);
    if n.is_multiple_of(3) {
        job.apply(Change::Start, at).unwrap();
        job.log.push(LogLine::new(at, 1, LogLevel::Warn, "hello"));
        let error =
            Arc::new(JobError { code: "x".into(), message: "later".into(), retryable: n.is_multiple_of(6) });
        let ending = Ending::Failed {
            outcome: AttemptOutcome::Failed,
            error,
            retry_at: at.after(Duration::from_secs(9)),
        };
        job.apply(Change::Settle { run: 1, ending }, at).unwrap();
    }
    job
}

/// What happens to the bytes of a file. Places are parts of a thousand.
#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = || 0_usize..1_000;
    let text = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..30),
        prop::sample::select(vec![
            "\n", "\n\n", "\r\n", "\0", "{}\n", "9", "-", "\"", "}", "null\n", "\u{feff}"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        (place(), 0_u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        place().prop_map(Damage::Cut),
        (place(), text).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (place(), 1_usize..300).prop_map(|(at, length)| Damage::Remove(at, length)),
        (place(), 1_usize..3_000).prop_map(|(at, length)| Damage::Repeat(at, length)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: usize, length: usize| at * length / 1_000;
        let range = |at: usize, length: usize, bytes: &[u8]| -> Range<usize> {
            let from = place(at, bytes.len());
            from..(from + length).min(bytes.len())
        };
        match self {
            Self::Flip(at, bit) => {
                let at = place(*at, bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Cut(at) => bytes.truncate(place(*at, bytes.len())),
            Self::Insert(at, more) => {
                let at = place(*at, bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove(at, length) => {
                let range = range(*at, *length, bytes);
                bytes.drain(range);
            }
            Self::Repeat(at, length) => {
                let again = bytes[range(*at, *length, bytes)].to_vec();
                let at = place(*at, bytes.len());
                bytes.splice(at..at, again);
            }
        }
    }
}

/// The lines of a file that hold anything.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
}

async fn taken_up(damaged: &[u8]) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spill.jsonl");
    fs::write(&path, damaged).unwrap();
    let spill = SpillFile::open(&path).unwrap();
    let parts = service(&Arc::default(), &Arc::default(), &Arc::new(Semaphore::new(0)));
    let taken = take_up(&parts.jobs, &spill).await;
    assert_eq!(fs::read(&path).unwrap(), damaged, "nothing is removed before it is said to be");
    let rejected = fs::read(folder.path().join("spill.jsonl.rejected")).ok();
    let taken = taken.map(|taken| taken.jobs);
    let Ok(taken) = taken else {
        assert!(taken.unwrap_err().is::<backroom::spill::SpillError>(), "exit 78");
        assert_eq!((parts.store.len(), rejected), (0, None), "a start that is refused changes nothing");
        return;
    };
    let everything = ListQuery { filter: Filter::default(), before: None, limit: 1_000 };
    let rows = parts.store.list(&everything).await.unwrap().jobs;
    assert_eq!(rows.len(), taken);
    let rejected = rejected.unwrap_or_default();
    let rejected: Vec<&[u8]> = lines(&rejected).into_iter().skip(1).collect();
    // Every line of the damaged file is in one place: as a job of that id, or to the letter among the rejected ones.
    let mut left = rejected.clone();
    let mut jobs = 0;
    for line in lines(damaged).into_iter().skip(1) {
        match left.first() {
            Some(first) if *first == line => {
                left.remove(0);
            }
            _ => {
                let value: serde_json::Value =
                    serde_json::from_slice(line).expect("what was taken up is JSON");
                let id: JobId = serde_json::from_value(value["id"].clone()).unwrap();
                assert!(rows.iter().any(|row| row.id() == id), "{id} is in neither place");
                jobs += 1;
            }
        }
    }
    assert_eq!((left.len(), jobs), (0, taken), "each line once");
    for row in rows {
        runs(&row);
    }
}

/// Everything that can happen to a job that was taken up can happen without a panic.
fn runs(job: &Job) {
    for now in [Timestamp::from_millis(0), EPOCH, Timestamp::MAX] {
        let mut job = job.clone();
        let _ = job.apply(Change::Enqueue { turn: 1 }, now);
        let _ = job.apply(Change::Retry { turn: 1 }, now);
        if job.apply(Change::Start, now).is_ok() && job.state.name() == StateName::Processing {
            job.apply(Change::Settle { run: job.runs, ending: Ending::Interrupted }, now).unwrap();
        }
        assert!(job.wakes_at().is_some() || job.state.is_terminal());
    }
}

fn whole() -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let spill = SpillFile::open(&folder.path().join("spill.jsonl")).unwrap();
    spill.write(&(1..=7).map(|n| Arc::new(job(n))).collect::<Vec<_>>(), EPOCH).unwrap();
    fs::read(spill.path()).unwrap()
}

fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(future);
}

#[test]
fn a_whole_file_is_taken_up_whole() {
    let whole = whole();
    assert_eq!(lines(&whole).len(), 8);
    block_on(taken_up(&whole));
}

#[test]
fn a_file_can_break_off_at_any_byte() {
    let whole = whole();
    // Each byte of the first two lines, then each seventh.
    let begin = whole.split_inclusive(|byte| *byte == b'\n').take(2).map(<[u8]>::len).sum::<usize>();
    for at in (0..begin).chain((begin..whole.len()).step_by(7)) {
        block_on(taken_up(&whole[..at]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_a_file_no_line_is_lost(damage in prop::collection::vec(damage(), 1..5)) {
        let mut bytes = whole();
        for damage in &damage {
            damage.apply(&mut bytes);
        }
        block_on(taken_up(&bytes));
    }

    #[test]
    fn no_file_at_all_makes_a_start_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        block_on(taken_up(&bytes));
    }
}
