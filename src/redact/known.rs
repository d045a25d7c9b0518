//! The values that are secret in one payload, to be found again wherever they are repeated.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Shorter values are hidden in their member only: looked for in prose, they would be found everywhere.
const SHORTEST: usize = 4;
/// Shorter values than this are found only where they stand by themselves: `pass` is not hidden in `password`.
const BY_ITSELF: usize = 6;
/// How much of a value is searched for, in bytes. From there on as much of it is hidden as follows, so that a value is
/// also found where the rest was cut off.
const NEEDLE: usize = 32;
/// With more forms than this, texts are hidden whole instead of being searched.
const MOST_NEEDLES: usize = 8_192;

/// How many bytes are compared behind what was searched for, before a text is hidden whole.
const MOST_EFFORT: usize = 1024 * 1024;

/// What a URL leaves as it is (RFC 3986 §2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The secrets of one payload, and the names that its kind hides: what must not appear in the texts of the job.
#[derive(Default)]
pub struct Secrets {
    pub(super) also: Vec<String>,
    known: Known,
}

#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    Values(Box<Values>),
    /// The payload could not be looked through.
    Anything,
}

struct Values {
    finder: AhoCorasick,
    needles: Vec<Needle>,
    whole: Vec<String>,
}

/// One form in which a value can be repeated.
struct Needle {
    /// The whole form.
    form: String,
    /// How much of it is searched for.
    searched: usize,
    /// Which of the values it is a form of.
    value: usize,
    by_itself: bool,
}

/// Where a text repeats a value.
pub(super) struct Repeated<'a> {
    pub(super) at: Range<usize>,
    pub(super) value: &'a str,
}

impl Secrets {
    pub(super) fn of(mut values: Vec<String>, also: &[String]) -> Self {
        values.retain(|value| !matches!(&**value, "true" | "false" | "null" | "none" | "None"));
        values.sort_unstable();
        values.dedup();
        let mut needles = Vec::new();
        for (n, value) in values.iter().enumerate() {
            for form in forms(value) {
                let searched = form.floor_char_boundary(NEEDLE);
                let by_itself = form.chars().take(BY_ITSELF).count() < BY_ITSELF;
                needles.push(Needle { form, searched, value: n, by_itself });
            }
        }
        let known = if needles.is_empty() {
            Known::Nothing
        } else if needles.len() > MOST_NEEDLES {
            Known::Anything
        } else {
            let searched = needles.iter().map(|needle| &needle.form[..needle.searched]);
            let finder = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(searched);
            match finder {
                Ok(finder) => Known::Values(Box::new(Values { finder, needles, whole: values })),
                Err(_) => Known::Anything,
            }
        };
        Self { also: also.to_vec(), known }
    }

    /// Of a payload that could not be looked through.
    pub(super) fn anything(also: &[String]) -> Self {
        Self { also: also.to_vec(), known: Known::Anything }
    }

    /// Whether every text must be taken for a secret.
    pub(super) fn may_be_anything(&self) -> bool {
        matches!(self.known, Known::Anything)
    }

    /// Where a text repeats a value, in order and without overlap.
    pub(super) fn repeated<'a>(&'a self, text: &str) -> Vec<Repeated<'a>> {
        let Known::Values(known) = &self.known else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut effort = 0;
        for hit in known.finder.find_overlapping_iter(text) {
            let needle = &known.needles[hit.pattern().as_usize()];
            let rest = needle.form[needle.searched..].chars();
            let follows = rest.zip(text[hit.end()..].chars()).take_while(|(a, b)| a == b);
            let follows = follows.map(|(c, _)| c.len_utf8()).sum::<usize>();
            let end = hit.end() + follows;
            // A text and a value that repeat themselves, made to keep us busy.
            effort += follows;
            if effort > MOST_EFFORT {
                return vec![Repeated { at: 0..text.len(), value: &known.whole[needle.value] }];
            }
            if !needle.by_itself || stands_by_itself(text, hit.start()..end) {
                found.push(Repeated { at: hit.start()..end, value: &known.whole[needle.value] });
            }
        }
        found.sort_by_key(|hit| (hit.at.start, std::cmp::Reverse(hit.at.end)));
        let mut merged: Vec<Repeated<'a>> = Vec::with_capacity(found.len());
        for hit in found {
            match merged.last_mut() {
                Some(last) if hit.at.start < last.at.end => last.at.end = last.at.end.max(hit.at.end),
                _ => merged.push(hit),
            }
        }
        merged
    }

    /// Where the beginning of a value starts that is cut off by the end of the text.
    pub(super) fn cut_off(&self, text: &str) -> Option<usize> {
        let Known::Values(known) = &self.known else {
            return None;
        };
        let begins = |needle: &Needle| {
            let lengths = (1..needle.searched).rev().filter(|at| needle.form.is_char_boundary(*at));
            lengths.into_iter().find(|length| text.ends_with(&needle.form[..*length]))
        };
        known.needles.iter().filter_map(begins).max().map(|length| text.len() - length)
    }
}

/// A value as it is, and as it stands in JSON, in Rust's `{:?}` and in a URL; also without the space around it.
fn forms(value: &str) -> Vec<String> {
    let mut forms: Vec<String> = Vec::new();
    for plain in [value, value.trim()] {
        let json = serde_json::to_string(plain).unwrap_or_default();
        let debug = format!("{plain:?}");
        let inside =
            |quoted: &str| quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned();
        let url = utf8_percent_encode(plain, UNRESERVED).to_string();
        for form in [plain.to_owned(), inside(&json), inside(&debug), url] {
            if form.chars().take(SHORTEST).count() == SHORTEST && !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

fn stands_by_itself(text: &str, at: Range<usize>) -> bool {
    let before = text[..at.start].chars().next_back();
    let after = text[at.end..].chars().next();
    [before, after].into_iter().flatten().all(|c| !c.is_alphanumeric() && c != '_')
}
