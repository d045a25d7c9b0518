//! Holds every answer that the tests see against the description of the API.
//!
//! [`check`] is called for each answer by [`crate::app::Answer::of`]. The schemas are held more strictly than clients should
//! hold them: a member that the description does not name is a fault here, so that it cannot be forgotten there.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

use jsonschema::Validator;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// Headers that belong to HTTP itself, to a proxy on the way or to CORS (`src/http/cors.rs`).
const NOT_DESCRIBED: [&str; 8] = [
    "connection",
    "content-length",
    "content-type",
    "date",
    "sec-websocket-accept",
    "transfer-encoding",
    "upgrade",
    "vary",
];

/// The id of an operation, and a status that it answers with.
type Seen = (String, u16);

/// The description, and what has been seen of it.
pub(crate) struct Description {
    pub(crate) document: Value,
    strict: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
    seen: Mutex<BTreeSet<Seen>>,
}

/// An operation that a request belongs to.
pub(crate) struct Operation<'a> {
    pub(crate) id: &'a str,
    /// Where it stands in the document.
    pub(crate) pointer: String,
}

/// The description of this version.
pub(crate) fn description() -> &'static Description {
    static DESCRIPTION: OnceLock<Description> = OnceLock::new();
    DESCRIPTION.get_or_init(|| {
        let document: Value = serde_json::from_str(&backroom::http::openapi()).expect("it is JSON");
        let mut strict = document.clone();
        close(&mut strict["components"]["schemas"]);
        close(&mut strict["paths"]);
        Description { document, strict, validators: Mutex::default(), seen: Mutex::default() }
    })
}

/// Fails when an answer is not as it is described.
pub(crate) fn check(method: &str, path: &str, status: u16, headers: &HeaderMap, body: &[u8]) {
    let description = description();
    let Some(operation) = description.operation(method, path) else { return };
    let told = format!("{method} {path}: {status}");
    let pointer = format!("{}/responses/{status}", operation.pointer);
    let Some(response) = description.strict.pointer(&pointer) else {
        panic!("{told} is not described: {}", String::from_utf8_lossy(body));
    };
    let response = description.resolved(response);
    description.seen.lock().unwrap().insert((operation.id.to_owned(), status));
    description.check_headers(response, headers, &told);
    if method == "HEAD" {
        return;
    }
    let Some(content) = response["content"].as_object() else {
        assert!(body.is_empty(), "{told}: has a body that is not described");
        return;
    };
    let media_type = headers.get("content-type").map_or("", |value| value.to_str().unwrap());
    let essence = media_type.split(';').next().unwrap();
    let key = if content.contains_key(essence) { essence } else { "*/*" };
    let media = content.get(key).unwrap_or_else(|| panic!("{told}: {media_type} is not described"));
    if !essence.ends_with("json") {
        return;
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{told}: {error}"));
    description.validate(&format!("{pointer} {key}"), &media["schema"], &body, &told);
    if essence == "application/problem+json" {
        let slug = match body["type"].as_str().unwrap() {
            "about:blank" => match status {
                409 => "conflict",
                503 => "unavailable",
                _ => "not-found",
            },
            page => page.rsplit('/').next().unwrap(),
        };
        assert!(media["examples"].get(slug).is_some(), "{told}: {slug} is not described");
    }
}

impl Description {
    /// Every operation.
    pub(crate) fn operations(&self) -> Vec<(&str, &str, &Value)> {
        let paths = self.document["paths"].as_object().unwrap().iter();
        paths
            .flat_map(|(path, item)| {
                item.as_object().unwrap().iter().map(move |(method, it)| (&**method, &**path, it))
            })
            .filter(|(method, ..)| *method != "parameters")
            .collect()
    }

    /// The answers that are described, and those that have been seen.
    pub(crate) fn account(&self) -> [BTreeSet<Seen>; 2] {
        let described = self.operations().into_iter().flat_map(|(_, _, operation)| {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let statuses = operation["responses"].as_object().unwrap().keys();
            statuses.map(move |status| (id.clone(), status.parse().unwrap())).collect::<Vec<_>>()
        });
        [described.collect(), self.seen.lock().unwrap().clone()]
    }

    /// The operation of a request; none when its method is not known there, or its path is not.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<Operation<'_>> {
        let method = if method == "HEAD" { "get".to_owned() } else { method.to_ascii_lowercase() };
        let paths = self.document["paths"].as_object().unwrap();
        let template = match paths.get_key_value(path) {
            Some((template, _)) => template,
            None => paths.keys().find(|template| fits(template, path))?,
        };
        let value = paths[template].get(&method)?;
        let id = value["operationId"].as_str().unwrap();
        let pointer = format!("/paths/{}/{method}", template.replace('~', "~0").replace('/', "~1"));
        Some(Operation { id, pointer })
    }

    pub(crate) fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                self.strict.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference} leads nowhere"))
            }
            None => value,
        }
    }

    /// Fails when a value does not meet a schema; `key` names the schema.
    pub(crate) fn validate(&self, key: &str, schema: &Value, value: &Value, told: &str) {
        let validator =
            Arc::clone(self.validators.lock().unwrap().entry(key.to_owned()).or_insert_with(|| {
                let mut whole = schema.clone();
                whole["components"] = self.strict["components"].clone();
                let options = jsonschema::options().should_validate_formats(true);
                Arc::new(options.build(&whole).unwrap_or_else(|error| panic!("{key}: {error}")))
            }));
        let faults: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(faults.is_empty(), "{told} is not as it is described: {faults:#?} in {value:#}");
    }

    /// Fails when a value does not meet a schema that has a name, as clients read it: other members may be there too.
    pub(crate) fn meets(&self, schema: &str, value: &Value) {
        let mut whole = json!({"$ref": format!("#/components/schemas/{schema}")});
        whole["components"] = self.document["components"].clone();
        let validator = jsonschema::options().should_validate_formats(true).build(&whole).expect("a schema");
        let faults: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(faults.is_empty(), "{faults:#?} in {value:#}");
    }

    fn check_headers(&self, response: &Value, headers: &HeaderMap, told: &str) {
        let described = response["headers"].as_object().unwrap();
        for (name, header) in described {
            let required = self.resolved(header)["required"] == true;
            assert!(!required || headers.contains_key(name), "{told}: has no {name}");
        }
        for (name, value) in headers {
            let name = name.as_str();
            if NOT_DESCRIBED.contains(&name) || name.starts_with("access-control-") {
                continue;
            }
            let found = described.iter().find(|(described, _)| described.eq_ignore_ascii_case(name));
            let (_, header) = found.unwrap_or_else(|| panic!("{told}: the header {name} is not described"));
            let (schema, text) = (&self.resolved(header)["schema"], value.to_str().unwrap());
            let value = if schema["type"] == "integer" { text.parse().unwrap() } else { json!(text) };
            self.validate(&format!("header {name} {schema}"), schema, &value, &format!("{told}: {name}"));
        }
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    let same =
        |(wanted, part): (&&str, &&str)| wanted == part || (wanted.starts_with('{') && !part.is_empty());
    template.len() == path.len() && template.iter().zip(&path).all(same)
}

/// Refuses members that are not named, wherever members are. Parts that are put together know only their own.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("properties").is_some_and(Value::is_object) {
                members.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            for (name, member) in members {
                if !matches!(name.as_str(), "allOf" | "examples" | "example") {
                    close(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
