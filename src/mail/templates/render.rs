//! Turns a template and data into a subject and bodies.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::{Environment, ErrorKind, Value};
use serde_json::Value as Json;

use super::data::{Variables, variables};
use super::file_name::{Part, fallbacks};
use super::limit::{Limited, MAX_PART_BYTES};
use super::uses::Uses;

/// By name, then by locale in lower case (`""` for all): the files of the parts, in the order of [`Part::ALL`].
pub(super) type Index = BTreeMap<String, BTreeMap<String, [Option<String>; 3]>>;

/// Every template that mails can be written from.
pub struct Templates {
    env: Environment<'static>,
    index: Index,
    /// By file.
    uses: BTreeMap<String, Uses>,
    /// The sources of the files that make HTML, in lower case: what a link in the mail owes to its author.
    pub(super) literals: BTreeMap<String, String>,
    /// By name of a template: what it is tried with.
    pub(super) samples: BTreeMap<String, Json>,
    app_name: String,
}

/// What a template says with certain data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// The body as plain text.
    pub text: Option<String>,
    /// The body as HTML.
    pub html: Option<String>,
}

/// Why a template could not be rendered. Never contains a value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RenderError {
    /// There is no such template.
    #[error("there is no such template")]
    Unknown,
    /// The data does not fit the template.
    #[error("{file}:{line}: {kind}")]
    Failed {
        /// The file.
        file: String,
        /// The line in it.
        line: usize,
        /// What is wrong.
        kind: ErrorKind,
    },
    /// With this data, a part of the mail would be too large.
    #[error("{file}: makes more than {MAX_PART_BYTES} bytes")]
    TooLarge {
        /// The file.
        file: String,
    },
}

impl Templates {
    pub(super) fn new(
        env: Environment<'static>,
        index: Index,
        files: &BTreeMap<String, String>,
        samples: BTreeMap<String, Json>,
        app_name: &str,
    ) -> Self {
        let uses = files.keys().map(|file| (file.clone(), Uses::of(&env, files, file)));
        let literals = files.iter().filter(|(file, _)| is_html(file));
        Self {
            uses: uses.collect(),
            literals: literals.map(|(file, source)| (file.clone(), source.to_ascii_lowercase())).collect(),
            env,
            index,
            samples,
            app_name: app_name.to_owned(),
        }
    }

    /// The names of all templates, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.index.keys().map(String::as_str).collect()
    }

    /// The locales that a template has files of its own for, in lower case, sorted.
    pub fn locales(&self, name: &str) -> Vec<&str> {
        let locales = self.index.get(name).into_iter().flat_map(BTreeMap::keys);
        locales.map(String::as_str).filter(|locale| !locale.is_empty()).collect()
    }

    /// Renders a template.
    ///
    /// # Errors
    ///
    /// When there is no such template, a part is larger than 1 MiB, or a variable is missing; see [`Self::check`] for all of them.
    pub fn render(&self, name: &str, locale: Option<&str>, data: &Json) -> Result<Rendered, RenderError> {
        self.render_with(name, locale, variables(data))
    }

    pub(super) fn render_with(
        &self,
        name: &str,
        locale: Option<&str>,
        mut variables: Variables,
    ) -> Result<Rendered, RenderError> {
        let files = self.parts(name, locale).ok_or(RenderError::Unknown)?;
        variables.insert("app_name".to_owned(), Value::from(self.app_name.as_str()));
        let mut parts = [const { None }; 3];
        for (slot, file) in parts.iter_mut().zip(files) {
            let Some((file, lang)) = file else { continue };
            variables.insert("lang".to_owned(), Value::from(lang));
            *slot = Some(self.render_file(file, &variables)?);
        }
        let [subject, text, html] = parts;
        Ok(Rendered {
            subject: subject.unwrap_or_default().trim().to_owned(),
            text: text.map(|text| tidy(&text)),
            html,
        })
    }

    fn render_file(&self, file: &str, variables: &Variables) -> Result<String, RenderError> {
        let mut part = Limited::default();
        let rendered = self
            .env
            .get_template(file)
            .and_then(|template| template.render_captured_to(variables, &mut part).map(drop));
        match rendered {
            Ok(()) => Ok(part.into_text()),
            Err(error) if innermost(&error) == ErrorKind::WriteFailure => {
                Err(RenderError::TooLarge { file: file.to_owned() })
            }
            Err(error) => Err(RenderError::Failed {
                file: error.name().unwrap_or(file).to_owned(),
                line: error.line().unwrap_or(0),
                kind: innermost(&error),
            }),
        }
    }

    /// The file and the language of each part, the closest that there is.
    pub(super) fn parts<'a>(
        &'a self,
        name: &str,
        locale: Option<&str>,
    ) -> Option<[Option<(&'a str, &'a str)>; 3]> {
        let locales = self.index.get(name)?;
        let mut wanted = locale.map(fallbacks).unwrap_or_default();
        wanted.push(String::new());
        Some(Part::ALL.map(|part| {
            wanted.iter().find_map(|locale| {
                let (locale, parts) = locales.get_key_value(locale)?;
                let file = parts[part as usize].as_deref()?;
                Some((file, if locale.is_empty() { "en" } else { locale }))
            })
        }))
    }

    /// What each part uses, with the files that it names.
    pub(super) fn uses(&self, name: &str, locale: Option<&str>) -> impl Iterator<Item = &Uses> {
        let files = self.parts(name, locale).into_iter().flatten().flatten();
        files.filter_map(|(file, _)| self.uses.get(file))
    }
}

/// Whether a file makes HTML, which escapes what it shows.
pub(super) fn is_html(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|end| end == "html")
}

/// What really went wrong: an error in a block or an include is wrapped in another.
fn innermost(error: &minijinja::Error) -> ErrorKind {
    let mut kind = error.kind();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<minijinja::Error>() {
            kind = error.kind();
        }
        source = error.source();
    }
    kind
}

/// A text body without the gaps that tags leave: never more than one empty line, none at the ends.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.trim().lines() {
        empty = if line.trim().is_empty() { empty + 1 } else { 0 };
        match empty {
            0 => tidy.push_str(line),
            1 => {}
            _ => continue,
        }
        tidy.push('\n');
    }
    tidy
}
