//! `[server]`: where to listen, and under which names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::bounds;
use super::names;
use super::reader::{Reader, Section};
use super::tls::Tls;

/// Says where and how to listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// The address; port 0 picks a free one. Beyond loopback only with a token, or with
    /// [`AuthMode::None`](super::AuthMode::None).
    pub bind: SocketAddr,
    /// The address under which clients see the server: absolute, `http` or `https`, without query, fragment, user or a
    /// slash at its end. `None`: links in answers are paths.
    pub public_url: Option<String>,
    /// Threads that answer HTTP: 0 to 256. 0 means one for each core.
    pub http_workers: usize,
    /// The largest request body, in bytes: 1 KiB to 64 MiB. More is answered with 413.
    pub body_limit: usize,
    /// How long a client may take to send the head of a request, and before that for its TLS handshake: 10 ms to 10 min.
    pub header_timeout: Duration,
    /// How long a client may take to send the body of a request: 10 ms to 10 min.
    pub body_timeout: Duration,
    /// How long a client may take none of its answer: 10 ms to 10 min.
    pub write_timeout: Duration,
    /// Connections served at the same time: 1 to 1,000,000. More wait to be accepted.
    pub max_connections: usize,
    /// Connections to the SignalR hub at the same time, those included that are only negotiated: 1 to 1,000,000. More are
    /// refused.
    pub max_hub_connections: usize,
    /// How long an idle connection is kept: nothing to 1 h. Zero closes it after each answer.
    pub keep_alive: Duration,
    /// A file that receives the address really listened on, once it is.
    pub address_file: Option<PathBuf>,
    /// Names under which it answers beside local ones and that of the public URL, without ports: up to 100. When there
    /// are some, or no token, it answers under no other name.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may use it, as browsers send them: up to 100; or `*` alone for every one.
    pub cors_origins: Vec<String>,
    /// With it every connection is HTTPS.
    pub tls: Option<Tls>,
}

impl Server {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.section("server", |s| Self {
            bind: s.text("bind", SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), address),
            public_url: public_url(s),
            http_workers: s.integer("http_workers", bounds::HTTP_WORKERS),
            body_limit: s.size("body_limit", bounds::BODY_LIMIT) as usize,
            header_timeout: s.duration("header_timeout", bounds::HEADER_TIMEOUT),
            body_timeout: s.duration("body_timeout", bounds::BODY_TIMEOUT),
            write_timeout: s.duration("write_timeout", bounds::WRITE_TIMEOUT),
            max_connections: s.integer("max_connections", bounds::MAX_CONNECTIONS),
            max_hub_connections: s.integer("max_hub_connections", bounds::MAX_HUB_CONNECTIONS),
            keep_alive: s.duration("keep_alive", bounds::KEEP_ALIVE),
            address_file: s.path("address_file"),
            allowed_hosts: s.list("allowed_hosts", bounds::NAMES, names::host),
            cors_origins: cors_origins(s),
            tls: Tls::read(s),
        })
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| {
        "must be an IP address and a port, as in \"127.0.0.1:8080\" or \"[::1]:8080\"; names such as localhost are \
         not looked up"
            .to_owned()
    })
}

fn cors_origins(s: &mut Section<'_>) -> Vec<String> {
    let origins = s.list("cors_origins", bounds::NAMES, names::origin);
    if let Some(reason) = names::origins(&origins) {
        s.fault("cors_origins", reason);
    }
    origins
}

/// Read without showing what is wrong: it may hold a password by mistake.
fn public_url(s: &mut Section<'_>) -> Option<String> {
    let text = s.hidden("public_url")?;
    if text.is_empty() {
        s.show("public_url", "");
        return None;
    }
    match check_public_url(&text) {
        Ok(url) => {
            s.show("public_url", url.as_str());
            Some(url)
        }
        Err(reason) => {
            s.fault("public_url", reason);
            None
        }
    }
}

pub(super) fn check_public_url(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).map_err(|_| "must be an absolute URL, as in \"https://jobs.example.com\"")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must have no query and no fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no user and no password: it is shown to every caller");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AuthMode;
    use crate::config::testing::{config, faults};

    #[test]
    fn bind_takes_addresses_and_no_names() {
        assert_eq!(config(&[]).server.bind.to_string(), "127.0.0.1:8080");
        assert_eq!(config(&["server.bind=[::1]:0"]).server.bind.to_string(), "[::1]:0");
        for bad in ["localhost:8080", "127.0.0.1", ":8080", "127.0.0.1:65536", ""] {
            let found = faults(&[&format!("server.bind={bad}")]);
            assert_eq!(found.len(), 1, "{bad:?}");
            assert!(found[0].contains("names such as localhost are not looked up"), "{found:?}");
        }
    }

    #[test]
    fn beyond_loopback_needs_a_word() {
        for open in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "[::ffff:10.0.0.1]:80"] {
            let bind = format!("server.bind={open}");
            let found = faults(&[&bind]);
            assert_eq!(found.len(), 1, "{open}");
            assert!(found[0].starts_with("--set: server.bind: "), "{found:?}");
            assert!(found[0].contains("auth.mode = \"none\""), "{found:?}");
            assert_eq!(faults(&[&bind, "auth.mode=tokens"]).len(), 1);
            assert_eq!(config(&[&bind, "auth.mode=none"]).auth.mode, AuthMode::None);
        }
        for closed in ["127.0.0.2:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(config(&[&format!("server.bind={closed}")]).auth.mode, AuthMode::Tokens);
        }
    }

    #[test]
    fn the_public_url_is_absolute_and_plain() {
        let url = |text: &str| config(&[&format!("server.public_url={text}")]).server.public_url;
        assert_eq!(url(""), None);
        assert_eq!(url("https://jobs.example.com").as_deref(), Some("https://jobs.example.com"));
        assert_eq!(url("http://h:81/base/").as_deref(), Some("http://h:81/base"));
        for bad in [
            "/jobs",
            "jobs.example.com",
            "ftp://h",
            "https://h/?a=b",
            "https://h/#a",
            "https://u@h",
            "http://",
        ] {
            assert_eq!(faults(&[&format!("server.public_url={bad}")]).len(), 1, "{bad:?}");
        }
        let found = faults(&["server.public_url=https://me:s3cret@h"]);
        assert!(!found[0].contains("s3cret"), "{found:?}");
    }

    #[test]
    fn paths_may_be_none() {
        assert_eq!(config(&[]).server.address_file, None);
        assert_eq!(config(&["server.address_file=a/b"]).server.address_file, Some(PathBuf::from("a/b")));
    }
}
