//! Identifiers, parsed once at the edge and valid ever after.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// Identifies a job: a `UUIDv7` (RFC 9562 §5.7), so ids sort by the time of acceptance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// The smallest id, below every real one.
    pub const MIN: Self = Self(Uuid::nil());
    /// The largest id, above every real one.
    pub const MAX: Self = Self(Uuid::max());

    /// Wraps an id that was made elsewhere (see `clock`).
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id as a UUID.
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for JobId {
    type Err = NameError;

    /// Reads the hyphenated form; the shorter and longer spellings of a UUID are no ids of ours.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() != 36 {
            return Err(NameError("a job id is a hyphenated UUID of 36 characters"));
        }
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|_| NameError("a job id is a hyphenated UUID of 36 characters"))
    }
}

/// Says what a name must look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NameError(&'static str);

fn is_name(text: &str, also: &[u8]) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || also.contains(&b);
    (1..=64).contains(&text.len()) && text.bytes().all(allowed) && text.as_bytes()[0].is_ascii_alphanumeric()
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $valid:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps a name.
            ///
            /// # Errors
            ///
            /// The rule that the text breaks.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.into())) } else { Err(NameError($rule)) }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// Names the handler that runs a job: 1 to 64 of `a`–`z`, `0`–`9`, `_`, `-`, `.`, the first a letter or digit.
    KindName,
    |text| is_name(text, b"_-."),
    "a kind is 1 to 64 characters of a-z, 0-9, '_', '-' and '.', and begins with a letter or digit"
);
name!(
    /// Names a waiting line: 1 to 64 of `a`–`z`, `0`–`9`, `_`, `-`, the first a letter or digit.
    QueueName,
    |text| is_name(text, b"_-"),
    "a queue is 1 to 64 characters of a-z, 0-9, '_' and '-', and begins with a letter or digit"
);
name!(
    /// Names a schedule: 1 to 50 of `a`–`z`, `0`–`9`, `_`, `-`, the first a letter or digit. Shorter than other names,
    /// because the tag of its jobs has to hold it.
    ScheduleName,
    |text| text.len() <= 50 && is_name(text, b"_-"),
    "a schedule is 1 to 50 characters of a-z, 0-9, '_' and '-', and begins with a letter or digit"
);
name!(
    /// A word by which the caller finds its jobs again: 1 to 64 characters, none of them a control character.
    Tag,
    |text| (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control),
    "a tag is 1 to 64 characters without control characters"
);

name!(
    /// Names a piece of work among the jobs of its kind: 1 to 255 characters, none of them a control character.
    UniqueKey,
    |text| (1..=255).contains(&text.chars().count()) && !text.chars().any(char::is_control),
    "a unique key is 1 to 255 characters without control characters"
);

/// The known name that was most likely meant by a misspelt one, if any is near enough.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Of something this long nobody has misspelt a name, and to compare it would take long.
    if name.len() > 100 {
        return None;
    }
    let name = name.to_lowercase();
    // A third of the letters may be wrong; beyond that a guess is more confusing than none.
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_limits() {
        for good in ["a", "mail", "default-2", "9lives", &"q".repeat(64)] {
            assert!(QueueName::new(good).is_ok(), "{good:?} was refused");
        }
        for bad in ["", "Mail", "-mail", "a.b", "a b", "ä", &"q".repeat(65)] {
            assert!(QueueName::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(KindName::new("invoice.render").is_ok());
        assert!(KindName::new(".render").is_err());
        assert!(ScheduleName::new("nightly-2").is_ok());
        assert!(ScheduleName::new(&"s".repeat(50)).is_ok());
        assert!(ScheduleName::new(&"s".repeat(51)).is_err());
        assert!(Tag::new("Über 100 €").is_ok());
        assert!(Tag::new(&"ä".repeat(64)).is_ok());
        assert!(Tag::new(&"ä".repeat(65)).is_err());
        assert!(Tag::new("a\nb").is_err());
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        let known = ["mail", "default", "reports"];
        for (name, found) in
            [("male", Some("mail")), ("Defualt", Some("default")), ("x", None), ("invoices", None)]
        {
            assert_eq!(nearest(name, known), found, "{name}");
        }
        assert_eq!(nearest(&"m".repeat(101), known), None);
    }

    #[test]
    fn ids_are_hyphenated() {
        let text = "019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a55";
        assert_eq!(text.parse::<JobId>().unwrap().to_string(), text);
        assert!("019a9f2e7c3b7d109c1f0d6f0b0e4a55".parse::<JobId>().is_err());
        assert!("{019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a55}".parse::<JobId>().is_err());
        assert!("019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a5g".parse::<JobId>().is_err());
    }
}
