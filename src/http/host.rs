//! `Host`: what a client calls this server, and whether that is a name of ours.
//!
//! A web page can give its own name the address of this host (DNS rebinding) and then talk to a server here as to its own.
//! What gives it away is the name, which the browser sends.

use std::net::{IpAddr, Ipv6Addr};

/// A host and perhaps a port, as in `Host` and in the authority of a URL (RFC 9110 §7.2, RFC 3986 §3.2). Names are lent
/// as they were written; they are compared without regard to case.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    host: Host<'a>,
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
enum Host<'a> {
    /// Letters, digits, `-`, `_` and dots, without the dot at the end.
    Name(&'a str),
    /// Mapped IPv4 addresses are those that they stand for.
    Address(IpAddr),
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) => one.eq_ignore_ascii_case(other),
            (Self::Address(one), Self::Address(other)) => one == other,
            _ => false,
        }
    }
}

impl<'a> Authority<'a> {
    /// Reads it strictly: what no browser and no proxy would write is nothing. Never panics.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (inside, after) = rest.split_once(']')?;
                // Without a zone: that is for the client alone (RFC 6874 §1).
                let address: Ipv6Addr = inside.parse().ok()?;
                (Host::Address(IpAddr::V6(address).to_canonical()), after)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                (name(&text[..end])?, &text[end..])
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            // `localhost:` is allowed, and means the usual port (RFC 3986 §3.2.3).
            Some("") => None,
            Some(digits) if digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Self { host, port })
    }

    /// Whether it names this very host, whoever runs its name server.
    pub fn is_local(&self) -> bool {
        match self.host {
            Host::Address(address) => address.is_loopback(),
            // RFC 6761 §6.3: names below localhost never leave the host.
            Host::Name(name) => {
                let last = name.rsplit('.').next().unwrap_or(name);
                last.eq_ignore_ascii_case("localhost")
            }
        }
    }

    /// Whether both are the same place, for a scheme whose usual port is `usual`.
    pub fn is_same(&self, other: &Authority<'_>, usual: u16) -> bool {
        self.host == other.host && self.port.unwrap_or(usual) == other.port.unwrap_or(usual)
    }

    /// Whether both have the same host, whatever their ports.
    pub fn has_host_of(&self, other: &Authority<'_>) -> bool {
        self.host == other.host
    }
}

fn name(text: &str) -> Option<Host<'_>> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut digits = true;
    for label in text.split('.') {
        if label.is_empty() || !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return None;
        }
        digits = label.bytes().all(|byte| byte.is_ascii_digit());
    }
    if !digits {
        return Some(Host::Name(text));
    }
    // What ends in a number is an address or nothing (WHATWG URL, "ends in a number").
    text.parse().ok().map(|address| Host::Address(IpAddr::V4(address)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn local(text: &str) -> Option<bool> {
        Authority::parse(text.as_bytes()).map(|authority| authority.is_local())
    }

    #[test]
    fn local_names_are_known() {
        for text in [
            "localhost",
            "LocalHost",
            "localhost:8080",
            "localhost.",
            "localhost:",
            "localhost.:1",
            "a.localhost",
            "a.b.LOCALHOST:65535",
            "127.0.0.1",
            "127.0.0.1:8080",
            "127.255.255.254",
            "127.0.0.1.",
            "[::1]",
            "[::1]:0",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]:80",
            "[::FFFF:7f00:1]",
            "evil.example.localhost",
        ] {
            assert_eq!(local(text), Some(true), "{text:?}");
        }
    }

    #[test]
    fn other_names_are_foreign() {
        for text in [
            "x",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "localhost-a",
            "local",
            "0.0.0.0",
            "10.0.0.1",
            "128.0.0.1",
            "126.255.255.255",
            "[::]",
            "[::2]",
            "[fe80::1]:80",
            "[::ffff:10.0.0.1]",
            "[::127.0.0.1]",
            "localhos",
            "localhost_",
            "0x7f000001",
            "127.0.0.0x1",
            "localhost.com",
            "xn--localhost-",
            "1e100.net",
        ] {
            assert_eq!(local(text), Some(false), "{text:?}");
        }
    }

    #[test]
    fn what_nobody_would_write_is_nothing() {
        for text in [
            "",
            ".",
            "..",
            ":",
            ":80",
            "localhost..",
            ".localhost",
            "a..localhost",
            "localhost:x",
            "localhost:+80",
            "localhost:-1",
            "localhost:65536",
            "localhost:000080",
            "localhost:80:80",
            "localhost: 80",
            "localhost :80",
            " localhost",
            "localhost ",
            "localhost/",
            "localhost/x",
            "localhost?x",
            "localhost#x",
            "localhost\\",
            "user@localhost",
            "user:pass@localhost",
            "http://localhost",
            "localhost,evil",
            "localhost, localhost",
            "localhost;",
            "loc%61lhost",
            "%00",
            "localhost\0",
            "localhost\t",
            "lo\u{441}alhost",
            "ⓛocalhost",
            "localhost\u{ff0e}",
            "[",
            "[]",
            "[::1",
            "::1",
            "::1]",
            "[::1]x",
            "[::1]80",
            "[[::1]]",
            "[::1%25lo]",
            "[::1%lo]",
            "[127.0.0.1]",
            "[v1.x]",
            "[localhost]",
            "127.0.0.1.1",
            "127.1",
            "2130706433",
            "0177.0.0.1",
            "127.0.0.01",
            "127.0.0.256",
            "127.0.0",
            "1.2.3.4.5",
            "-",
            "_:",
            "*",
            "*.localhost",
        ] {
            if matches!(text, "-" | "_:") {
                assert_eq!(local(text), Some(false), "odd, but a name: {text:?}");
            } else {
                assert_eq!(local(text), None, "{text:?}");
            }
        }
        assert!(Authority::parse(b"local\xffhost").is_none());
    }

    #[test]
    fn the_usual_port_goes_without_saying() {
        let same = |one: &'static str, other: &'static str, usual| {
            let parse = |text: &'static str| Authority::parse(text.as_bytes()).unwrap();
            parse(one).is_same(&parse(other), usual)
        };
        assert!(same("a", "A:80", 80) && same("a:443", "a", 443) && same("a:", "a.", 80));
        assert!(same("[::1]:5", "[0::1]:5", 80) && same("[::ffff:127.0.0.1]", "127.0.0.1", 80));
        assert!(!same("a", "a:80", 443) && !same("a:1", "a:2", 80) && !same("a", "b", 80));
        assert!(!same("localhost", "127.0.0.1", 80));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in "[\\[\\]:.%@a0-9-]{0,20}") {
            let _ = Authority::parse(&bytes);
            if let Some(authority) = Authority::parse(text.as_bytes()) {
                prop_assert!(authority.is_same(&authority, 80));
            }
        }
    }
}
