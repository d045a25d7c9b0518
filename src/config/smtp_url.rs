//! `mail.smtp_url`: what the mailer will take, so that its faults are found with those of everything else.
//!
//! The rules are those of the mailer, which this module must not know; a test of `backroom check` holds them together.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

const FORM: &str = "must be smtp://[user[:password]@]host[:port][?tls=required|opportunistic|none] or \
                    smtps://[user[:password]@]host[:port]";

/// Who logs in, as far as the URL says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Login {
    /// Nobody.
    None,
    /// A user whose password stands elsewhere.
    User,
    /// A user with a password.
    UserAndPassword,
}

/// What a URL says, as far as others must fit it.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct SmtpUrl {
    pub(super) login: Login,
    /// It, without its credentials.
    pub(super) shown: String,
}

impl SmtpUrl {
    /// Reads a URL; what is wrong is said without quoting it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text.trim()).map_err(|_| FORM)?;
        if !matches!(url.scheme(), "smtp" | "smtps") {
            return Err("must begin with smtp:// or smtps://");
        }
        let host = decoded(url.host_str().unwrap_or_default()).and_then(|host| Host::parse(&host).ok());
        let host = host
            .filter(|host| *host != Host::Domain(String::new()))
            .ok_or("must name a host, as in smtp://user@host:587")?;
        if url.port() == Some(0) {
            return Err("must have a port from 1 to 65535, or none");
        }
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(
                "must have no path and no fragment; a '/' or '#' in a password is written %2F or %23",
            );
        }
        let login = login(&url)?;
        let tls = tls(&url)?;
        if tls.as_deref() == Some("none") && login != Login::None && !is_loopback(&host) {
            return Err(
                "must not send a password unencrypted: use tls=required or smtps, or leave the user out",
            );
        }
        Ok(Self { login, shown: shown(&url, login) })
    }
}

fn login(url: &Url) -> Result<Login, &'static str> {
    if decoded(url.username()).is_none() || url.password().is_some_and(|text| decoded(text).is_none()) {
        return Err("must have user and password as percent-encoded UTF-8 without control characters");
    }
    match (url.username(), url.password()) {
        ("", Some(_)) => Err("must have a user when it has a password"),
        ("", None) => Ok(Login::None),
        (_, None) => Ok(Login::User),
        (_, Some(_)) => Ok(Login::UserAndPassword),
    }
}

fn tls(url: &Url) -> Result<Option<String>, &'static str> {
    let mut pairs = url.query_pairs();
    let Some((name, value)) = pairs.next() else {
        return Ok(None);
    };
    if name != "tls" || !matches!(&*value, "required" | "opportunistic" | "none") || pairs.next().is_some() {
        return Err("may be followed by ?tls=required, ?tls=opportunistic or ?tls=none, and nothing else");
    }
    if url.scheme() == "smtps" {
        return Err("must have no tls=… with smtps, which is encrypted from the first byte");
    }
    Ok(Some(value.into_owned()))
}

fn shown(url: &Url, login: Login) -> String {
    let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
    let user = if login == Login::None { "" } else { "[redacted]@" };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{user}{host}{port}{query}")
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (!text.chars().any(char::is_control)).then(|| text.into_owned())
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => IpAddr::V6(*ip).is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_credentials() {
        for (url, login, shown) in [
            ("smtp://h", Login::None, "smtp://h"),
            ("smtp://u@h:25/", Login::User, "smtp://[redacted]@h:25"),
            ("smtps://u:s3cret@h", Login::UserAndPassword, "smtps://[redacted]@h"),
            (" smtp://[::1]?tls=none ", Login::None, "smtp://[::1]?tls=none"),
            (
                "smtp://u:p@a.localhost?tls=none",
                Login::UserAndPassword,
                "smtp://[redacted]@a.localhost?tls=none",
            ),
        ] {
            let parsed = SmtpUrl::parse(url).unwrap_or_else(|reason| panic!("{url}: {reason}"));
            let shown = shown.to_owned();
            assert_eq!(parsed, SmtpUrl { login, shown }, "{url}");
        }
    }
}
