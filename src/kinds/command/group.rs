//! A program with everything that it starts: its process group.

use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::signal::unix::{self, SignalKind, signal};

/// A process group of our own making. Killed when it is dropped before it was reaped.
///
/// Its first process, the leader, is left as a zombie until everybody else has been killed. As long as it is one, its
/// number is not given to another process, so that a signal to the group never reaches a foreign one.
pub(super) struct Group {
    leader: Child,
    id: Pid,
    children: unix::Signal,
    reaped: bool,
}

/// What connects us to the program.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

impl Group {
    /// Starts a program as the leader of a group of its own.
    pub(super) fn start(command: &mut Command) -> std::io::Result<(Self, Pipes)> {
        // Before the program is there: it may end at once.
        let children = signal(SignalKind::child())?;
        let mut leader = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let id = leader.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pipes = leader.stdin.take().zip(leader.stdout.take()).zip(leader.stderr.take());
        // All of them are there, as they were just asked for.
        let (Some(id), Some(((stdin, stdout), stderr))) = (id, pipes) else {
            return Err(std::io::Error::other("the process has no number or no pipes"));
        };
        Ok((Self { leader, id, children, reaped: false }, Pipes { stdin, stdout, stderr }))
    }

    /// Completes when the leader has ended.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(super) async fn exited(&mut self) {
        while !self.has_exited() {
            self.children.recv().await;
        }
    }

    fn has_exited(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.id), look), Ok(None))
    }

    /// Asks everybody in it to stop.
    pub(super) fn terminate(&self) {
        self.tell(Signal::TERM);
    }

    /// Stops everybody in it.
    pub(super) fn kill(&self) {
        self.tell(Signal::KILL);
    }

    fn tell(&self, signal: Signal) {
        if !self.reaped {
            // Refused only when nobody is left who could be told.
            let _ = kill_process_group(self.id, signal);
        }
    }

    /// Kills whoever is left, and takes the status of the leader, which has ended.
    pub(super) fn reap(&mut self) -> std::io::Result<ExitStatus> {
        self.kill();
        let status = self.leader.try_wait()?;
        self.reaped = status.is_some();
        status.ok_or_else(|| std::io::Error::other("the program has not ended"))
    }
}

impl Drop for Group {
    /// The attempt was abandoned. Tokio reaps what it still finds of the leader.
    fn drop(&mut self) {
        self.kill();
    }
}
