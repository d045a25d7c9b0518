//! The spill file: what a drain could not finish, for the next start.
//!
//! One JSON object a line. The first line says what the file is; every further line is one job. The file is written
//! beside its name, synced, and renamed, so that a reader finds either the old or the whole new one.

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod replace;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::job::{
    ATTEMPTS_KEPT, Attempt, Course, Hold, Job, JobError, JobId, JobLog, JobResult, JobState, KindName,
    LogLine, Notices, Progress, QueueName, ResultSlot, Spec, StateName, Tag, Timestamp, Told, Trace, Unique,
    UniqueKey,
};
use crate::schedule::Kept;

const VERSION: u32 = 1;

/// A spill file that no other process uses.
#[derive(Debug)]
pub struct SpillFile {
    path: PathBuf,
    /// Synced after a rename and a removal, which are on disk only then.
    folder: File,
    /// Locked as long as this server lives.
    _lock: File,
}

/// Why a spill file cannot be used. The file is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// Another server has it.
    #[error("{0} is in use by another backroom; give each server a shutdown.spill_file of its own")]
    InUse(PathBuf),
    /// It is not one of ours.
    #[error("{0} is not a spill file of backroom; move it away, or name another shutdown.spill_file")]
    Foreign(PathBuf),
    /// A newer version wrote it.
    #[error(
        "{path} was written by a newer backroom (format {version}); start that version, or move the file away"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        version: u32,
    },
    /// The file or its folder cannot be read or written.
    #[error("{path} cannot be used as a spill file")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What a spill file held.
#[derive(Debug, Default)]
pub struct Found {
    /// The jobs, in the order of the file.
    pub jobs: Vec<Job>,
    /// The lines that are none, with the reason.
    pub rejected: Vec<Rejected>,
    /// How the schedules stood.
    pub schedules: Vec<Kept>,
    /// The whole file, and where in it each of the jobs stands.
    content: Vec<u8>,
    lines: Vec<(usize, Range<usize>)>,
}

/// A line of a spill file that could not be taken up.
#[derive(Debug)]
pub struct Rejected {
    /// Its number, counted from 1.
    pub line: usize,
    /// Why, without a word of its content.
    pub reason: String,
    content: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    backroom_spill: u32,
    written_at: Timestamp,
    jobs: usize,
    /// How the schedules stood. Here, because whoever knows nothing of it reads past it. Each as it stands, so that one
    /// that cannot be read spoils nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    schedules: Vec<serde_json::Value>,
}

/// A job as a line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    id: JobId,
    kind: KindName,
    queue: QueueName,
    payload: Box<RawValue>,
    state: StateName,
    /// Since when it is pending, when it is due, or when it was given up.
    at: Timestamp,
    created_at: Timestamp,
    run_at: Timestamp,
    started_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    max_attempts: u32,
    timeout_ms: u64,
    tags: Box<[Tag]>,
    /// Older files have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unique: Option<UniqueLine>,
    /// `traceparent` and `tracestate`, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<(String, Option<String>)>,
    /// Who wants to be told of it, or what it is a notice of. Older files have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notices: Option<Box<Notices>>,
    /// What became of its notices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<Box<Told>>,
    /// What came of it, when it is done and only kept for the sake of its unique key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<ResultLine>,
    /// Whether it had a result that was let go, because memory was full.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    result_expired: bool,
    /// Why nothing came of it, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    skip_reason: Option<Box<str>>,
    attempt: u32,
    runs: u32,
    sequence: u64,
    progress: Progress,
    error: Option<JobError>,
    attempts: Vec<Attempt>,
    log: Vec<LogLine>,
}

#[derive(Serialize, Deserialize)]
struct UniqueLine {
    key: UniqueKey,
    for_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct ResultLine {
    media_type: String,
    base64: String,
}

impl SpillFile {
    /// Takes a spill file for this process; it need not exist yet.
    ///
    /// # Errors
    ///
    /// When another process has it, or its folder cannot be written.
    pub fn open(path: &Path) -> Result<Self, SpillError> {
        let io = |source| SpillError::Io { path: path.to_owned(), source };
        // Resolved once: through links to what they lead to, and independent of a later change of folder.
        let path = resolve(path).map_err(io)?;
        // Opened now: a folder that cannot be synced must be found before anything is taken out of it.
        let folder = File::open(path.parent().unwrap_or(Path::new("/"))).map_err(io)?;
        let name = beside(&path, "lock");
        loop {
            let lock = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(&name)
                .map_err(io)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(SpillError::InUse(path)),
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
            // Its last owner may have removed the name after this one had opened it: then somebody else can lock a
            // new file of that name, and this lock is worth nothing.
            let locked = lock.metadata().map_err(io)?.ino();
            if fs::metadata(&name).is_ok_and(|named| named.ino() == locked) {
                return Ok(Self { path, folder, _lock: lock });
            }
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what the last drain left. A file that is missing or empty holds nothing.
    ///
    /// # Errors
    ///
    /// When it is not ours, or cannot be read.
    pub fn read(&self) -> Result<Found, SpillError> {
        let content = match fs::read(&self.path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::default()),
            Err(source) => return Err(self.io(source)),
        };
        Found::of(content, &self.path)
    }

    /// Keeps lines that could not be taken up, beside the spill file, in `….rejected`.
    ///
    /// # Errors
    ///
    /// When that file cannot be written.
    pub fn keep_rejected(&self, rejected: &[Rejected], now: Timestamp) -> Result<(), SpillError> {
        if rejected.is_empty() {
            return Ok(());
        }
        let path = beside(&self.path, "rejected");
        let write = || {
            let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&path)?;
            let before = file.metadata()?.len();
            add_lines(&mut file, before, rejected, now).inspect_err(|_| {
                // Half a line would spoil the first one of the next time.
                let _ = file.set_len(before);
            })
        };
        write().map_err(|source| SpillError::Io { path: path.clone(), source })?;
        for line in rejected {
            tracing::error!(file = %path.display(), line = line.line, reason = line.reason, "spilled job rejected");
        }
        // Before the spill file is removed: its name must not be gone when this one is not there yet.
        self.sync_folder();
        Ok(())
    }

    /// Removes the file, once its jobs are in the store.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn clear(&self) -> Result<(), SpillError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io(error)),
            _ => {
                self.sync_folder();
                Ok(())
            }
        }
    }

    /// Writes the jobs that are left; with none, no file. Returns when they are on disk.
    ///
    /// # Errors
    ///
    /// When they are not.
    pub fn write(&self, jobs: &[Arc<Job>], now: Timestamp) -> Result<(), SpillError> {
        self.write_with(jobs, &[], now)
    }

    /// As [`Self::write`], and how the schedules stand.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn write_with(
        &self,
        jobs: &[Arc<Job>],
        schedules: &[Kept],
        now: Timestamp,
    ) -> Result<(), SpillError> {
        if jobs.is_empty() && schedules.is_empty() {
            return Ok(());
        }
        let schedules = schedules.iter().filter_map(|kept| serde_json::to_value(kept).ok()).collect();
        let header = Header { backroom_spill: VERSION, written_at: now, jobs: jobs.len(), schedules };
        replace::replace(&replace::Machine, &self.path, |writer| {
            serde_json::to_writer(&mut *writer, &header)?;
            writer.write_all(b"\n")?;
            for job in jobs {
                if let Some(line) = Line::of(job) {
                    serde_json::to_writer(&mut *writer, &line)?;
                    writer.write_all(b"\n")?;
                }
            }
            Ok(())
        })
        .map_err(|source| self.io(source))?;
        self.sync_folder();
        Ok(())
    }

    /// What was renamed or removed is so, whether the folder can be synced or not: no reason to give up.
    fn sync_folder(&self) {
        if let Err(error) = self.folder.sync_all() {
            tracing::warn!(file = %self.path.display(), error = %error, "the folder of the spill file cannot be synced");
        }
    }

    fn io(&self, source: io::Error) -> SpillError {
        SpillError::Io { path: self.path.clone(), source }
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        // Only a courtesy: a lock file without a lock stands in nobody's way.
        let _ = fs::remove_file(beside(&self.path, "lock"));
    }
}

impl Found {
    /// What a file of this content holds.
    fn of(content: Vec<u8>, path: &Path) -> Result<Self, SpillError> {
        let mut lines = lines_of(&content);
        let Some((_, first)) = lines.next() else {
            return Ok(Self::default());
        };
        let Ok(header) = serde_json::from_slice::<Header>(&content[first]) else {
            return Err(SpillError::Foreign(path.to_owned()));
        };
        if header.backroom_spill > VERSION {
            return Err(SpillError::Newer { path: path.to_owned(), version: header.backroom_spill });
        }
        let mut found = Self::default();
        for kept in header.schedules {
            match serde_json::from_value(kept) {
                Ok(kept) => found.schedules.push(kept),
                Err(_) => {
                    tracing::warn!(file = %path.display(), "how a schedule stood cannot be read: it begins anew");
                }
            }
        }
        let mut seen = std::collections::HashSet::new();
        for (number, at) in lines {
            let read = serde_json::from_slice::<Line>(&content[at.clone()])
                .map_err(|error| {
                    format!("does not read as a job ({:?} at byte {})", error.classify(), error.column())
                })
                .and_then(Line::into_job);
            let reason = match read {
                Ok(job) if seen.insert(job.id()) => {
                    found.jobs.push(job);
                    found.lines.push((number, at));
                    continue;
                }
                Ok(job) => format!("the job {} stands in the file twice", job.id()),
                Err(reason) => reason,
            };
            found.rejected.push(Rejected { line: number, reason, content: content[at].to_owned() });
        }
        found.content = content;
        let missing = header.jobs.saturating_sub(found.jobs.len() + found.rejected.len());
        if missing > 0 {
            tracing::error!(file = %path.display(), missing, "spill file is shorter than it says");
        }
        Ok(found)
    }

    /// Turns away the jobs that were read well but cannot be run here; `fits` says why. Their lines are kept as they are.
    pub fn turn_away(&mut self, fits: impl Fn(&Job) -> Result<(), String>) {
        let (jobs, lines) = (std::mem::take(&mut self.jobs), std::mem::take(&mut self.lines));
        for (job, (line, at)) in jobs.into_iter().zip(lines) {
            match fits(&job) {
                Ok(()) => {
                    self.jobs.push(job);
                    self.lines.push((line, at));
                }
                Err(reason) => {
                    self.rejected.push(Rejected { line, reason, content: self.content[at].to_owned() });
                }
            }
        }
        self.rejected.sort_by_key(|rejected| rejected.line);
    }
}

/// The lines of a file that are not empty: each with its number, counted from 1, and where it stands.
fn lines_of(content: &[u8]) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut from = 0;
    let lines = content.split(|byte| *byte == b'\n').enumerate().map(move |(n, line)| {
        let at = from..from + line.len();
        from = at.end + 1;
        (n + 1, at)
    });
    lines.filter(|(_, at)| !at.is_empty())
}

/// Adds rejected lines to a file that is so long already.
fn add_lines(file: &mut File, length: u64, rejected: &[Rejected], now: Timestamp) -> io::Result<()> {
    if length == 0 {
        // With this line it can be given back under the name of the spill file, once what was wrong is mended.
        let header = Header { backroom_spill: VERSION, written_at: now, jobs: 0, schedules: Vec::new() };
        serde_json::to_writer(&mut *file, &header)?;
        file.write_all(b"\n")?;
    } else {
        let mut last = [0];
        file.read_exact_at(&mut last, length - 1)?;
        if last != *b"\n" {
            // Whoever wrote it last was killed at that.
            file.write_all(b"\n")?;
        }
    }
    for line in rejected {
        file.write_all(&line.content)?;
        file.write_all(b"\n")?;
    }
    file.sync_all()
}

impl Line {
    /// A job as a line; nothing when it has come to an end that needs no keeping.
    fn of(job: &Job) -> Option<Self> {
        let at = match job.state {
            JobState::Scheduled { due } | JobState::Failed { due } => due,
            JobState::Pending { since, .. } | JobState::Processing { since, .. } => since,
            JobState::DeadLettered { at } => at,
            JobState::Completed { at, .. } | JobState::Skipped { at, .. } if job.hold() != Hold::Free => at,
            JobState::Completed { .. } | JobState::Skipped { .. } | JobState::Canceled { .. } => return None,
        };
        let state = match job.state.name() {
            StateName::Processing => StateName::Pending,
            state => state,
        };
        let result = match &job.state {
            JobState::Completed { result: ResultSlot::Kept(result), .. } => Some(ResultLine {
                media_type: result.media_type().to_owned(),
                base64: BASE64_STANDARD.encode(result.bytes()),
            }),
            _ => None,
        };
        let result_expired = matches!(&job.state, JobState::Completed { result: ResultSlot::Expired, .. });
        let skip_reason = match &job.state {
            JobState::Skipped { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        let spec = &job.spec;
        Some(Self {
            id: spec.id,
            kind: spec.kind.clone(),
            queue: spec.queue.clone(),
            payload: one_line(&spec.payload),
            state,
            at,
            created_at: spec.created_at,
            run_at: job.run_at,
            started_at: job.started_at,
            expires_at: job.expires_at,
            max_attempts: spec.max_attempts,
            timeout_ms: u64::try_from(spec.timeout().as_millis()).unwrap_or(u64::MAX),
            tags: spec.tags.clone().into(),
            unique: spec.unique.as_ref().map(|unique| UniqueLine {
                key: unique.key.clone(),
                for_ms: u64::try_from(unique.window.as_millis()).unwrap_or(u64::MAX),
            }),
            trace: spec
                .trace
                .as_ref()
                .map(|trace| (trace.parent(trace.span()), trace.state().map(Into::into))),
            notices: spec.notices.clone(),
            told: job.told.clone(),
            result,
            result_expired,
            skip_reason,
            attempt: job.attempt,
            runs: job.runs,
            sequence: job.sequence,
            progress: job.progress.clone(),
            error: job.error.as_deref().cloned(),
            attempts: job.attempts.to_vec(),
            log: job.log.lines(),
        })
    }

    fn into_job(self) -> Result<Job, String> {
        if !(1..=100).contains(&self.max_attempts)
            || self.timeout_ms == 0
            || self.attempts.len() > ATTEMPTS_KEPT
        {
            return Err("max_attempts, timeout_ms or attempts is out of range".to_owned());
        }
        // Numbers that only grow: one that has nowhere left to grow to would stop whoever starts the job.
        if self.attempt.max(self.runs) > u32::MAX / 2 || self.sequence > u64::MAX / 2 {
            return Err("attempt, runs or sequence is out of range".to_owned());
        }
        let state = match self.state {
            StateName::Pending => JobState::Pending { turn: None, since: self.at },
            StateName::Scheduled => JobState::Scheduled { due: self.at },
            StateName::Failed => JobState::Failed { due: self.at },
            StateName::DeadLettered => JobState::DeadLettered { at: self.at },
            // Kept for the sake of a key only.
            state @ (StateName::Completed | StateName::Skipped) if self.unique.is_none() => {
                return Err(format!("a spilled job without a unique key cannot be {state}"));
            }
            StateName::Completed if self.result_expired => {
                JobState::Completed { at: self.at, result: ResultSlot::Expired }
            }
            StateName::Completed => JobState::Completed { at: self.at, result: result_of(self.result)? },
            StateName::Skipped => {
                JobState::Skipped { at: self.at, reason: self.skip_reason.unwrap_or_default() }
            }
            other => return Err(format!("a spilled job cannot be {other}")),
        };
        let spec = Spec {
            id: self.id,
            kind: self.kind,
            queue: self.queue,
            payload: self.payload,
            created_at: self.created_at,
            max_attempts: self.max_attempts,
            timeout: Duration::from_millis(self.timeout_ms),
            tags: self.tags,
            unique: self.unique.map(|UniqueLine { key, for_ms }| {
                // Never longer than it can be asked for, whatever stands in the file.
                let window = Duration::from_millis(for_ms).min(Unique::LONGEST_WINDOW);
                Box::new(Unique { key, window })
            }),
            trace: self
                .trace
                .and_then(|(parent, state)| Trace::parse(&parent, state.as_deref()))
                .map(Box::new),
            notices: self.notices,
            log: JobLog::default(),
        };
        let mut job = Job::new(spec, state, None);
        job.run_at = self.run_at;
        Ok(job.with(Course {
            attempt: self.attempt,
            runs: self.runs,
            sequence: self.sequence,
            expires_at: self.expires_at,
            started_at: self.started_at,
            progress: self.progress,
            error: self.error.map(Arc::new),
            attempts: self.attempts.into(),
            told: self.told.map(|told| Box::new(told.bounded())),
            log: JobLog::from_lines(self.log),
        }))
    }
}

/// A payload without breaks of lines: outside of strings, and in them none can stand, they mean nothing.
fn one_line(payload: &RawValue) -> Box<RawValue> {
    let text = payload.get();
    let joined = text.contains(['\n', '\r']).then(|| text.replace(['\n', '\r'], " "));
    joined.and_then(|joined| RawValue::from_string(joined).ok()).unwrap_or_else(|| payload.to_owned())
}

fn result_of(line: Option<ResultLine>) -> Result<ResultSlot, String> {
    let Some(ResultLine { media_type, base64 }) = line else {
        return Ok(ResultSlot::Null);
    };
    let bytes = BASE64_STANDARD.decode(base64).map_err(|_| "its result is not base64".to_owned())?;
    Ok(JobResult { media_type: media_type.into(), bytes: bytes.into() }.into())
}

/// The absolute path of the file itself, which need not exist, without links.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found_or_failed => return found_or_failed,
    }
    // A link to what does not exist yet: that is what will be written.
    let target = match fs::read_link(path) {
        Ok(target) => path.parent().unwrap_or(Path::new("")).join(target),
        Err(_) => path.to_owned(),
    };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = target
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this is no file name"))?;
    Ok(fs::canonicalize(folder)?.join(name))
}

/// `name.jsonl` and `lock` make `name.jsonl.lock`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests;
