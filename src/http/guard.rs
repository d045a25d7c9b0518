//! The guard at the door: under which names this server answers, and which web pages may drive it.
//!
//! A server without tokens is for its own host. Its worst neighbour is the browser there, through which every page on the
//! internet can send requests to it. Two headers that no page can forge give them away: `Host`, when a page has given its
//! own name our address, and `Origin`, which says where a page came from.

use std::cell::RefCell;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, Version};

use super::auth::Tokens;
use super::body;
use super::cors::{self, Cors, Page};
use super::host::Authority;
use super::origin::Origin;
use super::problem::Problem;
use super::problem_type::ProblemType;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What the guard goes by.
pub struct GuardSettings {
    /// Who may call. When there is none, and not everybody may, only this host is served.
    pub tokens: Tokens,
    /// Whether everybody who can connect may call.
    pub everybody: bool,
    /// Names beside local ones, without ports. When there are some they are enforced for everybody.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may use the server, or `*`.
    pub cors_origins: Vec<String>,
    /// The address under which clients see the server.
    pub public_url: Option<String>,
}

/// Decides about a request before anything of it is looked at.
pub struct Guard {
    tokens: Tokens,
    /// There are no tokens, so the host itself is the bound.
    local: bool,
    allowed_hosts: Vec<String>,
    public_url: Option<String>,
    cors: Option<Cors>,
}

/// What becomes of a request.
pub(super) enum Verdict {
    /// It goes on to its route, which may need a token.
    Pass,
    /// A browser asks what it may send, and is told.
    Preflight,
    /// It goes no further.
    Refuse(Problem),
}

/// The `Host` that was last found to be one of ours. Nearly all requests that come to a thread have the same, and to look
/// at it letter by letter costs more than the rest of the guard. What are names of ours never changes.
#[derive(Default)]
pub(super) struct LastHost(RefCell<Vec<u8>>);

impl LastHost {
    fn is(&self, host: &[u8]) -> bool {
        self.0.borrow().as_slice() == host && !host.is_empty()
    }

    fn set(&self, host: &[u8]) {
        // A name has at most 253 letters, so that a client cannot make us keep much.
        if host.len() <= 300 {
            let mut last = self.0.borrow_mut();
            last.clear();
            last.extend_from_slice(host);
        }
    }
}

impl Guard {
    /// A guard that goes by these.
    pub fn new(settings: GuardSettings) -> Self {
        let GuardSettings { tokens, everybody, allowed_hosts, cors_origins, public_url } = settings;
        let (local, cors) = (!everybody && tokens.is_empty(), Cors::new(&cors_origins));
        Self { tokens, local, allowed_hosts, public_url, cors }
    }

    /// Whether callers are asked for a token.
    pub(super) fn asks(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// The page of another origin that a request comes from, if it may use the server.
    pub(super) fn page(&self, request: &HttpRequest) -> Option<Page> {
        self.cors.as_ref()?.page(request, self.asks())
    }

    /// What an answer tells that page.
    pub(super) fn tell(
        &self,
        page: Option<Page>,
    ) -> Option<impl Iterator<Item = (HeaderName, HeaderValue)> + use<>> {
        self.cors.as_ref().map(|cors| cors.tell(page))
    }

    /// Decides about a request that comes from `page`.
    pub(super) fn judge(&self, request: &HttpRequest, page: Option<&Page>, last: &LastHost) -> Verdict {
        match self.check(request, page, last) {
            Ok(()) if page.is_some() && cors::is_preflight(request) => Verdict::Preflight,
            Ok(()) => Verdict::Pass,
            Err(problem) => Verdict::Refuse(problem),
        }
    }

    fn check(&self, request: &HttpRequest, page: Option<&Page>, last: &LastHost) -> Result<(), Problem> {
        // Orchestrators ask these by address. Where there are no tokens that address is a local one.
        let is_probe = || matches!(request.path(), "/livez" | "/readyz");
        let mut host = None;
        if self.local || (!self.allowed_hosts.is_empty() && !is_probe()) {
            host = self.host(request, last)?;
        }
        // A WebSocket begins with a GET, is opened by any page without a question, and writes.
        let reads = || matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if self.local && page.is_none() && (!reads() || body::is_endless(request)) {
            self.origin(request, host)?;
        }
        if self.asks() { self.tokens.recognize(request) } else { Ok(()) }
    }

    /// What the client calls this server, when that is one of its names. `None` from a client that is too old to say, as
    /// no browser is.
    fn host<'a>(&self, request: &'a HttpRequest, last: &LastHost) -> Result<Option<&'a [u8]>, Problem> {
        // RFC 9112 §3.2.2: a target with a host wins over the header; which of the two a proxy went by nobody knows.
        if let Some(target) = request.uri().authority() {
            self.check_host(target.as_str().as_bytes())?;
        }
        let mut sent = request.headers().get_all(header::HOST);
        match (sent.next(), sent.next()) {
            (Some(host), None) => {
                let host = host.as_bytes();
                if !last.is(host) {
                    self.check_host(host)?;
                    last.set(host);
                }
                Ok(Some(host))
            }
            (None, _) if request.version() < Version::HTTP_11 => Ok(None),
            // RFC 9112 §3.2.
            (None, _) => Err(malformed("There is no Host header. Send one, with the name of this server.")),
            (Some(_), Some(_)) => Err(malformed("There are several Host headers. Send one.")),
        }
    }

    fn check_host(&self, host: &[u8]) -> Result<(), Problem> {
        let Some(host) = Authority::parse(host) else {
            return Err(malformed("The Host header is not a name or an address, and perhaps a port."));
        };
        if host.is_local() || self.is_named(&host) {
            return Ok(());
        }
        let detail = "This server does not go by the name in Host. Use a local one (localhost, 127.0.0.1), or add the name to \
                      server.allowed_hosts.";
        Err(Problem::new(ProblemType::HostNotAllowed, detail))
    }

    fn is_named(&self, host: &Authority<'_>) -> bool {
        let allowed = self.allowed_hosts.iter().filter_map(|name| Authority::parse(name.as_bytes()));
        let public = self.public().map(|origin| origin.authority());
        allowed.chain(public).any(|name| name.has_host_of(host))
    }

    fn public(&self) -> Option<Origin<'_>> {
        self.public_url.as_deref().and_then(Origin::of_url)
    }

    /// Refuses a write that a page of another origin makes a browser send.
    fn origin(&self, request: &HttpRequest, host: Option<&[u8]>) -> Result<(), Problem> {
        let mut sent = request.headers().get_all(header::ORIGIN);
        let at_home = match (sent.next(), sent.next()) {
            (Some(origin), None) => Origin::parse(origin.as_bytes()).is_some_and(|origin| {
                host.and_then(Authority::parse).is_some_and(|host| origin.is_at(&host))
                    || self.public().is_some_and(|public| origin.is(&public))
            }),
            // A browser that leaves out Origin still says what it is about; other programs send neither.
            (None, _) => request
                .headers()
                .get(SEC_FETCH_SITE)
                .is_none_or(|site| matches!(site.as_bytes(), b"same-origin" | b"none")),
            (Some(_), Some(_)) => false,
        };
        if at_home {
            return Ok(());
        }
        let detail = "A web page of another origin may not change anything here. If the page is yours, add its origin to \
                      server.cors_origins.";
        Err(Problem::new(ProblemType::OriginForbidden, detail))
    }
}

fn malformed(detail: &str) -> Problem {
    Problem::new(ProblemType::MalformedRequest, detail)
}
