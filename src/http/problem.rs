//! Errors as programs read them: `application/problem+json` (RFC 9457).

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::problem_type::ProblemType;
use crate::job::{Fault, StateName};
use crate::jobs::MAX_FAULTS;
use crate::metrics::Rejection;

use ProblemType as T;

/// A problem on its way out. Boxed inside, so that a `Result` with it stays small.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ProblemType,
    detail: String,
    members: Map<String, Value>,
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
            members: Map::new(),
            headers: Vec::new(),
            close: false,
            causes: None,
            counted: false,
            enveloped: false,
        }))
    }

    /// Adds a member that lets a program act.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(member.to_owned(), value.into());
        self
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
            "No job has this id. Finished jobs are forgotten after a while; see retention.",
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
        let faults = self.0.members.get("errors").and_then(Value::as_array).filter(|faults| faults.len() > 1);
        let member = |fault: &Value, name: &str| fault[name].as_str().unwrap_or_default().to_owned();
        let faults = faults
            .into_iter()
            .flatten()
            .map(|fault| format!("; {}: {}", member(fault, "pointer"), member(fault, "detail")));
        let after = self.0.members.get("retry_after_seconds");
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

    /// The whole response; `base` goes before the type.
    pub(super) fn response(&self, base: &str, instance: &str, request_id: &str) -> HttpResponse {
        let inner = &*self.0;
        let kind = match inner.kind {
            T::NotFound | T::Conflict | T::Unavailable => "about:blank".to_owned(),
            kind => format!("{base}/problems/{}", kind.slug()),
        };
        let body = Body {
            kind,
            title: inner.kind.title(),
            status: inner.kind.status().as_u16(),
            detail: &inner.detail,
            instance,
            request_id,
        };
        let body = body.with(&inner.members);
        let mut response = HttpResponse::build(inner.kind.status());
        for (name, value) in &inner.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        if inner.close {
            response.force_close();
        }
        response.content_type("application/problem+json").body(body)
    }
}

/// The members in the order in which people read them.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    request_id: &'a str,
}

impl Body<'_> {
    /// As JSON, and behind it more members. What serde does to put them into one object takes longer than all the rest.
    fn with(&self, members: &Map<String, Value>) -> Vec<u8> {
        let mut body = Vec::with_capacity(512);
        // Plain data: writing it into memory cannot fail.
        let _ = serde_json::to_writer(&mut body, self);
        body.pop();
        for (name, value) in members {
            body.push(b',');
            let _ = serde_json::to_writer(&mut body, name);
            body.push(b':');
            let _ = serde_json::to_writer(&mut body, value);
        }
        body.push(b'}');
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
