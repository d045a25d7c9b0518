//! What the name of a template file says.

/// Which part of a mail a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Subject,
    Text,
    Html,
}

impl Part {
    pub(super) const ALL: [Self; 3] = [Self::Subject, Self::Text, Self::Html];

    /// How the names of such files end.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Subject => ".subject.txt",
            Self::Text => ".txt",
            Self::Html => ".html",
        }
    }
}

/// What a file is for.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum FileName {
    /// A layout or something that is included: `layout.html`, `_button.html`.
    Shared,
    /// A part of a template, for one locale (in lower case) or, with none, for all.
    Template { name: String, locale: Option<String>, part: Part },
    /// What a template is tried with: `welcome.sample.json`.
    Sample { name: String },
}

/// How the name of a sample ends.
const SAMPLE: &str = ".sample.json";

impl FileName {
    /// Reads a name; `None` is none of ours.
    pub(super) fn parse(file: &str) -> Option<Self> {
        if let Some(name) = file.strip_suffix(SAMPLE) {
            let name = name.to_owned();
            return is_name(&name).then_some(Self::Sample { name });
        }
        // The subject first: its suffix ends with that of a text.
        let (stem, part) = Part::ALL
            .into_iter()
            .find_map(|part| file.strip_suffix(part.suffix()).map(|stem| (stem, part)))?;
        let (name, locale) = stem.split_once('.').map_or((stem, None), |(name, locale)| (name, Some(locale)));
        if !is_name(name) {
            return None;
        }
        if locale.is_some_and(|locale| !is_locale(locale)) {
            return None;
        }
        if name == "layout" || name.starts_with('_') {
            return Some(Self::Shared);
        }
        Some(Self::Template { name: name.to_owned(), locale: locale.map(str::to_ascii_lowercase), part })
    }
}

fn is_name(text: &str) -> bool {
    let in_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
    !text.is_empty() && text.bytes().all(in_name)
}

/// Whether this looks like a language tag (RFC 5646): `de`, `de-AT`, `zh-Hant-TW`.
pub(super) fn is_locale(text: &str) -> bool {
    let mut subtags = text.split('-');
    let language = subtags.next().unwrap_or_default();
    text.len() <= 35
        && (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && subtags.all(|tag| (2..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// `de-at-wien`, `de-at`, `de`: from the closest to the widest, in lower case.
pub(super) fn fallbacks(locale: &str) -> Vec<String> {
    let mut locale = locale.to_ascii_lowercase();
    let mut all = vec![locale.clone()];
    while let Some(dash) = locale.rfind('-') {
        locale.truncate(dash);
        all.push(locale.clone());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_is_for() {
        let template = |name: &str, locale: Option<&str>, part| {
            Some(FileName::Template { name: name.into(), locale: locale.map(Into::into), part })
        };
        assert_eq!(FileName::parse("a_b-2.txt"), template("a_b-2", None, Part::Text));
        assert_eq!(FileName::parse("welcome.subject.txt"), template("welcome", None, Part::Subject));
        assert_eq!(FileName::parse("welcome.de.subject.txt"), template("welcome", Some("de"), Part::Subject));
        assert_eq!(FileName::parse("welcome.de-AT.html"), template("welcome", Some("de-at"), Part::Html));
        let name = "welcome".to_owned();
        assert_eq!(FileName::parse("welcome.sample.json"), Some(FileName::Sample { name }));
        assert_eq!(FileName::parse("layout.html"), Some(FileName::Shared));
        assert_eq!(FileName::parse("_x.txt"), Some(FileName::Shared));
        for bad in [
            "welcome",
            ".html",
            "Welcome.html",
            "welcome.d.html",
            "welcome.de.at.html",
            "a b.txt",
            "welcome.htm",
            "welcome.json",
            "welcome.de.sample.json",
        ] {
            assert_eq!(FileName::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn locales_fall_back_step_by_step() {
        assert_eq!(fallbacks("zh-Hant-TW"), ["zh-hant-tw", "zh-hant", "zh"]);
        assert!(is_locale("de") && is_locale("de-AT") && is_locale("gsw"));
        assert!(
            !is_locale("")
                && !is_locale("d")
                && !is_locale("../x")
                && !is_locale("de_AT")
                && !is_locale("de-")
        );
    }
}
