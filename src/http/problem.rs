//! Errors as programs read them: `application/problem+json` (RFC 9457).

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

use super::problem_type::ProblemType;
use crate::job::{Fault, StateName};
use crate::jobs::MAX_FAULTS;
use crate::metrics::Rejection;
use crate::view::Json;

use ProblemType as T;

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A problem on its way out. Boxed inside, so that a `Result` with it stays small.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ProblemType,
    detail: String,
    /// In the order of their names.
    members: Vec<(&'static str, Value)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The connection must end: what is left of the body was not read.
    close: bool,
    /// For the log, never for the caller.
    causes: Option<String>,
    /// The service has refused a job, and counted that.
    counted: bool,
    /// The envelope writes it.
    enveloped: bool,
}

impl Problem {
    /// A problem with a sentence that says what to do.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            detail: detail.into(),
            members: Vec::new(),
            headers: Vec::new(),
            close: false,
            causes: None,
            counted: false,
            enveloped: false,
        }))
    }

    /// Adds a member that lets a program act.
    #[must_use]
    pub fn with(mut self, member: &'static str, value: impl Into<Value>) -> Self {
        let (members, value) = (&mut self.0.members, value.into());
        match members.binary_search_by_key(&member, |(name, _)| name) {
            Ok(at) => members[at].1 = value,
            Err(at) => members.insert(at, (member, value)),
        }
        self
    }

    fn member(&self, asked: &str) -> Option<&Value> {
        self.0.members.iter().find(|(name, _)| *name == asked).map(|(_, value)| value)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Says when to come again.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with("retry_after_seconds", seconds).header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Ends the connection after the answer.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.0.close = true;
        self
    }

    /// Notes that the service has counted it as a refused job.
    pub(super) fn counted(mut self) -> Self {
        self.0.counted = true;
        self
    }

    /// Notes that the envelope will write it, which alone knows under which path and request id: it needs not write itself
    /// before that.
    pub(super) fn enveloped(mut self) -> Self {
        self.0.enveloped = true;
        self
    }

    /// By what it is counted as a refused job, unless it has been.
    pub(super) fn rejection(&self) -> Option<Rejection> {
        (!self.0.counted).then(|| Rejection::of_slug(self.0.kind.slug()))
    }

    /// Several faults of one body.
    pub fn faults(kind: ProblemType, mut faults: Vec<Fault>) -> Self {
        let more = faults.len() >= MAX_FAULTS;
        faults.truncate(MAX_FAULTS);
        let detail = match &faults[..] {
            [fault] if fault.pointer.is_empty() => format!("The body {}.", fault.detail),
            [fault] if fault.detail.ends_with('?') => format!("{}: {}", fault.pointer, fault.detail),
            [fault] => format!("{}: {}.", fault.pointer, fault.detail),
            _ if more => {
                format!("At least {MAX_FAULTS} members are not valid; the first are named in errors.")
            }
            _ => format!("{} members are not valid; each is named in errors.", faults.len()),
        };
        let errors: Vec<Value> = faults
            .into_iter()
            .map(|fault| json!({"pointer": fault.pointer, "detail": fault.detail}))
            .collect();
        Self::new(kind, detail).with("errors", errors)
    }

    /// No job of this id.
    pub fn job_not_found() -> Self {
        Self::new(
            T::JobNotFound,
            "No job has this id. Finished jobs are forgotten after a while (see retention), and when the server stops.",
        )
    }

    /// An error of our own: the caller learns the request id only, the log learns the causes.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let chain: Vec<String> =
            std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
        let mut problem =
            Self::new(T::Internal, "The log of the server has the causes under this request id.");
        problem.0.causes = Some(chain.join(": "));
        problem
    }

    /// A job that is in a state which does not allow what was asked.
    pub(super) fn wrong_state(kind: ProblemType, state: StateName, detail: String) -> Self {
        Self::new(kind, detail).with("state", state.as_str())
    }

    /// What there is to say about it where there is room for a sentence only: its type, the detail, every fault of a body.
    pub(super) fn sentence(&self) -> String {
        let (slug, detail) = (self.0.kind.slug(), self.0.detail.trim_end_matches('.'));
        let faults = self.member("errors").and_then(Value::as_array).filter(|faults| faults.len() > 1);
        let member = |fault: &Value, name: &str| fault[name].as_str().unwrap_or_default().to_owned();
        let faults = faults
            .into_iter()
            .flatten()
            .map(|fault| format!("; {}: {}", member(fault, "pointer"), member(fault, "detail")));
        let after = self.member("retry_after_seconds");
        let after = after.map(|seconds| format!("; try again after {seconds} s"));
        format!("{slug}: {detail}{}{}", faults.collect::<String>(), after.unwrap_or_default())
    }

    /// The type.
    pub fn kind(&self) -> ProblemType {
        self.0.kind
    }

    /// What the log is to say about it.
    pub(super) fn causes(&self) -> Option<&str> {
        self.0.causes.as_deref()
    }

    /// The whole response; `base` goes before the type. Put together without the builder, which takes twice as long.
    pub(super) fn response(&self, base: &str, instance: &str, request_id: &str) -> HttpResponse {
        let inner = &*self.0;
        let body = BoxBody::new(inner.body(base, instance, request_id));
        let mut response = HttpResponse::with_body(inner.kind.status(), body);
        if inner.close {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        let headers = response.headers_mut();
        for (name, value) in &inner.headers {
            headers.insert(name.clone(), value.clone());
        }
        headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
        response
    }
}

impl Inner {
    /// As JSON, with the members in the order in which people read them.
    fn body(&self, base: &str, instance: &str, request_id: &str) -> Vec<u8> {
        let mut body = Vec::with_capacity(512);
        let mut json = Json(&mut body);
        // Neither a base nor a name or a title of ours has anything that JSON escapes.
        match self.kind {
            T::NotFound | T::Conflict | T::Unavailable => json.text("{\"type\":\"about:blank"),
            kind => json.texts(&["{\"type\":\"", base, "/problems/", kind.slug()]),
        }
        json.texts(&["\",\"title\":\"", self.kind.title()]);
        json.value("\",\"status\":", &self.kind.status().as_u16());
        json.string(",\"detail\":", &self.detail);
        json.string(",\"instance\":", instance);
        json.string(",\"request_id\":", request_id);
        for (name, value) in &self.members {
            json.texts(&[",\"", name]);
            match value {
                Value::String(text) => json.string("\":", text),
                value => json.value("\":", value),
            }
        }
        json.text("}");
        body
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.title())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.kind.status()
    }

    /// What is sent where no envelope gets hold of the problem; else that writes the real one.
    fn error_response(&self) -> HttpResponse {
        if self.0.enveloped {
            return HttpResponse::new(self.status_code());
        }
        let id = self.0.headers.iter().find(|(name, _)| name == "x-request-id");
        self.response("", "", id.and_then(|(_, id)| id.to_str().ok()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;

    use super::*;

    fn told(problem: &Problem, base: &str, instance: &str, request_id: &str) -> String {
        let response = problem.response(base, instance, request_id);
        assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), "application/problem+json");
        let Ok(body) = response.into_body().try_into_bytes() else { panic!("not at once") };
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn what_others_say_is_escaped() {
        for awkward in ["\"", "\\", "\n", "\u{1f}", " é\u{7f}", "plain"] {
            let problem = Problem::new(T::JobSkipped, awkward).with("skip_reason", awkward);
            let told = told(&problem, "", awkward, awkward);
            let written = json!(awkward).to_string();
            for member in ["detail", "instance", "request_id", "skip_reason"] {
                assert!(told.contains(&format!("\"{member}\":{written}")), "{told}");
            }
        }
    }

    #[test]
    fn what_we_say_ourselves_needs_no_escape() {
        for kind in T::ALL.into_iter().chain([T::NotFound, T::Conflict, T::Unavailable]) {
            for text in [kind.slug(), kind.title()] {
                assert_eq!(json!(text).to_string(), format!("\"{text}\""));
            }
        }
    }

    #[test]
    fn more_members_stand_in_the_order_of_their_names_each_of_them_once() {
        let problem = Problem::new(T::QueueFull, "No room.").retry_after(3).with("queue", "q");
        let problem = problem.with("capacity", 1).with("capacity", 2);
        assert_eq!(
            told(&problem, "https://a.example", "/api/jobs", "id"),
            r#"{"type":"https://a.example/problems/queue-full","title":"The queue is full","status":503,"detail":"No room.","instance":"/api/jobs","request_id":"id","capacity":2,"queue":"q","retry_after_seconds":3}"#
        );
        let nowhere = Problem::new(T::NotFound, "Nothing.");
        assert!(
            told(&nowhere, "https://a.example", "/", "id")
                .starts_with(r#"{"type":"about:blank","title":"Not Found","status":404,"#)
        );
    }
}
