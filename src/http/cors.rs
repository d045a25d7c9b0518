//! What browsers let pages of other origins do (WHATWG Fetch §3.2).
//!
//! Cookies and passwords that a browser keeps are never asked for: a page sends its token itself. But the SignalR client of
//! a page sends them unless it is told not to, so that at the paths of the hub they may come
//! (`Access-Control-Allow-Credentials`); nobody looks at them. A page on the internet that asks a server in a private network is a matter between the browser and its
//! user, who is asked; the preflight header that an earlier draft had for it is not answered.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::hub;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE");
pub(super) const HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, X-Request-Id, X-Requested-With, X-SignalR-User-Agent, \
     traceparent",
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

/// A page that may read an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Page {
    /// As it is told so.
    origin: HeaderValue,
    /// Whether it may send what the browser keeps.
    credentials: bool,
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

    /// The page that a request comes from. `asks`: whether a token is asked for; without, a page that nobody has named is
    /// never let in with what the browser keeps for a proxy in front.
    pub(super) fn page(&self, request: &HttpRequest, asks: bool) -> Option<Page> {
        let origin = request.headers().get(header::ORIGIN)?;
        let at_hub = hub::PATHS.contains(&request.path());
        let (origin, credentials) = match self {
            // With credentials the origin has to be named (Fetch §3.2.5).
            Self::All if at_hub && asks => (origin.clone(), true),
            Self::All => (HeaderValue::from_static("*"), false),
            Self::Some(origins) => (origins.iter().find(|known| *known == origin).cloned()?, at_hub),
        };
        Some(Page { origin, credentials })
    }

    /// The headers of an answer to it.
    pub(super) fn tell(&self, page: Option<Page>) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
        // A cache must not show the answer for one page to another (Fetch §3.2.6).
        let credentials = page.as_ref().is_some_and(|page| page.credentials);
        let varies = credentials || matches!(self, Self::Some(_));
        let vary = varies.then(|| (header::VARY, HeaderValue::from_static("Origin")));
        let credentials =
            credentials.then(|| (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")));
        let told = page.map(|page| {
            [
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, page.origin),
                (header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED.clone()),
            ]
        });
        vary.into_iter().chain(told.into_iter().flatten()).chain(credentials)
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
