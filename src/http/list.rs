//! `GET /api/jobs`: filters, pages, cursors.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::api::Api;
use super::jobs::json;
use super::problem::Problem;
use super::problem_type::ProblemType;
use crate::job::{JobId, StateName, Timestamp};
use crate::jobs::MAX_FAULTS;
use crate::store::{Filter, ListQuery};

pub(super) const DEFAULT_LIMIT: usize = 20;
pub(super) const LARGEST_LIMIT: usize = 100;
pub(super) const LONGEST_TEXT: usize = 200;
/// Every job is held against every filter, so there may not be any number of them.
const MOST_PARAMETERS: usize = 100;
pub(super) const KNOWN: [&str; 9] =
    ["state", "queue", "kind", "tag", "q", "created_after", "created_before", "limit", "cursor"];

/// Shows one page, newest first.
pub(super) async fn list(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let pairs = pairs(&request)?;
    let query = read(&pairs)?;
    let page = api.jobs.list(&query).await?;
    let now = api.jobs.clock().now();
    let mut body = api.jobs_json("items", page.jobs.iter(), now);
    let mut response = HttpResponse::Ok();
    let next = page.next.map(|id| {
        let cursor = cursor_of(id);
        let kept = pairs.iter().filter(|(name, _)| name != "cursor");
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept)
            .append_pair("cursor", &cursor)
            .finish();
        (cursor, format!("{}/api/jobs?{query}", api.base_url))
    });
    if let Some((_, url)) = &next {
        response.insert_header((header::LINK, format!("<{url}>; rel=\"next\"")));
    }
    let (cursor, url) = next.unzip();
    body.extend_from_slice(
        format!(",\"next_cursor\":{},\"next\":{}}}", json!(cursor), json!(url)).as_bytes(),
    );
    Ok(json(&mut response, body))
}

pub(super) fn pairs(request: &HttpRequest) -> Result<Vec<(String, String)>, Problem> {
    actix_web::web::Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map(actix_web::web::Query::into_inner)
        .map_err(|_| Problem::new(ProblemType::MalformedRequest, "The query of the URL cannot be read."))
}

fn read(pairs: &[(String, String)]) -> Result<ListQuery, Problem> {
    if pairs.len() > MOST_PARAMETERS {
        let detail = format!("The query has more than {MOST_PARAMETERS} parameters. Ask for less at once.");
        return Err(Problem::new(ProblemType::ValidationFailed, detail));
    }
    let mut query = ListQuery { filter: Filter::default(), before: None, limit: DEFAULT_LIMIT };
    let mut faults = Faults::default();
    for (name, value) in pairs {
        let filter = &mut query.filter;
        match name.as_str() {
            "state" => match StateName::ALL.into_iter().find(|state| state.as_str() == value) {
                Some(state) => filter.states.push(state),
                None => {
                    let states = StateName::ALL.map(StateName::as_str).join(", ");
                    faults.invalid(name, &format!("there is no such state; there are: {states}"));
                }
            },
            "queue" => faults.take(name, value.parse(), |queue| filter.queues.push(queue)),
            "kind" => faults.take(name, value.parse(), |kind| filter.kinds.push(kind)),
            "tag" => faults.take(name, value.parse(), |tag| filter.tags.push(tag)),
            "q" if value.chars().count() > LONGEST_TEXT => {
                faults.invalid(name, "must be at most 200 characters");
            }
            "q" => filter.text = (!value.is_empty()).then(|| value.clone()),
            "created_after" => match Timestamp::parse(value) {
                Ok(time) => filter.created_after = Some(time),
                Err(detail) => faults.malformed(name, &detail),
            },
            "created_before" => match Timestamp::parse(value) {
                Ok(time) => filter.created_before = Some(time),
                Err(detail) => faults.malformed(name, &detail),
            },
            // Read as widely as possible: a number that is out of range can be parsed and is not valid.
            "limit" => match value.parse::<i128>() {
                Ok(limit) => match usize::try_from(limit) {
                    Ok(limit @ 1..=LARGEST_LIMIT) => query.limit = limit,
                    _ => faults.invalid(name, "must be 1 to 100"),
                },
                Err(_) => faults.malformed(name, "must be a whole number, 1 to 100"),
            },
            "cursor" => query.before = Some(read_cursor(value)?),
            unknown => {
                faults.invalid(unknown, &format!("is not known here; known are: {}", KNOWN.join(", ")));
            }
        }
    }
    faults.none()?;
    Ok(query)
}

/// What is wrong with the parameters; the first [`MAX_FAULTS`] are named.
#[derive(Default)]
pub(super) struct Faults {
    errors: Vec<Value>,
    malformed: bool,
}

impl Faults {
    pub(super) fn invalid(&mut self, parameter: &str, detail: &str) {
        // The answer to a short parameter is long.
        if self.errors.len() < MAX_FAULTS {
            self.errors.push(json!({"parameter": parameter, "detail": detail}));
        }
    }

    fn malformed(&mut self, parameter: &str, detail: &str) {
        self.malformed = true;
        self.invalid(parameter, detail);
    }

    pub(super) fn take<T, E: std::fmt::Display>(
        &mut self,
        parameter: &str,
        read: Result<T, E>,
        keep: impl FnOnce(T),
    ) {
        match read {
            Ok(value) => keep(value),
            Err(error) => self.invalid(parameter, &error.to_string()),
        }
    }

    pub(super) fn none(self) -> Result<(), Problem> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let kind = if self.malformed { ProblemType::MalformedRequest } else { ProblemType::ValidationFailed };
        Err(Problem::new(kind, "Query parameters are not valid; each is named in errors.")
            .with("errors", self.errors))
    }
}

fn cursor_of(id: JobId) -> String {
    URL_SAFE_NO_PAD.encode(id.as_uuid().as_bytes())
}

fn read_cursor(text: &str) -> Result<JobId, Problem> {
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| uuid::Uuid::from_slice(&bytes).ok())
        // All of ours are of this version; nearly nothing that somebody made up is.
        .filter(|id| id.get_version_num() == 7)
        .map(JobId::from_uuid)
        .ok_or_else(|| {
            Problem::new(
                ProblemType::InvalidCursor,
                "Take next_cursor of the page before, unchanged.",
            )
        })
}
