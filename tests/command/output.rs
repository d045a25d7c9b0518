//! How much a program may be told and say.

use std::time::Duration;

use backroom::job::LogLevel;
use serde_json::json;

use crate::rig::{Pipe, Rig, fate, log, program, run, sh, text};

#[tokio::test]
async fn the_payload_is_on_the_standard_input() {
    let job = run(program(&["cat"]), &json!({"to": "Ada", "n": [1, 2]})).await;
    assert_eq!(text(&job), r#"{"n":[1,2],"to":"Ada"}"#);
}

#[tokio::test]
async fn a_large_payload_is_read_or_not() {
    // Within the default limit of 256 KiB, and more than a pipe holds.
    let payload = json!("x".repeat(260_000));
    assert_eq!(text(&run(sh("wc -c"), &payload).await).trim(), "260002");
    for ignoring in ["true", "exec 0<&-; echo done", "head -c 1 > /dev/null"] {
        assert_eq!(fate(&run(sh(ignoring), &payload).await), ("completed", None), "{ignoring}");
    }
}

#[tokio::test]
async fn a_result_has_a_limit() {
    let limited = async |command| {
        let rig = Rig::with(command, |config, _| config.limits.result = 100_000).await;
        rig.run(&json!({})).await
    };
    for length in [99_999, 100_000] {
        let job = limited(sh(&format!("head -c {length} /dev/zero"))).await;
        assert_eq!(text(&job).len(), length);
    }
    let mut pipe = Pipe::new();
    // It would go on for ever, as would what it has begun.
    for endless in ["head -c 100001 /dev/zero; sleep 1000", "yes", "sleep 1000 & yes"] {
        let job = limited(pipe.sh(&format!("trap '' TERM; {endless}"))).await;
        assert_eq!(fate(&job), ("dead_lettered", Some(("result-too-large", false))), "{endless}");
        pipe.is_left_by_all().await;
        pipe = Pipe::new();
    }
}

#[tokio::test]
async fn ten_megabytes_of_log_hold_nothing_up() {
    let script = "yes 'a line of the log' | head -c 10000000 >&2; echo >&2; echo last >&2; echo done";
    let job = run(sh(script), &json!({})).await;
    assert_eq!(text(&job), "done\n");
    let log = log(&job);
    assert_eq!(log.len(), 100);
    assert_eq!(log[99], (LogLevel::Info, "last".to_owned()));
    assert_eq!(log[0], (LogLevel::Info, "a line of the log".to_owned()));
}

#[tokio::test]
async fn a_long_line_is_cut() {
    for (length, kept) in [(1_023, 1_023), (1_024, 1_024), (1_025, 1_024), (100_000, 1_024)] {
        let job = run(sh(&format!("head -c {length} /dev/zero | tr '\\0' x >&2")), &json!({})).await;
        let log = log(&job);
        assert_eq!((log.len(), log[0].1.len()), (1, kept), "{length}");
    }
}

#[tokio::test]
async fn who_never_stops_talking_is_stopped_all_the_same() {
    for noise in ["yes >&2", "yes '::progress 1' >&2"] {
        let mut pipe = Pipe::new();
        let rig = Rig::with(pipe.sh(noise), |_, kind| {
            kind.timeout = Some(Duration::from_secs(1));
            kind.cancel_grace = Some(Duration::from_secs(1));
        })
        .await;
        let job = rig.run(&json!({})).await;
        assert_eq!(fate(&job), ("dead_lettered", Some(("timeout", true))), "{noise}");
        assert_eq!(rig.backroom.pool().abandoned(), 0);
        pipe.is_left_by_all().await;
    }
}
