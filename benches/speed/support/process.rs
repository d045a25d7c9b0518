//! Servers in processes of their own, and what those cost.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{bare, now};

/// How long a process may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Clock ticks in a second, as `/proc` counts them: 100 on every Linux that there is.
const TICKS: f64 = 100.0;

/// A server in a process of its own. Killed when it is dropped.
pub(crate) struct Served {
    child: Child,
    address: String,
    folder: TempDir,
}

impl Served {
    /// Backroom as it is shipped, with these options.
    pub(crate) fn backroom(sets: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let child = backroom(&folder, "127.0.0.1:0", sets);
        let mut served = Self { child, address: String::new(), folder };
        let (file, began) = (served.folder.path().join("address"), now());
        while served.address.is_empty() {
            fs::read_to_string(&file).unwrap_or_default().trim().clone_into(&mut served.address);
            assert!(began.elapsed() < PATIENCE, "the server does not start: {}", served.log());
            std::thread::sleep(Duration::from_millis(1));
        }
        served
    }

    /// The same on an address that is known before.
    pub(crate) fn backroom_at(address: &str, sets: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        Self { child: backroom(&folder, address, sets), address: address.to_owned(), folder }
    }

    /// The bare server; `address` can have the port 0.
    pub(crate) fn bare(address: &str) -> Self {
        let mut child = this_program()
            .args([bare::ROLE, address])
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts");
        let mut address = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut address).expect("its address");
        Self { child, address: address.trim().to_owned(), folder: TempDir::new().expect("a folder") }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// User and system time so far, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("/proc");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
        ticks / TICKS
    }

    /// What of it is in memory, in bytes.
    pub(crate) fn resident(&self) -> f64 {
        resident(&self.child.id().to_string())
    }

    /// Tells it to stop; says how many seconds it took to, from the signal on, and what it wrote to its log. `meanwhile`
    /// runs in between.
    pub(crate) fn terminate(mut self, meanwhile: impl FnOnce()) -> (f64, String) {
        let pid = Pid::from_child(&self.child);
        let began = now();
        kill_process(pid, Signal::TERM).expect("it runs");
        meanwhile();
        let status = self.child.wait().expect("it ends");
        let took = began.elapsed().as_secs_f64();
        assert!(status.success(), "it ended with {status}: {}", self.log());
        (took, self.log())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program that is measured: that of the environment, else the one that was built together with this.
fn backroom(folder: &TempDir, bind: &str, sets: &[&str]) -> Child {
    let program =
        std::env::var_os("BACKROOM").map_or_else(|| env!("CARGO_BIN_EXE_backroom").into(), PathBuf::from);
    let log = fs::File::create(folder.path().join("log")).expect("a log");
    let mut command = Command::new(program);
    command.arg("serve");
    let bind = format!("server.bind={bind}");
    for set in [bind.as_str(), "server.address_file=address", "log.format=json"].iter().chain(sets) {
        command.args(["--set", set]);
    }
    command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().expect("the program starts")
}

/// This program, to be started in another role.
pub(crate) fn this_program() -> Command {
    Command::new(std::env::current_exe().expect("this program"))
}

/// What of a process is in memory, in bytes; `self` is this one.
pub(crate) fn resident(process: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("/proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).expect("a number").parse::<f64>().expect("a number") * 1024.0
}
