use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;
use crate::job::{AttemptOutcome, Callback, Change, Channel, Ending, LogLevel, Notice, Wanted};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn job(n: u128) -> Job {
    let spec = Spec {
        id: JobId::from_uuid(uuid::Uuid::from_u128(n)),
        kind: KindName::new("noop").unwrap(),
        queue: QueueName::new("default").unwrap(),
        payload: RawValue::from_string(r#"{"a": [1, "\n"]}"#.to_owned()).unwrap(),
        created_at: at(5),
        max_attempts: 3,
        timeout: Duration::from_millis(1_500),
        tags: [Tag::new("ü").unwrap()].into(),
        unique: Some(Box::new(Unique {
            key: UniqueKey::new("k").unwrap(),
            window: Duration::from_millis(7),
        })),
        trace: crate::job::Trace::parse(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-01",
            Some("a=1"),
        )
        .map(Box::new),
        notices: None,
        log: JobLog::default(),
    };
    Job::new(spec, JobState::Pending { turn: Some(3), since: at(5) }, Some(at(9_000)))
}

fn failed(n: u128, retryable: bool) -> Job {
    let mut job = job(n);
    job.apply(Change::Start, at(6)).unwrap();
    job.log.push(LogLine::new(at(6), 1, LogLevel::Warn, "hello"));
    let error = Arc::new(JobError { code: "smtp-451".into(), message: "later".into(), retryable });
    let ending = Ending::Failed { outcome: AttemptOutcome::Failed, error, retry_at: at(70) };
    job.apply(Change::Settle { run: 1, ending }, at(7)).unwrap();
    job
}

fn open(folder: &TempDir) -> SpillFile {
    SpillFile::open(&folder.path().join("spill.jsonl")).unwrap()
}

fn arcs(jobs: impl IntoIterator<Item = Job>) -> Vec<Arc<Job>> {
    jobs.into_iter().map(Arc::new).collect()
}

/// A job as text, without the turn that it does not keep.
fn text(job: &Job) -> String {
    format!("{job:?}").replace("Some(3), since", "None, since")
}

#[test]
fn what_is_written_is_read() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    let mut scheduled = job(2);
    scheduled.state = JobState::Scheduled { due: at(800) };
    let jobs = arcs([job(1), scheduled, failed(3, true), failed(4, false)]);
    file.write(&jobs, at(10)).unwrap();
    let mode = fs::metadata(file.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let found = file.read().unwrap();
    assert!(found.rejected.is_empty());
    let (read, written): (Vec<_>, Vec<_>) =
        (found.jobs.iter().map(text).collect(), jobs.iter().map(|job| text(job)).collect());
    assert_eq!(read, written);
    assert_eq!(found.jobs[0].spec.payload.get(), r#"{"a": [1, "\n"]}"#, "to the letter");

    file.clear().unwrap();
    assert!(file.read().unwrap().jobs.is_empty());
    file.clear().unwrap();
}

#[test]
fn a_payload_of_several_lines_is_one_line() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    let mut pretty = job(1);
    let spec = Arc::get_mut(&mut pretty.spec).unwrap();
    spec.payload = RawValue::from_string("{\r\n  \"a\": [1,\n  \"\\n\"]\n}".to_owned()).unwrap();
    file.write(&arcs([pretty, job(2)]), at(10)).unwrap();
    let found = file.read().unwrap();
    assert_eq!((found.jobs.len(), found.rejected.len()), (2, 0));
    let read: serde_json::Value = serde_json::from_str(found.jobs[0].spec.payload.get()).unwrap();
    assert_eq!(read, serde_json::json!({"a": [1, "\n"]}));
}

#[test]
fn who_is_told_and_what_became_of_it_is_read_again() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    let callback = Callback::new("https://ada:pw@app.example/hooks?x=1").events([StateName::Failed]);
    let mut told = job(1);
    let wanted = Wanted { callback: Some(callback), email: Some("ada@example.com".into()) };
    Arc::get_mut(&mut told.spec).unwrap().notices = Some(Box::new(Notices::Wanted(wanted)));
    let mut notice = job(2);
    let of = Notice {
        of: told.id(),
        event: StateName::Failed,
        channel: Channel::Webhook,
        target: "https://app.example/hooks".into(),
    };
    Arc::get_mut(&mut notice.spec).unwrap().notices = Some(Box::new(Notices::Of(of)));
    told.remember([&notice]);
    file.write(&arcs([told.clone(), notice.clone()]), at(10)).unwrap();
    let found = file.read().unwrap();
    assert!(found.rejected.is_empty());
    for (found, written) in found.jobs.iter().zip([&told, &notice]) {
        assert_eq!((&found.spec.notices, &found.told), (&written.spec.notices, &written.told));
    }
}

#[test]
fn what_is_done_is_kept_as_long_as_it_has_a_key() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    let done = |n, ending| {
        let mut job = job(n);
        job.apply(Change::Start, at(6)).unwrap();
        job.apply(Change::Settle { run: 1, ending }, at(7)).unwrap();
        job
    };
    let result = JobResult { media_type: "image/png".into(), bytes: vec![0, 255, b'\n'].into() };
    let completed = done(1, Ending::Completed(ResultSlot::from(result.clone())));
    let skipped = done(2, Ending::Skipped { reason: "no need".into() });
    let nothing = done(3, Ending::Completed(ResultSlot::Null));
    let mut let_go = done(6, Ending::Completed(ResultSlot::from(result.clone())));
    let_go.expire_result();
    // Of canceled ones and of those without a key nothing is of use to anybody.
    let mut plain = nothing.clone();
    let spec = Arc::get_mut(&mut plain.spec);
    assert!(spec.is_none(), "the clone shares it");
    plain.spec = job(4).spec;
    Arc::get_mut(&mut plain.spec).unwrap().unique = None;
    let jobs = arcs([completed, skipped, nothing, let_go, done(5, Ending::Canceled), plain]);
    file.write(&jobs, at(10)).unwrap();
    let found = file.read().unwrap();
    assert!(found.rejected.is_empty());
    let (read, written): (Vec<_>, Vec<_>) =
        (found.jobs.iter().map(text).collect(), jobs[..4].iter().map(|job| text(job)).collect());
    assert_eq!(read, written);

    // A result that cannot be read is not taken for none.
    let content = fs::read_to_string(file.path()).unwrap();
    fs::write(file.path(), content.replace("\"base64\":\"", "\"base64\":\"!")).unwrap();
    let found = file.read().unwrap();
    assert_eq!((found.jobs.len(), found.rejected.len()), (3, 1));
    assert_eq!(found.rejected[0].reason, "its result is not base64");
    // Nor is a job that is done taken up without the key for whose sake it is kept.
    fs::write(file.path(), content.replace("\"unique\"", "\"no_key\"")).unwrap();
    let found = file.read().unwrap();
    assert_eq!((found.jobs.len(), found.rejected.len()), (0, 4));
}

#[test]
fn files_from_before_there_were_keys_are_read() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    file.write(&arcs([job(1)]), at(10)).unwrap();
    let content = fs::read_to_string(file.path()).unwrap();
    let older = content.replace("\"unique\":{\"key\":\"k\",\"for_ms\":7},", "");
    assert!(older.len() < content.len());
    fs::write(file.path(), older).unwrap();
    let found = file.read().unwrap();
    assert_eq!((found.jobs.len(), found.rejected.len()), (1, 0));
    assert!(found.jobs[0].spec.unique.is_none());
}

#[test]
fn nothing_left_is_no_file() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    file.write(&[], at(10)).unwrap();
    assert!(!file.path().exists());
    drop(file);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind, not even the lock");
}

#[test]
fn whole_lines_of_a_damaged_file_are_taken_up() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    file.write(&arcs((1..=4).map(job)), at(10)).unwrap();
    let written = fs::read_to_string(file.path()).unwrap();
    let mut lines: Vec<String> = written.lines().map(str::to_owned).collect();
    lines[2] = lines[2][..40].to_owned();
    lines[3] = lines[1].clone();
    let cut = lines[4].len() - 1;
    lines[4].truncate(cut);
    fs::write(file.path(), lines.join("\n")).unwrap();

    let found = file.read().unwrap();
    assert_eq!(found.jobs.iter().map(Job::id).collect::<Vec<_>>(), [job(1).id()]);
    assert_eq!(found.rejected.iter().map(|line| line.line).collect::<Vec<_>>(), [3, 4, 5]);
    assert!(found.rejected.iter().all(|line| !line.reason.contains("\\n")), "no word of a payload is told");
    file.keep_rejected(&found.rejected, at(11)).unwrap();
    let kept = fs::read_to_string(beside(file.path(), "rejected")).unwrap();
    let (header, kept) = kept.split_once('\n').unwrap();
    assert!(header.starts_with("{\"backroom_spill\":1,"), "{header}");
    assert_eq!(kept, format!("{}\n{}\n{}\n", lines[2], lines[3], lines[4]));
}

#[test]
fn a_file_that_is_not_ours_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    for foreign in ["{\"orders\":[]}\n", "hello", "\u{0}\u{1}", "{\"backroom_spill\":\"x\"}\n"] {
        fs::write(file.path(), foreign).unwrap();
        assert!(matches!(file.read(), Err(SpillError::Foreign(_))), "{foreign:?} was taken for ours");
        assert_eq!(fs::read_to_string(file.path()).unwrap(), foreign);
    }
    let newer = "{\"backroom_spill\":2,\"written_at\":\"2030-01-01T00:00:00Z\",\"jobs\":0}\n";
    fs::write(file.path(), newer).unwrap();
    assert!(matches!(file.read(), Err(SpillError::Newer { version: 2, .. })));
    fs::write(file.path(), "").unwrap();
    assert!(file.read().unwrap().jobs.is_empty(), "an empty file holds nothing");
}

#[test]
fn two_servers_do_not_share_a_file() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    assert!(matches!(SpillFile::open(file.path()), Err(SpillError::InUse(_))));
    let path = file.path().to_owned();
    drop(file);
    SpillFile::open(&path).unwrap();
}

/// Each one removes the lock file when it goes, while others are about to take it.
#[test]
fn never_two_hold_a_file_that_is_given_on_all_the_time() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spill.jsonl");
    let (holding, took) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    let Ok(file) = SpillFile::open(&path) else {
                        continue;
                    };
                    assert_eq!(holding.fetch_add(1, Ordering::SeqCst), 0, "somebody else has it");
                    took.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                    holding.fetch_sub(1, Ordering::SeqCst);
                    drop(file);
                }
            });
        }
    });
    assert!(took.load(Ordering::SeqCst) > 100);
}

#[test]
fn a_write_that_fails_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    // A folder stands where the file should be.
    fs::create_dir(file.path()).unwrap();
    fs::write(file.path().join("x"), "").unwrap();
    file.write(&arcs([job(1)]), at(10)).unwrap_err();
    assert!(!beside(file.path(), "tmp").exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_found_at_once() {
    let folder = TempDir::new().unwrap();
    let error = SpillFile::open(&folder.path().join("missing/spill.jsonl")).unwrap_err();
    assert!(matches!(error, SpillError::Io { .. }));
}

#[test]
fn links_are_followed() {
    let folder = TempDir::new().unwrap();
    let (volume, link) = (folder.path().join("volume"), folder.path().join("spill.jsonl"));
    fs::create_dir(&volume).unwrap();
    std::os::unix::fs::symlink("volume/real.jsonl", &link).unwrap();
    for _ in 0..2 {
        let file = SpillFile::open(&link).unwrap();
        assert!(
            matches!(SpillFile::open(&volume.join("real.jsonl")), Err(SpillError::InUse(_))),
            "one file, one lock"
        );
        file.clear().unwrap();
        file.write(&arcs([job(1)]), at(10)).unwrap();
        assert!(volume.join("real.jsonl").exists());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "the link is still one");
    }
}

#[test]
fn values_out_of_range_are_rejected() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    file.write(&arcs([job(1)]), at(10)).unwrap();
    let good = fs::read_to_string(file.path()).unwrap();
    for (from, to) in [
        ("\"max_attempts\":3", "\"max_attempts\":0"),
        ("\"max_attempts\":3", "\"max_attempts\":101"),
        ("\"timeout_ms\":1500", "\"timeout_ms\":0"),
        ("\"state\":\"pending\"", "\"state\":\"processing\""),
        ("\"attempt\":0", "\"attempt\":2147483648"),
        ("\"runs\":0", "\"runs\":4294967295"),
        ("\"sequence\":1", "\"sequence\":18446744073709551615"),
    ] {
        assert!(good.contains(from));
        fs::write(file.path(), good.replace(from, to)).unwrap();
        let found = file.read().unwrap();
        assert_eq!((found.jobs.len(), found.rejected.len()), (0, 1), "{to}");
    }
}

/// The largest numbers that are taken up leave room for everything that can still happen to the job.
#[test]
fn numbers_that_are_taken_up_can_grow() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    file.write(&arcs([job(1)]), at(10)).unwrap();
    let good = fs::read_to_string(file.path()).unwrap();
    let large = good
        .replace("\"attempt\":0", "\"attempt\":2147483647")
        .replace("\"runs\":0", "\"runs\":2147483647")
        .replace("\"sequence\":1", "\"sequence\":9223372036854775807");
    fs::write(file.path(), large).unwrap();
    let mut found = file.read().unwrap();
    found.jobs[0].apply(Change::Start, at(20)).unwrap();
    assert_eq!(found.jobs[0].runs, 1 << 31);
}

#[test]
fn a_job_that_is_turned_away_keeps_its_line_to_the_letter() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    file.write(&arcs((1..=3).map(job)), at(10)).unwrap();
    let mut lines: Vec<String> =
        fs::read_to_string(file.path()).unwrap().lines().map(str::to_owned).collect();
    // Read well, but not written like this by us.
    lines[2] = lines[2].replace("{\"id\"", "{ \"later\": [1],  \"id\"");
    lines[3] = "no job".to_owned();
    lines.insert(1, String::new());
    fs::write(file.path(), lines.join("\n")).unwrap();
    let mut found = file.read().unwrap();
    let second = job(2).id();
    found.turn_away(|job| if job.id() == second { Err("not here".to_owned()) } else { Ok(()) });
    assert_eq!(found.jobs.iter().map(Job::id).collect::<Vec<_>>(), [job(1).id()]);
    let told: Vec<_> = found.rejected.iter().map(|line| (line.line, line.content.clone())).collect();
    assert_eq!(told, [(4, lines[3].clone().into_bytes()), (5, lines[4].clone().into_bytes())]);
}

/// A process can be killed, and a disk be full, in the middle of a rejected line.
#[test]
fn a_rejected_line_does_not_run_into_a_half_one() {
    let folder = TempDir::new().unwrap();
    let file = open(&folder);
    let path = beside(file.path(), "rejected");
    let rejected =
        |content: &str| [Rejected { line: 2, reason: String::new(), content: content.as_bytes().to_owned() }];
    file.keep_rejected(&rejected("one"), at(11)).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}hal")).unwrap();
    file.keep_rejected(&rejected("two"), at(12)).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{whole}hal\ntwo\n"));
    file.keep_rejected(&rejected("three"), at(13)).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{whole}hal\ntwo\nthree\n"));
}
