//! What a configuration allows beside the public internet.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// One entry of a list such as `http.allow`: a host, the hosts below a domain, an address, or a network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Allow {
    /// This host, under whatever addresses it has.
    Host(Box<str>),
    /// Every host below this domain, not the domain itself: `*.example.com`.
    Below(Box<str>),
    /// Every address in this network.
    Net(IpNet),
}

/// Why a text is no entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AllowError {
    /// It is neither a host nor a network.
    #[error(
        "must be a host (\"app.internal\", \"*.internal\"), an address (\"10.0.0.5\") or a network (\"10.0.0.0/8\"), \
         without scheme, port and path"
    )]
    Form,
    /// It would open what is never opened.
    #[error("link-local and metadata addresses are never allowed")]
    Never,
}

impl Allow {
    /// Reads an entry.
    ///
    /// # Errors
    ///
    /// [`AllowError`]. A network whose host bits are set counts as the network that it lies in.
    pub fn parse(text: &str) -> Result<Self, AllowError> {
        let text = text.trim();
        let net = text.parse::<IpNet>().or_else(|_| {
            let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
            bare.parse::<IpAddr>().map(IpNet::from)
        });
        if let Ok(net) = net {
            let net = net.trunc();
            if super::addresses::range(net.addr()) == Some(super::Range::Metadata) {
                return Err(AllowError::Never);
            }
            return Ok(Self::Net(net));
        }
        let (below, host) = match text.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, text),
        };
        // As the URL standard reads it, so that it compares with the host of a URL; a number would be an address there.
        match url::Host::parse(host) {
            Ok(url::Host::Domain(host))
                if !host.is_empty() && !text.contains(['/', ':', '@', '?', '#']) && !host.contains('*') =>
            {
                let host = host.trim_end_matches('.').into();
                Ok(if below { Self::Below(host) } else { Self::Host(host) })
            }
            _ => Err(AllowError::Form),
        }
    }

    /// Whether a host of this name is allowed, whatever its addresses are. `host` as a URL has it, without a last dot.
    pub(super) fn covers_host(&self, host: &str) -> bool {
        match self {
            Self::Host(allowed) => **allowed == *host,
            Self::Below(domain) => host.strip_suffix(&**domain).is_some_and(|rest| rest.ends_with('.')),
            Self::Net(_) => false,
        }
    }

    /// Whether this address is allowed, whatever it is called.
    pub(super) fn covers_address(&self, address: IpAddr) -> bool {
        matches!(self, Self::Net(net) if super::addresses::is_in(address, net))
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => f.write_str(host),
            Self::Below(domain) => write!(f, "*.{domain}"),
            Self::Net(net) => net.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_hosts_addresses_and_networks() {
        for (text, shown) in [
            ("app.internal", "app.internal"),
            ("APP.Internal.", "app.internal"),
            ("*.internal", "*.internal"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("10.0.0.5", "10.0.0.5/32"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("fd00::/8", "fd00::/8"),
            ("[fd00::1]", "fd00::1/128"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(Allow::parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for bad in [
            "",
            "*",
            "*.",
            "http://app.internal",
            "app.internal:80",
            "app.internal/x",
            "a b",
            "10.0.0.0/33",
            "10.0.0",
            "0x7f000001",
            "2130706433",
            "*.10.0.0.1",
            "a@b",
            "[::1",
            "ex*mple.com",
            "**.internal",
        ] {
            assert_eq!(Allow::parse(bad), Err(AllowError::Form), "{bad:?}");
        }
        for never in
            ["169.254.169.254", "169.254.0.0/16", "fe80::/10", "fd00:ec2::254", "::ffff:169.254.169.254"]
        {
            assert_eq!(Allow::parse(never), Err(AllowError::Never), "{never}");
        }
    }

    #[test]
    fn a_star_covers_what_is_below() {
        let star = Allow::parse("*.internal").unwrap();
        assert!(star.covers_host("app.internal") && star.covers_host("a.b.internal"));
        assert!(
            !star.covers_host("internal")
                && !star.covers_host("xinternal")
                && !star.covers_host("app.internal.evil")
        );
        let net = Allow::parse("10.0.0.0/8").unwrap();
        assert!(net.covers_address("10.9.9.9".parse().unwrap()));
        assert!(net.covers_address("::ffff:10.9.9.9".parse().unwrap()));
        assert!(!net.covers_address("11.0.0.0".parse().unwrap()));
    }
}
