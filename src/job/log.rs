//! What the attempts of a job wrote.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::record::truncate;
use super::weight::{ALLOCATION, COUNTS};

/// How many log lines are remembered: the last ones.
const LOG_LINES_KEPT: usize = 100;
/// How long a log line may be, in bytes; the rest is cut.
const LOG_LINE_BYTES: usize = 1_024;

/// The last lines that the attempts of a job wrote: 100, each of at most 1 KiB.
///
/// Most jobs write none, so that the room for them is made with the first one. From then on all copies of a job share its
/// log; lines are added to one that a store keeps through the store, which counts their bytes.
#[derive(Clone, Debug, Default)]
pub struct JobLog(Option<Arc<Mutex<Lines>>>);

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<LogLine>,
    /// Of the messages, with what the allocator adds to each.
    text: usize,
}

/// One line of a [`JobLog`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// By which attempt.
    pub attempt: u32,
    /// How much it matters.
    pub level: LogLevel,
    /// The text, without its line end.
    pub message: Box<str>,
}

/// How much a log line matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are everybody's")]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLine {
    /// A line; a longer message is cut at 1 KiB.
    pub fn new(at: Timestamp, attempt: u32, level: LogLevel, message: &str) -> Self {
        Self { at, attempt, level, message: truncate(message, LOG_LINE_BYTES).into() }
    }

    fn text(&self) -> usize {
        self.message.len() + ALLOCATION
    }
}

impl Lines {
    fn push(&mut self, line: LogLine) {
        if self.kept.len() == LOG_LINES_KEPT {
            self.pop();
        }
        self.text += line.text();
        self.kept.push_back(line);
    }

    fn pop(&mut self) {
        if let Some(oldest) = self.kept.pop_front() {
            self.text -= oldest.text();
        }
    }

    fn bytes(&self) -> usize {
        // The room itself is counted with the first line.
        if self.kept.capacity() == 0 {
            return 0;
        }
        size_of::<Mutex<Self>>()
            + COUNTS
            + ALLOCATION
            + self.kept.capacity() * size_of::<LogLine>()
            + self.text
    }
}

impl JobLog {
    /// One without a line.
    pub(super) const EMPTY: Self = Self(None);

    /// A log that begins with these lines.
    pub fn from_lines(lines: Vec<LogLine>) -> Self {
        let mut log = Self::default();
        for line in lines {
            log.push(line);
        }
        log
    }

    /// Adds a line; the oldest one leaves when there are 100 already.
    pub fn push(&mut self, line: LogLine) {
        let _ = self.append(line);
    }

    /// As [`Self::push`]; says what the lines took before and take now. Nothing comes between the two.
    pub(crate) fn append(&mut self, line: LogLine) -> (usize, usize) {
        let mut lines = lock(self.0.get_or_insert_default());
        let before = lines.bytes();
        lines.push(line);
        (before, lines.bytes())
    }

    /// Adds a line without taking more memory than before: the oldest lines make room for it. When that is not enough
    /// the line itself is dropped.
    pub(crate) fn append_in_place(&self, line: LogLine) -> (usize, usize) {
        let Some(lines) = &self.0 else {
            return (0, 0);
        };
        let mut lines = lock(lines);
        let (before, text) = (lines.bytes(), lines.text);
        while lines.text + line.text() > text && !lines.kept.is_empty() {
            lines.pop();
        }
        if lines.text + line.text() <= text {
            lines.push(line);
        }
        (before, lines.bytes())
    }

    /// Whether nothing was ever written into it: then its copies do not share what will be.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The bytes of memory that the lines take.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |lines| lock(lines).bytes())
    }

    /// The lines that are kept, oldest first.
    pub fn lines(&self) -> Vec<LogLine> {
        self.0.as_ref().map_or_else(Vec::new, |lines| lock(lines).kept.iter().cloned().collect())
    }
}

fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> LogLine {
        LogLine::new(Timestamp::from_millis(0), 1, LogLevel::Info, message)
    }

    fn kept(log: &JobLog) -> Vec<String> {
        log.lines().into_iter().map(|line| line.message.into_string()).collect()
    }

    #[test]
    fn the_log_keeps_its_last_hundred_lines() {
        for (written, first) in [(99, 0), (100, 0), (101, 1)] {
            let mut log = JobLog::default();
            (0..written).for_each(|n| log.push(line(&n.to_string())));
            let want: Vec<String> = (first..written).map(|n| n.to_string()).collect();
            assert_eq!(kept(&log), want, "{written} lines");
        }
    }

    #[test]
    fn a_line_is_cut_at_a_kibibyte() {
        for (length, cut) in [(1_023, 1_023), (1_024, 1_024), (1_025, 1_024)] {
            assert_eq!(line(&"x".repeat(length)).message.len(), cut);
        }
        assert_eq!(line(&"\u{e4}".repeat(600)).message.len(), LOG_LINE_BYTES);
        assert_eq!(line(&format!("x{}", "\u{e4}".repeat(600))).message.len(), LOG_LINE_BYTES - 1);
    }

    #[test]
    fn its_bytes_are_those_of_its_lines() {
        let mut log = JobLog::default();
        assert_eq!(log.bytes(), 0);
        for n in 0..500_usize {
            log.push(line(&"x".repeat(n)));
            let text: usize = kept(&log).iter().map(|text| text.len() + ALLOCATION).sum();
            let rest = log.bytes() - text;
            assert!((1..=128 * size_of::<LogLine>() + 200).contains(&rest), "{rest} bytes beside the text");
        }
    }

    #[test]
    fn a_line_in_place_takes_no_more_memory() {
        let mut log = JobLog::default();
        let _ = log.append_in_place(line("x"));
        assert_eq!((kept(&log).len(), log.bytes()), (0, 0), "no room was made for it");
        for text in ["aaaa", "bbbb", "cccc"] {
            log.push(line(text));
        }
        let before = log.bytes();
        let _ = log.append_in_place(line("dddd"));
        assert_eq!((kept(&log), log.bytes()), (vec!["bbbb".into(), "cccc".into(), "dddd".into()], before));
        let _ = log.append_in_place(line("eeeee"));
        assert_eq!(kept(&log), ["dddd", "eeeee"]);
        assert!(log.bytes() <= before);
        let _ = log.append_in_place(line(&"f".repeat(500)));
        assert_eq!(kept(&log), [""; 0], "it is longer than all of them");
    }
}
