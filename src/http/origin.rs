//! `Origin`: which web page a browser asks for.

use super::host::Authority;

/// The origin of a page (RFC 6454): scheme, host and port.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    usual_port: u16,
    authority: Authority<'a>,
}

impl<'a> Origin<'a> {
    /// Reads the origin of a page that came over `http` or `https`. `null` and pages of other schemes have none that could
    /// be compared. Never panics.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let strip = |scheme: &[u8]| {
            let (head, rest) = text.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        let (usual_port, rest) = match strip(b"http://") {
            Some(rest) => (80, rest),
            None => (443, strip(b"https://")?),
        };
        Some(Self { usual_port, authority: Authority::parse(rest)? })
    }

    /// The host and port of a URL, whatever follows.
    pub(super) fn of_url(url: &'a str) -> Option<Self> {
        let begin = url.find("://")? + 3;
        let end = url[begin..].find(['/', '?', '#']).map_or(url.len(), |at| begin + at);
        Self::parse(&url.as_bytes()[..end])
    }

    /// Whether a page of this origin was loaded from the place that a request calls `host`.
    ///
    /// The scheme is not compared: behind a proxy that ends TLS the page has `https` and the server cannot know.
    pub fn is_at(&self, host: &Authority<'_>) -> bool {
        self.authority.is_same(host, self.usual_port)
    }

    /// Whether both are the same origin.
    pub(super) fn is(&self, other: &Origin<'_>) -> bool {
        self.usual_port == other.usual_port && self.is_at(&other.authority)
    }

    pub(super) const fn authority(&self) -> Authority<'a> {
        self.authority
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(origin: &str, host: &str) -> Option<bool> {
        let host = Authority::parse(host.as_bytes()).expect("a host");
        Origin::parse(origin.as_bytes()).map(|origin| origin.is_at(&host))
    }

    #[test]
    fn a_page_of_the_server_itself_is_at_home() {
        for (origin, host) in [
            ("http://localhost:8080", "localhost:8080"),
            ("http://localhost", "localhost"),
            ("http://localhost", "localhost:80"),
            ("https://jobs.example.com", "jobs.example.com"),
            ("https://jobs.example.com", "jobs.example.com:443"),
            ("HTTP://LOCALHOST:1", "localhost:1"),
            ("http://[::1]:8080", "[0:0::1]:8080"),
        ] {
            assert_eq!(at(origin, host), Some(true), "{origin} {host}");
        }
    }

    #[test]
    fn other_pages_are_not() {
        for origin in [
            "http://localhost",
            "http://localhost:8081",
            "http://127.0.0.1:8080",
            "http://a.localhost:8080",
            "http://evil.example:8080",
            "http://evil.example",
            "https://localhost",
            "http://localhost.evil.example:8080",
            "http://[::1]:8080",
            "http://0.0.0.0:8080",
        ] {
            assert_eq!(at(origin, "localhost:8080"), Some(false), "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_nothing() {
        for origin in [
            "",
            "null",
            "NULL",
            "*",
            "localhost:8080",
            "//localhost:8080",
            "http:localhost:8080",
            "http:/localhost:8080",
            "http://",
            "http://localhost:8080/",
            "http://localhost:8080/x",
            "http://localhost:8080?",
            "http://u@localhost:8080",
            "http://localhost:8080, http://localhost:8080",
            "http://localhost:8080 http://localhost:8080",
            " http://localhost:8080",
            "http://localhost:8080 ",
            "file://",
            "file://localhost:8080",
            "chrome-extension://abc",
            "ws://localhost:8080",
            "httpx://localhost:8080",
            "http://localhost:8080\0",
            "http://localhost:99999",
            "http://[::1",
            "data:",
            "about:blank",
            "blob:http://localhost:8080",
            "http",
            "https:/",
        ] {
            assert_eq!(at(origin, "localhost:8080"), None, "{origin:?}");
        }
    }

    #[test]
    fn an_origin_has_a_scheme() {
        let is = |one: &str, other: &str| {
            Origin::parse(one.as_bytes()).unwrap().is(&Origin::of_url(other).unwrap())
        };
        assert!(is("https://h", "https://H:443/base") && is("http://h:81", "http://h:81"));
        assert!(
            !is("https://h", "http://h")
                && !is("http://h:443", "https://h")
                && !is("https://h", "https://h:81")
        );
    }

    #[test]
    fn a_url_has_an_origin() {
        let of = |url| Origin::of_url(url).map(|origin| origin.is_at(&Authority::parse(b"h:81").unwrap()));
        assert_eq!(of("http://h:81/base"), Some(true));
        assert_eq!(of("https://h:81"), Some(true));
        assert_eq!(of("https://h:81?x"), Some(true));
        assert_eq!(of("https://h/base"), Some(false));
        for bad in ["", "h:81", "/base", "://"] {
            assert_eq!(of(bad), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in "(https?://)?[\\[\\]:./a0-9é-]{0,20}") {
            let _ = Origin::parse(&bytes);
            let _ = Origin::parse(text.as_bytes());
            let _ = Origin::of_url(&text);
        }
    }
}
