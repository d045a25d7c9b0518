//! How a program ends, and what becomes of its job.

use backroom::job::LogLevel;
use serde_json::json;

use crate::rig::{Rig, fate, log, program, result, run, sh, text};

#[tokio::test]
async fn every_row_of_the_exit_codes() {
    for (code, retry_on_exit, retryable) in [
        (75, true, true),
        (75, false, true),
        (64, true, false),
        (65, true, false),
        (64, false, false),
        (1, true, true),
        (1, false, false),
        (2, true, true),
        (255, false, false),
    ] {
        let mut command = sh(&format!("echo kept; echo 'no paper' >&2; exit {code}"));
        command.retry_on_exit = retry_on_exit;
        let job = run(command, &json!({})).await;
        let name = format!("exit-{code}");
        assert_eq!(fate(&job), ("dead_lettered", Some((&*name, retryable))), "{code} {retry_on_exit}");
        let message = &job.error.as_ref().unwrap().message;
        assert_eq!(**message, format!("the program ended with exit code {code}: no paper"));
        assert_eq!(log(&job), [(LogLevel::Info, "no paper".to_owned())]);
    }
    let job = run(sh("echo kept; exit 0"), &json!({})).await;
    assert_eq!((fate(&job), &*text(&job)), (("completed", None), "kept\n"));
}

#[tokio::test]
async fn a_transient_end_is_tried_again_and_a_permanent_one_is_not() {
    for (code, state) in [(75, "failed"), (1, "failed"), (65, "dead_lettered")] {
        let rig = Rig::with(sh(&format!("exit {code}")), |config, kind| {
            kind.max_attempts = Some(2);
            for policy in config.retry.values_mut() {
                policy.backoff = backroom::job::Backoff::Delays(vec![std::time::Duration::from_hours(1)]);
            }
        })
        .await;
        let mut watch = rig.backroom.jobs().events().watch();
        rig.submit(&json!({})).await;
        let settled = crate::rig::within("the attempt to end", async {
            loop {
                let event = watch.recv().await.unwrap();
                if !event.job.attempts.is_empty() {
                    return event.job;
                }
            }
        });
        assert_eq!(settled.await.state.name().as_str(), state, "{code}");
    }
}

#[tokio::test]
async fn a_signal_is_named_and_tried_again() {
    for (signal, code) in [("SEGV", "sigsegv"), ("KILL", "sigkill"), ("TERM", "sigterm"), ("USR1", "sigusr1")]
    {
        let mut command = sh(&format!("echo 'about to' >&2; kill -{signal} $$"));
        command.retry_on_exit = false;
        let job = run(command, &json!({})).await;
        assert_eq!(fate(&job), ("dead_lettered", Some((code, true))));
        let message = job.error.as_ref().unwrap().message.to_string();
        assert_eq!(message, format!("the program was killed by SIG{signal}: about to"));
    }
}

#[tokio::test]
async fn a_program_can_skip() {
    let job = run(sh("echo ignored; echo '::skip paid already' >&2"), &json!({})).await;
    assert_eq!(fate(&job), ("skipped", None));
    assert!(format!("{:?}", job.state).contains("paid already"), "{:?}", job.state);
    assert_eq!(log(&job), []);
    // Not when it then fails.
    let job = run(sh("echo '::skip paid already' >&2; exit 65"), &json!({})).await;
    assert_eq!(fate(&job), ("dead_lettered", Some(("exit-65", false))));
}

#[tokio::test]
async fn progress_and_log_are_told_while_it_runs() {
    let script = "echo one >&2; echo '::progress 45 Rendering' >&2; read -r line; printf 'half' >&2; exit 65";
    let job = run(sh(script), &json!({"a": 1})).await;
    assert_eq!((job.progress.percent, job.progress.message.as_deref()), (45, Some("Rendering")));
    let info = |text: &str| (LogLevel::Info, text.to_owned());
    assert_eq!(log(&job), [info("one"), info("half")]);
    assert_eq!(&*job.error.as_ref().unwrap().message, "the program ended with exit code 65: half");

    let script =
        "echo '::warning low' >&2; echo '::error none' >&2; echo '::debug x' >&2; printf 'b\\377d\\n' >&2";
    let job = run(sh(script), &json!({})).await;
    let want = [
        (LogLevel::Warn, "low".to_owned()),
        (LogLevel::Error, "none".to_owned()),
        (LogLevel::Debug, "x".to_owned()),
        (LogLevel::Info, "b\u{fffd}d".to_owned()),
    ];
    assert_eq!(log(&job), want);
}

#[tokio::test]
async fn the_result_has_the_type_that_was_promised() {
    let with = |script: &str, result_type: &str| {
        let mut command = sh(script);
        command.result_type = result_type.to_owned();
        command
    };
    let job = run(with("printf '%%PDF\\000\\377'", "application/pdf"), &json!({})).await;
    assert_eq!(result(&job), ("application/pdf".to_owned(), b"%PDF\0\xff".to_vec()));
    let job = run(with("printf '{\"a\": [1]}\\n'", "application/json"), &json!({})).await;
    assert_eq!(result(&job), ("application/json".to_owned(), b"{\"a\": [1]}\n".to_vec()));
    let job = run(with("echo", "application/json"), &json!({})).await;
    assert_eq!(result(&job), ("application/json".to_owned(), b"null".to_vec()));
    let job = run(with("true", "text/csv"), &json!({})).await;
    assert_eq!(result(&job), ("text/csv".to_owned(), Vec::new()));
    for bad in ["printf '{'", "echo done"] {
        let job = run(with(bad, "application/problem+json"), &json!({})).await;
        assert_eq!(fate(&job), ("dead_lettered", Some(("invalid-result", false))), "{bad}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_any_more_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine");
    let sh = backroom::config::Command { env: Vec::new(), ..program(&["sh"]) }.program().unwrap();
    std::os::unix::fs::symlink(sh, &path).unwrap();
    let rig = Rig::new(program(&[path.to_str().unwrap(), "-c", "true"])).await;
    assert_eq!(fate(&rig.run(&json!({})).await), ("completed", None));
    std::fs::remove_file(&path).unwrap();
    let job = rig.run(&json!({})).await;
    assert_eq!(fate(&job), ("dead_lettered", Some(("command-not-started", true))));
    let message = &job.error.as_ref().unwrap().message;
    assert!(message.contains("No such file"), "{message}");
}
