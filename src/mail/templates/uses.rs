//! What the source of a template names: other files, and the variables that it looks up.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Environment;

/// What a file and the files that it names use. Found once, at start: it means reading the sources again.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// The file itself and, after it, the others.
    pub(super) files: Vec<String>,
    /// Paths like `job.error.code`; `app_name` and the like are not among them.
    pub(super) variables: BTreeSet<String>,
}

impl Uses {
    pub(super) fn of(env: &Environment<'_>, files: &BTreeMap<String, String>, file: &str) -> Self {
        let mut seen = vec![file];
        let mut next = 0;
        while let Some(source) = seen.get(next).and_then(|file| files.get(*file)) {
            for (_, other) in references(source) {
                if files.contains_key(other) && !seen.contains(&other) {
                    seen.push(other);
                }
            }
            next += 1;
        }
        let known: BTreeSet<&str> = env.globals().map(|(name, _)| name).chain(["app_name", "lang"]).collect();
        let templates = seen.iter().filter_map(|file| env.get_template(file).ok());
        let sliced = seen.iter().filter_map(|file| files.get(*file)).flat_map(|source| sliced(source));
        let variables = templates
            .flat_map(|template| template.undeclared_variables(true))
            .chain(sliced.map(str::to_owned))
            .filter(|path| !known.contains(path.split('.').next().unwrap_or_default()))
            .collect();
        Self { files: seen.into_iter().map(str::to_owned).collect(), variables }
    }
}

/// The files that a template names in `extends`, `include`, `import` and `from`, with their lines.
pub(super) fn references(source: &str) -> Vec<(usize, &str)> {
    tags(source)
        .into_iter()
        .filter_map(|(start, tag)| {
            let (word, rest) = tag.split_once(char::is_whitespace)?;
            let rest = rest.trim_start();
            let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let name = rest[1..].split_once(quote)?.0;
            // `include … ignore missing` says itself that the file may be missing.
            let names_a_file =
                matches!(word, "extends" | "include" | "import" | "from") && !tag.contains("ignore missing");
            names_a_file.then(|| (source[..start].matches('\n').count() + 1, name))
        })
        .collect()
}

/// What is cut, as in `job.finished_at[:19]`: minijinja does not count it among the variables. A local may be among them;
/// nothing comes of it.
fn sliced(source: &str) -> impl Iterator<Item = &str> {
    source.match_indices('[').filter_map(|(at, _)| {
        let inner = source[at + 1..].split([']', '\n']).next()?;
        let before = &source[..at];
        let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let path = &before[before.trim_end_matches(is_path).len()..];
        let is_name = path.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        (inner.contains(':') && inner.len() < 50 && is_name).then_some(path)
    })
}

/// What stands in each `{% … %}`, and where it begins; not those in comments, in what is shown or in what is raw.
fn tags(source: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = source[at..].find('{').map(|brace| at + brace) {
        let rest = &source[start + 1..];
        let end = match rest.as_bytes().first() {
            Some(b'#') => rest.find("#}"),
            Some(b'{') => rest.find("}}"),
            Some(b'%') => rest.find("%}"),
            _ => {
                at = start + 1;
                continue;
            }
        };
        // What does not end is a syntax error, and told as one.
        let Some(end) = end else { break };
        at = start + 1 + end + 2;
        if rest.starts_with('%') {
            let tag = rest[1..end.max(1)].trim_matches(['-', '+']).trim();
            if tag == "raw" {
                let Some(end) = source[at..].find("endraw") else {
                    break;
                };
                at += end;
            } else {
                found.push((start, tag));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_read_names_a_file() {
        let source = "{# {% include \"a\" %} #}\n{{ '{% include \"b\" %}' }}{% raw %}{% include \"c\" %}{% endraw %}\n\
            { {% include 'd' %}{%- extends \"e\" -%}{% include \"f\" ignore missing %}{% include name %}{%";
        assert_eq!(references(source), [(3, "d"), (3, "e")]);
        for source in ["{", "{%", "{%%}", "{%-%}", "{#", "{{", "{% raw %}", ""] {
            assert_eq!(references(source), [], "{source}");
        }
    }
}
