//! Requests that go where the policy lets them, and nowhere else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, TRANSFER_ENCODING};
use reqwest::{Body, Method, Request, StatusCode, redirect};
use url::Url;

use super::policy::{Policy, Refused};

/// How many redirects are followed at most, where any are.
pub const MAX_REDIRECTS: usize = 5;
/// The headers that follow a redirect to another origin.
const TRAVELS: [&str; 8] = [
    "accept",
    "accept-language",
    "content-type",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-request-id",
];
/// How long a connection may take to be made, TLS included.
const CONNECTING: Duration = Duration::from_secs(10);
/// How long an idle connection is kept. Its address was checked when it was made, and names move.
const IDLE: Duration = Duration::from_secs(30);

/// Sends requests under a [`Policy`]. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    policy: Arc<Policy>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Received {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, decoded; at most as large as was asked for.
    pub body: Vec<u8>,
}

/// Why there is no answer. No message holds the URL: it can hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The policy does not allow the target, or one that it redirected to.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The body is larger than was asked for.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for, in bytes.
        limit: usize,
        /// The answer with the beginning of its body: a failure of the far side is one however much it says.
        received: Box<Received>,
    },
    /// It redirects further than is followed.
    #[error("it redirects more than {MAX_REDIRECTS} times")]
    TooManyRedirects,
    /// It redirects to something that is no URL.
    #[error("it redirects to something that is no URL")]
    BadRedirect,
    /// It redirects from an encrypted connection to one that is not.
    #[error("it redirects from https to http")]
    Downgrade,
    /// No connection was made.
    #[error("no connection")]
    Connect(#[source] reqwest::Error),
    /// The connection broke, or what came over it is not HTTP.
    #[error("the connection broke")]
    Broken(#[source] reqwest::Error),
}

impl Client {
    /// A client under this policy. Proxies that the environment names are not used: they would resolve names themselves.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn new(policy: Policy) -> Result<Self, reqwest::Error> {
        let policy = Arc::new(policy);
        let http = reqwest::Client::builder()
            .user_agent(concat!("backroom/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECTING)
            .pool_idle_timeout(IDLE)
            .dns_resolver(Arc::new(Checked(Arc::clone(&policy))))
            .build()?;
        Ok(Self { http, policy })
    }

    /// The rules.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Sends a request and reads its answer, of which the decoded body may have `limit` bytes. With `follow`, up to
    /// [`MAX_REDIRECTS`] redirects are followed, each target being checked like the first.
    ///
    /// Has no deadline of its own: the caller's attempt has one.
    ///
    /// # Errors
    ///
    /// [`Error`].
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped the far side may have got the request or not.
    pub async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Option<bytes::Bytes>,
        limit: usize,
        follow: bool,
    ) -> Result<Received, Error> {
        let (mut method, mut url, mut headers, mut body) = (method, url, headers, body);
        for _ in 0..=MAX_REDIRECTS {
            // Addresses in URLs never reach the resolver.
            self.policy.check_parsed(&url)?;
            let mut request = Request::new(method.clone(), url.clone());
            *request.headers_mut() = headers.clone();
            *request.body_mut() = body.clone().map(Body::from);
            let response = self.http.execute(request).await.map_err(Error::of)?;
            let next = match location(&response) {
                Some(location) if follow => url.join(location).map_err(|_| Error::BadRedirect)?,
                _ => return read(response, limit).await,
            };
            // RFC 9110 §15.4: a 303 is fetched with GET, and so is, by everybody's habit, the target of a POST.
            let status = response.status();
            let to_get = status == StatusCode::SEE_OTHER && method != Method::HEAD
                || matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND)
                    && method == Method::POST;
            if to_get {
                method = Method::GET;
                body = None;
                for name in [CONTENT_TYPE, CONTENT_LENGTH, TRANSFER_ENCODING] {
                    headers.remove(name);
                }
            }
            if url.scheme() == "https" && next.scheme() == "http" {
                return Err(Error::Downgrade);
            }
            // What was meant for one host is not for another, under whatever name a secret is sent.
            if url.origin() != next.origin() {
                let names: Vec<_> =
                    headers.keys().filter(|name| !TRAVELS.contains(&name.as_str())).cloned().collect();
                for name in names {
                    headers.remove(name);
                }
            }
            url = next;
        }
        Err(Error::TooManyRedirects)
    }
}

/// Where a redirect leads (RFC 9110 §15.4), of the statuses that say so.
fn location(response: &reqwest::Response) -> Option<&str> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    response.headers().get(LOCATION)?.to_str().ok()
}

async fn read(mut response: reqwest::Response, limit: usize) -> Result<Received, Error> {
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    // Counted after decoding: a small body can unpack to a very large one.
    while let Some(chunk) = response.chunk().await.map_err(Error::of)? {
        if body.len() + chunk.len() > limit {
            return Err(Error::TooLarge { limit, received: Box::new(Received { status, headers, body }) });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Received { status, headers, body })
}

impl Error {
    /// Whether the far side took longer than it may.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Connect(error) | Self::Broken(error) if error.is_timeout())
    }

    fn of(error: reqwest::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(found) = cause {
            if let Some(refused) = found.downcast_ref::<Refused>() {
                return Self::Refused(refused.clone());
            }
            cause = found.source();
        }
        let connecting = error.is_connect();
        let error = error.without_url();
        if connecting { Self::Connect(error) } else { Self::Broken(error) }
    }
}

/// Resolves names, and hands out only addresses that are allowed: those are the ones that are connected to.
struct Checked(Arc<Policy>);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            // The port is put in by the client.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            let mut refused = None;
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| match policy.check_address(host, address.ip()) {
                    Ok(()) => true,
                    Err(reason) => {
                        refused = Some(reason);
                        false
                    }
                })
                .collect();
            match refused {
                // One name with addresses inside and outside is how rebinding looks: all or nothing.
                Some(reason) => Err(reason.into()),
                None => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}
