//! What the standard output is, and how much fits on its lines.

use std::io::{self, IsTerminal as _};

use crate::job::StateName;

/// What the standard output is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Screen {
    /// A terminal that a line can be written over on.
    pub(super) terminal: bool,
    /// Colours are wanted.
    pub(super) color: bool,
    /// How many characters fit on a line, where that is known.
    pub(super) width: Option<usize>,
}

/// How a text looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Paint {
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
    Cyan,
}

impl Screen {
    /// What the standard output is. <https://no-color.org>: `NO_COLOR` turns colours off.
    pub(super) fn stdout() -> Self {
        let terminal =
            io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let columns =
            || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
        let width = if terminal { columns().filter(|columns| *columns > 0) } else { None };
        Self { terminal, color, width }
    }

    /// A text in a colour, where colours are wanted.
    pub(super) fn paint(self, paint: Paint, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Green => "32",
            Paint::Yellow => "33",
            Paint::Red => "31",
            Paint::Cyan => "36",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// As much of a line as fits.
    pub(super) fn fit(self, line: &str) -> String {
        match self.width {
            Some(width) if line.chars().count() > width => {
                line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
            }
            _ => line.to_owned(),
        }
    }
}

impl Paint {
    /// How the name of a state looks.
    pub(super) fn of(state: &str) -> Self {
        match super::job_text::state(state) {
            Some(StateName::Completed) => Self::Green,
            Some(StateName::Processing) => Self::Cyan,
            Some(StateName::Failed) => Self::Yellow,
            Some(StateName::DeadLettered) => Self::Red,
            Some(StateName::Skipped | StateName::Canceled) => Self::Dim,
            _ if state == "paused" => Self::Yellow,
            _ => Self::Bold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit() {
        let screen = Screen { terminal: true, color: false, width: Some(4) };
        for (line, want) in [("", ""), ("abc", "abc"), ("abcd", "abcd"), ("abcde", "abc…"), ("äöüäö", "äöü…")]
        {
            assert_eq!(screen.fit(line), want);
        }
        assert_eq!(Screen { width: None, ..screen }.fit("abcde"), "abcde");
        assert_eq!(screen.paint(Paint::Red, "x"), "x");
        assert_eq!(Screen { color: true, ..screen }.paint(Paint::Red, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
