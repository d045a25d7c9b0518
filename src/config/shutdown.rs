//! `[shutdown]` and `[log]`.

use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::bounds;
use super::reader::Reader;

/// Says how to stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shutdown {
    /// How long running and waiting jobs may take to finish: nothing to 24 h. A stop can take `ready_delay`, this, the
    /// longest `cancel_grace` and 4 s.
    pub grace: Duration,
    /// How long to be "not ready" before intake is refused: nothing to 5 min.
    pub ready_delay: Duration,
    /// Where the jobs go that the drain could not finish, in a folder that is there; `None`: nowhere, they are lost.
    pub spill_file: Option<PathBuf>,
}

/// Says what is logged and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// A level, or directives that `EnvFilter` has accepted.
    pub level: String,
    /// The form.
    pub format: LogFormat,
    /// Whether every request has a line.
    pub access: bool,
}

/// Names the form of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Shutdown {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.section("shutdown", |s| Self {
            grace: s.duration("grace", bounds::GRACE),
            ready_delay: s.duration("ready_delay", bounds::READY_DELAY),
            spill_file: s.text("spill_file", None, spill_file),
        })
    }
}

impl Log {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.section("log", |s| Self {
            level: s.text("level", String::new(), filter),
            format: s.choice("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]),
            access: s.flag("access"),
        })
    }
}

/// A path at which a file can be; `""` is none. That the folder is missing must be known before a drain needs it.
fn spill_file(text: &str) -> Result<Option<PathBuf>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(text);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err("must be in a folder that is there".to_owned());
    }
    if path.is_dir() {
        return Err("must be a file, not a folder".to_owned());
    }
    Ok(Some(path))
}

/// Checks directives and returns them without the spaces between them, which `EnvFilter` does not take.
fn filter(text: &str) -> Result<String, String> {
    let directives: Vec<&str> = text.split(',').map(str::trim).collect();
    // EnvFilter takes any word for the name of a module, so that "inof" would silence everything.
    let is_stray = |directive: &&str| {
        !directive.contains(['=', '[']) && (directive.is_empty() || directive.parse::<LevelFilter>().is_err())
    };
    let joined = directives.join(",");
    if directives.iter().any(is_stray) || EnvFilter::builder().parse(&joined).is_err() {
        return Err("must be off, error, warn, info, debug or trace, or directives such as \
                    \"info,backroom::worker=debug\""
            .to_owned());
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{config, faults};

    #[test]
    fn the_shipped_values() {
        let config = config(&[]);
        let spill_file = Some("backroom.spill.jsonl".into());
        let (grace, ready_delay) = (Duration::from_secs(25), Duration::ZERO);
        assert_eq!(config.shutdown, Shutdown { grace, ready_delay, spill_file });
        assert_eq!(config.log, Log { level: "info".into(), format: LogFormat::Text, access: false });
    }

    #[test]
    fn the_spill_file_can_be_turned_off() {
        assert_eq!(config(&["shutdown.spill_file="]).shutdown.spill_file, None);
        assert_eq!(config(&["shutdown.spill_file=\"\""]).shutdown.spill_file, None);
    }

    #[test]
    fn the_spill_file_needs_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let spill = |path: &str| format!("shutdown.spill_file={path}");
        for good in ["x.jsonl", "./x.jsonl", &format!("{path}/x.jsonl")] {
            assert_eq!(config(&[&spill(good)]).shutdown.spill_file, Some(good.into()));
        }
        let found = faults(&[&spill(&format!("{path}/gone/x.jsonl"))]);
        assert!(
            found.len() == 1
                && found[0].starts_with("--set: shutdown.spill_file: must be in a folder that is there"),
            "{found:?}"
        );
        let found = faults(&[&spill(&path.to_string())]);
        assert!(found.len() == 1 && found[0].contains("not a folder"), "{found:?}");
    }

    #[test]
    fn a_level_is_a_level_or_directives() {
        for good in [
            "off",
            "WARN",
            "trace",
            "info,backroom::worker=debug",
            "warn,actix=off",
            "backroom[job{id=a}]=debug",
        ] {
            assert_eq!(config(&[&format!("log.level={good}")]).log.level, good);
        }
        assert_eq!(config(&["log.level= warn , actix=off "]).log.level, "warn,actix=off");
        for bad in ["", "inof", "info,", "info,debgu", "backroom=loud", "a=b=c"] {
            let found = faults(&[&format!("log.level={bad}")]);
            assert_eq!(found.len(), 1, "{bad:?}");
            assert!(found[0].contains("must be off, error, warn"), "{found:?}");
        }
    }

    #[test]
    fn the_format_is_one_of_two() {
        assert_eq!(config(&["log.format=json"]).log.format, LogFormat::Json);
        assert_eq!(
            faults(&["log.format=JSON"]),
            ["--set: log.format: must be \"text\" or \"json\" (found \"JSON\")"]
        );
    }
}
