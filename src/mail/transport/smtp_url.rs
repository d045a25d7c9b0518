//! What an SMTP URL says, with every default filled in.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::mail::MailFault;

const URL_KEY: &str = "mail.smtp_url";
const PASSWORD_KEY: &str = "mail.smtp_password_file";

/// Where the server is and how to speak to it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    /// User and password.
    pub(super) login: Option<(String, SecretString)>,
}

/// When a connection becomes secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Encryption {
    /// From the first byte (RFC 8314 §3.3).
    Implicit,
    /// After STARTTLS, or not at all.
    Required,
    /// After STARTTLS if the server has it. Protects from listeners, not from somebody in the middle.
    Opportunistic,
    /// Never.
    None,
}

impl Server {
    /// Reads the URL, and the password that may stand elsewhere.
    pub(super) fn parse(url: &SecretString, password: Option<&SecretString>) -> Result<Self, Vec<MailFault>> {
        let mut faults = Vec::new();
        let mut fault = |key, reason: &str| faults.push(MailFault::new(key, reason));
        let Ok(url) = Url::parse(url.expose_secret().trim()) else {
            return Err(vec![MailFault::new(URL_KEY, FORM)]);
        };
        let implicit = match url.scheme() {
            "smtps" => true,
            "smtp" => false,
            _ => return Err(vec![MailFault::new(URL_KEY, FORM)]),
        };
        let host = decode(url.host_str().unwrap_or_default()).and_then(|host| url::Host::parse(&host).ok());
        // Without the brackets of an IPv6 address, and in ASCII.
        let host = host.map(|host| host.to_string().trim_matches(['[', ']']).to_owned()).unwrap_or_default();
        if host.is_empty() {
            fault(URL_KEY, "needs a host");
        }
        if url.port() == Some(0) {
            fault(URL_KEY, "needs a port from 1 to 65535");
        }
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            fault(URL_KEY, "must have no path and no fragment");
        }
        let user = decode(url.username());
        let in_url = url.password().map(decode);
        if user.is_none() || in_url == Some(None) {
            fault(URL_KEY, "user and password must be percent-encoded UTF-8 without control characters");
        }
        let user = user.unwrap_or_default();
        let in_url = in_url.flatten().map(SecretString::from);
        match (url.password(), password) {
            (Some(_), Some(_)) => {
                fault(PASSWORD_KEY, "the password is in mail.smtp_url already; give it once");
            }
            (Some(_), None) if user.is_empty() => fault(URL_KEY, "has a password but no user"),
            (None, Some(_)) if user.is_empty() => fault(PASSWORD_KEY, "needs a user in mail.smtp_url"),
            (None, None) if !user.is_empty() => {
                fault(URL_KEY, "has a user but no password; see mail.smtp_password_file");
            }
            _ => {}
        }
        let login = in_url.or(password.cloned()).map(|password| (user.clone(), password));
        let encryption = match encryption(&url, implicit, !user.is_empty()) {
            Ok(encryption) => encryption,
            Err(reason) => {
                fault(URL_KEY, reason);
                Encryption::Required
            }
        };
        if encryption == Encryption::None && !user.is_empty() && !is_loopback(&host) {
            fault(
                URL_KEY,
                "would send the password unencrypted: use tls=required or smtps, or leave the user out",
            );
        }
        let default_port = match (implicit, user.is_empty()) {
            (true, _) => 465,
            (false, false) => 587,
            (false, true) => 25,
        };
        let port = url.port().unwrap_or(default_port);
        if faults.is_empty() { Ok(Self { host, port, encryption, login }) } else { Err(faults) }
    }

    /// Whether the password may be sent over a connection.
    pub(super) fn may_log_in(&self, encrypted: bool) -> bool {
        encrypted || is_loopback(&self.host)
    }
}

const FORM: &str = "must be smtp://[user[:password]@]host[:port][?tls=required|opportunistic|none] or smtps://[user[:password]@]host[:port]";

fn encryption(url: &Url, implicit: bool, has_user: bool) -> Result<Encryption, &'static str> {
    let mut chosen = None;
    for (name, value) in url.query_pairs() {
        match (&*name, chosen) {
            ("tls", None) => chosen = Some(value.into_owned()),
            ("tls", Some(_)) => return Err("has tls twice"),
            _ => return Err("may have tls in its query and nothing else"),
        }
        if implicit {
            return Err("smtps is encrypted from the first byte: leave tls out, or use smtp");
        }
    }
    match chosen.as_deref() {
        None if implicit => Ok(Encryption::Implicit),
        None if has_user => Ok(Encryption::Required),
        Some("required") => Ok(Encryption::Required),
        None | Some("opportunistic") => Ok(Encryption::Opportunistic),
        Some("none") => Ok(Encryption::None),
        Some(_) => Err("tls must be required, opportunistic or none"),
    }
}

fn decode(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (!text.chars().any(char::is_control)).then(|| text.into_owned())
}

fn is_loopback(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, password: Option<&str>) -> Result<Server, Vec<MailFault>> {
        Server::parse(&url.into(), password.map(SecretString::from).as_ref())
    }

    #[test]
    fn defaults_follow_the_user() {
        use Encryption::{Implicit, None as Plain, Opportunistic, Required};
        for (url, host, port, encryption, login) in [
            ("smtp://mx.example", "mx.example", 25, Opportunistic, None),
            ("smtp://u:p@mx.example", "mx.example", 587, Required, Some(("u", "p"))),
            ("smtp://u%40x:p%3A%2f%25@mx.example:2525/", "mx.example", 2525, Required, Some(("u@x", "p:/%"))),
            ("smtp://mx.example?tls=required", "mx.example", 25, Required, None),
            ("smtp://bücher.example", "xn--bcher-kva.example", 25, Opportunistic, None),
            ("smtp://mx.example?tls=none", "mx.example", 25, Plain, None),
            ("smtp://u:p@mx.example?tls=opportunistic", "mx.example", 587, Opportunistic, Some(("u", "p"))),
            ("smtps://u:p@mx.example", "mx.example", 465, Implicit, Some(("u", "p"))),
            ("smtps://mx.example:4465", "mx.example", 4465, Implicit, None),
            ("smtp://u:p@[::1]?tls=none", "::1", 587, Plain, Some(("u", "p"))),
            ("smtp://u:p@127.0.0.1?tls=none", "127.0.0.1", 587, Plain, Some(("u", "p"))),
            ("smtp://u:p@localhost?tls=none", "localhost", 587, Plain, Some(("u", "p"))),
        ] {
            let server = parse(url, None).unwrap_or_else(|e| panic!("{url}: {e:?}"));
            assert_eq!((&*server.host, server.port, server.encryption), (host, port, encryption), "{url}");
            let found = server.login.as_ref().map(|(user, password)| (&**user, password.expose_secret()));
            assert_eq!(found, login, "{url}");
        }
        let server = parse("smtp://u@mx.example", Some("p")).unwrap();
        assert_eq!(server.login.unwrap().1.expose_secret(), "p");
    }

    #[test]
    fn faults_name_the_key_and_hide_the_password() {
        for (url, password, key) in [
            ("mx.example:25", None, URL_KEY),
            ("http://mx.example", None, URL_KEY),
            ("smtp://", None, URL_KEY),
            ("smtp://mx.example:0", None, URL_KEY),
            ("smtp://mx.example:65536", None, URL_KEY),
            ("smtp://mx.example/hello", None, URL_KEY),
            ("smtp://u:s3cret@mx.example?tls=maybe", None, URL_KEY),
            ("smtp://u:s3cret@mx.example?tls=none", None, URL_KEY),
            ("smtp://u:s3cret@mx.example?tls=required&tls=none", None, URL_KEY),
            ("smtp://u:s3cret@mx.example?timeout=3", None, URL_KEY),
            ("smtps://u:s3cret@mx.example?tls=required", None, URL_KEY),
            ("smtp://:s3cret@mx.example", None, URL_KEY),
            ("smtp://u@mx.example", None, URL_KEY),
            ("smtp://u:s3cret%0d%0a@mx.example", None, URL_KEY),
            ("smtp://u:s3cret%ff@mx.example", None, URL_KEY),
            ("smtp://u:s3cret@mx.example", Some("s3cret"), PASSWORD_KEY),
            ("smtp://mx.example", Some("s3cret"), PASSWORD_KEY),
        ] {
            let faults = parse(url, password).err().unwrap_or_else(|| panic!("{url} was accepted"));
            assert_eq!(faults.len(), 1, "{url}: {faults:?}");
            assert_eq!(faults[0].key, key, "{url}");
            assert!(!format!("{faults:?}").contains("s3cret"), "{url}: {faults:?}");
        }
        assert_eq!(parse("smtp://u:p@:0/x?tls=maybe", None).unwrap_err().len(), 1, "no host: not even a URL");
        assert_eq!(parse("smtp://u:p@mx:0/x?tls=maybe", Some("p")).unwrap_err().len(), 4);
    }

    #[test]
    fn a_password_crosses_the_network_only_encrypted() {
        let server = parse("smtp://u:p@mx.example?tls=opportunistic", None).unwrap();
        assert!(server.may_log_in(true));
        assert!(!server.may_log_in(false));
        assert!(parse("smtp://u:p@localhost?tls=none", None).unwrap().may_log_in(false));
    }
}
