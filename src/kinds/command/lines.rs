//! What a program says on its standard error, line by line.

use crate::job::LogLevel;

/// How much of a line is kept, in bytes: more than a log line or a reason may have, with the word before it.
const KEPT: usize = 2_048;

/// Takes bytes as they come, gives lines.
#[derive(Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
}

/// What a line means.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Said<'a> {
    /// How far the program is: 0 to 100, and what it does.
    Progress(u8, &'a str),
    /// There is nothing to do, for this reason.
    Skip(&'a str),
    /// Something for the log.
    Log(LogLevel, &'a str),
}

impl Lines {
    /// Gives every line that is complete with these bytes, without its end. A line that is too long loses its rest.
    pub(super) fn take(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = KEPT - self.begun.len();
            self.begun.extend_from_slice(&piece[..piece.len().min(room)]);
            // What follows the last line end is the beginning of the next line.
            if pieces.peek().is_some() {
                self.give(&mut each);
            }
        }
    }

    /// Gives the last line, if it had no end.
    pub(super) fn finish(&mut self, mut each: impl FnMut(&str)) {
        self.give(&mut each);
    }

    fn give(&mut self, each: &mut impl FnMut(&str)) {
        let line = String::from_utf8_lossy(&self.begun);
        let line = line.trim_end();
        if !line.is_empty() {
            each(line);
        }
        self.begun.clear();
    }
}

impl<'a> Said<'a> {
    /// Takes a line for what it is. One that begins like a directive and is none goes to the log as it is.
    pub(super) fn of(line: &'a str) -> Self {
        let plain = Self::Log(LogLevel::Info, line);
        let Some(directive) = line.strip_prefix("::") else {
            return plain;
        };
        let (word, rest) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
        let rest = rest.trim();
        match word {
            "progress" => {
                let (percent, message) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                match percent.parse() {
                    Ok(percent @ 0..=100) => Self::Progress(percent, message.trim_start()),
                    _ => plain,
                }
            }
            "skip" if rest.is_empty() => Self::Skip("the program skipped the job"),
            "skip" => Self::Skip(rest),
            "debug" => Self::Log(LogLevel::Debug, rest),
            "warning" => Self::Log(LogLevel::Warn, rest),
            "error" => Self::Log(LogLevel::Error, rest),
            _ => plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut given) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.take(chunk, |line| given.push(line.to_owned()));
        }
        lines.finish(|line| given.push(line.to_owned()));
        given
    }

    #[test]
    fn lines_are_put_together_from_whatever_comes() {
        assert_eq!(lines(&[b"a\nb", b"c\r\n", b"\n", b"d\n\ne"]), ["a", "bc", "d", "e"]);
        assert_eq!(lines(&[]), [""; 0]);
        assert_eq!(lines(&[b"\n\n \n"]), [""; 0]);
        assert_eq!(lines(&[b"caf\xc3", b"\xa9\nbad \xff.\n"]), ["caf\u{e9}", "bad \u{fffd}."]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_room_than_a_long_one() {
        for (length, kept) in [(2_047, 2_047), (2_048, 2_048), (2_049, 2_048), (100_000, 2_048)] {
            let long = vec![b'x'; length];
            let given = lines(&[&long, &long, b"\nnext"]);
            assert_eq!((given[0].len(), &*given[1]), (kept.max((2 * length).min(2_048)), "next"));
        }
        let mut lines = Lines::default();
        for _ in 0..1_000 {
            lines.take(&[b'x'; 1_000], |_| panic!("there is no line"));
            assert!(lines.begun.len() <= KEPT);
        }
    }

    #[test]
    fn directives_are_exact_and_everything_else_is_the_log() {
        use LogLevel::{Debug, Error, Info, Warn};
        for (line, said) in [
            ("::progress 45 Rendering page 3", Said::Progress(45, "Rendering page 3")),
            ("::progress 0", Said::Progress(0, "")),
            ("::progress 100 done", Said::Progress(100, "done")),
            ("::progress 101 done", Said::Log(Info, "::progress 101 done")),
            ("::progress -1", Said::Log(Info, "::progress -1")),
            ("::progress half", Said::Log(Info, "::progress half")),
            ("::progress", Said::Log(Info, "::progress")),
            ("::skip  paid already ", Said::Skip("paid already")),
            ("::skip", Said::Skip("the program skipped the job")),
            ("::skipper", Said::Log(Info, "::skipper")),
            ("::debug x", Said::Log(Debug, "x")),
            ("::warning low on paper", Said::Log(Warn, "low on paper")),
            ("::error no paper", Said::Log(Error, "no paper")),
            (" ::error no paper", Said::Log(Info, " ::error no paper")),
            ("::", Said::Log(Info, "::")),
            ("plain", Said::Log(Info, "plain")),
        ] {
            assert_eq!(Said::of(line), said, "{line}");
        }
    }
}
