//! `kinds.<name>.schema`: what payloads may be, in a file of the user's.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::layers::unreadable;
use crate::handler::Schema;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Reads a JSON Schema.
///
/// # Errors
///
/// When the file cannot be read, is no JSON, or is no schema.
pub(crate) fn read_schema(path: &Path) -> Result<Schema, String> {
    let unreadable = |error| unreadable(path, &error);
    let mut text = Vec::new();
    // Not by what the file says of its size: a device has none, and no end.
    let file = File::open(path).map_err(unreadable)?;
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LARGEST {
        return Err("must be at most 1 MiB".to_owned());
    }
    let document = serde_json::from_slice(&text).map_err(|error| format!("is not JSON: {error}"))?;
    Schema::new(document).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{config, faults};

    #[test]
    fn a_schema_is_a_file_that_can_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let set = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            format!("kinds.count.schema={}", path.display())
        };
        let run = ["kinds.count.run=push", "kinds.count.url=http://app/"];
        let with = |schema: &str| faults(&[run[0], run[1], schema]);
        let good = set("good.json", r#"{"type": "object"}"#);
        assert!(config(&[run[0], run[1], &good]).kinds["count"].schema.is_some());
        for (schema, reason) in [
            (set("broken.json", r#"{"type": "strnig"}"#), "is not a JSON Schema that can be used"),
            (
                set("outside.json", r#"{"$ref": "https://example.com/a.json"}"#),
                "is not a JSON Schema that can be used",
            ),
            (set("no.json", "{"), "is not JSON: EOF"),
            (set("large.json", &" ".repeat((1 << 20) + 1)), "must be at most 1 MiB"),
            ("kinds.count.schema=gone.json".to_owned(), "gone.json cannot be read"),
            ("kinds.count.schema=/dev/zero".to_owned(), "must be at most 1 MiB"),
        ] {
            let found = with(&schema);
            assert!(found.len() == 1 && found[0].contains(reason), "{found:?}");
        }
        let alone = faults(&[&good.replace("count", "noop")]);
        assert!(alone.len() == 1 && alone[0].contains("is for kinds of your own"), "{alone:?}");
    }
}
