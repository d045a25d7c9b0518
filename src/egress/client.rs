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
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
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
            return Err(Error::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Received { status, headers, body })
}

impl Error {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::{Allow, Range};
    use std::io::ErrorKind;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    fn client(allow: &[&str]) -> Client {
        let allow = allow.iter().map(|text| Allow::parse(text).unwrap()).collect();
        Client::new(Policy::new("http.allow", allow, false)).unwrap()
    }

    /// Answers one connection with each of these texts, and gives back the heads of what was asked.
    async fn answer(listener: &TcpListener, answers: &[String]) -> Vec<String> {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            heads.push(String::from_utf8(head).unwrap().to_ascii_lowercase());
        }
        heads
    }

    fn redirect(status: u16, location: &str) -> String {
        format!(
            "HTTP/1.1 {status} X\r\nlocation: {location}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        )
    }

    fn fine(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    async fn get(client: &Client, url: &str, limit: usize, follow: bool) -> Result<Received, Error> {
        let headers = [("authorization", "Bearer x"), ("x-api-key", "y"), ("accept", "text/plain")];
        let headers = headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        client.send(Method::GET, Url::parse(url).unwrap(), headers, None, limit, follow).await
    }

    fn is_untouched(listener: &std::net::TcpListener) -> bool {
        listener.set_nonblocking(true).unwrap();
        matches!(listener.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for url in [
            format!("http://localhost:{port}/"),
            format!("http://127.0.0.1:{port}/"),
            format!("http://0:{port}"),
        ] {
            let error = get(&client(&[]), &url, 10, false).await.unwrap_err();
            assert!(matches!(error, Error::Refused(Refused::Range { .. })), "{url}: {error:?}");
        }
        assert!(is_untouched(&listener));
    }

    #[tokio::test]
    async fn a_redirect_is_checked_like_the_first_target() {
        let inside = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
        let port = inside.local_addr().unwrap().port();
        let outside = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", outside.local_addr().unwrap());
        let client = client(&["127.0.0.1"]);
        for target in [
            format!("http://127.0.0.2:{port}/"),
            format!("//127.0.0.2:{port}/"),
            "http://[::ffff:7f00:2]/".into(),
        ] {
            let answers = [redirect(302, &target)];
            let (received, _) = tokio::join!(get(&client, &url, 10, true), answer(&outside, &answers));
            let error = received.unwrap_err();
            assert!(
                matches!(error, Error::Refused(Refused::Range { range: Range::Loopback, .. })),
                "{error:?}"
            );
        }
        let answers = [redirect(302, "file:///etc/passwd")];
        let (received, _) = tokio::join!(get(&client, &url, 10, true), answer(&outside, &answers));
        assert!(matches!(received, Err(Error::Refused(Refused::Scheme))));
        assert!(is_untouched(&inside));
    }

    #[tokio::test]
    async fn redirects_are_followed_only_when_asked_and_so_far() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let client = client(&["127.0.0.1"]);
        let answers = [redirect(302, "/next")];
        let (received, _) = tokio::join!(get(&client, &url, 10, false), answer(&listener, &answers));
        assert_eq!(received.unwrap().status, 302);
        for (hops, arrives) in [(MAX_REDIRECTS, true), (MAX_REDIRECTS + 1, false)] {
            let mut answers = vec![redirect(307, "/next"); hops];
            if arrives {
                answers.push(fine("there"));
            }
            let (received, _) = tokio::join!(get(&client, &url, 10, true), answer(&listener, &answers));
            match received {
                Ok(received) => assert!(arrives && received.body == b"there"),
                Err(error) => assert!(!arrives && matches!(error, Error::TooManyRedirects), "{error:?}"),
            }
        }
    }

    #[tokio::test]
    async fn secrets_stay_with_the_host_that_they_were_meant_for() {
        let (first, second) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let url = format!("http://{}/", first.local_addr().unwrap());
        let other = format!("http://{}/", second.local_addr().unwrap());
        let client = client(&["127.0.0.1"]);
        let (to_first, to_second) = ([redirect(302, &other)], [fine("")]);
        let (received, _, heads) = tokio::join!(
            get(&client, &url, 10, true),
            answer(&first, &to_first),
            answer(&second, &to_second)
        );
        assert_eq!(received.unwrap().status, 200);
        assert!(heads[0].contains("accept: text/plain"), "{}", heads[0]);
        assert!(!heads[0].contains("authorization") && !heads[0].contains("x-api-key"), "{}", heads[0]);
    }

    #[tokio::test]
    async fn the_body_is_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let client = client(&["127.0.0.1"]);
        for (length, fits) in [(9, true), (10, true), (11, false)] {
            let answers = [fine(&"x".repeat(length))];
            let (received, _) = tokio::join!(get(&client, &url, 10, false), answer(&listener, &answers));
            assert_eq!(received.is_ok(), fits, "{length}");
        }
    }

    #[tokio::test]
    async fn no_error_holds_the_url() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = get(&client(&["127.0.0.1"]), &format!("http://{address}/?token=s3cret"), 10, false)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Connect(_)), "{error:?}");
        let debug = format!("{error:?}");
        assert!(!format!("{debug} {:#}", anyhow::Error::from(error)).contains("s3cret"));
    }
}
