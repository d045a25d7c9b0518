//! How much memory a server takes in the worst case, and whether there is so much.

use std::fmt;
use std::fs;
use std::path::Path;

use bytesize::ByteSize;

use crate::config::{Config, MailTransport, Queue};
use crate::job::{NOTICES, QueueName};

/// What the program takes by itself: code, stacks, templates, connections that are idle, what the allocator keeps.
/// Measured: 16 MiB after the start and 24 MiB under load, jobs left out; rounded up.
const PROGRAM: u64 = 32 << 20;

/// What a notice takes while it is sent, beside its row: what it says of a job and of its attempts, 16 KiB of a result as
/// JSON, 16 KiB of an answer. By so much, too, the jobs can go beyond their limit when several find the same room at once.
const NOTICE: u64 = 64 << 10;

/// The most memory that a configuration allows, in bytes.
///
/// What a handler takes by itself while it runs is not known here, nor is what is taken up from a spill file beyond
/// `limits.memory`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryBounds {
    /// All jobs that are held, and the notices that tell of them: `limits.memory`.
    pub jobs: u64,
    /// What is in the hands of attempts: as many payloads and results as can run at once. By so much the jobs can go
    /// beyond their limit for a moment, because the end of an attempt is never refused.
    pub running: u64,
    /// The answers that are kept for `Idempotency-Key`: `limits.idempotency_memory`.
    pub idempotency: u64,
    /// Captured mail, if it is captured.
    pub captured_mail: u64,
    /// The program itself.
    pub program: u64,
    /// What one connection can take besides: a body that is being read, or a result that is being sent. Not in the total:
    /// it is bounded by the number of connections that are busy with such a thing, and those are mostly few.
    pub each_connection: u64,
}

impl MemoryBounds {
    /// Adds up what a configuration allows.
    pub fn of(config: &Config) -> Self {
        let (payload, result) = (config.limits.payload as u64, config.limits.result as u64);
        let at_once = |(name, queue): (&QueueName, &Queue)| {
            let each = if name.as_str() == NOTICES { NOTICE } else { payload.saturating_add(result) };
            (queue.concurrency as u64).saturating_mul(each)
        };
        let captures = config.mail.transport == MailTransport::Capture;
        Self {
            jobs: config.limits.memory,
            running: config.queues.iter().map(at_once).fold(0, u64::saturating_add),
            idempotency: config.limits.idempotency_memory as u64,
            captured_mail: if captures { config.mail.capture_bytes as u64 } else { 0 },
            program: PROGRAM,
            each_connection: result.max(config.server.body_limit as u64),
        }
    }

    /// All of it, without the connections.
    pub fn total(&self) -> u64 {
        let Self { jobs, running, idempotency, captured_mail, program, each_connection: _ } = *self;
        [running, idempotency, captured_mail, program].into_iter().fold(jobs, u64::saturating_add)
    }

    /// Writes it to the log, with a warning if the machine has less.
    pub(super) fn log(&self) {
        let Self { jobs, running, idempotency, captured_mail, program, each_connection } = *self;
        let total = self.total();
        tracing::info!(
            jobs,
            running,
            idempotency,
            captured_mail,
            program,
            total,
            each_connection,
            "memory bounds"
        );
        if let Some(machine) = self.beyond(Path::new("/")) {
            tracing::warn!(
                total,
                machine,
                hint = "lower limits.memory, or give it more",
                "the worst case is more memory than there is"
            );
        }
    }

    /// The memory of the machine whose files are below `root`, if it is less than the total.
    fn beyond(&self, root: &Path) -> Option<u64> {
        machine_memory(root).filter(|machine| self.total() > *machine)
    }
}

impl fmt::Display for MemoryBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |bytes| ByteSize::b(bytes).display().iec();
        write!(
            f,
            "{} at most: jobs {}, running {}, idempotency keys {}, captured mail {}, program {}; and up to {} for each \
             busy connection",
            size(self.total()),
            size(self.jobs),
            size(self.running),
            size(self.idempotency),
            size(self.captured_mail),
            size(self.program),
            size(self.each_connection)
        )
    }
}

/// The memory that this process may take: that of the machine, or less where a control group says so.
fn machine_memory(root: &Path) -> Option<u64> {
    let read = |path: &Path| fs::read_to_string(path).ok();
    let number = |path: &Path| read(path)?.trim().parse::<u64>().ok();
    let groups = root.join("sys/fs/cgroup");
    // The group of this process and those around it (version 2), as far as they are seen from here.
    let own = read(&root.join("proc/self/cgroup")).and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("0::/").map(|path| groups.join(path)))
    });
    let own = own.filter(|own| !own.components().any(|part| part == std::path::Component::ParentDir));
    let around = own.as_deref().unwrap_or(&groups).ancestors().take_while(|path| path.starts_with(&groups));
    let limits = around.filter_map(|group| number(&group.join("memory.max")));
    let version_1 = number(&groups.join("memory/memory.limit_in_bytes"));
    let total = read(&root.join("proc/meminfo")).and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    limits.chain(version_1).chain(total).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_shipped_worst_case_is_known() {
        let bounds = MemoryBounds::of(&Config::default());
        assert_eq!(bounds.jobs, 256 << 20);
        assert_eq!(bounds.running, 20 * ((4 << 20) + (256 << 10)) + 32 * (64 << 10));
        assert_eq!((bounds.captured_mail, bounds.each_connection), (32 << 20, 4 << 20));
        assert_eq!(bounds.idempotency, 128 << 20);
        assert_eq!(bounds.total(), (256 + 87 + 128 + 32 + 32) << 20);
        assert!(
            bounds
                .to_string()
                .starts_with("535.0 MiB at most: jobs 256.0 MiB, running 87.0 MiB, idempotency"),
            "{bounds}"
        );
        let mut config = Config::default();
        config.mail.transport = MailTransport::File;
        config.limits.result = 1;
        config.limits.idempotency_memory = 1 << 20;
        let bounds = MemoryBounds::of(&config);
        assert_eq!(bounds.idempotency, 1 << 20);
        assert_eq!((bounds.captured_mail, bounds.each_connection), (0, config.server.body_limit as u64));
    }

    #[test]
    fn the_least_limit_around_the_process_counts() {
        let meminfo = ("proc/meminfo", "MemFree: 1 kB\nMemTotal:       1000 kB\n");
        let group = ("proc/self/cgroup", "0::/a/b\n");
        for (files, memory) in [
            (&[] as &[_], None),
            (&[meminfo], Some(1_024_000)),
            (&[meminfo, ("sys/fs/cgroup/memory.max", "max\n")], Some(1_024_000)),
            (&[meminfo, ("sys/fs/cgroup/memory.max", "5000\n")], Some(5_000)),
            (&[meminfo, group, ("sys/fs/cgroup/a/b/memory.max", "7000\n")], Some(7_000)),
            (
                &[group, ("sys/fs/cgroup/a/b/memory.max", "7000\n"), ("sys/fs/cgroup/a/memory.max", "6000")],
                Some(6_000),
            ),
            // From inside a container the group can lie outside of what is seen.
            (&[("proc/self/cgroup", "0::/../x\n"), ("sys/fs/cgroup/memory.max", "9000\n")], Some(9_000)),
            (&[meminfo, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "8000")], Some(8_000)),
        ] {
            assert_eq!(machine_memory(machine(files).path()), memory, "{files:?}");
        }
    }

    #[test]
    fn more_than_there_is_is_noticed() {
        let bounds = MemoryBounds::of(&Config::default());
        for (machine_has, beyond) in
            [(bounds.total() - 1, true), (bounds.total(), false), (bounds.total() + 1, false)]
        {
            let root = machine(&[("sys/fs/cgroup/memory.max", &machine_has.to_string())]);
            assert_eq!(bounds.beyond(root.path()).is_some(), beyond, "{machine_has}");
        }
    }
}
