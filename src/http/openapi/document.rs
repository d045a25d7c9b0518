//! The document: what the routes are, told in the words of the resources.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::schemas::ID;
use super::{Resource, headers, problems, progress, resources};
use crate::http::auth::{Needs, Tokens};
use crate::http::guard::{Guard, GuardSettings};
use crate::http::path::Path;
use crate::http::problem_type::ProblemType;
use crate::http::routes;
use crate::http::watch::Route;
use crate::metrics::Metrics;

/// Describes the API as OpenAPI 3.1.1, in JSON.
///
/// The same for every server of a version: it depends on no option.
pub fn openapi() -> String {
    // Plain data: writing it into memory cannot fail.
    serde_json::to_string_pretty(&Described::new().0).unwrap_or_default() + "\n"
}

/// The members in the order in which people read them.
#[derive(Serialize)]
pub(super) struct Described(Document);

#[derive(Serialize)]
struct Document {
    openapi: &'static str,
    info: Value,
    servers: Value,
    security: Value,
    tags: Vec<Value>,
    paths: BTreeMap<String, Map<String, Value>>,
    webhooks: Value,
    components: Value,
}

impl Described {
    pub(super) fn new() -> Self {
        let resources = resources();
        let mounted = mounted();
        let (mut tags, mut schemas, mut paths) = (Vec::new(), Map::new(), BTreeMap::new());
        for Resource { tag: (name, description), operations, schemas: of_resource } in resources {
            tags.push(json!({"name": name, "description": description}));
            schemas.extend(of_resource.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
            for operation in operations {
                // What is not mounted is not described; a test says which one that is.
                let Some(needs) = needs(&mounted, operation.method, operation.path) else { continue };
                let at = (operation.path.to_owned(), operation.method.to_ascii_lowercase());
                let path: &mut Map<String, Value> = paths
                    .entry(at.0)
                    .or_insert_with_key(|path| Map::from_iter([("parameters".to_owned(), parameters(path))]));
                path.insert(at.1, operation.into_value(name, needs));
            }
        }
        let problems = problems::components();
        schemas.extend(problems.schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
        let webhooks = progress::webhooks();
        let (responses, examples) = used(problems.responses, problems.examples, &paths);
        let headers =
            referred("headers", headers::components(), &format!("{}{}", told(&paths), told(&responses)));
        Self(Document {
            openapi: "3.1.1",
            info: info(),
            servers: json!([{"url": "/", "description": "The server that this document comes from."}]),
            security: json!([{"token": []}]),
            tags,
            paths,
            webhooks,
            components: json!({
                "schemas": schemas,
                "responses": responses,
                "examples": examples,
                "headers": headers,
                "parameters": headers::parameters(),
                "securitySchemes": security_schemes(),
            }),
        })
    }

    /// As a tree, for the page.
    pub(super) fn value(&self) -> Value {
        serde_json::to_value(&self.0).unwrap_or_default()
    }
}

/// Of the answers and examples of problems, those that are referred to.
fn used(
    responses: Map<String, Value>,
    examples: Map<String, Value>,
    paths: &impl Serialize,
) -> (Map<String, Value>, Map<String, Value>) {
    let responses = referred("responses", responses, &told(paths));
    let examples = referred("examples", examples, &format!("{}{}", told(paths), told(&responses)));
    (responses, examples)
}

fn referred(part: &str, mut all: Map<String, Value>, by: &str) -> Map<String, Value> {
    all.retain(|name, _| by.contains(&format!("\"#/components/{part}/{name}\"")));
    all
}

fn told(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A path, a method, and what it needs.
pub(super) type Mounted = (&'static str, &'static str, Needs);

/// Everything that is mounted. `HEAD` is left out: it is there wherever `GET` is, and answers the same without a body.
pub(super) fn mounted() -> Vec<Mounted> {
    let guard = Guard::new(GuardSettings {
        tokens: Tokens::new([0; 32], []),
        everybody: false,
        allowed_hosts: Vec::new(),
        cors_origins: Vec::new(),
        public_url: None,
    });
    let paths = routes::paths(|path| Path::new(path, &guard, Route::new(path, &Metrics::off())));
    let methods =
        paths.iter().flat_map(|path| path.methods().map(|(method, needs)| (path.template(), method, needs)));
    methods.filter(|(_, method, _)| *method != "HEAD").collect()
}

fn needs(mounted: &[Mounted], method: &str, path: &str) -> Option<Needs> {
    mounted.iter().find(|mounted| (mounted.0, mounted.1) == (path, method)).map(|mounted| mounted.2)
}

/// What every operation of a path takes.
fn parameters(path: &str) -> Value {
    let in_path = |name: &str, description: &str, schema: Value, example: &str| json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema, "example": example});
    let uuid = || json!({"type": "string", "format": "uuid"});
    let mut parameters = vec![headers::sent("X-Request-Id")];
    if path.starts_with("/api/mail/{id}") {
        parameters.push(in_path("id", "The id of the mail.", uuid(), ID));
    } else if path.contains("{id}") {
        parameters.push(in_path("id", "The id of the job: a hyphenated UUID.", uuid(), ID));
    }
    if path.contains("{name}") {
        parameters.push(in_path("name", "Its name.", json!({"type": "string"}), "default"));
    }
    if path.contains("{slug}") {
        let slugs = ProblemType::ALL.map(ProblemType::slug);
        let schema = json!({"type": "string", "enum": slugs});
        parameters.push(in_path("slug", "The last segment of the type.", schema, "queue-full"));
    }
    parameters.into()
}

fn info() -> Value {
    json!({
        "title": "Backroom",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "A job server: takes slow work out of the request.",
        "description": "Submit a job and go on at once; ask, wait or watch until it has come to its end.\n\n\
            JSON in and out. Errors are `application/problem+json` (RFC 9457): programs go by the last segment of `type`, and \
            every type has a page under `/problems`. Every answer has `X-Request-Id`. `HEAD` is answered wherever `GET` is. Another \
            method is 405 with `Allow`. A body that is sent where none is expected is read and dropped, within the \
            same limits (408, 413). What the HTTP parser refuses before there is a request (400, 408, 431) is the status \
            alone.\n\n\
            Times are RFC 3339 in UTC. Durations are texts with a unit (`\"30s\"`). Clients must ignore members that they do not know: \
            answers may get more of them. Requests are stricter: a member that is not known is refused.\n\n\
            Roles: `submit` enqueues, and reads, watches and cancels a job by its id; `read` sees lists, queues, events and mail; \
            `operate` includes both, changes anything, and reads payloads. A server without tokens serves its own host only, and \
            asks nobody.",
        "contact": {"name": "Whoever runs this server"},
        "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
    })
}

fn security_schemes() -> Value {
    json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "One of `auth.tokens`. `x-roles` of an operation are the roles of which the token needs one.",
        },
        "access_token": {
            "type": "apiKey",
            "in": "query",
            "name": "access_token",
            "description": "The same token, for event streams and the hub only.",
        },
        "attempt": {
            "type": "http",
            "scheme": "bearer",
            "description": "The `attempt_token` of the request that began an attempt in your app.",
        },
    })
}
