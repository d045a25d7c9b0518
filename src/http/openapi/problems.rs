//! Problems in answers: their schema, and which of them come with which status.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::headers::{self, Header};
use super::problem_examples::example;
use super::schemas::{and_maybe, count, job_id, object, state, text};
use crate::http::problem_type::ProblemType;

/// A schema, an example of each type, and an answer for each type that may come alone.
pub(super) struct Components {
    pub(super) schemas: [(&'static str, Value); 2],
    pub(super) examples: Map<String, Value>,
    pub(super) responses: Map<String, Value>,
}

pub(super) fn components() -> Components {
    let all = || {
        ProblemType::ALL.into_iter().chain([
            ProblemType::NotFound,
            ProblemType::Conflict,
            ProblemType::Unavailable,
        ])
    };
    Components {
        schemas: [("Problem", problem()), ("Fault", fault())],
        examples: all().map(|kind| (name(kind).to_owned(), json!({"value": example(kind)}))).collect(),
        responses: all().map(|kind| (name(kind).to_owned(), response(&[kind]))).collect(),
    }
}

/// The answers with these problems, by status.
pub(super) fn responses(kinds: &[ProblemType]) -> BTreeMap<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<ProblemType>> = BTreeMap::new();
    for kind in kinds {
        let of_status = by_status.entry(kind.status().as_u16()).or_default();
        if !of_status.contains(kind) {
            of_status.push(*kind);
        }
    }
    let responses = by_status.into_iter().map(|(status, kinds)| {
        let response = match kinds[..] {
            [kind] => json!({"$ref": format!("#/components/responses/{}", name(kind))}),
            _ => response(&kinds),
        };
        (status.to_string(), response)
    });
    responses.collect()
}

/// What a type is called here; those without a page of their own have no slug.
fn name(kind: ProblemType) -> &'static str {
    match kind {
        ProblemType::NotFound => "not-found",
        ProblemType::Conflict => "conflict",
        ProblemType::Unavailable => "unavailable",
        kind => kind.slug(),
    }
}

fn response(kinds: &[ProblemType]) -> Value {
    let told: Vec<String> =
        kinds.iter().map(|kind| format!("`{}`: {}.", name(*kind), kind.title())).collect();
    let examples: Map<String, Value> = kinds
        .iter()
        .map(|kind| {
            let name = name(*kind);
            (name.to_owned(), json!({"$ref": format!("#/components/examples/{name}")}))
        })
        .collect();
    let mut headers: Map<String, Value> = headers::always().collect();
    for header in kinds.iter().flat_map(|kind| headers_of(*kind)) {
        let has_it = |kind: &ProblemType| headers_of(*kind).iter().any(|other| other.name == header.name);
        let always = kinds.iter().all(has_it);
        let shown = if always { header.reference() } else { header.optional() };
        headers.insert(header.name.to_owned(), shown);
    }
    if kinds.contains(&ProblemType::UnsupportedMediaType) {
        for header in [&headers::ACCEPT_ENCODING, &headers::ACCEPT_PATCH] {
            headers.insert(header.name.to_owned(), header.optional());
        }
    }
    json!({
        "description": told.join(" "),
        "headers": headers,
        "content": {"application/problem+json": {"schema": super::schemas::named("Problem"), "examples": examples}},
    })
}

fn headers_of(kind: ProblemType) -> &'static [&'static Header] {
    use ProblemType as T;
    match kind {
        T::Unauthorized => &[&headers::WWW_AUTHENTICATE],
        T::IdempotencyInProgress
        | T::ResultNotReady
        | T::QueueFull
        | T::MemoryFull
        | T::Draining
        | T::Unavailable => &[&headers::RETRY_AFTER],
        _ => &[],
    }
}

fn problem() -> Value {
    let members = object(
        "What went wrong (RFC 9457): for people in `title` and `detail`, for programs in `type` and the members beyond \
         `request_id`, of which each type has its own.",
        [
            (
                "type",
                json!({
                    "type": "string",
                    "format": "uri-reference",
                    "description": "Its page; the last segment is the name that programs go by. `about:blank`: the status says \
                                    everything.",
                    "examples": ProblemType::ALL.map(|kind| format!("/problems/{}", kind.slug())),
                }),
            ),
            ("title", text("What the type is called.")),
            (
                "status",
                json!({"type": "integer", "minimum": 400, "maximum": 599, "description": "As the answer has it."}),
            ),
            ("detail", text("What happened this time, and what to do.")),
            ("instance", text("The path that was asked.")),
            ("request_id", text("As in X-Request-Id: the log of the server has more under it.")),
        ],
    );
    and_maybe(
        members,
        [
            (
                "errors",
                json!({
                    "type": "array",
                    "items": super::schemas::named("Fault"),
                    "description": "Every fault at once, a hundred at most.",
                }),
            ),
            ("retry_after_seconds", count("As Retry-After.")),
            ("queue", text("The queue that is full.")),
            ("capacity", count("How many jobs it holds.")),
            ("limit", count("The limit that was reached, in bytes or jobs.")),
            ("option", text("The option that sets it.")),
            ("state", state()),
            ("job", job_id("The job that stands in the way.")),
            ("role", text("The role that is needed.")),
            ("allow", text("The methods that the path knows.")),
            ("skip_reason", text("Why no work was due.")),
            (
                "error",
                json!({
                    "type": ["object", "null"],
                    "description": "Why the job failed for good.",
                    "required": ["code", "message"],
                    "properties": {"code": text("For programs."), "message": text("For people.")},
                }),
            ),
        ],
    )
}

fn fault() -> Value {
    let told = object("What is wrong with one member or parameter.", [("detail", text("What it must be."))]);
    let mut fault = and_maybe(
        told,
        [
            (
                "pointer",
                json!({
                    "type": "string",
                    "description": "Where in the body (RFC 6901); a missing member is pointed at where it would be.",
                    "examples": ["/payload/to"],
                }),
            ),
            ("parameter", text("Which parameter of the query.")),
        ],
    );
    fault["oneOf"] = json!([{"required": ["pointer"]}, {"required": ["parameter"]}]);
    fault
}
