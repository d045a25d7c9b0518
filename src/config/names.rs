//! Names under which this server answers, and pages that may use it.

use reqwest::Url;
use url::Host;

/// A name or an address as it stands in `Host`, without a port: any port is meant.
pub(super) fn host(text: &str) -> Result<String, String> {
    let rule = "must be a name or an IP address without scheme, port and path, as in \"jobs.example.com\" or \"[::1]\"";
    let bare: Option<std::net::Ipv6Addr> = text.parse().ok();
    let text = bare.map_or_else(|| text.to_owned(), |ip| format!("[{ip}]"));
    let parsed = Host::parse(&text).map_err(|_| rule.to_owned())?;
    match &parsed {
        Host::Domain(name) if !is_name(name) => Err(rule.to_owned()),
        parsed if parsed.to_string().eq_ignore_ascii_case(&text) => Ok(parsed.to_string()),
        parsed => Err(format!("write \"{parsed}\", as clients send it")),
    }
}

fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.split('.').all(|label| !label.is_empty() && label.chars().all(known))
}

/// An origin as browsers send it (RFC 6454 §6.2), or `*`.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let rule = "must be an origin, as in \"https://app.example.com\" or \"http://localhost:3000\", or \"*\"";
    if text == "*" {
        return Ok(text.to_owned());
    }
    let url = Url::parse(text).map_err(|_| rule.to_owned())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(rule.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no user and no password: an origin has neither".to_owned());
    }
    if url.domain().is_some_and(|name| !is_name(name)) {
        return Err(rule.to_owned());
    }
    let origin = url.origin().ascii_serialization();
    if origin == text {
        Ok(origin)
    } else {
        // Browsers send neither path nor slash, nor a port that goes without saying; another text would never match.
        Err(format!("write \"{origin}\", as browsers send it"))
    }
}

/// What is wrong with the list as a whole.
pub(super) fn origins(origins: &[String]) -> Option<&'static str> {
    let all = origins.iter().any(|origin| origin == "*");
    (all && origins.len() > 1)
        .then_some("\"*\" means every origin: write it alone, or name the origins alone")
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{config, faults, with_file};

    #[test]
    fn hosts_are_names_or_addresses_and_nothing_else() {
        let set = "server.allowed_hosts=Jobs.Example.com, 10.0.0.5, ::1, [fe80::2], a_b, localhost";
        let hosts = config(&[set]).server.allowed_hosts;
        assert_eq!(hosts, ["jobs.example.com", "10.0.0.5", "[::1]", "[fe80::2]", "a_b", "localhost"]);
        assert_eq!(config(&[]).server.allowed_hosts, [""; 0]);
        for bad in [
            "https://h",
            "h:80",
            "h/",
            "*",
            "*.example.com",
            ".example.com",
            "h.",
            "a b",
            "user@h",
            "[::1]:80",
            "[::1",
            "bücher.example",
            "010.0.0.1",
            "127.1",
            "0x7f000001",
            "h?",
            "h#",
            "%41",
            "[fe80::1%25eth0]",
        ] {
            let found = faults(&[&format!("server.allowed_hosts=a,{bad}")]);
            assert_eq!(found.len(), 1, "{bad:?}");
            assert!(found[0].starts_with("--set: server.allowed_hosts: item 2: "), "{found:?}");
        }
        let empty = with_file("[server]\nallowed_hosts = ['']\n", &[]).unwrap_err();
        assert_eq!(empty.len(), 1);
    }

    #[test]
    fn origins_are_as_browsers_send_them() {
        let set = "server.cors_origins=https://a.example,http://localhost:3000,http://[::1]:1";
        let origins = config(&[set]).server.cors_origins;
        assert_eq!(origins, ["https://a.example", "http://localhost:3000", "http://[::1]:1"]);
        for (bad, want) in [
            ("https://a.example/", "write \"https://a.example\""),
            ("https://a.example/path", "write \"https://a.example\""),
            ("https://a.example:443", "write \"https://a.example\""),
            ("http://a.example:80", "write \"http://a.example\""),
            ("HTTPS://A.example", "write \"https://a.example\""),
            ("https://a.example?x", "write \"https://a.example\""),
            ("https://u:s3cret@a.example", "must have no user"),
            ("null", "must be an origin"),
            ("a.example", "must be an origin"),
            ("ftp://a.example", "must be an origin"),
            ("file://", "must be an origin"),
            ("https://*.example", "must be an origin"),
        ] {
            let found = faults(&[&format!("server.cors_origins={bad}")]);
            assert_eq!(found.len(), 1, "{bad:?}");
            assert!(found[0].contains(want), "{bad:?}: {found:?}");
        }
        let both = faults(&["server.cors_origins=*,https://a.example", "auth.mode=none"]);
        assert_eq!(both.len(), 1, "{both:?}");
    }

    #[test]
    fn every_origin_needs_a_token_or_a_word() {
        let all = "server.cors_origins=*";
        let found = faults(&[all]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("--set: server.cors_origins: \"*\" lets every web page"), "{found:?}");
        config(&[all, "auth.mode=none"]);
        config(&[all, "auth.token=0123456789abcdef"]);
    }
}
