//! What is wrong with a configuration, and where it was written.

use crate::job::nearest;
use std::fmt;
use std::path::PathBuf;

/// Says where a value was written. Ordered from the weakest layer to the strongest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// In `config/default.toml`, which is built into the program.
    Default,
    /// In a file.
    File {
        /// The path by which the file was opened.
        path: PathBuf,
        /// The place inside it.
        place: Place,
    },
    /// In the environment variable of this name.
    Environment(String),
    /// With `--set` on the command line.
    Set,
}

/// Names a place in a file. Lines and columns are counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// The file as a whole: it could not be read.
    Whole,
    /// A line.
    Line(usize),
    /// A character in a line.
    Column {
        /// The line.
        line: usize,
        /// The character in it.
        column: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, place } => match place {
                Place::Whole => write!(f, "{}", path.display()),
                Place::Line(line) => write!(f, "{}:{line}", path.display()),
                Place::Column { line, column } => write!(f, "{}:{line}:{column}", path.display()),
            },
            Self::Environment(name) => f.write_str(name),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// Says what is wrong with one key. Sorts by origin, then by key.
///
/// Never holds the value of a secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub struct ConfigFault {
    /// Where the value was written.
    pub origin: Origin,
    /// The key with its sections, `queues.mail.capacity`; empty when the fault is of a file or a variable as a whole.
    pub key: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.reason)
    }
}

/// Continues "unknown …" with the nearest of the known names, or with all of them when none is near.
pub(super) fn instead_of<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    match nearest(name, known.iter().copied()) {
        Some(candidate) => format!("did you mean \"{candidate}\"?"),
        None if known.is_empty() => "there are none".to_owned(),
        None => format!("there are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(place: Place) -> Origin {
        Origin::File { path: "backroom.toml".into(), place }
    }

    #[test]
    fn faults_read_like_those_of_a_compiler() {
        let fault = |origin, key: &str, reason: &str| {
            ConfigFault { origin, key: key.into(), reason: reason.into() }.to_string()
        };
        assert_eq!(
            fault(at(Place::Line(12)), "queues.mail.concurency", "unknown key"),
            "backroom.toml:12: queues.mail.concurency: unknown key"
        );
        assert_eq!(fault(at(Place::Column { line: 3, column: 7 }), "", "odd"), "backroom.toml:3:7: odd");
        assert_eq!(fault(at(Place::Whole), "", "gone"), "backroom.toml: gone");
        assert_eq!(fault(Origin::Environment("BACKROOM_A__B".into()), "a.b", "x"), "BACKROOM_A__B: a.b: x");
        assert_eq!(fault(Origin::Set, "a.b", "x"), "--set: a.b: x");
    }

    #[test]
    fn origins_sort_by_strength_and_lines_as_numbers() {
        let mut origins = [
            Origin::Set,
            Origin::Environment("BACKROOM_A__B".into()),
            at(Place::Line(10)),
            at(Place::Line(9)),
            Origin::Default,
        ];
        origins.sort();
        let shown: Vec<String> = origins.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["default", "backroom.toml:9", "backroom.toml:10", "BACKROOM_A__B", "--set"]);
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let known = ["queue", "timeout", "retry"];
        assert_eq!(instead_of("timout", known), "did you mean \"timeout\"?");
        assert_eq!(instead_of("quEUE", known), "did you mean \"queue\"?");
        assert_eq!(instead_of("colour", known), "there are: queue, retry, timeout");
        assert_eq!(instead_of("x", []), "there are none");
    }
}
