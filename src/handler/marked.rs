//! Which members of a payload its schema marks as sensitive.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

/// How deep a schema is looked through: deeper than a file of JSON can be.
const DEEPEST: usize = 256;
/// What says something of the member itself, or of what is in it without a name of its own: one schema.
const ONE: [&str; 10] = [
    "items",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "not",
    "if",
    "then",
    "else",
];
/// The same: a list of schemas.
const SEVERAL: [&str; 5] = ["allOf", "anyOf", "oneOf", "prefixItems", "items"];
/// The same: an object of schemas.
const NAMED: [&str; 2] = ["patternProperties", "dependentSchemas"];

/// The names of the members that are marked, wherever they stand, sorted.
pub(super) fn names(document: &Value) -> Vec<String> {
    let mut names = BTreeSet::new();
    collect(document, document, DEEPEST, &mut names);
    names.into_iter().map(str::to_owned).collect()
}

fn collect<'a>(document: &'a Value, schema: &'a Value, deeper: usize, names: &mut BTreeSet<&'a str>) {
    let Some(deeper) = deeper.checked_sub(1) else { return };
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                let marked = properties
                    .iter()
                    .filter(|(_, property)| is_marked(document, property, DEEPEST, &mut HashSet::new()));
                names.extend(marked.map(|(name, _)| name.as_str()));
            }
            members.values().for_each(|member| collect(document, member, deeper, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(document, item, deeper, names)),
        _ => {}
    }
}

/// Whether a schema is marked, or one that it is made of. Every reference is `followed` once: they may lead in circles.
fn is_marked<'a>(
    document: &'a Value,
    schema: &'a Value,
    deeper: usize,
    followed: &mut HashSet<&'a str>,
) -> bool {
    let Some(deeper) = deeper.checked_sub(1) else { return false };
    if schema["writeOnly"] == true || schema["format"] == "password" {
        return true;
    }
    let referred = ["$ref", "$dynamicRef", "$recursiveRef"].into_iter().filter_map(|key| {
        let reference = schema[key].as_str().filter(|reference| followed.insert(reference))?;
        target(document, reference)
    });
    let one = ONE.into_iter().filter_map(|key| schema.get(key));
    let several = SEVERAL.into_iter().filter_map(|key| schema[key].as_array()).flatten();
    let named = NAMED.into_iter().filter_map(|key| schema[key].as_object()).flat_map(|named| named.values());
    let parts: Vec<&Value> = referred.chain(one).chain(several).chain(named).collect();
    parts.into_iter().any(|part| is_marked(document, part, deeper, followed))
}

/// Where a reference leads: a pointer or the name of an anchor, both behind `#`.
fn target<'a>(document: &'a Value, reference: &str) -> Option<&'a Value> {
    let (_, fragment) = reference.split_once('#')?;
    let fragment = percent_encoding::percent_decode_str(fragment).decode_utf8().ok()?;
    if fragment.is_empty() || fragment.starts_with('/') {
        return document.pointer(&fragment);
    }
    anchored(document, &fragment, DEEPEST)
}

fn anchored<'a>(schema: &'a Value, name: &str, deeper: usize) -> Option<&'a Value> {
    let deeper = deeper.checked_sub(1)?;
    match schema {
        Value::Object(members) => {
            let text = |key: &str| members.get(key).and_then(Value::as_str);
            // The last one is how drafts 4 to 7 write it.
            let is_here = [text("$anchor"), text("$dynamicAnchor")].contains(&Some(name))
                || text("$id").and_then(|id| id.strip_prefix('#')) == Some(name);
            if is_here {
                return Some(schema);
            }
            members.values().find_map(|member| anchored(member, name, deeper))
        }
        Value::Array(items) => items.iter().find_map(|item| anchored(item, name, deeper)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mark_counts_wherever_it_is_written() {
        let pin = json!({"type": "string", "writeOnly": true});
        for property in [
            pin.clone(),
            json!({"type": "string", "format": "password"}),
            json!({"$ref": "#/$defs/pin"}),
            json!({"$ref": "#/$defs/a~1b%20c"}),
            json!({"$ref": "#/$defs/detour"}),
            json!({"$ref": "#secret"}),
            json!({"allOf": [{"minLength": 1}, {"$ref": "#/$defs/pin"}]}),
            json!({"anyOf": [pin, {"type": "null"}]}),
            json!({"type": "array", "items": {"$ref": "#/$defs/pin"}}),
            json!({"prefixItems": [true, pin]}),
            json!({"additionalProperties": pin}),
            json!({"patternProperties": {"^x": pin}}),
        ] {
            let document = json!({"properties": {"n": {"items": {"properties": {"mine": property}}}}, "$defs": {
                "pin": pin, "a/b c": pin, "detour": {"$ref": "#/$defs/pin"}, "named": {"$anchor": "secret", "writeOnly": true},
            }});
            assert_eq!(names(&document), ["mine"], "{property}");
        }
    }

    #[test]
    fn what_is_beside_a_mark_is_not_marked() {
        let document = json!({
            "properties": {
                "to": {"type": "string", "writeOnly": false},
                "lines": {"items": {"properties": {"pin": {"format": "password"}, "text": {"type": "string"}}}},
                "round": {"$ref": "#/properties/about"},
                "about": {"allOf": [{"$ref": "#/properties/round"}, {"$ref": "#/properties/about"}]},
                "gone": {"$ref": "#/nowhere"},
                "any": true,
            }
        });
        assert_eq!(names(&document), ["pin"]);
    }
}
