//! That the description says what the code says, where both are at hand. What only answers can show is in
//! `tests/api/openapi.rs`.

use std::collections::BTreeSet;

use actix_web::http::header::HeaderValue;
use serde_json::Value;

use super::document::{Described, mounted};
use super::resources;
use crate::http::problem_type::ProblemType;
use crate::http::{cors, dead_letters, events, list, progress, queue_patch, request};

fn document() -> Value {
    Described::new().value()
}

fn at<'a>(document: &'a Value, pointer: &str) -> &'a Value {
    document.pointer(pointer).unwrap_or_else(|| panic!("there is no {pointer}"))
}

#[test]
fn what_is_mounted_is_described_and_the_other_way_round() {
    let mounted: BTreeSet<(&str, &str)> =
        mounted().into_iter().map(|(path, method, _)| (path, method)).collect();
    let described: Vec<(&str, &str)> = resources()
        .iter()
        .flat_map(|resource| &resource.operations)
        .map(|operation| (operation.path, operation.method))
        .collect();
    assert_eq!(described.iter().copied().collect::<BTreeSet<_>>(), mounted);
    assert_eq!(described.len(), mounted.len(), "an operation is described twice");
}

#[test]
fn every_type_of_problem_is_an_answer_of_some_operation() {
    let document = document();
    let paths = document["paths"].to_string();
    let is_used = |kind: &ProblemType| {
        let slug = kind.slug();
        ["responses", "examples"].iter().any(|part| paths.contains(&format!("components/{part}/{slug}\"")))
    };
    for kind in ProblemType::ALL {
        // Of a method that is not described there is nothing to describe it at.
        assert!(is_used(&kind) || kind == ProblemType::MethodNotAllowed, "no operation answers {kind:?}");
        let pages = at(&document, "/components/schemas/Problem/properties/type/examples").to_string();
        assert!(pages.contains(&format!("\"/problems/{}\"", kind.slug())), "{kind:?}");
    }
}

#[test]
fn requests_have_the_members_that_are_read() {
    let document = document();
    for (schema, known) in [
        ("NewJob", &request::KNOWN[..]),
        ("Unique", &request::KNOWN_OF_UNIQUE),
        ("Redrive", &dead_letters::MEMBERS),
        ("QueuePatch", &queue_patch::MEMBERS),
        ("ProgressReport", &progress::MEMBERS),
    ] {
        let schema = at(&document, &format!("/components/schemas/{schema}"));
        let described: BTreeSet<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(described, known.iter().copied().collect(), "{schema}");
        assert_eq!(schema["additionalProperties"], false, "what is not known is refused");
    }
}

#[test]
fn queries_have_the_parameters_that_are_read() {
    let document = document();
    for (operation, known) in [
        ("/paths/~1api~1jobs/get", &list::KNOWN[..]),
        ("/paths/~1api~1events/get", &events::KNOWN),
        ("/paths/~1api~1dead-letters/delete", &["id", "queue", "kind"]),
    ] {
        let parameters = at(&document, operation)["parameters"].as_array().unwrap().iter();
        let described = parameters.filter(|it| it["in"] == "query").map(|it| it["name"].as_str().unwrap());
        assert_eq!(described.collect::<BTreeSet<_>>(), known.iter().copied().collect(), "{operation}");
    }
}

#[test]
fn pages_of_other_origins_may_send_and_see_what_is_described() {
    let document = document();
    let words = |list: &HeaderValue| -> BTreeSet<String> {
        list.to_str().unwrap().split(", ").map(str::to_ascii_lowercase).collect()
    };
    let parameters = at(&document, "/components/parameters").as_object().unwrap().keys();
    let mut sent: BTreeSet<String> = parameters.map(|name| name.to_ascii_lowercase()).collect();
    sent.extend(["authorization", "content-type"].map(str::to_owned));
    assert_eq!(sent, words(&cors::HEADERS));
    let answers = document["paths"].to_string().to_ascii_lowercase();
    let told = |name: &String| {
        answers.contains(&format!("\"{name}\":{{")) || answers.contains(&format!("headers/{name}\""))
    };
    let components = document["components"]["responses"].to_string().to_ascii_lowercase();
    let not_described: Vec<String> = words(&cors::EXPOSED)
        .into_iter()
        .filter(|name| !told(name) && !components.contains(&format!("headers/{name}\"")))
        .collect();
    assert!(not_described.is_empty(), "{not_described:?}");
}

#[test]
fn every_reference_leads_somewhere_and_everything_that_has_a_name_is_used() {
    fn references(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                into.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, into));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, into)),
            _ => {}
        }
    }
    let document = document();
    let mut used = BTreeSet::new();
    references(&document, &mut used);
    for reference in &used {
        at(&document, &reference[1..]);
    }
    for part in ["schemas", "parameters", "headers", "responses", "examples"] {
        for name in at(&document, &format!("/components/{part}")).as_object().unwrap().keys() {
            let whole = format!("#/components/{part}/{name}");
            assert!(used.contains(&whole), "nothing uses {whole}");
        }
    }
}
