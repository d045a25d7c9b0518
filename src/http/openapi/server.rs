//! Probes, and what describes the server itself.

use serde_json::json;

use super::Resource;
use super::headers::{ETAG, SECURITY_POLICY, query, sent};
use super::operation::{Answer, Operation};
use super::schemas::text;
use crate::http::problem_type::ProblemType as T;

const PLAIN: &str = "text/plain";
const HTML: &str = "text/html";

pub(super) fn resource() -> Resource {
    Resource {
        tag: ("Server", "Probes, and what describes the server."),
        operations: vec![live(), ready(), description(), page(), problem_page()],
        schemas: vec![],
    }
}

fn live() -> Operation {
    Operation::get("/livez", "isAlive")
        .says("Ask whether the server is alive", "As long as it answers, it is.")
        .takes([query("verbose", "With any value or none: name every check.", json!({"type": "string"}))])
        .answers(Answer::of(200, "It is.", PLAIN, text("`ok`, or the checks.")).example(json!("ok\n")))
}

fn ready() -> Operation {
    Operation::get("/readyz", "isReady")
        .says(
            "Ask whether the server is ready",
            "From its start to the beginning of its drain; never not ready because a queue is full.",
        )
        .takes([query("verbose", "With any value or none: name every check.", json!({"type": "string"}))])
        .answers(Answer::of(200, "It is.", PLAIN, text("`ok`, or the checks.")).example(json!("ok\n")))
        .answers(
            Answer::of(503, "It starts or drains.", PLAIN, text("The checks.")).example(json!("not ready\n")),
        )
}

fn description() -> Operation {
    Operation::get("/openapi.json", "getDescription")
        .says("Read this description", "OpenAPI 3.1, the same for every server of a version.")
        .takes([sent("If-None-Match")])
        .answers(
            Answer::of(
                200,
                "The description.",
                "application/json",
                json!({"type": "object", "required": ["openapi"]}),
            )
            .with(&ETAG),
        )
        .answers(Answer::empty(304, "It is as you have it.").with(&ETAG))
}

fn page() -> Operation {
    Operation::get("/docs", "readDescription")
        .says("Read this description as a page", "For people; it needs neither the internet nor JavaScript.")
        .takes([sent("If-None-Match")])
        .answers(Answer::of(200, "The page.", HTML, text("HTML.")).with(&ETAG).with(&SECURITY_POLICY))
        .answers(Answer::empty(304, "It is as you have it.").with(&ETAG).with(&SECURITY_POLICY))
}

fn problem_page() -> Operation {
    Operation::get("/problems/{slug}", "explainProblem")
        .says(
            "Explain a type of problem",
            "Where the `type` of a problem leads: what it means, and what to do.",
        )
        .answers(Answer::of(200, "The page.", HTML, text("HTML.")).with(&SECURITY_POLICY))
        .refuses(&[T::NotFound])
}
