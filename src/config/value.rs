//! One value as it was written, and what it can be taken for.

use toml::de::DeValue;

/// A value as it was written.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    /// From the environment or `--set`: it is what the reader needs it to be.
    Text(String),
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<Value>),
    /// A table in a list.
    Table(Vec<(String, Value)>),
    /// What no option takes: a date, a number beyond 64 bits. As text, for the fault.
    Other(String),
}

impl Value {
    pub(super) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::String(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Self::Other(number.to_string()), Self::Integer),
            DeValue::Float(number) => {
                number.as_str().parse().map_or_else(|_| Self::Other(number.to_string()), Self::Float)
            }
            DeValue::Boolean(flag) => Self::Boolean(*flag),
            DeValue::Datetime(date) => Self::Other(date.to_string()),
            DeValue::Array(items) => {
                Self::List(items.iter().map(|item| Self::from_toml(item.get_ref())).collect())
            }
            DeValue::Table(members) => {
                let member =
                    |(key, value): (&toml::Spanned<std::borrow::Cow<'_, str>>, &toml::Spanned<_>)| {
                        (key.get_ref().to_string(), Self::from_toml(value.get_ref()))
                    };
                Self::Table(members.iter().map(member).collect())
            }
        }
    }

    /// Text that is TOML, as what it is.
    fn parsed(&self) -> Option<Self> {
        let Self::Text(text) = self else { return None };
        DeValue::parse(text.trim()).ok().map(|value| Self::from_toml(value.get_ref()))
    }

    /// As text: a string, or anything from the environment; quotes around it are taken off.
    pub(super) fn string(&self) -> Option<String> {
        match self {
            Self::String(text) => Some(text.clone()),
            Self::Text(text) => match self.parsed() {
                Some(Self::String(inner)) => Some(inner),
                _ => Some(text.clone()),
            },
            _ => None,
        }
    }

    /// As a whole number.
    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Text(_) => self.parsed()?.integer(),
            _ => None,
        }
    }

    /// As a number.
    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Text(_) => self.parsed()?.float(),
            _ => None,
        }
    }

    /// As yes or no.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(flag) => Some(*flag),
            Self::Text(_) => self.parsed()?.boolean(),
            _ => None,
        }
    }

    /// As a list of strings; in the environment also `a,b`. What begins like a list must be one: of `[a,b]`, whose
    /// texts lack their quotes, `[a` and `b]` would be silently made.
    pub(super) fn strings(&self) -> Option<Vec<String>> {
        match self {
            Self::List(items) => items.iter().map(Self::string).collect(),
            Self::Text(text) => match self.parsed() {
                Some(list @ Self::List(_)) => list.strings(),
                _ if text.trim_start().starts_with('[') => None,
                _ if text.trim().is_empty() => Some(Vec::new()),
                _ => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
            },
            _ => None,
        }
    }

    /// As a list of anything. An empty text in the environment is an empty one.
    pub(super) fn items(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(items) => Some(items.clone()),
            Self::Text(text) if text.trim().is_empty() => Some(Vec::new()),
            Self::Text(_) => self.parsed()?.items(),
            _ => None,
        }
    }

    /// As JSON. What comes from the environment is JSON, or TOML, or else text.
    pub(super) fn json(&self) -> Result<serde_json::Value, String> {
        use serde_json::Value as Json;
        match self {
            Self::Text(text) => match (serde_json::from_str(text), self.parsed()) {
                (Ok(json), _) => Ok(json),
                (Err(_), Some(toml)) => toml.json(),
                (Err(_), None) => Ok(Json::String(text.clone())),
            },
            Self::String(text) => Ok(Json::String(text.clone())),
            Self::Integer(number) => Ok(Json::from(*number)),
            Self::Float(number) => {
                serde_json::Number::from_f64(*number).map(Json::Number).ok_or_else(no_json)
            }
            Self::Boolean(flag) => Ok(Json::Bool(*flag)),
            Self::List(items) => items.iter().map(Self::json).collect(),
            Self::Table(members) => {
                members.iter().map(|(name, value)| Ok((name.clone(), value.json()?))).collect()
            }
            Self::Other(_) => Err(no_json()),
        }
    }

    /// The members of a table in a list.
    pub(super) fn members(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Table(members) => Some(members),
            _ => None,
        }
    }

    /// As it was written, shortened, for a fault. Of a table nothing, because it may hold a secret.
    pub(super) fn shown(&self) -> String {
        let text = match self {
            Self::Text(text) | Self::String(text) => format!("{text:?}"),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Boolean(flag) => flag.to_string(),
            Self::List(items) => {
                format!("[{}]", items.iter().map(Self::shown).collect::<Vec<_>>().join(", "))
            }
            Self::Table(_) => "a table".to_owned(),
            Self::Other(text) => text.clone(),
        };
        match text.char_indices().nth(80) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

fn no_json() -> String {
    "holds a value that has no form in JSON (a date, a number that is none or too large): write it as text"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn text_becomes_what_is_asked_for() {
        assert_eq!(text("8").integer(), Some(8));
        assert_eq!(text("1_000").integer(), Some(1000));
        assert_eq!(text("8").string().as_deref(), Some("8"));
        assert_eq!(text("8").float(), Some(8.0));
        assert_eq!(text("1.5").float(), Some(1.5));
        assert_eq!(text("1.5").integer(), None);
        assert_eq!(text("eight").integer(), None);
        assert_eq!(text("\"8\"").string().as_deref(), Some("8"));
        assert_eq!(text("\"8\"").integer(), None);
        assert_eq!(text("say \"hi\"").string().as_deref(), Some("say \"hi\""));
        assert_eq!(text("true").string().as_deref(), Some("true"));
        assert_eq!(text("[::1]:80").string().as_deref(), Some("[::1]:80"));
        assert_eq!((text("true").boolean(), text("false").boolean()), (Some(true), Some(false)));
        assert_eq!((text("yes").boolean(), text("1").boolean()), (None, None));
        let list = |t: &str| text(t).strings().map(|l| l.join("|"));
        assert_eq!(list("[\"5s\", \"5m\"]").as_deref(), Some("5s|5m"));
        assert_eq!(list("5s, 5m").as_deref(), Some("5s|5m"));
        assert_eq!(list("5s").as_deref(), Some("5s"));
        assert_eq!(list("").as_deref(), Some(""));
        assert_eq!(list("[1]"), None);
        for unquoted in ["[iban,phone]", " [iban]", "[\"iban\"", "[", "[\"a\"] x"] {
            assert_eq!(list(unquoted), None, "{unquoted:?}");
        }
    }

    #[test]
    fn what_a_file_says_is_not_guessed_at() {
        let value = |text: &str| Value::from_toml(DeValue::parse(text).unwrap().get_ref());
        assert_eq!(value("'8'").integer(), None);
        assert_eq!(value("0x10").integer(), Some(16));
        assert_eq!(value("0x10").string(), None);
        assert_eq!(value("'8'").strings(), None);
        assert_eq!(value("99999999999999999999"), Value::Other("99999999999999999999".into()));
        assert_eq!((value("true").shown().as_str(), value("true").boolean()), ("true", Some(true)));
        assert_eq!((value("'true'").boolean(), value("true").string()), (None, None));
    }
}
