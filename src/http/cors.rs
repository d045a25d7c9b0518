//! What browsers let pages of other origins do (WHATWG Fetch §3.2).
//!
//! Cookies and passwords that a browser keeps are never asked for (`Access-Control-Allow-Credentials`): a page sends its
//! token itself. A page on the internet that asks a server in a private network is a matter between the browser and its
//! user, who is asked; the preflight header that an earlier draft had for it is not answered.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE");
pub(super) const HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, X-Request-Id, traceparent",
);
pub(super) const EXPOSED: HeaderValue = HeaderValue::from_static(
    "ETag, Idempotent-Replayed, Link, Location, Preference-Applied, Retry-After, WWW-Authenticate, X-Request-Id",
);
/// As long as Safari keeps it; others keep it up to two hours.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The origins whose pages may read answers.
pub(super) enum Cors {
    /// Every one.
    All,
    /// These.
    Some(Vec<HeaderValue>),
}

impl Cors {
    /// `None` when there is none. What is no header value is dropped: no browser would send it.
    pub(super) fn new(origins: &[String]) -> Option<Self> {
        match origins {
            [] => None,
            origins if origins.iter().any(|origin| origin == "*") => Some(Self::All),
            origins => {
                Some(Self::Some(origins.iter().filter_map(|o| HeaderValue::from_str(o).ok()).collect()))
            }
        }
    }

    /// The page that a request comes from, as it is told that it may read the answer.
    pub(super) fn page(&self, request: &HttpRequest) -> Option<HeaderValue> {
        let origin = request.headers().get(header::ORIGIN)?;
        match self {
            Self::All => Some(HeaderValue::from_static("*")),
            Self::Some(origins) => origins.iter().find(|known| *known == origin).cloned(),
        }
    }

    /// The headers of an answer to it.
    pub(super) fn tell(
        &self,
        page: Option<HeaderValue>,
    ) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
        // A cache must not show the answer for one page to another (Fetch §3.2.6).
        let vary = matches!(self, Self::Some(_)).then(|| (header::VARY, HeaderValue::from_static("Origin")));
        let told = page.map(|page| {
            [
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, page),
                (header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED.clone()),
            ]
        });
        vary.into_iter().chain(told.into_iter().flatten())
    }
}

/// Whether a browser asks before it sends a request.
pub(super) fn is_preflight(request: &HttpRequest) -> bool {
    *request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// What the answer to a preflight says.
pub(super) fn allow(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS.clone());
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE.clone());
}
