//! Reads the built-in templates and those of a folder, and finds everything that is broken in them.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::Value as Json;

use super::file_name::{FileName, Part};
use super::limit::counted;
use super::links::{dangerous, is_literal};
use super::render::{Index, Templates, is_html};
use super::uses::references;
use crate::mail::MailFault;

const KEY: &str = "mail.templates";

/// How much work one file may do: a hundred times what the largest of ours does.
const FUEL: u64 = 500_000;

/// How large a file may be, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

macro_rules! built_in {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!($name))),*] };
}

const BUILT_IN: [(&str, &str); 12] = built_in![
    "_parts.html",
    "layout.html",
    "layout.txt",
    "welcome.subject.txt",
    "welcome.txt",
    "welcome.html",
    "password_reset.subject.txt",
    "password_reset.txt",
    "password_reset.html",
    "job_finished.subject.txt",
    "job_finished.txt",
    "job_finished.html",
];

impl Templates {
    /// Reads the built-in templates and, over them, those of `folder`.
    ///
    /// # Errors
    ///
    /// Every file that is broken, with its line.
    pub(crate) fn load(app_name: &str, folder: Option<&Path>) -> Result<Self, Vec<MailFault>> {
        let mut faults = Vec::new();
        let mut files: BTreeMap<String, String> =
            BUILT_IN.iter().map(|(name, source)| ((*name).to_owned(), (*source).to_owned())).collect();
        if let Some(folder) = folder {
            read_folder(folder, &mut files, &mut faults);
        }
        let samples = take_samples(&mut files, &mut faults);
        let mut env = environment();
        let mut index = Index::new();
        for (file, source) in &files {
            if let Err(error) = env.add_template_owned(file.clone(), source.clone()) {
                let (line, detail) =
                    (error.line().unwrap_or(0), error.detail().unwrap_or("is not a template"));
                faults.push(MailFault::new(KEY, format!("{file}:{line}: {detail}")));
            }
            look_at(file, source, &files, &mut faults);
            if let Some(FileName::Template { name, locale, part }) = FileName::parse(file) {
                let parts = index.entry(name).or_default().entry(locale.unwrap_or_default()).or_default();
                if let Some(other) = parts[part as usize].replace(file.clone()) {
                    let reason = format!("{file}: is the same as {other}; capitals do not count");
                    faults.push(MailFault::new(KEY, reason));
                }
            }
        }
        for name in samples.keys().filter(|name| !index.contains_key(*name)) {
            let reason = format!("{name}.sample.json: there is no template {name:?}");
            faults.push(MailFault::new(KEY, reason));
        }
        for (name, locales) in &index {
            let parts = locales.get("").cloned().unwrap_or_default();
            let has = |part: Part| parts[part as usize].is_some();
            if !has(Part::Subject) {
                faults.push(MailFault::new(KEY, format!("template {name:?} has no {name}.subject.txt")));
            }
            if !has(Part::Text) && !has(Part::Html) {
                faults.push(MailFault::new(
                    KEY,
                    format!("template {name:?} has neither {name}.txt nor {name}.html"),
                ));
            }
        }
        if faults.is_empty() { Ok(Self::new(env, index, &files, samples, app_name)) } else { Err(faults) }
    }
}

/// Takes the samples out of the files.
fn take_samples(files: &mut BTreeMap<String, String>, faults: &mut Vec<MailFault>) -> BTreeMap<String, Json> {
    let mut samples = BTreeMap::new();
    files.retain(|file, source| {
        let Some(FileName::Sample { name }) = FileName::parse(file) else {
            return true;
        };
        match serde_json::from_str(source) {
            Ok(sample @ Json::Object(_)) => {
                samples.insert(name, sample);
            }
            Ok(_) => faults.push(MailFault::new(KEY, format!("{file}: must be a JSON object"))),
            Err(error) => {
                let reason = format!("{file}:{}: is not JSON", error.line());
                faults.push(MailFault::new(KEY, reason));
            }
        }
        false
    });
    samples
}

/// Looks for what the engine does not see in a source.
fn look_at(file: &str, source: &str, files: &BTreeMap<String, String>, faults: &mut Vec<MailFault>) {
    let missing = references(source).into_iter().filter(|(_, other)| !files.contains_key(*other));
    for (line, other) in missing {
        faults.push(MailFault::new(KEY, format!("{file}:{line}: there is no file {other:?}")));
    }
    let lower = source.to_ascii_lowercase();
    let runs = |scheme: &&str| {
        is_literal(&lower, scheme) || dangerous(&lower).iter().any(|(_, found)| found == *scheme)
    };
    for scheme in ["javascript", "vbscript"].into_iter().filter(|_| is_html(file)).filter(runs) {
        faults.push(MailFault::new(KEY, format!("{file}: no mail may link to {scheme}:")));
    }
    // `{% extends "layout." ~ lang ~ ".html" %}` is one way to use it.
    let uses = |source: &String| {
        source.contains(file) || source.contains("\"layout.\"") || source.contains("'layout.'")
    };
    let has_locale = |rest: &str| rest.contains('.');
    if file.strip_prefix("layout.").is_some_and(has_locale) && !files.values().any(uses) {
        let reason = format!("{file}: is never used: name it in {{% extends %}}, for a layout has no locale");
        faults.push(MailFault::new(KEY, reason));
    }
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|file| if is_html(file) { AutoEscape::Html } else { AutoEscape::None });
    env.set_fuel(Some(FUEL));
    env.set_formatter(counted);
    // Errors would carry the values that they met, and those go into logs.
    env.set_debug(false);
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        env.set_syntax(syntax);
    }
    env
}

fn read_folder(folder: &Path, files: &mut BTreeMap<String, String>, faults: &mut Vec<MailFault>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            faults.push(MailFault::new(KEY, format!("{} cannot be read: {error}", folder.display())));
            return;
        }
    };
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => {
                faults.push(MailFault::new(KEY, format!("{} cannot be read: {error}", folder.display())));
                continue;
            }
        };
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // What editors, file managers and authors leave beside templates.
        if file.starts_with('.')
            || file.ends_with('~')
            || path.extension().is_some_and(|end| end == "md")
            || path.is_dir()
        {
            continue;
        }
        let read = if FileName::parse(&file).is_none() {
            Err("is not the name of a template; write NAME.subject.txt, NAME.txt, NAME.html or NAME.sample.json".to_owned())
        } else {
            read_file(&path)
        };
        match read {
            Ok(source) => {
                files.insert(file, source);
            }
            Err(reason) => faults.push(MailFault::new(KEY, format!("{file}: {reason}"))),
        }
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("is larger than {MAX_FILE_BYTES} bytes"));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}
