//! Configurations for tests.

use std::ffi::OsString;

use super::{Config, ConfigFault, FileSource, Loaded, Sources, load};

pub(super) const KINDS: [&str; 3] = ["email", "noop", "invoice.render"];

fn sources(set: &[&str]) -> Sources {
    Sources { set: set.iter().map(|s| (*s).to_owned()).collect(), ..Sources::default() }
}

/// What comes of the defaults and some `--set`.
pub(super) fn loaded(set: &[&str]) -> Loaded {
    load(sources(set), &KINDS).unwrap_or_else(|faults| panic!("{set:?}: {faults:#?}"))
}

/// The configuration of [`loaded`].
pub(super) fn config(set: &[&str]) -> Config {
    loaded(set).config
}

/// The faults of some `--set`.
pub(super) fn faults(set: &[&str]) -> Vec<String> {
    match load(sources(set), &KINDS) {
        Ok(_) => panic!("{set:?} has no fault"),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

/// What comes of a file named `….toml` and some `--set`.
pub(super) fn with_file(text: &str, set: &[&str]) -> Result<Loaded, Vec<ConfigFault>> {
    with_all(text, &[], set)
}

/// What comes of a file, of variables and of some `--set`.
pub(super) fn with_all(
    text: &str,
    variables: &[(&str, &str)],
    set: &[&str],
) -> Result<Loaded, Vec<ConfigFault>> {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let variable = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
    load(
        Sources {
            file: FileSource::Named(file.path().to_owned()),
            environment: variables.iter().map(variable).collect(),
            ..sources(set)
        },
        &KINDS,
    )
}
