//! Pieces of the page: text, code, types.

use std::fmt::Write as _;

use serde_json::Value;

/// Text that means itself.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A member as text that means itself; nothing when it is not there.
pub(super) fn text(value: &Value, member: &str) -> String {
    value[member].as_str().map(escaped).unwrap_or_default()
}

pub(super) fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

/// As the target of a link.
pub(super) fn slug(text: &str) -> String {
    text.to_lowercase().replace(' ', "-")
}

/// Paragraphs, with what stands between backticks as code. Descriptions use no other markup.
pub(super) fn prose(value: &Value) -> String {
    let mut html = String::new();
    for paragraph in
        value.as_str().unwrap_or_default().split("\n\n").filter(|paragraph| !paragraph.is_empty())
    {
        html.push_str("<p>");
        for (n, part) in paragraph.split('`').enumerate() {
            html.push_str(&if n % 2 == 0 { escaped(part) } else { code(part) });
        }
        html.push_str("</p>\n");
    }
    html
}

/// The members of a schema as a table, if it has some.
pub(super) fn rows(schema: &Value) -> String {
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name));
    let mut html = String::new();
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let maybe = if required(name) { "" } else { "<br><small>optional</small>" };
        let (name, shown, told) = (escaped(name), schema_of(member), prose(&member["description"]));
        let _ = writeln!(html, "<tr><th><code>{name}</code>{maybe}</th><td>{shown}</td><td>{told}</td></tr>");
    }
    if html.is_empty() {
        format!("<p>{}</p>\n", schema_of(schema))
    } else {
        format!("<table>\n{html}</table>\n")
    }
}

/// A schema in a few words.
pub(super) fn schema_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        let name = escaped(name);
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    for (members, between) in [("oneOf", " or "), ("allOf", " and ")] {
        // Alternatives that only say which members go together say nothing by themselves.
        let alternatives = schema[members].as_array().filter(|_| schema.get("properties").is_none());
        if let Some(alternatives) = alternatives {
            return alternatives.iter().map(schema_of).collect::<Vec<_>>().join(between);
        }
    }
    if let Some(word) = schema.get("const") {
        return code(&word.to_string());
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| code(&word.to_string())).collect::<Vec<_>>().join(" ");
    }
    if schema.get("items").is_some() {
        return format!("list of {}", schema_of(&schema["items"]));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let named = if types.is_empty() { "anything".to_owned() } else { types.join(" or ") };
    let bounds = bounds(schema);
    if bounds.is_empty() { named } else { format!("{named} <small>{bounds}</small>") }
}

fn bounds(schema: &Value) -> String {
    let mut told = Vec::new();
    if let Some(format) = schema["format"].as_str() {
        told.push(escaped(format));
    }
    for (least, most) in [("minimum", "maximum"), ("minLength", "maxLength")] {
        match (schema.get(least), schema.get(most)) {
            (Some(least), Some(most)) => told.push(format!("{least} to {most}")),
            (Some(least), None) => told.push(format!("at least {least}")),
            (None, Some(most)) => told.push(format!("at most {most}")),
            (None, None) => {}
        }
    }
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_told_means_itself() {
        let told = prose(&json!("a <b> `x<y>` & c\n\nsecond"));
        assert_eq!(told, "<p>a &lt;b&gt; <code>x&lt;y&gt;</code> &amp; c</p>\n<p>second</p>\n");
        assert_eq!(prose(&Value::Null), "");
    }

    #[test]
    fn schemas_are_a_few_words() {
        for (schema, words) in [
            (json!({"$ref": "#/components/schemas/Job"}), "<a href=\"#schema-Job\">Job</a>"),
            (json!({"type": ["string", "null"], "format": "uuid"}), "string or null <small>uuid</small>"),
            (
                json!({"type": "array", "items": {"type": "integer", "minimum": 1}}),
                "list of integer <small>at least 1</small>",
            ),
            (json!({"enum": ["a", null]}), "<code>&quot;a&quot;</code> <code>null</code>"),
            (json!({}), "anything"),
        ] {
            assert_eq!(schema_of(&schema), words, "{schema}");
        }
    }
}
