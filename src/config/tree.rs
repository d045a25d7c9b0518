//! Values by key, each with its origin, before anybody has said what they should be.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::fault::{ConfigFault, Origin};

/// A section.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Table {
    pub(super) entries: BTreeMap<String, Node>,
    /// The strongest layer that mentions it.
    pub(super) origin: Origin,
}

/// What a key stands for.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Node {
    Table(Table),
    Leaf(Leaf),
}

/// A value and where it was written.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Leaf {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// A value as it was written.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    /// From the environment or `--set`: it is what the reader needs it to be.
    Text(String),
    String(String),
    Integer(i64),
    Float(f64),
    List(Vec<Value>),
    /// What no option takes: a boolean, a date, a table in a list, a number beyond 64 bits. As text, for the fault.
    Other(String),
}

impl Table {
    pub(super) const fn new(origin: Origin) -> Self {
        Self {
            entries: BTreeMap::new(),
            origin,
        }
    }

    /// Takes over a parsed document; `origin` turns the place of a key into its origin.
    pub(super) fn from_toml(
        table: &DeTable<'_>,
        at: Origin,
        origin: &dyn Fn(Range<usize>) -> Origin,
    ) -> Self {
        let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
            let key: &toml::Spanned<std::borrow::Cow<'_, str>> = key;
            let at = origin(key.span());
            let node = match value.get_ref() {
                DeValue::Table(inner) => Node::Table(Self::from_toml(inner, at, origin)),
                other => Node::Leaf(Leaf {
                    value: Value::from_toml(other),
                    origin: at,
                }),
            };
            (key.get_ref().to_string(), node)
        };
        Self {
            entries: table.iter().map(entry).collect(),
            origin: at,
        }
    }

    /// The section of this name.
    pub(super) fn table(&self, name: &str) -> Option<&Self> {
        match self.entries.get(name)? {
            Node::Table(table) => Some(table),
            Node::Leaf(_) => None,
        }
    }

    /// The section of this name, to be changed.
    pub(super) fn table_mut(&mut self, name: &str) -> Option<&mut Self> {
        match self.entries.get_mut(name)? {
            Node::Table(table) => Some(table),
            Node::Leaf(_) => None,
        }
    }

    /// Lays a stronger table over this one. A value where a section was, or the other way round, is a fault and is
    /// left out.
    pub(super) fn merge(&mut self, stronger: Self, path: &mut Vec<String>, faults: &mut Vec<ConfigFault>) {
        self.origin = stronger.origin;
        for (name, node) in stronger.entries {
            path.push(name.clone());
            match (self.entries.get_mut(&name), node) {
                (Some(Node::Table(below)), Node::Table(above)) => below.merge(above, path, faults),
                (Some(Node::Leaf(below)), Node::Leaf(above)) => *below = above,
                (None, node) => {
                    self.entries.insert(name, node);
                }
                (Some(Node::Table(_)), Node::Leaf(leaf)) => faults.push(ConfigFault {
                    origin: leaf.origin,
                    key: dotted(path),
                    reason: "is a section, not a value".to_owned(),
                }),
                (Some(Node::Leaf(_)), Node::Table(table)) => faults.push(ConfigFault {
                    origin: table.origin,
                    key: dotted(path),
                    reason: "is a value, not a section".to_owned(),
                }),
            }
            path.pop();
        }
    }
}

impl Value {
    fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::String(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Self::Other(number.to_string()), Self::Integer),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or_else(|_| Self::Other(number.to_string()), Self::Float),
            DeValue::Boolean(flag) => Self::Other(flag.to_string()),
            DeValue::Datetime(date) => Self::Other(date.to_string()),
            DeValue::Array(items) => {
                Self::List(items.iter().map(|item| Self::from_toml(item.get_ref())).collect())
            }
            DeValue::Table(_) => Self::Other("a table".to_owned()),
        }
    }

    /// Text that is TOML, as what it is.
    fn parsed(&self) -> Option<Self> {
        let Self::Text(text) = self else { return None };
        DeValue::parse(text.trim())
            .ok()
            .map(|value| Self::from_toml(value.get_ref()))
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

    /// As a list of strings; in the environment also `a,b`.
    pub(super) fn strings(&self) -> Option<Vec<String>> {
        match self {
            Self::List(items) => items.iter().map(Self::string).collect(),
            Self::Text(text) => match self.parsed() {
                Some(list @ Self::List(_)) => list.strings(),
                _ if text.trim().is_empty() => Some(Vec::new()),
                _ => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
            },
            _ => None,
        }
    }

    /// As it was written, shortened, for a fault.
    pub(super) fn shown(&self) -> String {
        let text = match self {
            Self::Text(text) | Self::String(text) => format!("{text:?}"),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::List(items) => format!(
                "[{}]",
                items.iter().map(Self::shown).collect::<Vec<_>>().join(", ")
            ),
            Self::Other(text) => text.clone(),
        };
        match text.char_indices().nth(80) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

/// A path as a TOML key: `kinds."invoice.render".queue`.
pub(super) fn dotted(path: &[String]) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let part = |name: &String| {
        if !name.is_empty() && name.chars().all(bare) {
            name.clone()
        } else {
            format!("{name:?}")
        }
    };
    path.iter().map(part).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, origin: &Origin) -> Table {
        let document = DeTable::parse(text).unwrap();
        Table::from_toml(document.get_ref(), origin.clone(), &|_| origin.clone())
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn a_stronger_layer_replaces_leaf_by_leaf() {
        let mut tree = parse("[a]\nx = 1\ny = [1, 2]\n", &Origin::Default);
        let mut faults = Vec::new();
        tree.merge(
            parse("a.y = [3]\na.z = 4\n", &Origin::Set),
            &mut Vec::new(),
            &mut faults,
        );
        let leaf = |name: &str| tree.table("a").unwrap().entries[name].clone();
        assert_eq!(
            leaf("x"),
            Node::Leaf(Leaf {
                value: Value::Integer(1),
                origin: Origin::Default
            })
        );
        let three = Value::List(vec![Value::Integer(3)]);
        assert_eq!(
            leaf("y"),
            Node::Leaf(Leaf {
                value: three,
                origin: Origin::Set
            })
        );
        assert_eq!(
            leaf("z"),
            Node::Leaf(Leaf {
                value: Value::Integer(4),
                origin: Origin::Set
            })
        );
        assert_eq!(faults, []);
    }

    #[test]
    fn sections_and_values_do_not_replace_each_other() {
        let mut tree = parse("[a]\nx = 1\n", &Origin::Default);
        let before = tree.entries.clone();
        let mut faults = Vec::new();
        tree.merge(parse("a = 1\n", &Origin::Default), &mut Vec::new(), &mut faults);
        tree.merge(
            parse("[a.x]\ny = 1\n", &Origin::Default),
            &mut Vec::new(),
            &mut faults,
        );
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "default: a: is a section, not a value",
                "default: a.x: is a value, not a section"
            ]
        );
        assert_eq!(tree.entries, before);
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
        let list = |t: &str| text(t).strings().map(|l| l.join("|"));
        assert_eq!(list("[\"5s\", \"5m\"]").as_deref(), Some("5s|5m"));
        assert_eq!(list("5s, 5m").as_deref(), Some("5s|5m"));
        assert_eq!(list("5s").as_deref(), Some("5s"));
        assert_eq!(list("").as_deref(), Some(""));
        assert_eq!(list("[1]"), None);
    }

    #[test]
    fn what_a_file_says_is_not_guessed_at() {
        let file = parse(
            "n = '8'\ni = 0x10\nbig = 99999999999999999999\nb = true\n",
            &Origin::Default,
        );
        let value = |name: &str| match &file.entries[name] {
            Node::Leaf(leaf) => leaf.value.clone(),
            Node::Table(_) => panic!("{name} is a table"),
        };
        assert_eq!(value("n").integer(), None);
        assert_eq!(value("i").integer(), Some(16));
        assert_eq!(value("i").string(), None);
        assert_eq!(value("n").strings(), None);
        assert_eq!(value("big"), Value::Other("99999999999999999999".into()));
        assert_eq!(value("b").shown(), "true");
    }

    #[test]
    fn keys_are_quoted_where_they_must_be() {
        assert_eq!(
            dotted(&["kinds".into(), "invoice.render".into(), "queue".into()]),
            "kinds.\"invoice.render\".queue"
        );
        assert_eq!(dotted(&["a".into(), String::new()]), "a.\"\"");
    }
}
