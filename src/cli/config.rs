//! `backroom config`.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::ConfigArgs;
use crate::config::{EffectiveValue, Loaded};
use crate::redact::setting;

/// Writes every value and where it came from: as a table that is valid TOML, or as JSON.
///
/// # Errors
///
/// When `out` cannot be written to.
pub fn print_config(loaded: &Loaded, args: &ConfigArgs, out: &mut impl Write) -> io::Result<()> {
    if args.json {
        let item = |v: &EffectiveValue| json!({ "key": v.key, "value": setting(&v.key, &v.value), "origin": v.origin.to_string() });
        let items: Vec<Value> = loaded.effective.iter().map(item).collect();
        serde_json::to_writer_pretty(&mut *out, &json!({ "items": items }))?;
        writeln!(out)?;
    } else {
        let line = |v: &EffectiveValue| format!("{} = {}", v.key, toml(&setting(&v.key, &v.value)));
        let lines: Vec<_> = loaded.effective.iter().map(|v| (line(v), &v.origin)).collect();
        // One long list must not push all origins out of sight.
        let width =
            lines.iter().map(|(line, _)| line.chars().count()).filter(|n| *n <= 60).max().unwrap_or(0);
        for (line, origin) in lines {
            writeln!(out, "{line:width$}   # {origin}")?;
        }
    }
    out.flush()
}

/// The value in TOML. Its strings, numbers and lists are those of JSON, but for the character DEL.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| format!("{key} = {}", toml(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string().replace('\u{7f}', "\\u007f"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};
    use crate::redact::is_sensitive;

    fn print(set: &[&str], json: bool) -> String {
        let set = set.iter().map(|s| (*s).to_owned()).collect();
        let loaded = load(Sources { set, ..Sources::default() }, &["email", "webhook"]).unwrap();
        let mut out = Vec::new();
        print_config(&loaded, &ConfigArgs { json, ..ConfigArgs::default() }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_has_key_value_and_origin() {
        let table = print(&["limits.batch=5"], false);
        insta::assert_snapshot!(table);
    }

    #[test]
    fn the_table_is_toml_that_leads_to_the_same_table() {
        let table = print(&["server.address_file=\"a\\\"\\\\\\u007f\\nb\""], false);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, &table).unwrap();
        let file = crate::config::FileSource::Named(path);
        let loaded = load(Sources { file, ..Sources::default() }, &["email", "webhook"]).unwrap();
        let values =
            |text: &str| text.lines().map(|l| l.split("   #").next().map(str::to_owned)).collect::<Vec<_>>();
        let mut again = Vec::new();
        print_config(&loaded, &ConfigArgs::default(), &mut again).unwrap();
        assert_eq!(values(&String::from_utf8(again).unwrap()), values(&table));
    }

    #[test]
    fn the_json_has_the_same_items() {
        let all: Value = serde_json::from_str(&print(&["limits.batch=5"], true)).unwrap();
        let items = all["items"].as_array().unwrap();
        assert_eq!(items.len(), print(&[], false).lines().count());
        assert!(items.contains(&json!({ "key": "limits.batch", "value": 5, "origin": "--set" })));
        assert!(items.contains(&json!({ "key": "log.level", "value": "info", "origin": "default" })));
    }

    /// For options that will be added: whoever forgets that theirs is a secret still does not see it printed.
    #[test]
    fn every_option_with_a_sensitive_name_is_hidden() {
        let loaded = |set: &[String]| load(Sources { set: set.to_vec(), ..Sources::default() }, &["email"]);
        let keys: Vec<String> = loaded(&[]).unwrap().effective.into_iter().map(|v| v.key).collect();
        let mut hidden = Vec::new();
        for key in keys {
            for value in ["smtp://me:s3cret@h", "s3cret"] {
                let Ok(mut loaded) = loaded(&[format!("{key}={value}")]) else { continue };
                let name = key.rsplit('.').next().unwrap();
                if name.ends_with("_file") || !(is_sensitive(name, &[]) || value.contains('@')) {
                    continue;
                }
                // As if the option was read like any other.
                for v in loaded.effective.iter_mut().filter(|v| v.key == key) {
                    v.value = value.into();
                }
                for json in [false, true] {
                    let mut out = Vec::new();
                    print_config(&loaded, &ConfigArgs { json, ..ConfigArgs::default() }, &mut out).unwrap();
                    let text = String::from_utf8(out).unwrap();
                    assert!(!text.contains("s3cret") && text.contains("[redacted]"), "{key}: {text}");
                }
                hidden.push(key.clone());
            }
        }
        assert!(hidden.iter().any(|key| key == "mail.smtp_url"), "{hidden:?}");
    }

    #[test]
    fn secrets_are_not_printed() {
        let set = ["mail.smtp_url=smtp://me:s3cret@h"];
        for json in [false, true] {
            let text = print(&set, json);
            assert!(!text.contains("s3cret") && text.contains("smtp://[redacted]@h"), "{text}");
        }
    }
}
