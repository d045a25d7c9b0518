//! The rules, and why a target is refused.

use std::net::IpAddr;

use url::{Host, Url};

use super::addresses::{self, Range};
use super::allow::Allow;

/// Which targets are allowed.
#[derive(Clone, Debug)]
pub struct Policy {
    allow: Vec<Allow>,
    loopback: bool,
    key: &'static str,
}

/// Why a target is refused. Says what to do about it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// It is no URL, or one without a host.
    #[error("must be an absolute URL, as in \"https://api.example.com/path\"")]
    NotAUrl,
    /// It is not reached by HTTP.
    #[error("must begin with http:// or https://")]
    Scheme,
    /// It has a user or a password in it, which would be shown and logged with the URL.
    #[error("must have no user and no password: send an Authorization header instead")]
    Credentials,
    /// It leads to where requests must not go.
    #[error(
        "{host} is {}{}", .range.name(),
        if *.range == Range::Metadata { "; such targets are never allowed".to_owned() }
        else { format!("; if it is meant, add it to {key}") }
    )]
    Range {
        /// The host as the URL has it.
        host: String,
        /// What sort of address it is, or one of its addresses.
        range: Range,
        /// The option that can allow it.
        key: &'static str,
    },
}

impl Policy {
    /// A policy: the public internet, and `allow`. `loopback` says whether this machine itself is allowed, which is right
    /// only while nobody else can reach this server. `key` is the option that lists what is allowed, for messages.
    pub fn new(key: &'static str, allow: Vec<Allow>, loopback: bool) -> Self {
        Self { allow, loopback, key }
    }

    /// Parses a target and checks all that can be known of it without asking anybody: scheme, credentials, and the
    /// address, if its host is one. The URL standard reads decimal, octal, hexadecimal and shortened forms of addresses,
    /// so what is checked is what would be connected to.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn check_url(&self, text: &str) -> Result<Url, Refused> {
        let url = Url::parse(text).map_err(|_| Refused::NotAUrl)?;
        self.check_parsed(&url)?;
        Ok(url)
    }

    /// As [`Self::check_url`], for one that is parsed.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn check_parsed(&self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_address(&address.to_string(), IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.check_address(&address.to_string(), IpAddr::V6(address)),
            Some(Host::Domain(host)) if !host.trim_end_matches('.').is_empty() => Ok(()),
            _ => Err(Refused::NotAUrl),
        }
    }

    /// Checks an address that `host` has, or is.
    ///
    /// # Errors
    ///
    /// [`Refused::Range`].
    pub fn check_address(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        let Some(range) = addresses::range(address) else {
            return Ok(());
        };
        let name = host.trim_end_matches('.');
        let allowed = match range {
            Range::Metadata => false,
            Range::Loopback if self.loopback => true,
            _ => self.allow.iter().any(|entry| entry.covers_address(address) || entry.covers_host(name)),
        };
        if allowed {
            return Ok(());
        }
        Err(Refused::Range { host: host.to_owned(), range, key: self.key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], loopback: bool) -> Policy {
        Policy::new("http.allow", allow.iter().map(|text| Allow::parse(text).unwrap()).collect(), loopback)
    }

    /// Forms of addresses as the URL standard reads them, each of which some client somewhere has been tricked with.
    #[test]
    fn hostile_targets_are_refused() {
        let closed = policy(&[], false);
        for (target, range) in [
            ("http://127.0.0.1/", Range::Loopback),
            ("http://127.1/", Range::Loopback),
            ("http://127.0.1/", Range::Loopback),
            ("http://2130706433/", Range::Loopback),
            ("http://0x7f000001/", Range::Loopback),
            ("http://0x7f.0.0.1/", Range::Loopback),
            ("http://0177.0.0.1/", Range::Loopback),
            ("http://017700000001/", Range::Loopback),
            ("http://127.0.0.1./", Range::Loopback),
            ("http://１２７.0.0.1/", Range::Loopback),
            ("http://127。0。0。1/", Range::Loopback),
            ("http://%31%32%37.0.0.1/", Range::Loopback),
            ("http:127.0.0.1", Range::Loopback),
            ("http:\\\\127.0.0.1\\", Range::Loopback),
            ("HTTP://127.0.0.1:22/", Range::Loopback),
            ("http://[::1]/", Range::Loopback),
            ("http://[0:0:0:0:0:0:0:1]/", Range::Loopback),
            ("http://[::ffff:127.0.0.1]/", Range::Loopback),
            ("http://[::ffff:7f00:1]/", Range::Loopback),
            ("http://[64:ff9b::127.0.0.1]/", Range::Loopback),
            ("http://[2002:7f00:1::]/", Range::Loopback),
            ("http://0/", Range::Special),
            ("http://0.0.0.0:8080/", Range::Special),
            ("http://[::]/", Range::Special),
            ("http://[::127.0.0.1]/", Range::Special),
            ("http://10.0.0.1/", Range::Private),
            ("http://10.1/", Range::Private),
            ("http://0xa000001/", Range::Private),
            ("http://172.16.0.1/", Range::Private),
            ("http://192.168.1.1/", Range::Private),
            ("http://3232235777/", Range::Private),
            ("http://100.64.0.1/", Range::Private),
            ("http://[fd12:3456::1]/", Range::Private),
            ("http://[fec0::1]/", Range::Private),
            ("http://169.254.169.254/latest/meta-data/", Range::Metadata),
            ("http://2852039166/", Range::Metadata),
            ("http://0xA9FEA9FE/", Range::Metadata),
            ("http://0251.0376.0251.0376/", Range::Metadata),
            ("http://[::ffff:169.254.169.254]/", Range::Metadata),
            ("http://[64:ff9b::a9fe:a9fe]/", Range::Metadata),
            ("http://[fe80::1]/", Range::Metadata),
            ("http://[fd00:ec2::254]/", Range::Metadata),
            ("http://100.100.100.200/", Range::Metadata),
            ("http://168.63.129.16/", Range::Metadata),
            ("http://224.0.0.1/", Range::Multicast),
            ("http://[ff02::1]/", Range::Multicast),
            ("http://255.255.255.255/", Range::Special),
            ("http://198.18.0.1/", Range::Special),
            ("http://[2001:db8::1]/", Range::Special),
        ] {
            let found = closed.check_url(target);
            assert!(
                matches!(&found, Err(Refused::Range { range: r, .. }) if *r == range),
                "{target}: {found:?}"
            );
        }
        for (target, refused) in [
            ("file:///etc/passwd", Refused::Scheme),
            ("gopher://127.0.0.1:25/", Refused::Scheme),
            ("ftp://example.com/", Refused::Scheme),
            ("javascript:alert(1)", Refused::Scheme),
            ("unix:/var/run/docker.sock", Refused::Scheme),
            ("http://user@example.com/", Refused::Credentials),
            ("http://:pass@example.com/", Refused::Credentials),
            ("http://example.com@127.0.0.1/", Refused::Credentials),
            ("http://[fe80::1%25eth0]/", Refused::NotAUrl),
            ("http://[::1%25lo]/", Refused::NotAUrl),
            ("http://256.256.256.256/", Refused::NotAUrl),
            ("http://0x100000000/", Refused::NotAUrl),
            ("http://./", Refused::NotAUrl),
            ("http://", Refused::NotAUrl),
            ("//example.com/", Refused::NotAUrl),
            ("/path", Refused::NotAUrl),
            ("", Refused::NotAUrl),
            ("http://exa mple.com/", Refused::NotAUrl),
        ] {
            assert_eq!(closed.check_url(target), Err(refused), "{target}");
        }
        for fine in [
            "http://example.com/",
            "https://1.1.1.1/",
            "http://[2606:4700::1111]/",
            "http://localhost.example/",
        ] {
            assert!(closed.check_url(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn a_refusal_says_which_key_to_set() {
        let refused = policy(&[], false).check_url("http://10.0.0.1/").unwrap_err().to_string();
        assert_eq!(refused, "10.0.0.1 is a private address; if it is meant, add it to http.allow");
        let refused = policy(&[], false).check_url("http://169.254.169.254/").unwrap_err().to_string();
        assert_eq!(
            refused,
            "169.254.169.254 is a link-local or metadata address; such targets are never allowed"
        );
    }

    #[test]
    fn what_is_listed_is_allowed_and_nothing_else() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let open = policy(&["10.0.0.0/8", "app.internal", "127.0.0.1"], false);
        assert!(open.check_url("http://10.9.9.9/").is_ok());
        assert!(open.check_url("http://[::ffff:10.9.9.9]/").is_ok());
        assert!(open.check_url("http://127.0.0.1/").is_ok());
        assert!(open.check_url("http://127.0.0.2/").is_err());
        assert!(open.check_address("app.internal", address("192.168.0.1")).is_ok());
        assert!(open.check_address("app.internal.", address("192.168.0.1")).is_ok());
        assert!(open.check_address("other.internal", address("192.168.0.1")).is_err());
        // Whatever a listed host leads to, metadata is out of reach.
        assert!(open.check_address("app.internal", address("169.254.169.254")).is_err());
        let everything = policy(&["0.0.0.0/0", "::/0"], true);
        assert!(everything.check_address("x", address("192.168.0.1")).is_ok());
        assert!(everything.check_url("http://169.254.169.254/").is_err());
        assert!(everything.check_url("http://[fe80::1]/").is_err());
    }

    #[test]
    fn loopback_is_allowed_to_a_server_on_loopback() {
        let local = policy(&[], true);
        for fine in ["http://127.0.0.1:9/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://127.1/"] {
            assert!(local.check_url(fine).is_ok(), "{fine}");
        }
        for not in ["http://0.0.0.0/", "http://10.0.0.1/", "http://169.254.169.254/"] {
            assert!(local.check_url(not).is_err(), "{not}");
        }
    }
}
