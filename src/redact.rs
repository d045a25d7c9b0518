//! What must not be shown: secrets in payloads.
//!
//! A hidden value is shown as `[redacted 1a2b3c4d]`: the beginning of a keyed hash, by which two values can be compared
//! and none can be guessed. The key is made at each start and never leaves the process.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::Sha256;

/// Members that are hidden in every kind, when their name is one of these words or contains it as a word.
const SENSITIVE: [&str; 6] = ["password", "secret", "token", "authorization", "api_key", "cookie"];

/// Hides secrets.
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

    /// What is shown instead of a value.
    pub fn mark(&self, value: &str) -> String {
        let mut keyed = self.keyed.clone();
        keyed.update(value.as_bytes());
        let digest = keyed.finalize().into_bytes();
        format!("[redacted {:02x}{:02x}{:02x}{:02x}]", digest[0], digest[1], digest[2], digest[3])
    }

    /// A payload as it may be shown; `also` are the members that its kind hides too.
    ///
    /// A payload that is nested too deeply to be looked through is hidden whole.
    pub fn payload(&self, payload: &RawValue, also: &[String]) -> Value {
        match serde_json::from_str(payload.get()) {
            Ok(mut value) => {
                self.hide_in(&mut value, also);
                value
            }
            Err(_) => Value::String(self.mark(payload.get())),
        }
    }

    fn hide_in(&self, value: &mut Value, also: &[String]) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    if is_sensitive(name, also) || is_telling_url(name, member) {
                        *member = Value::String(self.mark(&as_text(member)));
                    } else {
                        self.hide_in(member, also);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_in(item, also)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `api_key`, `API-Key`, `apiKey` and `x_api_key_2` are all the same word here.
fn normal(name: &str) -> String {
    let mut normal = String::with_capacity(name.len() + 4);
    let mut previous_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && previous_lower {
            normal.push('_');
        }
        previous_lower = c.is_lowercase() || c.is_ascii_digit();
        if c.is_alphanumeric() {
            normal.extend(c.to_lowercase());
        } else {
            normal.push('_');
        }
    }
    normal
}

fn is_sensitive(name: &str, also: &[String]) -> bool {
    let name = format!("_{}_", normal(name));
    let hidden = |word: &str| name.contains(&format!("_{word}_")) || name.contains(&format!("_{word}s_"));
    SENSITIVE.iter().any(|word| hidden(word)) || also.iter().any(|word| hidden(&normal(word)))
}

/// A URL whose query carries something that lets its holder in, as the link of a reset mail does.
fn is_telling_url(name: &str, value: &Value) -> bool {
    let name = normal(name);
    (name == "url" || name.ends_with("_url"))
        && value.as_str().is_some_and(|url| {
            url.split_once('?').is_some_and(|(_, query)| {
                query.split(['&', '#']).any(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    let key = normal(key);
                    is_sensitive(&key, &[])
                        || ["key", "code", "sig", "signature", "t", "auth", "otp"].contains(&key.as_str())
                        || value.len() >= 16
                })
            })
        })
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
