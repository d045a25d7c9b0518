//! What an address is good for: the special-purpose registries of IANA (RFC 6890 and what has been added since).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A sort of addresses that a caller must not be able to reach through us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Range {
    /// This machine.
    Loopback,
    /// Services that clouds offer to each of their machines, credentials among them; and link-local addresses as a
    /// whole, where most of those are. Never allowed.
    Metadata,
    /// Networks of one's own.
    Private,
    /// Groups of machines.
    Multicast,
    /// Everything else that is not an address of one machine on the internet.
    Special,
}

impl Range {
    /// What it is called in a message.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "a loopback address",
            Self::Metadata => "a link-local or metadata address",
            Self::Private => "a private address",
            Self::Multicast => "a multicast address",
            Self::Special => "an address that is not on the public internet",
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(s: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]), prefix)
}

/// The first that fits counts.
const V4: [(Ipv4Net, Range); 21] = [
    (v4(127, 0, 0, 0, 8), Range::Loopback),
    // Link local: the metadata services of nearly every cloud (RFC 3927).
    (v4(169, 254, 0, 0, 16), Range::Metadata),
    // Alibaba Cloud, Azure, Oracle Cloud.
    (v4(100, 100, 100, 200, 32), Range::Metadata),
    (v4(168, 63, 129, 16, 32), Range::Metadata),
    (v4(192, 0, 0, 192, 32), Range::Metadata),
    (v4(10, 0, 0, 0, 8), Range::Private),
    (v4(172, 16, 0, 0, 12), Range::Private),
    (v4(192, 168, 0, 0, 16), Range::Private),
    // Shared address space of providers (RFC 6598).
    (v4(100, 64, 0, 0, 10), Range::Private),
    // "This network": Linux connects to loopback (RFC 1122).
    (v4(0, 0, 0, 0, 8), Range::Special),
    (v4(192, 0, 0, 0, 24), Range::Special),
    (v4(192, 0, 2, 0, 24), Range::Special),
    (v4(192, 31, 196, 0, 24), Range::Special),
    (v4(192, 52, 193, 0, 24), Range::Special),
    (v4(192, 88, 99, 0, 24), Range::Special),
    (v4(192, 175, 48, 0, 24), Range::Special),
    (v4(198, 18, 0, 0, 15), Range::Special),
    (v4(198, 51, 100, 0, 24), Range::Special),
    (v4(203, 0, 113, 0, 24), Range::Special),
    (v4(224, 0, 0, 0, 4), Range::Multicast),
    (v4(240, 0, 0, 0, 4), Range::Special),
];

const V6: [(Ipv6Net, Range); 12] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Range::Loopback),
    // AWS, and Google Cloud.
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), Range::Metadata),
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), Range::Metadata),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Range::Metadata),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Range::Private),
    // Site local, deprecated by RFC 3879 and still routed by some.
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), Range::Private),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Range::Multicast),
    // IETF protocol assignments, Teredo among them, whose embedded address is hidden by inversion.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Range::Special),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Range::Special),
    (v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), Range::Special),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Range::Special),
    // The rest of what is not global unicast (RFC 4291 §2.4) is refused below.
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), Range::Special),
];

const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// The range of an address, or `None` for one on the public internet.
pub(super) fn range(address: IpAddr) -> Option<Range> {
    match address {
        IpAddr::V4(address) => range_v4(address),
        IpAddr::V6(address) => range_v6(address),
    }
}

/// Every form under which an address may stand in a list of allowed networks: itself, and the address of version 4 that
/// it carries.
pub(super) fn is_in(address: IpAddr, net: &IpNet) -> bool {
    net.contains(&address)
        || match address {
            IpAddr::V6(address) => embedded(address).is_some_and(|inner| net.contains(&IpAddr::V4(inner))),
            IpAddr::V4(_) => false,
        }
}

fn range_v4(address: Ipv4Addr) -> Option<Range> {
    V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, range)| *range)
}

fn range_v6(address: Ipv6Addr) -> Option<Range> {
    if let Some((_, range)) = V6.iter().find(|(net, _)| net.contains(&address)) {
        return Some(*range);
    }
    match embedded(address) {
        Some(inner) => range_v4(inner),
        None => (!GLOBAL_UNICAST.contains(&address)).then_some(Range::Special),
    }
}

/// The address of version 4 to which one of version 6 leads: v4-mapped (RFC 4291 §2.5.5.2), NAT64 (RFC 6052) and 6to4
/// (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Option<Range> {
        range(address.parse().unwrap())
    }

    #[test]
    fn every_special_range_is_known_at_its_edges() {
        use Range::{Loopback, Metadata, Multicast, Private, Special};
        for (first, last, range) in [
            ("0.0.0.0", "0.255.255.255", Special),
            ("10.0.0.0", "10.255.255.255", Private),
            ("100.64.0.0", "100.127.255.255", Private),
            ("100.100.100.200", "100.100.100.200", Metadata),
            ("127.0.0.0", "127.255.255.255", Loopback),
            ("168.63.129.16", "168.63.129.16", Metadata),
            ("169.254.0.0", "169.254.255.255", Metadata),
            ("172.16.0.0", "172.31.255.255", Private),
            ("192.0.0.0", "192.0.0.191", Special),
            ("192.0.0.192", "192.0.0.192", Metadata),
            ("192.0.2.0", "192.0.2.255", Special),
            ("192.88.99.0", "192.88.99.255", Special),
            ("192.168.0.0", "192.168.255.255", Private),
            ("198.18.0.0", "198.19.255.255", Special),
            ("198.51.100.0", "198.51.100.255", Special),
            ("203.0.113.0", "203.0.113.255", Special),
            ("224.0.0.0", "239.255.255.255", Multicast),
            ("240.0.0.0", "255.255.255.255", Special),
            ("::", "::", Special),
            ("::1", "::1", Loopback),
            ("::2", "::fffe:ffff:ffff", Special),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Special),
            ("100::", "100::ffff:ffff:ffff:ffff", Special),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Special),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Special),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Special),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Special),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Private),
            ("fd00:ec2::254", "fd00:ec2::254", Metadata),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Metadata),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Private),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Multicast),
        ] {
            assert_eq!((of(first), of(last)), (Some(range), Some(range)), "{first} to {last}");
        }
    }

    #[test]
    fn public_addresses_are_none_of_them() {
        for public in [
            "1.0.0.0",
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2000::",
            "2001:200::",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "3ffe::",
        ] {
            assert_eq!(of(public), None, "{public}");
        }
    }

    #[test]
    fn an_address_within_an_address_counts() {
        for (outer, range) in [
            ("::ffff:127.0.0.1", Some(Range::Loopback)),
            ("::ffff:169.254.169.254", Some(Range::Metadata)),
            ("::ffff:10.0.0.1", Some(Range::Private)),
            ("::ffff:1.1.1.1", None),
            ("64:ff9b::7f00:1", Some(Range::Loopback)),
            ("64:ff9b::a9fe:a9fe", Some(Range::Metadata)),
            ("64:ff9b::101:101", None),
            ("2002:7f00:1::", Some(Range::Loopback)),
            ("2002:a00:1::1", Some(Range::Private)),
            ("2002:a9fe:a9fe::", Some(Range::Metadata)),
            ("2002:101:101::1", None),
            // Deprecated or foreign ways to write one: refused as a whole.
            ("::127.0.0.1", Some(Range::Special)),
            ("::ffff:0:127.0.0.1", Some(Range::Special)),
            ("64:ff9b:1::7f00:1", Some(Range::Special)),
            ("2001:0:7f00:1::", Some(Range::Special)),
        ] {
            assert_eq!(of(outer), range, "{outer}");
        }
    }
}
