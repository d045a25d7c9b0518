//! What a program finds around it.

use std::collections::BTreeSet;
use std::time::Duration;

use backroom::config::Variable;
use backroom::job::Backoff;
use backroom::server::CancellationToken;
use serde_json::json;

use crate::rig::{Pipe, Rig, program, run, sh, text};

#[tokio::test]
async fn the_environment_is_exactly_what_is_promised() {
    let mut command = program(&["env"]);
    command.env = vec![
        Variable::Passed("PATH".into()),
        Variable::Passed("BACKROOM_IS_NOT_SET".into()),
        Variable::Set { name: "GREETING".into(), value: "a = b\nc".into() },
        Variable::Set { name: "EMPTY".into(), value: String::new() },
    ];
    let job = run(command, &json!({})).await;
    let path = std::env::var("PATH").unwrap();
    let want = format!(
        "PATH={path}\nGREETING=a = b\nc\nEMPTY=\nBACKROOM_JOB_ID={}\nBACKROOM_ATTEMPT=1\nBACKROOM_MAX_ATTEMPTS=1\n\
         BACKROOM_KIND=mine\n",
        job.id()
    );
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&text(&job)), sorted(&want));

    let mut bare = program(&["env"]);
    bare.env = Vec::new();
    let job = run(bare, &json!({})).await;
    assert_eq!(text(&job).lines().count(), 4, "{}", text(&job));
}

#[tokio::test]
async fn a_program_knows_which_attempt_it_is() {
    let script = "[ $BACKROOM_ATTEMPT = $BACKROOM_MAX_ATTEMPTS ] || exit 75; echo $BACKROOM_ATTEMPT";
    let rig = Rig::with(sh(script), |config, kind| {
        kind.max_attempts = Some(3);
        for policy in config.retry.values_mut() {
            policy.backoff = Backoff::Delays(vec![Duration::ZERO]);
        }
    })
    .await;
    assert_eq!(text(&rig.run(&json!({})).await), "3\n");
}

#[tokio::test]
async fn the_folder_is_where_it_works_and_where_it_is_found() {
    let folder = tempfile::tempdir().unwrap();
    // A link, for a file that was just written may still be held open by a process that is being started.
    let sh = program(&["sh"]).program().unwrap();
    std::os::unix::fs::symlink(sh, folder.path().join("shell")).unwrap();
    std::fs::write(folder.path().join("script"), "pwd -P; printf '%s|' \"$0\" \"$@\"").unwrap();
    let mut command = program(&["./shell", "script", "a b", "", "$HOME;*", "-x"]);
    command.folder = Some(folder.path().to_owned());
    let here = folder.path().canonicalize().unwrap();
    // And no shell has looked at the arguments.
    assert_eq!(text(&run(command, &json!({})).await), format!("{}\nscript|a b||$HOME;*|-x|", here.display()));

    let job = run(program(&["pwd"]), &json!({})).await;
    let server = std::env::current_dir().unwrap();
    assert_eq!(text(&job), format!("{}\n", server.display()));
}

/// Descriptors of this process that every program inherits: those that it was started with, by who runs the tests.
fn inherited() -> BTreeSet<u32> {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let numbers = open.map(|entry| entry.unwrap().file_name().into_string().unwrap().parse::<u32>().unwrap());
    let passes_on = |number: &u32| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        // O_CLOEXEC.
        flags.is_some_and(|flags| u32::from_str_radix(flags.trim(), 8).unwrap() & 0o2_000_000 == 0)
    };
    numbers.filter(passes_on).collect()
}

#[tokio::test]
async fn nothing_of_the_server_is_open_but_the_three_streams() {
    let mut want = inherited();
    want.extend([0, 1, 2]);
    // Another program runs, whose pipes the server holds.
    let mut pipe = Pipe::new();
    let other = Rig::new(pipe.sh("echo ready >&9; sleep 1000")).await;
    other.submit(&json!({})).await;
    pipe.line().await;
    let job = run(program(&["ls", "/proc/self/fd"]), &json!({})).await;
    let open: BTreeSet<u32> = text(&job).lines().map(|line| line.parse().unwrap()).collect();
    // One more for the folder that is listed.
    assert_eq!(open.difference(&want).count(), 1, "{open:?} but not {want:?}");
    assert!(want.is_subset(&open), "{open:?}");
    let hurry = CancellationToken::new();
    hurry.cancel();
    other.backroom.drain(&hurry).await;
    pipe.is_left_by_all().await;
}

#[tokio::test]
async fn it_leads_a_group_of_its_own() {
    let script = "read -r pid comm state ppid pgrp rest < /proc/$$/stat; [ $pgrp = $$ ] && echo leader";
    assert_eq!(text(&run(sh(script), &json!({})).await), "leader\n");
}

#[tokio::test]
async fn no_signal_is_blocked_or_ignored() {
    let job = run(program(&["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]), &json!({})).await;
    let masks = text(&job);
    for mask in masks.lines() {
        // Those above 31 are left to libc and to whoever started the tests.
        let signals = u64::from_str_radix(mask.split_whitespace().last().unwrap(), 16).unwrap() & 0x7fff_ffff;
        assert_eq!(signals, 0, "{mask}");
    }
    assert_eq!(masks.lines().count(), 2);
}
