//! Finds everything that is wrong with data before it is too late to tell the caller.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{ErrorKind, Value};
use serde_json::Value as Json;

use super::data::{StandIns, at_path, pointer, texts, variables, with_stand_ins};
use super::file_name::is_locale;
use super::links::{bad_scheme, dangerous, is_forbidden, is_link_name, is_literal, is_web, plain};
use super::render::{RenderError, Rendered, Templates};
use super::sample::stand_in;
use crate::job::{Fault, nearest};
use crate::mail::check_subject;

/// How often a template is rendered to find out which variables it needs.
const MAX_TRIALS: usize = 32;

/// How many bad links are told of at once.
const MAX_LINKS: usize = 100;

impl Templates {
    /// Says what is wrong with `data` for a template: every variable that is missing, and every link that is none.
    /// Pointers begin with `/template`, `/locale` or `/data`. Empty when [`Self::render`] will succeed.
    pub fn check(&self, name: &str, locale: Option<&str>, data: &Json) -> Vec<Fault> {
        self.examine(name, locale, data).err().unwrap_or_default()
    }

    /// Renders, or says everything that is wrong; see [`Self::check`].
    pub(crate) fn examine(
        &self,
        name: &str,
        locale: Option<&str>,
        data: &Json,
    ) -> Result<Rendered, Vec<Fault>> {
        let mut faults = Vec::new();
        if locale.is_some_and(|locale| !is_locale(locale)) {
            faults.push(Fault::new("/locale", "must be a language tag, such as de or de-AT"));
        }
        if self.parts(name, None).is_none() {
            faults.push(Fault::new("/template", self.unknown(name)));
            return Err(faults);
        }
        if !data.is_object() {
            faults.push(Fault::new("/data", "must be an object"));
            return Err(faults);
        }
        let used = self.used(name, locale);
        texts(data, "/data", "", &mut |at, name, text| {
            if is_link_name(name) && !is_web(text) && is_used(at, &used) {
                faults.push(Fault::new(at, "must be an absolute http or https address"));
            }
        });
        match self.render(name, locale, data) {
            Ok(rendered) => {
                self.look_at(name, locale, &rendered, data, &mut faults);
                if faults.is_empty() {
                    return Ok(rendered);
                }
            }
            Err(RenderError::Failed { kind: ErrorKind::UndefinedError, file, line }) => {
                faults.extend(self.missing(name, locale, data, &file, line));
            }
            Err(error) => faults.push(Fault::new("/data", format!("does not fit the template: {error}"))),
        }
        Err(faults)
    }

    /// Looks for what only shows when the data is in its place.
    fn look_at(
        &self,
        name: &str,
        locale: Option<&str>,
        rendered: &Rendered,
        data: &Json,
        faults: &mut Vec<Fault>,
    ) {
        look_at_subject(&rendered.subject, data, faults);
        let links = dangerous(rendered.html.as_deref().unwrap_or_default());
        if links.is_empty() {
            return;
        }
        let mut given = Vec::new();
        texts(data, "/data", "", &mut |at, _, text| {
            given.push((at.to_owned(), plain(text)));
        });
        given.retain(|(_, text)| !text.is_empty());
        let whole: BTreeSet<&str> =
            given.iter().map(|(_, text)| text.as_str()).filter(|text| bad_scheme(text).is_some()).collect();
        let mut written = BTreeMap::new();
        let from_data = links.into_iter().filter(|(link, scheme)| {
            // What the author wrote is the author's right, if no text of the data brings the whole scheme.
            let mut is_written = || {
                let writes = || self.writes(name, locale, scheme);
                *written.entry(scheme.clone()).or_insert_with(writes)
            };
            has_prefix(&whole, link) || is_forbidden(scheme) || !is_written()
        });
        for (link, _) in from_data.take(MAX_LINKS) {
            let first = given.iter().filter(|(_, text)| link.starts_with(text.as_str()));
            // The longest brought the most of it.
            let culprit = first.max_by_key(|(_, text)| text.len());
            let culprit = culprit.map_or("/data", |(at, _)| at);
            if !faults.iter().any(|fault| fault.pointer == culprit) {
                faults.push(Fault::new(
                    culprit,
                    "becomes a link in the mail and must be an http or https address",
                ));
            }
        }
    }

    /// Whether a link of this scheme stands in a source of the template.
    fn writes(&self, name: &str, locale: Option<&str>, scheme: &str) -> bool {
        let mut files = self.uses(name, locale).flat_map(|uses| &uses.files);
        files.any(|file| self.literals.get(file).is_some_and(|source| is_literal(source, scheme)))
    }

    fn unknown(&self, name: &str) -> String {
        let names = self.names();
        let hint = match nearest(name, names.iter().map(|name| &**name)) {
            Some(known) => format!("; did you mean {known}?"),
            None => ".".to_owned(),
        };
        format!("is not a template{hint} There are: {}", names.join(", "))
    }

    /// The smallest set of variables whose presence lets the template render.
    ///
    /// All that could be missing get a stand-in; then each stand-in that can go again without an error goes, until none can
    /// or [`MAX_TRIALS`] are over.
    fn missing(&self, name: &str, locale: Option<&str>, data: &Json, file: &str, line: usize) -> Vec<Fault> {
        let variables = variables(data);
        let fails = |stand_ins: &StandIns| {
            let make = |path: &str| Value::from_object(stand_in(path));
            let rendered = self.render_with(name, locale, with_stand_ins(&variables, stand_ins, &make));
            matches!(rendered, Err(RenderError::Failed { kind: ErrorKind::UndefinedError, .. }))
        };
        let mut needed = self.candidates(name, locale, data);
        if fails(&needed) {
            return not_an_object(&needed, data).unwrap_or_else(|| {
                vec![Fault::new("/data", format!("a variable of the template is missing, see {file}:{line}"))]
            });
        }
        // Whole objects before their members: an optional one goes with all that is in it or not at all.
        let units: BTreeSet<String> =
            needed.iter().flat_map(|path| with_outer(path)).map(str::to_owned).collect();
        let mut trials = MAX_TRIALS;
        'smaller: loop {
            let before = needed.len();
            for unit in &units {
                let without = needed.iter().filter(|path| !with_outer(path).any(|outer| outer == unit));
                let without: StandIns = without.cloned().collect();
                if without.len() == needed.len() {
                    continue;
                }
                // Better some too many than an hour of trying.
                trials = match trials {
                    0 => break 'smaller,
                    trials => trials - 1,
                };
                if !fails(&without) {
                    needed = without;
                }
            }
            if needed.len() == before {
                break;
            }
        }
        needed
            .iter()
            .map(|path| Fault::new(format!("/data{}", pointer(path)), "is required by the template"))
            .collect()
    }

    /// Every variable of a template.
    fn used(&self, name: &str, locale: Option<&str>) -> BTreeSet<String> {
        let all = self.uses(name, locale).flat_map(|uses| &uses.variables);
        all.cloned().collect()
    }

    /// Every variable of a template that `data` has not: the innermost ones.
    pub(super) fn candidates(&self, name: &str, locale: Option<&str>, data: &Json) -> StandIns {
        let all = self.used(name, locale);
        let is_outer =
            |path: &str| all.iter().any(|other| other.strip_prefix(path).is_some_and(|r| r.starts_with('.')));
        all.iter().filter(|path| !is_outer(path) && at_path(data, path).is_none()).cloned().collect()
    }
}

/// Whether the template uses what stands at a pointer below `/data`, alone or as a part of something larger.
fn is_used(at: &str, used: &BTreeSet<String>) -> bool {
    let path = at.trim_start_matches("/data/").replace('/', ".");
    with_outer(&path).any(|outer| used.contains(outer))
}

/// `a`, `a.b` and `a.b.c` for `a.b.c`.
fn with_outer(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('.').map(|(end, _)| &path[..end]).chain([path])
}

/// The faults where a variable has members in the template and is a text or a number in the data.
fn not_an_object(paths: &StandIns, data: &Json) -> Option<Vec<Fault>> {
    let mut outer = BTreeSet::new();
    for path in paths {
        for (end, _) in path.match_indices('.') {
            if at_path(data, &path[..end]).is_some_and(|value| !value.is_object()) {
                outer.insert(format!("/data{}", pointer(&path[..end])));
            }
        }
    }
    let faults: Vec<_> = outer.into_iter().map(|at| Fault::new(at, "must be an object")).collect();
    (!faults.is_empty()).then_some(faults)
}

/// Whether one of `texts` is how `link` begins, without a look at all of them: there can be many links and many texts.
fn has_prefix<'a>(texts: &BTreeSet<&'a str>, link: &'a str) -> bool {
    let mut link = link;
    while let Some(nearest) = texts.range(..=link).next_back() {
        if link.starts_with(nearest) {
            return true;
        }
        // No text between the two is there, so a shorter one must begin both.
        let common = link.bytes().zip(nearest.bytes()).take_while(|(a, b)| a == b).count();
        link = &link[..link.floor_char_boundary(common)];
        if link.is_empty() {
            return false;
        }
    }
    false
}

fn look_at_subject(subject: &str, data: &Json, faults: &mut Vec<Fault>) {
    let Some(reason) = check_subject(subject) else {
        return;
    };
    let mut culprits = Vec::new();
    texts(data, "/data", "", &mut |at, _, text| {
        if text.chars().any(char::is_control) && subject.contains(text.trim()) {
            culprits.push(at.to_owned());
        }
    });
    if culprits.is_empty() {
        culprits.push("/data".to_owned());
    }
    let culprits = culprits.into_iter();
    faults.extend(culprits.map(|at| Fault::new(at, format!("the subject made with it {reason}"))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_begins_a_link_is_found_among_many() {
        let texts = BTreeSet::from(["a:", "a:bc", "a:bcd", "a:z", "ä:"]);
        for (link, found) in [
            ("a:", true),
            ("a:bcc", true),
            ("a:y", true),
            ("a", false),
            ("b:", false),
            ("ä:x", true),
            ("ö", false),
            ("", false),
        ] {
            assert_eq!(has_prefix(&texts, link), found, "{link}");
        }
        assert!(!has_prefix(&BTreeSet::from(["a:bx"]), "a:bc"));
    }
}
