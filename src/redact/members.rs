//! Secrets in JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use url::Url;

use super::Redactor;
use super::look::after_scheme;
use super::names::{counts, is_sensitive, is_telling, is_url};
use super::text;

/// The members in which a list of headers or parameters names an entry, and those that hold its value.
const NAMES: [&str; 5] = ["name", "key", "header", "field", "param"];
const VALUES: [&str; 5] = ["value", "values", "val", "content", "data"];

/// Hides what is secret in a value, and keeps it.
pub(super) struct Hider<'a> {
    pub(super) redactor: &'a Redactor,
    pub(super) also: &'a [String],
    /// What was hidden, down to the single texts and numbers.
    pub(super) found: Vec<String>,
}

impl Hider<'_> {
    pub(super) fn hide(&mut self, value: &mut Value) {
        match value {
            Value::Object(members) => self.hide_members(members),
            Value::Array(items) => {
                for item in items {
                    match item.as_array_mut().map(Vec::as_mut_slice) {
                        // A list of pairs: `["Authorization", "Bearer …"]`.
                        Some([Value::String(name), value]) if is_sensitive(name, self.also) => {
                            self.whole(value);
                        }
                        _ => self.hide(item),
                    }
                }
            }
            Value::String(plain) => {
                let spans = text::spans(plain, self.also);
                if !spans.is_empty() {
                    self.found.extend(spans.iter().flat_map(|span| parts(&plain[span.clone()])));
                    *plain = self.redactor.replaced(plain, &spans);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn hide_members(&mut self, members: &mut Map<String, Value>) {
        // An entry of a list of headers: `{"name": "Authorization", "value": "Bearer …"}`.
        let entry = members.iter().any(|(member, name)| {
            NAMES.contains(&member.to_ascii_lowercase().as_str())
                && name.as_str().is_some_and(|name| is_sensitive(name, self.also))
        });
        for (name, member) in members {
            let is_value = entry && VALUES.contains(&name.to_ascii_lowercase().as_str());
            if is_value || (is_sensitive(name, self.also) && !(member.is_number() && counts(name))) {
                self.whole(member);
            } else if is_url(name) && self.lets_in(member) {
                let mark = self.redactor.mark(&as_text(member));
                *member = Value::String(mark);
            } else {
                self.hide(member);
            }
        }
    }

    fn whole(&mut self, value: &mut Value) {
        self.keep(value);
        *value = Value::String(self.redactor.mark(&as_text(value)));
    }

    fn keep(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                self.found.push(text.clone());
                // What stands behind the scheme of a header is repeated without it.
                self.found.extend(after_scheme(text).map(str::to_owned));
                self.found.extend(url_parts(text));
            }
            Value::Number(number) => self.found.push(number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| self.keep(item)),
            Value::Object(members) => members.values().for_each(|member| self.keep(member)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Whether it is a URL whose query lets its holder in, as the link of a reset mail does. What of it does is kept.
    fn lets_in(&mut self, url: &Value) -> bool {
        let Some(url) = url.as_str() else {
            return false;
        };
        let Some((_, query)) = url.split_once(['?', '#']) else {
            return false;
        };
        let mut telling = query.split(['&', ';', '#']).filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (is_telling(key) || value.len() >= 16).then_some(value)
        });
        let first = telling.next();
        self.found.extend(first.into_iter().chain(telling).flat_map(parts));
        if first.is_some() {
            self.found.push(url.to_owned());
        }
        first.is_some()
    }
}

pub(super) fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a text that was hidden could be repeated as: itself, the password of `user:password`, and both decoded.
fn parts(hidden: &str) -> Vec<String> {
    let mut parts = vec![hidden.to_owned()];
    parts.extend(hidden.split_once([':', ' ']).map(|(_, rest)| rest.to_owned()));
    let decoded: Vec<String> = parts
        .iter()
        .filter(|part| part.contains('%'))
        .map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect();
    parts.extend(decoded);
    parts
}

/// What of a URL can be repeated by itself, as it stands there and decoded: user, password, both as `Basic` has them, the
/// values of the query, and the fragment.
fn url_parts(text: &str) -> Vec<String> {
    let Some(url) = text.contains("://").then(|| Url::parse(text).ok()).flatten() else { return Vec::new() };
    let decoded = |part: &str| percent_encoding::percent_decode_str(part).collect::<Vec<u8>>();
    let (user, password) = (url.username(), url.password().unwrap_or_default());
    let mut found = vec![user.to_owned(), password.to_owned()];
    if !user.is_empty() || !password.is_empty() {
        found.push(STANDARD.encode([decoded(user), decoded(password)].join(&b':')));
    }
    let (mut before, fragment) = text.split_once('#').unwrap_or((text, ""));
    before = before.split_once('?').map_or("", |(_, query)| query);
    let pairs = before.split(['&', ';']).map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    found.extend(pairs.chain([fragment]).map(str::to_owned));
    let decode = |part: &str| String::from_utf8_lossy(&decoded(part)).into_owned();
    let plain = found.iter().filter(|part| part.contains('%')).map(|part| decode(part));
    let spaced = found.iter().filter(|part| part.contains('+')).map(|part| decode(&part.replace('+', " ")));
    let more: Vec<String> = plain.chain(spaced).collect();
    found.extend(more);
    found.retain(|part| !part.is_empty());
    found
}
