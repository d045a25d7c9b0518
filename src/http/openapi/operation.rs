//! One operation: what it is asked with, and what it answers.

#![expect(clippy::needless_pass_by_value, reason = "schemas are made where they are passed")]

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::headers::{self, Header};
use super::problems;
use crate::http::auth::{Needs, Role};
use crate::http::problem_type::ProblemType;

/// An operation as its resource tells it. Its role comes from the route.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Vec<Answer>,
    refusals: Vec<ProblemType>,
    /// Where it is not a token of the server, or not only that.
    security: Option<Value>,
    callbacks: Option<Value>,
}

/// An answer that is no problem.
pub(super) struct Answer {
    status: u16,
    description: &'static str,
    content: Map<String, Value>,
    headers: Vec<(&'static str, Value)>,
    links: Option<Value>,
}

impl Operation {
    pub(super) fn new(method: &'static str, path: &'static str, id: &'static str) -> Self {
        Self {
            method,
            path,
            id,
            summary: "",
            description: "",
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: Vec::new(),
            security: None,
            callbacks: None,
        }
    }

    pub(super) fn get(path: &'static str, id: &'static str) -> Self {
        Self::new("GET", path, id)
    }

    pub(super) fn post(path: &'static str, id: &'static str) -> Self {
        Self::new("POST", path, id)
    }

    pub(super) fn patch(path: &'static str, id: &'static str) -> Self {
        Self::new("PATCH", path, id)
    }

    pub(super) fn delete(path: &'static str, id: &'static str) -> Self {
        Self::new("DELETE", path, id)
    }

    /// A line, and what is to be known beyond it.
    pub(super) fn says(mut self, summary: &'static str, description: &'static str) -> Self {
        (self.summary, self.description) = (summary, description);
        self
    }

    pub(super) fn takes(mut self, parameters: impl IntoIterator<Item = Value>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// A body in JSON, and examples of it by their names.
    pub(super) fn body(self, required: bool, schema: Value, examples: Value) -> Self {
        self.body_as(&["application/json"], required, schema, examples)
    }

    /// A body that may have one of several media types.
    pub(super) fn body_as(mut self, media: &[&str], required: bool, schema: Value, examples: Value) -> Self {
        let media =
            media.iter().map(|media| ((*media).to_owned(), json!({"schema": schema, "examples": examples})));
        self.body = Some(json!({"required": required, "content": media.collect::<Map<_, _>>()}));
        self
    }

    pub(super) fn answers(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    /// The problems of its own; those that every operation like it has are added.
    pub(super) fn refuses(mut self, kinds: &[ProblemType]) -> Self {
        self.refusals.extend(kinds);
        self
    }

    pub(super) fn security(mut self, security: Value) -> Self {
        self.security = Some(security);
        self
    }

    /// What callers are sent, where the body of their request says.
    pub(super) fn callbacks(mut self, callbacks: Value) -> Self {
        self.callbacks = Some(callbacks);
        self
    }

    /// As OpenAPI has it, for a route that needs this of its callers.
    pub(super) fn into_value(mut self, tag: &str, needs: Needs) -> Value {
        self.refusals.extend(self.common_refusals(needs));
        let mut responses: BTreeMap<String, Value> =
            self.answers.into_iter().map(|answer| (answer.status.to_string(), answer.into_value())).collect();
        responses.extend(problems::responses(&self.refusals));
        let mut operation = json!({
            "operationId": self.id,
            "tags": [tag],
            "summary": self.summary,
            "description": format!("{}\n\n{}", self.description, role(needs)).trim(),
            "responses": responses,
            "security": self.security.unwrap_or_else(|| security(needs)),
            "x-roles": roles(needs),
        });
        for (member, value) in [("requestBody", self.body), ("callbacks", self.callbacks)] {
            if let Some(value) = value {
                operation[member] = value;
            }
        }
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.into();
        }
        operation
    }

    /// What the door and the reading of a body refuse, wherever it leads.
    fn common_refusals(&self, needs: Needs) -> Vec<ProblemType> {
        use ProblemType as T;
        let mut refusals = vec![T::MalformedRequest, T::HostNotAllowed, T::Internal];
        if needs != Needs::Nothing {
            refusals.push(T::Unauthorized);
        }
        // Every token has one of the roles of which one is enough.
        if matches!(needs, Needs::Role(_)) {
            refusals.push(T::Forbidden);
        }
        if self.method != "GET" {
            refusals.extend([T::OriginForbidden, T::RequestTimeout, T::PayloadTooLarge]);
        }
        // What is said over a transport of the hub may have any media type.
        if self.body.as_ref().is_some_and(|body| body["content"].get("application/json").is_some()) {
            refusals.push(T::UnsupportedMediaType);
        }
        refusals
    }
}

impl Answer {
    fn new(status: u16, description: &'static str) -> Self {
        Self { status, description, content: Map::new(), headers: Vec::new(), links: None }
    }

    /// Without a body.
    pub(super) fn empty(status: u16, description: &'static str) -> Self {
        Self::new(status, description)
    }

    /// With a body in JSON of a schema that has a name.
    pub(super) fn json(status: u16, description: &'static str, schema: &str) -> Self {
        Self::of(status, description, "application/json", super::schemas::named(schema))
    }

    /// With a body of another media type.
    pub(super) fn of(status: u16, description: &'static str, media_type: &str, schema: Value) -> Self {
        Self::new(status, description).or(media_type, schema)
    }

    /// With a body of one media type more.
    pub(super) fn or(mut self, media_type: &str, schema: Value) -> Self {
        self.content.insert(media_type.to_owned(), json!({"schema": schema}));
        self
    }

    /// With an example of its body, where that has one media type.
    pub(super) fn example(mut self, example: Value) -> Self {
        if let Some((_, content)) = self.content.iter_mut().next() {
            content["example"] = example;
        }
        self
    }

    /// With a header, always.
    pub(super) fn with(mut self, header: &'static Header) -> Self {
        self.headers.push((header.name, header.reference()));
        self
    }

    /// With a header, sometimes.
    pub(super) fn may(mut self, header: &'static Header) -> Self {
        self.headers.push((header.name, header.optional()));
        self
    }

    /// With what can be asked next about the job in its body.
    pub(super) fn links(mut self, links: Value) -> Self {
        self.links = Some(links);
        self
    }

    fn into_value(self) -> Value {
        let own = self.headers.into_iter().map(|(name, header)| (name.to_owned(), header));
        let headers: Map<String, Value> = own.chain(headers::always()).collect();
        let mut answer = json!({"description": self.description, "headers": headers});
        if !self.content.is_empty() {
            answer["content"] = self.content.into();
        }
        if let Some(links) = self.links {
            answer["links"] = links;
        }
        answer
    }
}

fn security(needs: Needs) -> Value {
    if needs == Needs::Nothing { json!([]) } else { json!([{"token": []}]) }
}

/// The roles of which a token needs one.
fn roles(needs: Needs) -> Vec<&'static str> {
    match needs {
        Needs::Nothing => vec![],
        Needs::Role(role) => vec![role.as_str()],
        Needs::SubmitOrRead => vec![Role::Submit.as_str(), Role::Read.as_str()],
    }
}

fn role(needs: Needs) -> String {
    match needs {
        Needs::Nothing => String::new(),
        Needs::Role(Role::Operate) => "Role: `operate`.".to_owned(),
        Needs::Role(role) => format!("Role: `{}` (`operate` includes it).", role.as_str()),
        Needs::SubmitOrRead => "Role: `submit` or `read` (`operate` includes both).".to_owned(),
    }
}
