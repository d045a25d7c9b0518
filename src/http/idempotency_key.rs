//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): how the value is read.

use std::fmt;

/// The longest key, in characters.
const LONGEST: usize = 255;

/// What a caller calls a request by, so that a repeat of it can be recognised: 1 to 255 visible ASCII characters.
///
/// # Examples
///
/// ```
/// use backroom::http::IdempotencyKey;
///
/// let quoted = IdempotencyKey::parse(b"\"order-42\"").unwrap();
/// assert_eq!(quoted, IdempotencyKey::parse(b"order-42").unwrap());
/// assert!(IdempotencyKey::parse(b"order 42").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Box<[u8]>);

/// Why a value is no key; completes the sentence "The `Idempotency-Key` …".
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyFault(&'static str);

impl IdempotencyKey {
    /// Reads the value of the header: a structured-field string (RFC 8941 §3.3.3), which is quoted, or the same without
    /// quotes. Both forms of a key are the same key.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(value: &[u8]) -> Result<Self, KeyFault> {
        // What surrounds a value is no part of it (RFC 9110 §5.5).
        let value = value.trim_ascii();
        let key = match value {
            [b'"', inner @ ..] => unquoted(inner)?,
            bare if bare.contains(&b'"') => {
                return Err(KeyFault("has a quotation mark within a value that does not begin with one"));
            }
            bare => bare.to_vec(),
        };
        if key.is_empty() {
            return Err(KeyFault("is empty"));
        }
        if !key.iter().all(u8::is_ascii_graphic) {
            return Err(KeyFault("holds a space or a character that is not visible ASCII"));
        }
        if key.len() > LONGEST {
            return Err(KeyFault("is longer than 255 characters"));
        }
        Ok(Self(key.into()))
    }

    /// The key without quotes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What stands between the opening quotation mark, which has been taken, and the closing one, which must be the end.
fn unquoted(inner: &[u8]) -> Result<Vec<u8>, KeyFault> {
    let mut key = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if bytes.as_slice().is_empty() => return Ok(key),
            b'"' => return Err(KeyFault("goes on after its closing quotation mark")),
            b'\\' => match bytes.next() {
                Some(escaped @ (b'"' | b'\\')) => key.push(*escaped),
                _ => return Err(KeyFault("escapes something else than a quotation mark or a backslash")),
            },
            other => key.push(*other),
        }
    }
    Err(KeyFault("has no closing quotation mark"))
}

/// It may be a secret of the caller: it is never shown.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(value: &[u8]) -> String {
        String::from_utf8(IdempotencyKey::parse(value).unwrap().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn quoted_and_bare_are_the_same_key() {
        for (value, read) in [
            (&b"x"[..], "x"),
            (b"\"x\"", "x"),
            (b" \t\"x\" ", "x"),
            (b" x ", "x"),
            (b"8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
            (b"a,b;c=d!~", "a,b;c=d!~"),
            (b"\"a\\\\b\"", "a\\b"),
            (b"a\\b", "a\\b"),
            (b"\"a\\\"b\"", "a\"b"),
        ] {
            assert_eq!(key(value), read, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_key_is_told_why() {
        for (value, fault) in [
            (&b""[..], "is empty"),
            (b"  ", "is empty"),
            (b"\"\"", "is empty"),
            (b"a b", "holds a space or a character that is not visible ASCII"),
            (b"\"a b\"", "holds a space or a character that is not visible ASCII"),
            (b"\" a\"", "holds a space or a character that is not visible ASCII"),
            (b"a\x7f", "holds a space or a character that is not visible ASCII"),
            (b"a\tb", "holds a space or a character that is not visible ASCII"),
            ("\u{e4}".as_bytes(), "holds a space or a character that is not visible ASCII"),
            (b"\xff", "holds a space or a character that is not visible ASCII"),
            (b"\"a", "has no closing quotation mark"),
            (b"\"", "has no closing quotation mark"),
            (b"\"a\\\"", "has no closing quotation mark"),
            (b"\"a\\", "escapes something else than a quotation mark or a backslash"),
            (b"\"a\\n\"", "escapes something else than a quotation mark or a backslash"),
            (b"\"a\"b", "goes on after its closing quotation mark"),
            (b"\"a\";x=1", "goes on after its closing quotation mark"),
            (b"\"a\", \"b\"", "goes on after its closing quotation mark"),
            (b"a\"", "has a quotation mark within a value that does not begin with one"),
        ] {
            let found = IdempotencyKey::parse(value).unwrap_err();
            assert_eq!(found.to_string(), fault, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn its_length_is_that_of_what_was_meant() {
        let quoted = |length: usize| format!("\"{}\"", "\\\"".repeat(length));
        for length in [1, 254, 255] {
            assert_eq!(key("k".repeat(length).as_bytes()).len(), length);
            assert_eq!(key(quoted(length).as_bytes()).len(), length);
        }
        let too_long = "is longer than 255 characters";
        assert_eq!(IdempotencyKey::parse("k".repeat(256).as_bytes()).unwrap_err().to_string(), too_long);
        assert_eq!(IdempotencyKey::parse(quoted(256).as_bytes()).unwrap_err().to_string(), too_long);
    }

    #[test]
    fn it_is_never_shown() {
        assert_eq!(format!("{:?}", IdempotencyKey::parse(b"secret").unwrap()), "IdempotencyKey(..)");
    }

    proptest! {
        #[test]
        fn every_key_can_be_quoted(text in "[!-~]{1,255}") {
            let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            prop_assert_eq!(key(quoted.as_bytes()), text.clone());
            if !text.contains('"') {
                prop_assert_eq!(key(text.as_bytes()), text);
            }
        }

        #[test]
        fn nothing_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(key) = IdempotencyKey::parse(&value) {
                prop_assert!((1..=255).contains(&key.as_bytes().len()));
            }
        }
    }
}
