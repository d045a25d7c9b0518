//! What a kill in the middle of the drain leaves.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::process::{PATIENCE, Place, exists, noop};

/// How many jobs are spilled; each is of about 10 kB, so that the file is written in many steps.
const JOBS: usize = 600;

/// Whether a file is a whole one: as many jobs as its first line says, and each of them is one.
fn is_whole(text: &str) -> bool {
    let mut lines = text.lines();
    let header: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let jobs: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    text.ends_with('\n') && header["jobs"] == jobs.len() && jobs.iter().all(|job| job["kind"] == "noop")
}

/// A kill at the moment when so much of the new file has been written leaves the old one, or the whole new one; and the
/// next start takes up which it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_during_the_spill_leaves_the_old_or_the_whole_new_file() {
    let (mut old_ones, mut new_ones) = (0, 0);
    for reached in [0, 1, 1_000_000, 3_000_000, 5_900_000, u64::MAX] {
        let place = Place::new(&["shutdown.grace=0s"]);
        // What another start had left: a file with one job.
        let process = place.start().await;
        let mut later = noop(&json!({}));
        later["delay"] = json!("1h");
        let old_id = process.accepted(&later).await;
        assert_eq!(process.stop().await.code, Some(0));
        let old = std::fs::read_to_string(place.spill()).unwrap();

        let process = place.start().await;
        let mut job = noop(&json!({ "filler": "x".repeat(10_000) }));
        job["delay"] = json!("1h");
        for _ in 0..JOBS / 20 {
            process.batch(vec![job.clone(); 20]).await;
        }
        // Its jobs are in memory now; put back, it is what the new one replaces.
        std::fs::write(place.spill(), &old).unwrap();
        process.signal(Signal::SIGTERM);
        let temporary = place.path("backroom.spill.jsonl.tmp");
        let is_reached = || {
            let length = std::fs::metadata(&temporary).map(|file| file.len());
            length.is_ok_and(|length| length >= reached)
                || std::fs::metadata(place.spill()).is_ok_and(|file| file.len() > old.len() as u64)
        };
        let waiting = async {
            while !is_reached() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
        process.kill();
        assert_eq!(process.ended().await.code, None, "it was killed");

        let left = std::fs::read_to_string(place.spill()).unwrap();
        if left == old {
            old_ones += 1;
        } else {
            assert!(is_whole(&left), "neither the old file nor a whole new one");
            new_ones += 1;
        }
        let process = place.start().await;
        let taken = process.message("spilled jobs taken up").await;
        let expected = if left == old { 1 } else { JOBS + 1 };
        assert_eq!((&taken["jobs"], &taken["rejected"]), (&json!(expected), &json!(0)));
        let job = process.get(&format!("/api/jobs/{old_id}")).await;
        assert_eq!(job["state"], "scheduled");
        assert_eq!(process.stop().await.code, Some(0));
        assert!(is_whole(&std::fs::read_to_string(place.spill()).unwrap()));
        assert!(!exists(&temporary), "what the killed one left is gone");
    }
    println!("{old_ones} times the old file, {new_ones} times the new one");
    assert!(old_ones > 0 && new_ones > 0, "{old_ones} old, {new_ones} new: both must be seen");
}

/// A disk without room: the drain says what is lost, and the old file stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spill_file_that_cannot_be_written_is_told_and_leaves_the_old_one() {
    let mut place = Place::new(&["shutdown.grace=0s"]);
    place.is_tight = true;
    let process = place.start().await;
    let mut later = noop(&json!({ "filler": "x".repeat(10_000) }));
    later["delay"] = json!("1h");
    let ids = process.batch(vec![later; 20]).await;
    let old = "{\"backroom_spill\":1,\"written_at\":\"2030-01-01T00:00:00.000Z\",\"jobs\":0}\n";
    std::fs::write(place.spill(), old).unwrap();
    let ended = process.stop().await;
    assert_eq!(ended.code, Some(3), "{}", ended.text());
    let report = ended.report();
    let lost: std::collections::BTreeSet<_> = report.lost.into_iter().collect();
    assert_eq!((report.spilled, lost), (0, ids.into_iter().collect()));
    ended.line("spill file could not be written");
    assert_eq!(std::fs::read_to_string(place.spill()).unwrap(), old);
    assert_eq!(place.files(), ["backroom.spill.jsonl"], "half a file is in nobody's way");
}
