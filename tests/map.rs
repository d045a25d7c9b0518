//! ARCHITECTURE.md is true where a program can tell: the files that it names are there, the modules that are there are
//! named, and so are the tests that hold its invariants.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md")
}

fn section(page: &str, title: &str) -> String {
    let rest = page.split(&format!("## {title}\n")).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("ARCHITECTURE.md has no section {title:?}"));
    rest.split("\n## ").next().unwrap_or_default().to_owned()
}

#[test]
fn the_layout_is_what_is_there() {
    let layout = section(&page(), "Layout");
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
    let invariants = section(&page(), "Invariants");
    let mut tests = 0;
    for row in invariants.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let held_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let mut source = String::new();
        for name in held_by.split('`').skip(1).step_by(2) {
            if name.contains('/') {
                let path = Path::new(name);
                source =
                    fs::read_to_string(root().join(path)).unwrap_or_else(|_| panic!("{name} is gone: {row}"));
            } else {
                assert!(source.contains(&format!("fn {name}(")), "there is no test {name} any more: {row}");
                tests += 1;
            }
        }
    }
    assert!(tests >= 15, "the table has another form; look at this test again");
}
