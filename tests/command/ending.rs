//! How a program is stopped, with everybody whom it has started.

use std::time::Duration;

use backroom::config::Command;
use backroom::job::LogLevel;
use backroom::server::CancellationToken;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::process::Place;
use crate::rig::{Pipe, Rig, fate, is_reaped, log, text};

/// Tells its number, begins children and grandchildren, and is deaf to SIGTERM with all of them.
fn deaf_family(pipe: &Pipe) -> Command {
    pipe.sh("trap '' TERM\n\
             sh -c 'sh -c \"echo grandchild >&9; while :; do sleep 1000; done\" & while :; do sleep 1000; done' &\n\
             echo $$ >&9\n\
             while :; do sleep 1000; done")
}

async fn ready(pipe: &mut Pipe) -> String {
    let mut lines = [pipe.line().await, pipe.line().await];
    lines.sort();
    assert_eq!(lines[1], "grandchild");
    lines[0].clone()
}

async fn deaf(cancel_grace: Duration, timeout: Duration) -> (Rig, Pipe) {
    let pipe = Pipe::new();
    let rig = Rig::with(deaf_family(&pipe), |config, kind| {
        kind.cancel_grace = Some(cancel_grace);
        kind.timeout = Some(timeout);
        config.shutdown.grace = Duration::ZERO;
    })
    .await;
    (rig, pipe)
}

const LONG: Duration = Duration::from_mins(10);

#[tokio::test]
async fn a_deaf_family_is_gone_after_the_timeout() {
    let (rig, mut pipe) = deaf(Duration::from_secs(2), Duration::from_secs(3)).await;
    let id = rig.submit(&json!({})).await;
    let leader = ready(&mut pipe).await;
    let job = rig.end(id).await;
    assert_eq!(fate(&job), ("dead_lettered", Some(("timeout", true))));
    assert_eq!(rig.backroom.pool().abandoned(), 0, "it is stopped before it would be abandoned");
    pipe.is_left_by_all().await;
    assert!(!std::path::Path::new(&format!("/proc/{leader}")).exists(), "reaped before the job was settled");
}

#[tokio::test]
async fn a_deaf_family_is_gone_after_a_cancel() {
    let (rig, mut pipe) = deaf(Duration::from_secs(2), LONG).await;
    let id = rig.submit(&json!({})).await;
    let leader = ready(&mut pipe).await;
    rig.backroom.jobs().cancel(id).await.unwrap();
    assert_eq!(fate(&rig.end(id).await), ("canceled", None));
    assert_eq!(rig.backroom.pool().abandoned(), 0);
    pipe.is_left_by_all().await;
    is_reaped(&leader).await;
}

#[tokio::test]
async fn a_deaf_family_is_gone_after_a_drain() {
    let (rig, mut pipe) = deaf(Duration::from_secs(2), LONG).await;
    rig.submit(&json!({})).await;
    let leader = ready(&mut pipe).await;
    let report = rig.backroom.drain(&CancellationToken::new()).await;
    assert_eq!((report.interrupted, report.spilled, &*report.lost), (1, 1, &[][..]));
    assert_eq!(rig.backroom.pool().abandoned(), 0);
    pipe.is_left_by_all().await;
    is_reaped(&leader).await;
}

#[tokio::test]
async fn a_deaf_family_is_gone_when_the_server_hurries() {
    let (rig, mut pipe) = deaf(Duration::from_mins(5), LONG).await;
    rig.submit(&json!({})).await;
    let leader = ready(&mut pipe).await;
    let hurry = CancellationToken::new();
    hurry.cancel();
    let report = rig.backroom.drain(&hurry).await;
    assert_eq!((report.interrupted, report.spilled), (1, 1));
    pipe.is_left_by_all().await;
    is_reaped(&leader).await;
}

/// Without any grace the attempt is dropped while the program still runs.
#[tokio::test]
async fn a_deaf_family_is_gone_when_its_attempt_is_dropped() {
    let (rig, mut pipe) = deaf(Duration::ZERO, LONG).await;
    let id = rig.submit(&json!({})).await;
    let leader = ready(&mut pipe).await;
    rig.backroom.jobs().cancel(id).await.unwrap();
    assert_eq!(fate(&rig.end(id).await), ("canceled", None));
    pipe.is_left_by_all().await;
    is_reaped(&leader).await;
}

/// A second signal ends the real server at once, and everybody with it.
#[tokio::test]
async fn a_deaf_family_is_gone_with_the_server() {
    let mut pipe = Pipe::new();
    let command = deaf_family(&pipe).command;
    let command = format!("kinds.mine.command={}", json!(command));
    let place = Place::new(&[
        "kinds.mine.run=command",
        &command,
        "kinds.mine.env=PATH",
        "kinds.mine.cancel_grace=5m",
    ]);
    let server = place.start().await;
    let id = server.accepted(&json!({"kind": "mine"})).await;
    ready(&mut pipe).await;
    server.signal(Signal::SIGTERM);
    server.message("stopping").await;
    server.signal(Signal::SIGTERM);
    let ended = server.ended().await;
    assert_eq!((ended.code, ended.report().spilled), (Some(0), 1));
    pipe.is_left_by_all().await;

    // The next one takes the job up, and finds the program gone: it does not start.
    let ended = place.fail(&["kinds.mine.command=./gone"]).await;
    assert_eq!(ended.code, Some(78));
    assert!(ended.text().contains("--set: kinds.mine.command: there is no program "), "{}", ended.text());
    assert!(place.spilled()[0].to_string().contains(&id), "the job is still there");
}

#[tokio::test]
async fn who_listens_can_tidy_up_and_say_so() {
    let mut pipe = Pipe::new();
    let script = "trap 'echo tidied >&9; echo \"::progress 50 tidied\" >&2; exit 75' TERM; echo $$ >&9; \
                  while :; do sleep 1000 & wait; done";
    let rig = Rig::with(pipe.sh(script), |_, kind| kind.cancel_grace = Some(Duration::from_mins(5))).await;
    let id = rig.submit(&json!({})).await;
    let leader = pipe.line().await;
    rig.backroom.jobs().cancel(id).await.unwrap();
    assert_eq!(pipe.line().await, "tidied");
    let job = rig.end(id).await;
    assert_eq!((fate(&job), job.progress.percent), (("canceled", None), 50));
    pipe.is_left_by_all().await;
    is_reaped(&leader).await;
}

#[tokio::test]
async fn work_that_is_done_in_spite_of_a_cancel_counts() {
    let mut pipe = Pipe::new();
    let script = "trap 'echo done; exit 0' TERM; echo $$ >&9; while :; do sleep 1000 & wait; done";
    let rig = Rig::with(pipe.sh(script), |_, kind| kind.cancel_grace = Some(Duration::from_mins(5))).await;
    let id = rig.submit(&json!({})).await;
    pipe.line().await;
    rig.backroom.jobs().cancel(id).await.unwrap();
    assert_eq!(text(&rig.end(id).await), "done\n");
    pipe.is_left_by_all().await;
}

#[tokio::test]
async fn nobody_outlives_the_program() {
    let cut = "a child of the program kept its output open after its end, and was killed";
    for (holding, child) in [
        (true, "sleep 1000 &"),
        (true, "trap '' TERM; sleep 1000 > /dev/null &"),
        (false, "trap '' TERM; sleep 1000 > /dev/null 2>&1 &"),
    ] {
        let mut pipe = Pipe::new();
        let rig = Rig::new(pipe.sh(&format!("{child} echo done"))).await;
        let job = rig.run(&json!({})).await;
        assert_eq!(text(&job), "done\n");
        let want = if holding { vec![(LogLevel::Warn, cut.to_owned())] } else { vec![] };
        assert_eq!(log(&job), want, "{child}");
        pipe.is_left_by_all().await;
    }
}

/// What a child writes after the end of the program still belongs to the result.
#[tokio::test]
async fn a_child_may_finish_the_output() {
    // It is let go by the end of its parent, which closes the pipe.
    let pipe = Pipe::new();
    let gate = pipe.path().with_file_name("gate");
    let made = std::process::Command::new("mkfifo").arg(&gate).status().unwrap();
    assert!(made.success());
    let gate = gate.display();
    let script = format!("(cat {gate} > /dev/null; echo second) & exec 8> {gate}; echo first");
    let job = Rig::new(crate::rig::sh(&script)).await.run(&json!({})).await;
    assert_eq!((text(&job), log(&job)), ("first\nsecond\n".to_owned(), vec![]));
}
