//! The layer of the command line: `--set section.key=value`.

use toml::de::{DeTable, DeValue};

use super::fault::{ConfigFault, Origin};
use super::tree::{Leaf, Node, Table};
use super::value::Value;

/// Reads the settings in their order; the last one for a key wins.
pub(super) fn layer(settings: &[String], faults: &mut Vec<ConfigFault>) -> Table {
    let mut layer = Table::new(Origin::Set);
    for setting in settings {
        match split(setting) {
            Some((path, value)) => {
                layer.merge(nested(&path, value, &Origin::Set), &mut Vec::new(), faults);
            }
            // Not quoted: what is malformed may still hold a secret.
            None => faults.push(ConfigFault {
                origin: Origin::Set,
                key: String::new(),
                reason: "write --set section.key=value".to_owned(),
            }),
        }
    }
    layer
}

/// Splits `a."b.c".d=value` at the first `=` outside quotes, and the key at its dots.
fn split(setting: &str) -> Option<(Vec<String>, &str)> {
    let mut quote = None;
    let end = setting.find(|c: char| {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        quote.is_none() && c == '='
    })?;
    let (key, text) = (&setting[..end], &setting[end + 1..]);
    if key.contains(['\n', '#', '[']) {
        return None;
    }
    let document = format!("{key} = 0");
    let parsed = DeTable::parse(&document).ok()?;
    let mut path = Vec::new();
    let mut table = parsed.get_ref();
    loop {
        let (name, value) = table.iter().next()?;
        path.push(name.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return Some((path, text)),
        }
    }
}

/// A tree with one value in it. Text that is an inline table becomes a section.
pub(super) fn nested(path: &[String], value: &str, origin: &Origin) -> Table {
    let parsed = DeValue::parse(value.trim());
    let mut node = match parsed.as_ref().map(toml::Spanned::get_ref) {
        Ok(DeValue::Table(table)) => {
            Node::Table(Table::from_toml(table, origin.clone(), &|_| origin.clone()))
        }
        _ => Node::Leaf(Leaf { value: Value::Text(value.to_owned()), origin: origin.clone() }),
    };
    for name in path.iter().rev() {
        let mut table = Table::new(origin.clone());
        table.entries.insert(name.clone(), node);
        node = Node::Table(table);
    }
    match node {
        Node::Table(table) => table,
        Node::Leaf(_) => Table::new(origin.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{config, faults};

    #[test]
    fn settings_split_at_the_first_equals_sign_outside_quotes() {
        let parts = |setting| split(setting).map(|(path, value)| (path.join("|"), value));
        let some = |path: &str, value| Some((path.to_owned(), value));
        assert_eq!(parts("a.b=c"), some("a|b", "c"));
        assert_eq!(parts("a.b=c=d"), some("a|b", "c=d"));
        assert_eq!(parts("a.b="), some("a|b", ""));
        assert_eq!(parts("kinds.\"invoice.render\".queue=x"), some("kinds|invoice.render|queue", "x"));
        assert_eq!(parts("a.\"b=c\".d=e"), some("a|b=c|d", "e"));
        assert_eq!(parts("a=b"), some("a", "b"));
        for bad in ["", "a.b", "=x", "a..b=x", "a b=x", "a\nb=x", "a.\"b=x", "[a]=x", "a#=x"] {
            assert_eq!(parts(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_malformed_setting_is_a_fault_that_does_not_quote_it() {
        assert_eq!(faults(&["mail.smtp_password:s3cret"]), ["--set: write --set section.key=value"]);
    }

    #[test]
    fn an_inline_table_is_a_section() {
        let queues = config(&["queues.bulk={capacity=5}", "queues.bulk.concurrency=6"]).queues;
        assert_eq!((queues["bulk"].capacity, queues["bulk"].concurrency), (5, 6));
    }
}
