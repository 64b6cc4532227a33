//! Addresses of the network: which of them are the internet, and which a commit must not name
//! unless the settings of the control plane allow it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::document::scalar::{Cidr, Malformed, Scalar};

/// Whether an address is not one of the public internet: this machine, a private network, the
/// metadata service of a cloud, a group of machines, or one that is kept for something else.
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => is_private_v6(ip),
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            // What a cloud answers its machines from, beside addresses that lead elsewhere.
            | (168, 63, 129)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    let [a, b, .., y, z] = ip.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_private_v4(Ipv4Addr::new(a, b, c, d))
    };
    if let Some(mapped) = ip.to_ipv4_mapped() {
        return is_private_v4(mapped);
    }
    match (a, b) {
        // NAT64 and 6to4 lead to an address of version 4.
        (0x64, 0xff9b) => ip.segments()[2..6] != [0; 4] || embedded(y, z),
        (0x2002, _) => embedded(b, ip.segments()[2]),
        // Teredo and other protocols, and networks for examples.
        (0x2001, ..=0x1ff | 0xdb8) | (0x3fff, ..=0xfff) => true,
        // Everything that is handed out so far.
        (0x2000..=0x3fff, _) => false,
        _ => true,
    }
}

/// The host of a web address, as it is written, without its port; none when it has none.
#[must_use]
pub fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => authority.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

/// An address, a network or a name that may be asked although it is private.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// An address is a network of one.
    Network(IpAddr, u8),
    /// In lower case.
    Name(String),
}

impl Allowed {
    /// Reads what stands in the settings, such as `192.0.2.0/24` or `mirror.internal`.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if let Ok(network) = Cidr::parse(text) {
            let (address, length) = match network.as_str().split_once('/') {
                Some((address, length)) => (address, length.parse().ok()),
                None => (network.as_str(), None),
            };
            if let Ok(ip) = address.parse::<IpAddr>() {
                let whole = if ip.is_ipv4() { 32 } else { 128 };
                return Ok(Self::Network(ip, length.unwrap_or(whole)));
            }
        }
        let is_name = text.len() <= 253
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
            && !text.contains('/')
            && !ends_in_number(text);
        if is_name {
            return Ok(Self::Name(text.to_ascii_lowercase()));
        }
        Err(
            Malformed::new(format!("`{text}` is no address, network or name"))
                .hint("write it like `192.0.2.0/24` or `mirror.internal`"),
        )
    }

    /// Whether it is about this address.
    #[must_use]
    pub fn has(&self, ip: IpAddr) -> bool {
        match (self, ip.to_canonical()) {
            (Self::Network(IpAddr::V4(network), length), IpAddr::V4(ip)) => {
                let mask = u32::MAX
                    .checked_shl(32_u32.saturating_sub(u32::from(*length)))
                    .unwrap_or(0);
                u32::from(*network) & mask == u32::from(ip) & mask
            }
            (Self::Network(IpAddr::V6(network), length), IpAddr::V6(ip)) => {
                let mask = u128::MAX
                    .checked_shl(128_u32.saturating_sub(u32::from(*length)))
                    .unwrap_or(0);
                u128::from(*network) & mask == u128::from(ip) & mask
            }
            (Self::Network(..) | Self::Name(_), _) => false,
        }
    }

    /// As it stands in the settings.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Network(ip, length) => format!("{ip}/{length}"),
            Self::Name(name) => name.clone(),
        }
    }
}

/// Whether a host as it is written leads to a private address. Of a name only those are known that
/// always mean this machine; where others lead is looked at before somebody connects.
#[must_use]
pub fn names_private(host: &str, allowed: &[Allowed]) -> bool {
    let lower = host.to_ascii_lowercase();
    let name = lower.trim_end_matches('.');
    if let Ok(ip) = name.parse::<IpAddr>() {
        return is_private(ip) && !allowed.iter().any(|entry| entry.has(ip));
    }
    let is_local = name == "localhost" || name.ends_with(".localhost");
    is_local && !allowed.iter().any(|entry| entry.text() == name)
}

/// Whether the last part of a name is a number: resolvers take such a name for an address in an old
/// spelling, such as `127.1`, `2130706433` or `0x7f.1`.
#[must_use]
pub fn ends_in_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or("");
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_hex = hex.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    is_hex || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(text: &str) -> bool {
        is_private(text.parse().expect("an address"))
    }

    #[test]
    fn what_is_no_public_address_is_private() {
        // Nodes look at addresses themselves, with the same list: `tests/ansible/test_download.py`.
        let listed = include_str!("../../tests/addresses.txt");
        let mut count = 0;
        for line in listed.lines().filter(|line| !line.starts_with('#')) {
            let (word, text) = line.split_once(' ').expect("a word and an address");
            assert_eq!(private(text), word == "private", "{line}");
            count += 1;
        }
        assert!(count > 40, "only {count}");
    }

    #[test]
    fn a_host_is_what_stands_between_scheme_and_path() {
        for (url, host) in [
            ("https://a.example/x", Some("a.example")),
            ("https://a.example:8443?x", Some("a.example")),
            ("https://[::1]:80/", Some("::1")),
            ("https:///x", None),
            ("nothing", None),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
    }

    #[test]
    fn what_the_settings_name_is_allowed_and_nothing_else() {
        let allowed = [
            Allowed::parse("192.168.7.0/24").expect("a network"),
            Allowed::parse("Localhost").expect("a name"),
        ];
        assert!(!names_private("192.168.7.9", &allowed));
        assert!(names_private("192.168.8.9", &allowed));
        assert!(!names_private("localhost.", &allowed));
        assert!(names_private("a.localhost", &allowed));
        assert!(names_private("127.0.0.1", &allowed));
        assert!(!names_private("downloads.example", &[]));
        assert!(Allowed::parse("192.168.7.0/33").is_err());
        assert!(Allowed::parse("127.1").is_err());
        assert!(Allowed::parse("a b").is_err());
    }

    #[test]
    fn old_spellings_of_addresses_are_known() {
        for text in [
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "a.0x1",
            "127.0.0.1.",
        ] {
            assert!(ends_in_number(text), "{text}");
        }
        for text in ["a.example", "1.a", "0xg", "a.1b"] {
            assert!(!ends_in_number(text), "{text}");
        }
    }
}
