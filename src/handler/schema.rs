//! What a payload may be, in a form that programs read: JSON Schema.

use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::job::Fault;

/// How many faults of one payload are named at most.
const MAX_FAULTS: usize = 100;

/// What is told about a kind, to people and to programs.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// What its jobs do, in a sentence.
    pub description: Option<String>,
    /// What their payload may be.
    pub schema: Option<Schema>,
    /// A payload that could be submitted.
    pub example: Option<Value>,
}

/// A JSON Schema (draft 2020-12 unless it names another one) of a payload. Cheap to clone.
///
/// Members that are marked with `"writeOnly": true` or `"format": "password"` are sensitive: they are never shown. The
/// mark may stand at the member, at the items of a list in it, or where either of them refers to.
/// References lead into the schema itself, never to a file or into the network; patterns are matched in linear time.
#[derive(Clone, Debug)]
pub struct Schema(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    document: Value,
    /// `None`: the handler itself checks, and more exactly.
    validator: Option<Validator>,
}

/// A document is no JSON Schema.
#[derive(Debug, thiserror::Error)]
#[error("is not a JSON Schema that can be used: {0}")]
pub struct SchemaError(String);

impl Schema {
    /// A schema by which payloads are checked when they are submitted.
    ///
    /// # Errors
    ///
    /// When the document is no schema, refers to something outside, or has a pattern that cannot be matched in linear
    /// time.
    pub fn new(document: Value) -> Result<Self, SchemaError> {
        let no_schema = |error: ValidationError<'_>| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
            SchemaError(format!("{place}{error}"))
        };
        jsonschema::meta::validate(&document).map_err(no_schema)?;
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(true)
            .build(&document)
            .map_err(no_schema)?;
        Ok(Self(Arc::new(Inner { document, validator: Some(validator) })))
    }

    /// A schema that only describes: the handler itself checks every payload, and says the same more exactly.
    pub fn describing(document: Value) -> Self {
        Self(Arc::new(Inner { document, validator: None }))
    }

    /// The schema as JSON.
    pub fn document(&self) -> &Value {
        &self.0.document
    }

    /// What is wrong with a payload: where, and what it must be, without repeating what it is.
    pub(crate) fn check(&self, payload: &RawValue) -> Vec<Fault> {
        let Some(validator) = &self.0.validator else {
            return Vec::new();
        };
        match serde_json::from_str::<Value>(payload.get()) {
            Ok(value) => {
                validator.iter_errors(&value).flat_map(|error| faults(&error)).take(MAX_FAULTS).collect()
            }
            Err(_) => vec![Fault::new("", "must be JSON in which no number is beyond all bounds")],
        }
    }

    /// The names of the members that are marked as sensitive, wherever they stand.
    pub(crate) fn sensitive(&self) -> Vec<String> {
        super::marked::names(&self.0.document)
    }
}

/// One fault for each member that is meant: a missing one is pointed at where it would be, an unknown one where it is.
fn faults(error: &ValidationError<'_>) -> Vec<Fault> {
    let place = error.instance_path().to_string();
    let under = |name: &str, detail: &str| Fault::new(format!("{place}/{}", Fault::escape(name)), detail);
    match error.kind() {
        ValidationErrorKind::Required { property: Value::String(name) } => vec![under(name, "is required")],
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            unexpected.iter().map(|name| under(name, "is not a member that is known here")).collect()
        }
        ValidationErrorKind::Enum { options } => {
            vec![Fault::new(place, format!("must be one of {}", listed(options)))]
        }
        ValidationErrorKind::Constant { expected_value } => {
            vec![Fault::new(place, format!("must be {expected_value}"))]
        }
        ValidationErrorKind::Format { format } => {
            vec![Fault::new(place, format!("must be of the form {format}"))]
        }
        ValidationErrorKind::Pattern { pattern } => vec![Fault::new(place, format!("must match {pattern}"))],
        // "[value] is less than the minimum of 1": the value itself is never repeated.
        _ => vec![Fault::new(place, error.masked_with("it").to_string())],
    }
}

fn listed(options: &Value) -> String {
    match options {
        Value::Array(options) => options.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Schema {
        Schema::new(json!({
            "type": "object",
            "required": ["number", "to"],
            "additionalProperties": false,
            "properties": {
                "number": {"type": "integer", "minimum": 1},
                "to": {"type": "string", "format": "email"},
                "state": {"enum": ["open", "paid"]},
                "iban": {"type": "string", "pattern": "^[A-Z]{2}", "writeOnly": true},
                "lines": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/line"}}
            },
            "$defs": {"line": {"type": "object", "properties": {"pin": {"type": "string", "format": "password"}}}}
        }))
        .unwrap()
    }

    fn check(payload: &Value) -> Vec<(String, String)> {
        let payload = serde_json::value::to_raw_value(payload).unwrap();
        schema().check(&payload).into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
    }

    #[test]
    fn every_fault_is_named_at_once_without_its_value() {
        assert_eq!(
            check(&json!({"number": 1, "to": "a@b.example", "state": "open", "lines": [{"pin": "x"}]})),
            []
        );
        let mut found = check(
            &json!({"number": 0, "state": "s3cret", "iban": "s3cret", "lines": [{"pin": 5}, 1, 2], "a/b": "s3cret"}),
        );
        found.sort();
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| &**pointer).collect();
        assert_eq!(
            pointers,
            ["/a~1b", "/iban", "/lines", "/lines/0/pin", "/lines/1", "/lines/2", "/number", "/state", "/to"]
        );
        let text = format!("{found:?}");
        assert!(!text.contains("s3cret"), "{text}");
        assert!(
            text.contains(r#"must be one of \"open\", \"paid\""#) && text.contains("must match ^[A-Z]{2}"),
            "{text}"
        );
        assert_eq!(
            check(&json!({"to": "s3cret", "number": 1})),
            [("/to".to_owned(), "must be of the form email".to_owned())]
        );
        assert_eq!(check(&json!([]))[0].0, "");
    }

    #[test]
    fn a_broken_schema_is_refused() {
        for broken in [
            json!({"type": "strnig"}),
            json!({"properties": []}),
            json!({"pattern": "("}),
            json!({"pattern": "(?<=a)b"}),
            json!({"$ref": "https://example.com/other.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "#/$defs/none"}),
            json!(5),
        ] {
            assert!(Schema::new(broken.clone()).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_schema_that_describes_checks_nothing() {
        let payload = serde_json::value::to_raw_value(&json!(5)).unwrap();
        assert!(Schema::describing(json!(false)).check(&payload).is_empty());
    }
}
