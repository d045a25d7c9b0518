//! What is written to a terminal, and what is asked there.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use nix::pty::{Winsize, openpty};
use tokio::task::JoinHandle;

use crate::process::PATIENCE;
use crate::rig::{Rig, backroom};

/// A command on a terminal of 100 columns.
struct Terminal {
    child: tokio::process::Child,
    keyboard: File,
    screen: JoinHandle<String>,
}

impl Terminal {
    fn open(rig: &Rig, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let slave = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        let mut command = backroom(&rig.path(""), &rig.server.base, arguments);
        command.env("TERM", "xterm").env_remove("NO_COLOR").envs(variables.iter().copied());
        command.stdin(slave(&pty.slave)).stdout(slave(&pty.slave)).stderr(slave(&pty.slave));
        let child = command.spawn().unwrap();
        drop((command, pty.slave));
        let keyboard = File::from(pty.master);
        let mut master = keyboard.try_clone().unwrap();
        let screen = tokio::task::spawn_blocking(move || {
            let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
            // When the last one has left the terminal, reading it is an error.
            while let Ok(read @ 1..) = master.read(&mut chunk) {
                all.extend_from_slice(&chunk[..read]);
            }
            String::from_utf8(all).unwrap().replace("\r\n", "\n")
        });
        Self { child, keyboard, screen }
    }

    async fn end(mut self) -> (i32, String) {
        let code = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap().code();
        let screen = self.screen.await.unwrap();
        drop(self.keyboard);
        (code.unwrap_or(-1), screen)
    }
}

async fn seen(rig: &Rig, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    Terminal::open(rig, arguments, variables).end().await
}

#[tokio::test]
async fn tables_have_colours_and_fit_unless_that_is_not_wanted() {
    let rig = Rig::new(&[]).await;
    rig.ended(&["noop", "{\"fail\": \"permanent\"}"]).await;
    let (code, screen) = seen(&rig, &["jobs"], &[]).await;
    assert_eq!(code, 0, "{screen}");
    assert!(screen.starts_with("\u{1b}[1mID "), "{screen:?}");
    assert!(screen.contains("  \u{1b}[31mdead_lettered\u{1b}[0m  default"), "{screen:?}");
    let (_, plain) = seen(&rig, &["jobs"], &[("NO_COLOR", "1")]).await;
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let widths: Vec<usize> = plain.lines().map(|line| line.chars().count()).collect();
    assert!(widths[1] == 100 && plain.lines().nth(1).unwrap().ends_with('…'), "{widths:?} {plain}");
    // JSON is the same everywhere.
    let (_, json) = seen(&rig, &["jobs", "--json"], &[]).await;
    assert_eq!(json, rig.run(&["jobs", "--json"]).await.out);
}

#[tokio::test]
async fn a_job_is_watched_with_a_bar() {
    let rig = Rig::new(&[]).await;
    let id = rig.enqueue(&["noop", "{\"sleep\": \"600ms\", \"steps\": 4}"]).await;
    let (code, screen) = seen(&rig, &["status", &id, "--watch"], &[("NO_COLOR", "1")]).await;
    assert_eq!(code, 0, "{screen:?}");
    let drawn: Vec<&str> = screen.split("\r\u{1b}[2K").skip(1).collect();
    assert!(drawn.len() > 2 && drawn.iter().all(|line| line.starts_with('[')), "{drawn:?}");
    assert!(
        drawn.last().unwrap().starts_with("[########################] 100 %  completed, attempt 1 of 8"),
        "{drawn:?}"
    );
    assert!(screen.ends_with('\n'), "{screen:?}");
    let id = rig.ended(&["noop"]).await;
    let (_, lines) = seen(&rig, &["status", &id, "--watch"], &[("TERM", "dumb")]).await;
    assert!(!lines.contains(['\u{1b}', '[']) && lines.contains("Z  completed, attempt 1 of 8"), "{lines:?}");
}

#[tokio::test]
async fn whoever_deletes_is_asked() {
    let rig = Rig::new(&[]).await;
    rig.ended(&["noop", "{\"fail\": \"permanent\"}"]).await;
    for (typed, code, says) in
        [("\n", 1, "nothing was deleted"), ("nay\n", 1, "nothing was deleted"), ("Y\n", 0, "1 deleted")]
    {
        let mut terminal = Terminal::open(&rig, &["dead-letters", "delete", "--all"], &[]);
        terminal.keyboard.write_all(typed.as_bytes()).unwrap();
        let (ended, screen) = terminal.end().await;
        assert!(screen.contains("Delete 1 dead letters for good? [y/N] "), "{screen:?}");
        assert!(ended == code && screen.contains(says), "{typed:?}: {ended} {screen:?}");
    }
}

#[tokio::test]
async fn results_do_not_steer_a_terminal() {
    let rig = Rig::new(&[
        "kinds.\"evil\".run=command",
        "kinds.\"evil\".command=[\"printf\", \"a\\u001b[2J\\nb\"]",
        "kinds.\"binary\".run=command",
        "kinds.\"binary\".command=[\"printf\", '\\377\\000']",
        "kinds.\"binary\".result_type=application/pdf",
    ])
    .await;
    let id = rig.ended(&["evil"]).await;
    assert_eq!(seen(&rig, &["result", &id], &[]).await, (0, "a\\u{1b}[2J\nb\n".to_owned()));
    assert_eq!(rig.run(&["result", &id]).await.out, "a\u{1b}[2J\nb");
    let id = rig.ended(&["binary"]).await;
    let (code, screen) = seen(&rig, &["result", &id], &[]).await;
    assert!(
        code == 1 && screen.contains("2 bytes of application/pdf are nothing for a terminal"),
        "{screen:?}"
    );
}
