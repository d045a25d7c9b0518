//! ARCHITECTURE.md and README.md are true where a program can tell: the files that the map names are there, the modules
//! that are there are named, and the tests that hold the invariants and the guarantees are there and are run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn section(page: &str, title: &str) -> String {
    let text = fs::read_to_string(root().join(page)).unwrap_or_else(|_| panic!("{page} is gone"));
    let rest = text.split(&format!("\n## {title}\n")).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("{page} has no section {title:?}"));
    rest.split("\n## ").next().unwrap_or_default().to_owned()
}

#[test]
fn the_layout_is_what_is_there() {
    let layout = section("ARCHITECTURE.md", "Layout");
    let named: BTreeSet<&str> = layout
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|path| path.contains('/'))
        .collect();
    assert!(named.len() > 20, "the layout has another form; look at this test again");
    let gone: Vec<&&str> = named.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md names what is not there any more: {gone:?}");

    let mut missing = Vec::new();
    for entry in fs::read_dir(root().join("src")).expect("src/") {
        let path = entry.expect("src/").path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let path = format!("src/{name}{}", if path.is_dir() { "/" } else { "" });
        if !named.contains(path.as_str()) {
            missing.push(path);
        }
    }
    // Where one file of a folder is named, all are; where none is, the folder speaks for them.
    for folder in ["job", "handler", "queue", "store", "jobs", "worker"] {
        for entry in fs::read_dir(root().join("src").join(folder)).expect("a folder of src/") {
            let name = entry.expect("a folder of src/").file_name().to_string_lossy().into_owned();
            let path = format!("src/{folder}/{name}");
            if name != "mod.rs" && !named.contains(path.as_str()) {
                missing.push(path);
            }
        }
    }
    assert!(missing.is_empty(), "ARCHITECTURE.md (Layout) does not name: {missing:?}");
}

#[test]
fn every_invariant_has_its_test() {
    let tests = tests_of(&section("ARCHITECTURE.md", "Invariants"));
    assert!(tests >= 20, "the table has another form; look at this test again");
}

#[test]
fn every_guarantee_has_its_test() {
    let tests = tests_of(&section("README.md", "Guarantees"));
    assert!(tests >= 60, "the table has another form; look at this test again");
}

/// Looks for every test in the last column of a table, and says how many there are.
fn tests_of(section: &str) -> usize {
    let mut tests = 0;
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    for row in rows {
        let held_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let (mut path, mut source, mut found) = (PathBuf::new(), String::new(), 0);
        for name in held_by.split('`').skip(1).step_by(2) {
            if name.contains('/') {
                path = root().join(name);
                source = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{name} is gone: {row}"));
            } else {
                assert!(is_run(&path, &source, name), "there is no test {name} that is run: {row}");
                found += 1;
            }
        }
        assert!(found > 0, "nothing holds this: {row}");
        tests += found;
    }
    tests
}

/// Whether there is a function of this name that is a test, or that the suite beside it calls.
fn is_run(path: &Path, source: &str, name: &str) -> bool {
    let opening = format!("fn {name}(");
    let mut before = source.lines().take_while(|line| !line.contains(&opening)).collect::<Vec<_>>();
    if before.len() == source.lines().count() {
        return false;
    }
    before.reverse();
    let attributes = before.iter().map(|line| line.trim()).take_while(|line| line.starts_with(['#', '/']));
    let mut attributes = attributes.filter(|line| line.starts_with('#'));
    attributes.any(|line| line.contains("test") && !line.contains("ignore")) || is_called(path, name)
}

/// Whether the suite of a folder (of a seam, or of shuttle) mentions a function without defining it.
fn is_called(path: &Path, name: &str) -> bool {
    ["conformance.rs", "main.rs"].iter().any(|suite| {
        let text = fs::read_to_string(path.with_file_name(suite)).unwrap_or_default();
        text.lines().any(|line| {
            !line.trim_start().starts_with("//")
                && !line.contains("fn ")
                && line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
        })
    })
}

#[test]
fn only_what_is_run_counts() {
    let nowhere = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs");
    let source = "#[test]\nfn run() {}\n\n/// Says.\n#[tokio::test]\nasync fn run_too() {}\n\nfn helper() {}\n\n\
                  #[test]\n#[ignore]\nfn left_out() {}\n\n#[cfg(unix)]\nfn neither() {}\n";
    for (name, is) in [
        ("run", true),
        ("run_too", true),
        ("helper", false),
        ("neither", false),
        ("nothing", false),
        ("ru", false),
    ] {
        assert_eq!(is_run(&nowhere, source, name), is, "{name}");
    }
    let suite = root().join("src/store/conformance.rs");
    let source = fs::read_to_string(&suite).expect("the suite");
    assert!(is_run(&suite, &source, "refuses_a_late_settle"));
    let uncalled = format!("{source}\nasync fn is_called_by_nobody() {{}}\n");
    assert!(!is_run(&suite, &uncalled, "is_called_by_nobody"));
}
