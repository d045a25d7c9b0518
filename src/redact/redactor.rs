//! The one that hides.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::Sha256;

use super::known::Secrets;
use super::look::is_mark;
use super::members::Hider;
use super::names::is_sensitive;
use super::text::{self, Span};

/// What is shown where no key is at hand, or where nothing could be compared: in the configuration.
pub const PLAIN_MARK: &str = "[redacted]";

/// How much of one text is looked through, in bytes. What goes beyond is dropped: nothing that is kept is that long.
const LOOKED_THROUGH: usize = 64 * 1024;

/// Hides secrets. Cheap to clone.
#[derive(Clone)]
pub struct Redactor {
    keyed: Hmac<Sha256>,
}

impl Redactor {
    /// A redactor whose marks can be compared with each other only.
    ///
    /// # Panics
    ///
    /// Never: a key of any length will do.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { keyed: Hmac::new_from_slice(key).expect("a key of any length will do") }
    }

    /// What is shown instead of a value. The same value has the same mark in every kind, so that they can be compared.
    pub fn mark(&self, value: &str) -> String {
        let mut keyed = self.keyed.clone();
        keyed.update(value.as_bytes());
        let digest = keyed.finalize().into_bytes();
        format!("[redacted {:02x}{:02x}{:02x}{:02x}]", digest[0], digest[1], digest[2], digest[3])
    }

    /// A payload as it may be shown; `also` are the members that its kind hides too. What is hidden in one place is
    /// hidden wherever the payload repeats it.
    ///
    /// A payload that is nested too deeply to be looked through is hidden whole.
    pub fn payload(&self, payload: &RawValue, also: &[String]) -> Value {
        match serde_json::from_str(payload.get()) {
            Ok(mut value) => {
                let mut hider = self.hider(also);
                hider.hide(&mut value);
                let secrets = Secrets::of(hider.found, also);
                self.hide_repeated(&mut value, &secrets);
                value
            }
            Err(_) => Value::String(self.mark(payload.get())),
        }
    }

    /// What [`Self::payload`] would hide: what the texts of a job with this payload must not repeat.
    pub fn secrets(&self, payload: &RawValue, also: &[String]) -> Secrets {
        match serde_json::from_str(payload.get()) {
            Ok(mut value) => {
                let mut hider = self.hider(also);
                hider.hide(&mut value);
                Secrets::of(hider.found, also)
            }
            Err(_) => Secrets::anything(also),
        }
    }

    /// What a handler said about a job with these secrets, as it may be kept. Whoever wants it shorter cuts it
    /// afterwards: half a secret looks like none.
    pub fn text<'t>(&self, text: &'t str, secrets: &Secrets) -> Cow<'t, str> {
        if secrets.may_be_anything() {
            return Cow::Owned(self.mark(text));
        }
        let known = self.without_repeated(bounded(text, secrets), secrets);
        let spans = text::spans(&known, &secrets.also);
        if spans.is_empty() { known } else { Cow::Owned(self.replaced(&known, &spans)) }
    }

    /// A text as it may stand in the log of the server: also without the addresses of people, which far sides like to
    /// repeat (`550 5.1.1 <ada@example.com>`).
    pub fn line(&self, text: &str) -> String {
        mask_addresses(&self.text(text, &Secrets::default()))
    }

    fn without_repeated<'t>(&self, text: &'t str, secrets: &Secrets) -> Cow<'t, str> {
        let repeated = secrets.repeated(text);
        if repeated.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut hidden = String::with_capacity(text.len());
        let mut end = 0;
        for hit in repeated {
            hidden.push_str(&text[end..hit.at.start]);
            hidden.push_str(&self.mark(hit.value));
            end = hit.at.end;
        }
        hidden.push_str(&text[end..]);
        Cow::Owned(hidden)
    }

    fn hide_repeated(&self, value: &mut Value, secrets: &Secrets) {
        match value {
            // A secret that looks like a part of a mark must not change the marks.
            Value::String(text) if !is_mark(text.as_bytes()) => {
                if let Cow::Owned(hidden) = self.without_repeated(text, secrets) {
                    *text = hidden;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_repeated(item, secrets)),
            Value::Object(members) => {
                members.values_mut().for_each(|member| self.hide_repeated(member, secrets));
            }
            _ => {}
        }
    }

    pub(super) fn replaced(&self, text: &str, spans: &[Span]) -> String {
        let mut replaced = String::with_capacity(text.len());
        let mut end = 0;
        for span in spans {
            replaced.push_str(&text[end..span.start]);
            replaced.push_str(&self.mark(&text[span.clone()]));
            end = span.end;
        }
        replaced.push_str(&text[end..]);
        replaced
    }

    fn hider<'a>(&'a self, also: &'a [String]) -> Hider<'a> {
        Hider { redactor: self, also, found: Vec::new() }
    }
}

/// The value of an option as it may be shown. Options that are known to be secret are hidden where they are read; this
/// holds for one that was forgotten there, and for credentials inside of URLs.
///
/// The mark has no key in it: that of a command would live as long as its output, and what would it be compared with?
pub fn setting(key: &str, value: &Value) -> Value {
    let name = key.rsplit('.').next().unwrap_or(key).trim_matches('"');
    match value {
        Value::String(text) if text.is_empty() => value.clone(),
        Value::String(text) => {
            let spans = text::spans(text, &[]);
            // The name of a file that holds a secret is none.
            if spans.is_empty() && is_sensitive(name, &[]) && !name.ends_with("_file") {
                return PLAIN_MARK.into();
            }
            let mut shown = String::with_capacity(text.len());
            let mut end = 0;
            for span in spans {
                shown.push_str(&text[end..span.start]);
                shown.push_str(PLAIN_MARK);
                end = span.end;
            }
            (shown + &text[end..]).into()
        }
        Value::Array(items) => items.iter().map(|item| setting(key, item)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), setting(name, member))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The beginning of a text that is looked through, without a secret that is cut off by its end.
fn bounded<'t>(text: &'t str, secrets: &Secrets) -> &'t str {
    if text.len() <= LOOKED_THROUGH {
        return text;
    }
    let text = &text[..text.floor_char_boundary(LOOKED_THROUGH)];
    // Without a word that was cut: credentials of a URL are known by what follows them.
    let last = text.rfind(char::is_whitespace).filter(|at| text.len() - at < 1_024);
    let text = &text[..last.unwrap_or(text.len())];
    &text[..secrets.cut_off(text).unwrap_or(text.len())]
}

/// `ada@example.com` is `a***@example.com`.
fn mask_addresses(text: &str) -> String {
    let local = |c: char| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c);
    let mut masked = String::with_capacity(text.len());
    let mut end = 0;
    for (at, _) in text.match_indices('@') {
        let before = &text[end..at];
        let from =
            before.char_indices().rev().take_while(|(_, c)| local(*c)).last().map(|(from, _)| end + from);
        let is_address = text[at + 1..].chars().next().is_some_and(char::is_alphanumeric);
        if let (Some(from), true) = (from, is_address) {
            masked.push_str(&text[end..from]);
            masked.extend(text[from..].chars().next());
            masked.push_str("***");
            end = at;
        }
    }
    masked + &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(value: &Value, also: &[&str]) -> Value {
        let raw = serde_json::value::to_raw_value(value).unwrap();
        let also: Vec<String> = also.iter().map(|&word| word.to_owned()).collect();
        Redactor::new(&[7; 32]).payload(&raw, &also)
    }

    #[test]
    fn secrets_are_hidden_wherever_they_are() {
        let names = [
            "password",
            "Password",
            "user_password",
            "secret",
            "clientSecret",
            "token",
            "access_token",
            "tokens",
            "authorization",
            "Authorization",
            "api_key",
            "apiKey",
            "API-KEY",
            "X-Api-Key",
            "cookie",
            "Set-Cookie",
        ];
        for name in names {
            for value in [json!("s3cret"), json!(["s3cret"]), json!({"a": "s3cret"}), json!(12345)] {
                let text = shown(&json!([{ name: value }]), &[]).to_string();
                assert!(!text.contains("s3cret") && !text.contains("12345"), "{name} was shown: {text}");
                assert!(text.contains("[redacted "));
            }
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        let plain = json!({
            "to": "ada@example.com", "secretary": "Bob", "tokenize": true, "subject": "password",
            "action_url": "https://app.example/start?page=2", "url": "https://app.example/token", "n": null
        });
        assert_eq!(shown(&plain, &[]), plain);
    }

    #[test]
    fn links_that_let_somebody_in_are_hidden() {
        for url in [
            "https://a.example/r?token=x",
            "https://a.example/r?a=1&reset_token=x",
            "https://a.example/r?code=1",
            "https://a.example/r?u=0123456789abcdef",
            "https://a.example/r?access_token=x#top",
        ] {
            let text = shown(&json!({ "reset_url": url }), &[]).to_string();
            assert!(!text.contains("a.example"), "{text}");
        }
    }

    #[test]
    fn a_kind_can_name_more() {
        let payload = json!({"iban": "DE02", "inner": [{"IBAN": "DE03"}], "name": "Ada"});
        let text = shown(&payload, &["iban"]).to_string();
        assert!(!text.contains("DE0") && text.contains("Ada"), "{text}");
    }

    #[test]
    fn marks_can_be_compared_within_one_start_only() {
        let (one, other) = (Redactor::new(&[1; 32]), Redactor::new(&[2; 32]));
        assert_eq!(one.mark("a"), one.mark("a"));
        assert_ne!(one.mark("a"), one.mark("b"));
        assert_ne!(one.mark("a"), other.mark("a"));
        assert_eq!(one.mark("a").len(), "[redacted 1a2b3c4d]".len());
    }

    #[test]
    fn what_cannot_be_looked_through_is_hidden_whole() {
        let deep = format!("{}\"s3cret\"{}", "[".repeat(200), "]".repeat(200));
        let raw = RawValue::from_string(deep).unwrap();
        assert!(Redactor::new(&[7; 32]).payload(&raw, &[]).as_str().unwrap().starts_with("[redacted "));
    }
}
