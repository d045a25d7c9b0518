//! Which jobs of a kind are the same work, by what stands in their payloads.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::job::{Unique, UniqueKey, canonical};

/// How a kind derives the unique key of a job from its payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UniqueBy {
    /// RFC 6901 pointers into the payload. With none the kind derives no key.
    pub pointers: Vec<String>,
    /// How long after its end a job still keeps others away.
    pub window: Duration,
}

impl Default for UniqueBy {
    fn default() -> Self {
        Self { pointers: Vec::new(), window: Unique::WINDOW }
    }
}

impl UniqueBy {
    /// What a payload is known by. A member that is missing counts as null; when all of them are, there is nothing that
    /// it could be known by, and so no key: otherwise all such jobs would be the same.
    pub fn derive(&self, payload: &RawValue) -> Option<Unique> {
        if self.pointers.is_empty() {
            return None;
        }
        let values = self.pointers.iter().map(|pointer| find(payload.get(), pointer).unwrap_or("null"));
        let mut hash = Sha256::new();
        let mut known = false;
        for value in values {
            known |= value != "null";
            // Their canonical forms, which no comma outside of a string can split in two ways.
            hash.update(canonical(value)?);
            hash.update(b",");
        }
        if !known {
            return None;
        }
        // Of the same length whatever the payload holds, and without a word of it.
        let mut key = "payload:".to_owned();
        for byte in hash.finalize() {
            let _ = write!(key, "{byte:02x}");
        }
        Some(Unique { key: UniqueKey::new(&key).ok()?, window: self.window })
    }
}

/// The text of what a pointer leads to. Numbers stay as they were written: as doubles, large ids would fall together.
fn find<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
    let mut found: &'a str = text.trim_ascii();
    for token in pointer.split('/').skip(1) {
        found = if found.starts_with('[') {
            // No leading zeros and no sign (RFC 6901 §4).
            let index: usize = token.parse().ok().filter(|index: &usize| index.to_string() == token)?;
            serde_json::from_str::<Vec<&'a RawValue>>(found).ok()?.get(index)?.get()
        } else if found.starts_with('{') {
            let name = token.replace("~1", "/").replace("~0", "~");
            serde_json::from_str::<HashMap<String, &'a RawValue>>(found).ok()?.get(&name)?.get()
        } else {
            return None;
        };
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(pointers: &[&str]) -> UniqueBy {
        UniqueBy { pointers: pointers.iter().map(|p| (*p).to_owned()).collect(), ..UniqueBy::default() }
    }

    fn key(pointers: &[&str], payload: &str) -> Option<String> {
        let payload = RawValue::from_string(payload.to_owned()).unwrap();
        by(pointers).derive(&payload).map(|unique| unique.key.as_str().to_owned())
    }

    #[test]
    fn pointers_lead_to_the_text() {
        let text = r#" {"a": {"b/c": [10, {"~": "x"}], "": 9007199254740993}, "n": null} "#;
        for (pointer, found) in [
            ("", Some(text.trim())),
            ("/a/b~1c/0", Some("10")),
            ("/a/b~1c/1/~0", Some("\"x\"")),
            ("/a/", Some("9007199254740993")),
            ("/n", Some("null")),
            ("/x", None),
            ("/a/b~1c/2", None),
            ("/a/b~1c/00", None),
            ("/a/b~1c/+1", None),
            ("/a/b~1c/-", None),
            ("/n/x", None),
        ] {
            assert_eq!(find(text, pointer), found, "{pointer}");
        }
    }

    #[test]
    fn the_same_members_are_the_same_key() {
        let id = &["/id"][..];
        let one = key(id, r#"{"id":1,"x":1}"#).unwrap();
        assert_eq!(key(id, r#"{"x":2, "id" : 1.0}"#).unwrap(), one);
        assert_ne!(key(id, r#"{"id":2}"#).unwrap(), one);
        assert_ne!(key(id, r#"{"id":"1"}"#).unwrap(), one);
        let large = |n: u64| key(id, &format!("{{\"id\":{n}}}")).unwrap();
        assert_ne!(large(9_007_199_254_740_993), large(9_007_199_254_740_992));
        let two = &["/a", "/b"][..];
        assert_ne!(key(two, r#"{"a":"x"}"#), key(two, r#"{"b":"x"}"#));
        assert_eq!(key(two, r#"{"a":"x"}"#), key(two, r#"{"a":"x","b":null}"#));
        assert_ne!(key(two, r#"{"a":"x,y"}"#), key(two, r#"{"a":"x","b":"y"}"#));
        assert_eq!(key(&[""], r#"{"a":1,"b":2}"#), key(&[""], r#"{"b":2,"a":1}"#));
    }

    #[test]
    fn without_any_of_the_members_there_is_no_key() {
        assert_eq!(key(&[], r#"{"id":1}"#), None);
        assert_eq!(key(&["/id"], "{}"), None);
        assert_eq!(key(&["/id", "/to"], r#"{"id":null}"#), None);
        assert!(key(&["/id", "/to"], r#"{"id":false}"#).is_some());
    }
}
