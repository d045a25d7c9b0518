//! The server at the other end.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::{Failure, Refusal};
use super::target::{Access, Target};
use crate::cli::{Ended, exit};

/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_secs(10);

/// How long an answer may take, beside what it was asked to wait for. A queue may hold a submission up before that.
pub(super) const ANSWERING: Duration = Duration::from_mins(1);

/// The server at the other end. The token is never printed: it is in a header that says of itself that it is secret.
pub(super) struct Remote {
    http: reqwest::Client,
    base: String,
    shown: String,
    authorization: Option<HeaderValue>,
}

/// A success, read whole.
pub(super) struct Answer {
    pub(super) media_type: String,
    pub(super) body: Vec<u8>,
}

/// A client that speaks to a server of ours, at this URL. Proxies that the environment names are not used: they are for the way out,
/// and a server of ours is the user's own; a token must not go to whoever a variable names. Redirects are not followed:
/// the token is for this address alone.
///
/// # Errors
///
/// When the file of the authorities cannot be used.
pub(in crate::cli) fn http_client(target: &Target, url: &str) -> anyhow::Result<reqwest::ClientBuilder> {
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("backroom/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECTING)
        .tls_danger_accept_invalid_certs(target.insecure);
    if url.starts_with("http://") {
        // The authorities of the system are not looked for: a container may have none, and needs none for this.
        client = client.tls_certs_only([]);
    } else if let Some(file) = &target.ca_file {
        let unusable = || format!("--ca-file: {} cannot be used", file.display());
        let authorities = std::fs::read(file).with_context(unusable)?;
        let authorities = reqwest::Certificate::from_pem_bundle(&authorities).with_context(unusable)?;
        anyhow::ensure!(!authorities.is_empty(), "--ca-file: {} holds no certificate", file.display());
        client = client.tls_certs_only(authorities);
    }
    Ok(client)
}

/// A URL as it may be printed: whatever stands before the host can be a password.
pub(in crate::cli) fn without_user(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else {
        return "the server".to_owned();
    };
    // Fails only for URLs that cannot have either.
    let _ = (url.set_username(""), url.set_password(None));
    url.as_str().trim_end_matches('/').to_owned()
}

impl Remote {
    /// # Errors
    ///
    /// With exit code 2 when the address is none, or a file that the command line names cannot be used.
    pub(super) fn new(access: &Access) -> Result<Self, Ended> {
        let usage = |error: anyhow::Error| Ended { code: exit::USAGE, message: format!("error: {error:#}") };
        let base = access.target.url()?;
        let http = http_client(&access.target, &base).map_err(usage)?;
        // An answer to a repeat on another connection is not ours to ask for: what is repeated is said here.
        let http = http.retry(reqwest::retry::never()).build().map_err(anyhow::Error::from)?;
        let authorization = token(access).and_then(|token| token.map(|token| bearer(&token)).transpose());
        Ok(Self { http, shown: without_user(&base), base, authorization: authorization.map_err(usage)? })
    }

    /// A request for a path, which may have a query.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    /// A request with a query of pairs.
    pub(super) fn get(&self, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        self.request(Method::GET, &with_query(path, query))
    }

    /// A request with a JSON body.
    pub(super) fn json(&self, method: Method, path: &str, body: String) -> RequestBuilder {
        self.request(method, path).header(CONTENT_TYPE, "application/json").body(body)
    }

    /// Sends a request and reads its answer. `wait` is how long it was asked to wait.
    ///
    /// # Errors
    ///
    /// Everything that is no success; a 303 is one, because its body is the job.
    pub(super) async fn ask(&self, request: RequestBuilder, wait: Duration) -> Result<Answer, Failure> {
        let response = self.open(request.timeout(wait + ANSWERING)).await?;
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default().to_owned();
        let body = response.bytes().await.map_err(|error| self.lost(error))?.to_vec();
        Ok(Answer { media_type, body })
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub(super) async fn open(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.lost(error))?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SEE_OTHER {
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = response.bytes().await.map_err(|error| self.lost(error))?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let retry_after = retry_after.map(Duration::from_secs);
        Err(Failure::Refused(Box::new(Refusal { status, retry_after, body })))
    }

    pub(super) fn lost(&self, error: reqwest::Error) -> Failure {
        let sent = !(error.is_connect() || error.is_builder());
        let what = if sent { "no answer from" } else { "cannot connect to" };
        let causes = anyhow::Error::from(error.without_url());
        Failure::Lost { reason: format!("{what} {}: {causes:#}", self.shown), sent }
    }
}

impl Answer {
    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// When it is none: somebody else answered.
    pub(super) fn value(&self) -> Result<Value, Failure> {
        self.read()
    }

    /// The body as JSON of this form.
    ///
    /// # Errors
    ///
    /// As [`Self::value`].
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| {
            let message =
                "error: the answer is not of the form that it should have; is this a Backroom server?";
            Failure::Ended(Ended::failed(message))
        })
    }
}

/// What cannot stand in a part of a path as it is (RFC 3986 §2.3).
const ENCODED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Puts a query behind a path.
pub(super) fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    encoded.extend_pairs(query);
    format!("{path}?{}", encoded.finish())
}

/// A name as a part of a path.
pub(super) fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, ENCODED).to_string()
}

fn token(access: &Access) -> anyhow::Result<Option<SecretString>> {
    if let Some(token) = &access.token {
        return Ok(Some(token.clone()));
    }
    if let Some(file) = &access.token_file {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("--token-file: {} cannot be read", file.display()))?;
        let text = text.trim();
        anyhow::ensure!(!text.is_empty(), "--token-file: {} is empty", file.display());
        return Ok(Some(text.into()));
    }
    Ok(std::env::var("BACKROOM_TOKEN").ok().filter(|token| !token.is_empty()).map(Into::into))
}

fn bearer(token: &SecretString) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
        .map_err(|_| anyhow::anyhow!("the token holds what cannot be in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_printed() {
        assert_eq!(without_user("http://u:s3cret@127.0.0.1:8080/readyz"), "http://127.0.0.1:8080/readyz");
        assert_eq!(without_user("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
        let header = bearer(&"s3cret".into()).unwrap();
        assert!(!format!("{header:?}").contains("s3cret"));
        assert!(!format!("{:?}", bearer(&"s3c\nret".into()).unwrap_err()).contains("s3c"));
    }

    #[test]
    fn queries_and_names_are_encoded() {
        assert_eq!(with_query("/a", &[]), "/a");
        assert_eq!(with_query("/a", &[("q", "b &c"), ("q", "d")]), "/a?q=b+%26c&q=d");
        assert_eq!(segment("../x y"), "..%2Fx%20y");
    }
}
