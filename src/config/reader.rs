//! Reads values from the merged tree and goes on after a fault, so that all of them are reported at once.
//!
//! Each method notes that its key exists; what nobody asked for is unknown. After a fault a method returns its fallback,
//! which is never seen outside: a configuration with a fault is not handed out.

use super::fault::{ConfigFault, Origin, instead_of};
use super::load::EffectiveValue;
use super::tree::{Leaf, Node, Table, dotted};
use super::value::Value;

/// What has been found so far.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) faults: Vec<ConfigFault>,
    pub(super) effective: Vec<EffectiveValue>,
    /// Whether a layer is missing. Then nobody looks at how values fit each other: it would find what is not so.
    pub(super) incomplete: bool,
}

/// Reads the whole tree, section by section.
pub(super) struct Reader<'a> {
    tree: &'a Table,
    asked: Vec<&'static str>,
    pub(super) found: Findings,
}

/// Reads one section.
pub(super) struct Section<'a> {
    path: Vec<String>,
    table: &'a Table,
    asked: Vec<&'static str>,
    found: &'a mut Findings,
}

impl<'a> Reader<'a> {
    pub(super) fn new(tree: &'a Table, faults: Vec<ConfigFault>, incomplete: bool) -> Self {
        let found = Findings { faults, effective: Vec::new(), incomplete };
        Self { tree, asked: Vec::new(), found }
    }

    /// Reads a section with fixed keys.
    pub(super) fn section<T>(&mut self, name: &'static str, body: impl FnOnce(&mut Section<'_>) -> T) -> T {
        self.asked.push(name);
        let empty = Table::new(Origin::Default);
        let table = self.tree.table(name).unwrap_or(&empty);
        Section::read(vec![name.to_owned()], table, &mut self.found, body)
    }

    /// Reads a section whose members are sections of one form, with names that users choose.
    pub(super) fn each(&mut self, name: &'static str, mut body: impl FnMut(&str, &mut Section<'_>)) {
        self.asked.push(name);
        let Some(table) = self.tree.table(name) else {
            return;
        };
        for (member, node) in &table.entries {
            let path = vec![name.to_owned(), member.clone()];
            match node {
                Node::Table(table) => Section::read(path, table, &mut self.found, |s| body(member, s)),
                Node::Leaf(leaf) => self.found.faults.push(ConfigFault {
                    origin: leaf.origin.clone(),
                    reason: format!("is a section, not a value: write [{}]", dotted(&path)),
                    key: dotted(&path),
                }),
            }
        }
    }

    /// Notes the sections that nobody asked for.
    pub(super) fn finish(mut self) -> Findings {
        unknown(self.tree, &[], &self.asked, &mut self.found.faults);
        self.found
    }
}

impl Findings {
    /// Where the value of a key came from.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.effective.iter().find(|v| v.key == key).map_or(Origin::Default, |v| v.origin.clone())
    }

    /// Notes a fault of a key that could be read, but does not fit the others.
    pub(super) fn fault(&mut self, key: &str, reason: impl Into<String>) {
        let origin = self.origin(key);
        self.faults.push(ConfigFault { origin, key: key.to_owned(), reason: reason.into() });
    }
}

impl<'a> Section<'a> {
    fn read<T>(
        path: Vec<String>,
        table: &'a Table,
        found: &'a mut Findings,
        body: impl FnOnce(&mut Section<'a>) -> T,
    ) -> T {
        let mut section = Section { path, table, asked: Vec::new(), found };
        let value = body(&mut section);
        unknown(table, &section.path, &section.asked, &mut section.found.faults);
        value
    }

    /// Its name, with the sections around it.
    pub(super) fn name(&self) -> String {
        dotted(&self.path)
    }

    /// Reads a section within it, with fixed keys.
    pub(super) fn section<T>(&mut self, name: &'static str, body: impl FnOnce(&mut Section<'_>) -> T) -> T {
        self.asked.push(name);
        let empty = Table::new(Origin::Default);
        let table = self.table.table(name).unwrap_or(&empty);
        let mut path = self.path.clone();
        path.push(name.to_owned());
        Section::read(path, table, self.found, body)
    }

    /// Whether a layer is missing, see [`Findings`].
    pub(super) fn is_incomplete(&self) -> bool {
        self.found.incomplete
    }

    /// Whether the section has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.entries.contains_key(key)
    }

    /// Whether nobody but the shipped defaults says anything about this key.
    pub(super) fn comes_as_shipped(&self, key: &str) -> bool {
        self.origin(key) == Origin::Default
    }

    /// Whether nobody but the shipped defaults mentions this section.
    pub(super) fn is_shipped(&self) -> bool {
        self.table.origin == Origin::Default
    }

    /// Notes a fault of the section as a whole.
    pub(super) fn fault_here(&mut self, reason: impl Into<String>) {
        let origin = self.table.origin.clone();
        self.found.faults.push(ConfigFault { origin, key: dotted(&self.path), reason: reason.into() });
    }

    /// Notes a fault of one of its keys.
    pub(super) fn fault(&mut self, key: &str, reason: impl Into<String>) {
        self.fault_of(key, key, reason);
    }

    /// Notes a fault of the key `key` that the value of `because` brought about.
    pub(super) fn fault_of(&mut self, key: &str, because: &str, reason: impl Into<String>) {
        let origin = self.origin(because);
        self.found.faults.push(ConfigFault { origin, key: self.key(key), reason: reason.into() });
    }

    /// A key that need not be there.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> T,
    ) -> Option<T> {
        self.asked.push(key);
        self.has(key).then(|| read(self, key))
    }

    /// The value of a key without its effect: neither shown nor checked. For what is secret.
    pub(super) fn hidden(&mut self, key: &'static str) -> Option<String> {
        let leaf = self.leaf(key)?;
        let text = leaf.value.string();
        if text.is_none() {
            self.fault(key, "must be text");
        }
        text
    }

    /// As [`Self::hidden`]; a list counts as its items with commas between.
    pub(super) fn hidden_text_or_list(&mut self, key: &'static str) -> Option<String> {
        let leaf = self.leaf(key)?;
        let text = leaf.value.string().or_else(|| leaf.value.strings().map(|items| items.join(",")));
        if text.is_none() {
            self.fault(key, "must be text, or a list of texts");
        }
        text
    }

    /// The same of a list.
    pub(super) fn hidden_list(&mut self, key: &'static str) -> Option<Vec<String>> {
        let leaf = self.leaf(key)?;
        let items = leaf.value.strings();
        if items.is_none() {
            self.fault(key, "must be a list of texts, as in [\"a\", \"b\"]");
        }
        items
    }

    /// As [`Self::hidden`], for what is no text.
    pub(super) fn hidden_value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.leaf(key).map(|leaf| &leaf.value)
    }

    /// Lists a value that was read with [`Self::hidden`].
    pub(super) fn show(&mut self, key: &str, value: impl Into<serde_json::Value>) {
        let origin = self.origin(key);
        self.found.effective.push(EffectiveValue { key: self.key(key), value: value.into(), origin });
    }

    /// A value or a section that is taken for JSON, whatever is in it. `None` where there is none, or a fault.
    pub(super) fn json(&mut self, key: &'static str) -> Option<serde_json::Value> {
        self.asked.push(key);
        match json_of(self.table.entries.get(key)?) {
            Ok(value) => {
                self.show(key, value.clone());
                Some(value)
            }
            Err(reason) => {
                self.fault(key, reason);
                None
            }
        }
    }

    /// The one way by which a value is read: find it, take it as `R`, check it, list it.
    pub(super) fn typed<R: Into<serde_json::Value> + Clone, T>(
        &mut self,
        key: &'static str,
        fallback: T,
        take: impl FnOnce(&Value) -> Option<R>,
        rule: &str,
        check: impl FnOnce(R) -> Result<T, String>,
    ) -> T {
        let Some(leaf) = self.leaf(key) else {
            return fallback;
        };
        let checked = take(&leaf.value)
            .ok_or_else(|| rule.to_owned())
            .and_then(|value| check(value.clone()).map(|checked| (checked, value.into())));
        match checked {
            Ok((checked, shown)) => {
                self.show(key, shown);
                checked
            }
            Err(reason) => {
                self.fault(key, format!("{reason} (found {})", leaf.value.shown()));
                fallback
            }
        }
    }

    fn leaf(&mut self, key: &'static str) -> Option<&'a Leaf> {
        self.asked.push(key);
        let table = self.table;
        match table.entries.get(key) {
            Some(Node::Leaf(leaf)) => Some(leaf),
            Some(Node::Table(_)) => {
                self.fault(key, "is a value, not a section");
                None
            }
            None => {
                self.fault(key, "is missing");
                None
            }
        }
    }

    fn origin(&self, key: &str) -> Origin {
        match self.table.entries.get(key) {
            Some(Node::Leaf(leaf)) => leaf.origin.clone(),
            Some(Node::Table(table)) => table.origin.clone(),
            None => self.table.origin.clone(),
        }
    }

    fn key(&self, key: &str) -> String {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        dotted(&path)
    }
}

fn json_of(node: &Node) -> Result<serde_json::Value, String> {
    match node {
        Node::Leaf(leaf) => leaf.value.json(),
        Node::Table(table) => {
            table.entries.iter().map(|(name, node)| Ok((name.clone(), json_of(node)?))).collect()
        }
    }
}

fn unknown(table: &Table, path: &[String], asked: &[&'static str], faults: &mut Vec<ConfigFault>) {
    for (name, node) in &table.entries {
        if asked.contains(&name.as_str()) {
            continue;
        }
        let origin = match node {
            Node::Table(table) => table.origin.clone(),
            Node::Leaf(leaf) => leaf.origin.clone(),
        };
        let what = if path.is_empty() { "section" } else { "key" };
        let mut full = path.to_vec();
        full.push(name.clone());
        let reason = format!("unknown {what}; {}", instead_of(name, asked.iter().copied()));
        faults.push(ConfigFault { origin, key: dotted(&full), reason });
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::with_file;

    #[test]
    fn every_fault_of_a_file_is_found_at_once_with_its_line() {
        let text = "[server]\nbind = 5\nhttp_workers = '2'\nkeep_alive = 30\ncors = []\n\n[serve]\nx = 1\n\n\
                    [queues.mail]\nconcurency = 2\n[retry.mine]\nfactor = true\n[log.level]\nx = 1\n";
        let faults = with_file(text, &[]).unwrap_err();
        let shown: Vec<String> = faults
            .iter()
            .map(|fault| {
                fault.to_string().rsplit_once(".toml:").map_or_else(String::new, |(_, rest)| rest.to_owned())
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
