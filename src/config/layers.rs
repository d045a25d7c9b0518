//! From files, environment and command line to one tree, each value with its origin.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::environment;
use super::fault::{ConfigFault, Origin, Place};
use super::retry;
use super::secret;
use super::set;
use super::tree::{Node, Table};

/// The lowest layer, and the reference.
pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Says where the configuration comes from besides the embedded defaults. The default is: from nowhere.
#[derive(Clone, Default, Debug)]
pub struct Sources {
    /// The file.
    pub file: FileSource,
    /// The environment, as `std::env::vars_os()` gives it. Only `BACKROOM_…` is looked at.
    pub environment: Vec<(OsString, OsString)>,
    /// What was given with `--set`: `section.key=value`, in the order of the command line; the last one wins.
    pub set: Vec<String>,
}

/// Names the file of the configuration.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum FileSource {
    /// None.
    #[default]
    None,
    /// This one; when it cannot be read, that is a fault.
    Named(PathBuf),
    /// This one if it is there.
    IfPresent(PathBuf),
}

/// All layers in one.
pub(super) struct Merged {
    pub(super) tree: Table,
    pub(super) faults: Vec<ConfigFault>,
    pub(super) warnings: Vec<String>,
    /// Whether the file could not be read, so that what the other layers refer to may be missing.
    pub(super) incomplete: bool,
}

/// Lays all layers over each other, the defaults at the bottom.
pub(super) fn merge(sources: Sources) -> Merged {
    let mut faults = Vec::new();
    let mut warnings = Vec::new();
    let mut tree = defaults(&mut faults);
    let shipped = tree.clone();
    let file = file(sources.file, &mut faults);
    let incomplete = file.is_none();
    let layers = [
        file.unwrap_or_else(|| Table::new(Origin::Default)),
        environment::layer(sources.environment, &mut faults, &mut warnings),
        set::layer(&sources.set, &mut faults),
    ];
    for mut layer in layers {
        retry::choose_form(&mut tree, &mut layer, &mut faults);
        secret::choose_form(&mut tree, &shipped, &layer);
        tree.merge(layer, &mut Vec::new(), &mut faults);
    }
    fill(&mut tree, &shipped, "queues", "default", |_| true);
    fill(&mut tree, &shipped, "retry", "standard", |profile| !profile.entries.contains_key("delays"));
    Merged { tree, faults, warnings, incomplete }
}

/// Gives the members of `section` what they leave out, from the shipped member `base`.
fn fill(tree: &mut Table, shipped: &Table, section: &str, base: &str, wanted: fn(&Table) -> bool) {
    let Some(base) = shipped.table(section).and_then(|section| section.table(base)) else {
        return;
    };
    let Some(section) = tree.table_mut(section) else {
        return;
    };
    for node in section.entries.values_mut() {
        if let Node::Table(member) = node
            && wanted(member)
        {
            for (key, value) in &base.entries {
                member.entries.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

fn defaults(faults: &mut Vec<ConfigFault>) -> Table {
    document(DEFAULTS, &Origin::Default, &|_| Origin::Default, faults)
        .unwrap_or_else(|| Table::new(Origin::Default))
}

/// What is wrong with a file that another option names.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be read: {error}", path.display())
}

/// The layer of the file; `None` when it cannot be read.
fn file(source: FileSource, faults: &mut Vec<ConfigFault>) -> Option<Table> {
    let (path, must_exist) = match source {
        FileSource::None => return Some(Table::new(Origin::Default)),
        FileSource::Named(path) => (path, true),
        FileSource::IfPresent(path) => (path, false),
    };
    let whole = Origin::File { path: path.clone(), place: Place::Whole };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let line = |span: Range<usize>| in_file(&path, Place::Line(position(&text, span.start).0));
            document(&text, &whole, &line, faults)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => {
            Some(Table::new(Origin::Default))
        }
        Err(error) => {
            faults.push(ConfigFault {
                origin: whole,
                key: String::new(),
                reason: format!("cannot be read: {error}"),
            });
            None
        }
    }
}

/// Parses a document. Of one with a fault in its syntax nothing is taken: what could be read of it may not be meant.
fn document(
    text: &str,
    whole: &Origin,
    origin: &dyn Fn(Range<usize>) -> Origin,
    faults: &mut Vec<ConfigFault>,
) -> Option<Table> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(Table::from_toml(table.get_ref(), whole.clone(), origin));
    }
    // One fault a line: what follows on the same line is often only an echo of the first.
    let mut by_line = BTreeMap::new();
    for error in errors {
        let (line, column) = error.span().map_or((1, 1), |span| position(text, span.start));
        // The message alone: the rest of the error quotes the line, which may hold a secret.
        by_line.entry(line).or_insert_with(|| (column, error.message().replace('\n', ", ")));
    }
    faults.extend(by_line.into_iter().map(|(line, (column, reason))| ConfigFault {
        origin: match whole {
            Origin::File { path, .. } => in_file(path, Place::Column { line, column }),
            other => other.clone(),
        },
        key: String::new(),
        reason,
    }));
    None
}

fn in_file(path: &Path, place: Place) -> Origin {
    Origin::File { path: path.to_owned(), place }
}

/// The line and the column of a byte, counted from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..byte.min(text.len())];
    let lines: Vec<&[u8]> = before.split(|b| *b == b'\n').collect();
    let last = lines.last().map_or(0, |line| String::from_utf8_lossy(line).chars().count());
    (lines.len(), last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::Leaf;
    use crate::config::value::Value;
    use std::io::Write as _;

    fn leaf<'a>(tree: &'a Table, path: &[&str]) -> &'a Leaf {
        let (last, sections) = path.split_last().unwrap();
        let table = sections.iter().fold(tree, |table, name| table.table(name).unwrap());
        match &table.entries[*last] {
            Node::Leaf(leaf) => leaf,
            Node::Table(_) => panic!("{path:?} is a section"),
        }
    }

    fn temporary(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn shown(faults: &[ConfigFault]) -> Vec<String> {
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_embedded_defaults_parse() {
        let mut faults = Vec::new();
        let tree = defaults(&mut faults);
        assert_eq!(faults, []);
        assert_eq!(leaf(&tree, &["log", "level"]).value, Value::String("info".into()));
        assert_eq!(leaf(&tree, &["log", "level"]).origin, Origin::Default);
    }

    #[test]
    fn each_layer_wins_over_the_one_below() {
        let file = temporary("[limits]\nbatch = 2\npayload = \"2KiB\"\nresult = '2KiB'\n");
        let path = file.path().to_owned();
        let merged = merge(Sources {
            file: FileSource::Named(path.clone()),
            environment: vec![
                ("BACKROOM_LIMITS__BATCH".into(), "3".into()),
                ("BACKROOM_LIMITS__PAYLOAD".into(), "3KiB".into()),
            ],
            set: vec!["limits.batch=4".into(), "limits.batch=5".into()],
        });
        assert_eq!(merged.faults, []);
        let limits = |key: &str| leaf(&merged.tree, &["limits", key]).clone();
        assert_eq!(limits("batch"), Leaf { value: Value::Text("5".into()), origin: Origin::Set });
        let origin = Origin::Environment("BACKROOM_LIMITS__PAYLOAD".into());
        assert_eq!(limits("payload"), Leaf { value: Value::Text("3KiB".into()), origin });
        let origin = Origin::File { path, place: Place::Line(4) };
        assert_eq!(limits("result"), Leaf { value: Value::String("2KiB".into()), origin });
        assert_eq!(leaf(&merged.tree, &["log", "level"]).origin, Origin::Default);
    }

    #[test]
    fn lines_are_those_of_the_key_in_every_spelling() {
        let file = temporary(
            "# ä\nmail.app_name = 'x'\n\n[queues]\nbulk = { capacity = 1 }\n\n[kinds.noop]\nsensitive = [\n 'a',\n]\n",
        );
        let merged = merge(Sources { file: FileSource::Named(file.path().to_owned()), ..Sources::default() });
        let line = |path: &[&str]| match &leaf(&merged.tree, path).origin {
            Origin::File { place: Place::Line(line), .. } => *line,
            other => panic!("{other:?}"),
        };
        assert_eq!(line(&["mail", "app_name"]), 2);
        assert_eq!(line(&["queues", "bulk", "capacity"]), 5);
        assert_eq!(line(&["kinds", "noop", "sensitive"]), 8);
    }

    #[test]
    fn every_syntax_error_has_its_place_and_hides_the_line() {
        let file = temporary("[server]\nbind = s3cret\n\n[mail\napp_name = 'x'\n");
        let path = file.path().display().to_string();
        let merged = merge(Sources { file: FileSource::Named(file.path().to_owned()), ..Sources::default() });
        let faults = shown(&merged.faults);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with(&format!("{path}:2:8: ")), "{faults:?}");
        assert!(faults[1].starts_with(&format!("{path}:4:")), "{faults:?}");
        assert!(!faults.concat().contains("s3cret"), "{faults:?}");
        assert_eq!(leaf(&merged.tree, &["mail", "app_name"]).origin, Origin::Default);
    }

    #[test]
    fn a_named_file_must_be_there_and_the_usual_one_may() {
        let gone = PathBuf::from("/nonexistent/backroom.toml");
        let merged = merge(Sources { file: FileSource::IfPresent(gone.clone()), ..Sources::default() });
        assert_eq!(merged.faults, []);
        let merged = merge(Sources { file: FileSource::Named(gone), ..Sources::default() });
        let faults = shown(&merged.faults);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("/nonexistent/backroom.toml: cannot be read: "), "{faults:?}");
        let folder = FileSource::IfPresent(std::env::temp_dir());
        assert_eq!(merge(Sources { file: folder, ..Sources::default() }).faults.len(), 1);
    }

    #[test]
    fn a_byte_has_a_line_and_a_column() {
        let text = "ä=1\nbc\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 2), (1, 2));
        assert_eq!(position(text, 5), (2, 1));
        assert_eq!(position(text, 6), (2, 2));
        assert_eq!(position(text, 99), (3, 1));
    }

    #[test]
    fn a_new_queue_starts_from_what_is_shipped() {
        let set = vec!["queues.bulk.concurrency=6".into(), "queues.default.capacity=7".into()];
        let merged = merge(Sources { set, ..Sources::default() });
        let capacity = |queue: &str| leaf(&merged.tree, &["queues", queue, "capacity"]).clone();
        assert_eq!(capacity("default").value, Value::Text("7".into()));
        let shipped = Leaf { value: Value::Integer(1000), origin: Origin::Default };
        assert_eq!(capacity("bulk"), shipped);
        assert_eq!(capacity("mail"), shipped);
        let retry = merged.tree.table("retry").unwrap();
        assert!(!retry.table("patient").unwrap().entries.contains_key("factor"));
    }
}
