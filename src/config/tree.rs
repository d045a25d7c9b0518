//! Values by key, each with its origin, before anybody has said what they should be.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::fault::{ConfigFault, Origin};
use super::value::Value;

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

impl Table {
    pub(super) const fn new(origin: Origin) -> Self {
        Self { entries: BTreeMap::new(), origin }
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
                other => Node::Leaf(Leaf { value: Value::from_toml(other), origin: at }),
            };
            (key.get_ref().to_string(), node)
        };
        Self { entries: table.iter().map(entry).collect(), origin: at }
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

/// A path as a TOML key: `kinds."invoice.render".queue`.
pub(super) fn dotted(path: &[String]) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let part = |name: &String| {
        if !name.is_empty() && name.chars().all(bare) { name.clone() } else { format!("{name:?}") }
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

    #[test]
    fn a_stronger_layer_replaces_leaf_by_leaf() {
        let mut tree = parse("[a]\nx = 1\ny = [1, 2]\n", &Origin::Default);
        let mut faults = Vec::new();
        tree.merge(parse("a.y = [3]\na.z = 4\n", &Origin::Set), &mut Vec::new(), &mut faults);
        let leaf = |name: &str| tree.table("a").unwrap().entries[name].clone();
        assert_eq!(leaf("x"), Node::Leaf(Leaf { value: Value::Integer(1), origin: Origin::Default }));
        let list = Value::List(vec![Value::Integer(3)]);
        assert_eq!(leaf("y"), Node::Leaf(Leaf { value: list, origin: Origin::Set }));
        assert_eq!(leaf("z"), Node::Leaf(Leaf { value: Value::Integer(4), origin: Origin::Set }));
        assert_eq!(faults, []);
    }

    #[test]
    fn sections_and_values_do_not_replace_each_other() {
        let mut tree = parse("[a]\nx = 1\n", &Origin::Default);
        let before = tree.entries.clone();
        let mut faults = Vec::new();
        tree.merge(parse("a = 1\n", &Origin::Default), &mut Vec::new(), &mut faults);
        tree.merge(parse("[a.x]\ny = 1\n", &Origin::Default), &mut Vec::new(), &mut faults);
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["default: a: is a section, not a value", "default: a.x: is a value, not a section"]
        );
        assert_eq!(tree.entries, before);
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
