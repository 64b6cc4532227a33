//! Addresses, ports, URLs and statuses.

use std::net::IpAddr;

use super::path::url_path;
use super::{Malformed, Scalar, quoted, scalar_impls, text_scalar};

text_scalar! {
    /// Where a redirect leads: a path of the same site or a whole address.
    RedirectTarget, "redirect-target", ["/shop/", "https://shop.acme.example/"], redirect_target
}

text_scalar! {
    /// A port that the firewall opens, with its protocol.
    OpenPort, "open-port", ["8080/tcp", "51820/udp"], open_port
}

text_scalar! {
    /// The certificate authority: `letsencrypt`, `letsencrypt-staging`, or the address of an
    /// ACME directory.
    AcmeDirectory, "acme-directory", ["letsencrypt", "letsencrypt-staging"], acme_directory
}

fn http_url(text: &str) -> Result<(), Malformed> {
    let refuse = || {
        Malformed::new(format!("{} is not a web address", quoted(text)))
            .hint("write it like `https://example.com/path`")
    };
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or_else(refuse)?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_fits = !host.is_empty()
        && !host.starts_with(['-', ':', '.'])
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    let rest_fits = text.len() <= 2048
        && rest
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"\"'`\\<>{}|^$;".contains(&b));
    if host_fits && rest_fits {
        Ok(())
    } else {
        Err(refuse())
    }
}

fn redirect_target(text: &str) -> Result<(), Malformed> {
    if text.starts_with('/') && !text.starts_with("//") {
        return url_path(text);
    }
    http_url(text).map_err(|_| {
        Malformed::new(format!("{} is not a redirect target", quoted(text)))
            .hint("write a path such as `/shop/` or an address such as `https://example.com/`")
    })
}

fn open_port(text: &str) -> Result<(), Malformed> {
    let refuse = || {
        Malformed::new(format!("{} is not a port to open", quoted(text)))
            .hint("write port and protocol such as `8080/tcp` or `51820/udp`")
    };
    let (port, protocol) = text.split_once('/').ok_or_else(refuse)?;
    let digits = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
    let fits = digits
        && port.parse::<u16>().is_ok_and(|port| port > 0)
        && matches!(protocol, "tcp" | "udp");
    if fits { Ok(()) } else { Err(refuse()) }
}

impl AcmeDirectory {
    /// Let's Encrypt.
    #[must_use]
    pub fn standard() -> Self {
        Self("letsencrypt".to_owned())
    }
}

fn acme_directory(text: &str) -> Result<(), Malformed> {
    if matches!(text, "letsencrypt" | "letsencrypt-staging") {
        return Ok(());
    }
    if text.starts_with("https://") {
        return http_url(text);
    }
    Err(
        Malformed::new(format!("{} is not an ACME directory", quoted(text)))
            .hint("write `letsencrypt`, `letsencrypt-staging` or an `https://` address"),
    )
}

/// An IPv4 or IPv6 address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode)]
pub struct IpAddress(String);

impl IpAddress {
    /// The address in its canonical spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address as a value, or none for text that was never an address.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
}

impl std::fmt::Display for IpAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for IpAddress {
    const FORMAT: &'static str = "ip-address";
    const DESCRIPTION: &'static str = "An IPv4 or IPv6 address.";
    const EXAMPLES: &'static [&'static str] = &["203.0.113.10", "2001:db8::10"];

    fn parse(text: &str) -> Result<Self, Malformed> {
        match text.parse::<IpAddr>() {
            Ok(ip) => of_one_machine(text, ip).map(Self),
            Err(_) => Err(
                Malformed::new(format!("{} is not an IP address", quoted(text)))
                    .hint("write it like `203.0.113.10` or `2001:db8::10`"),
            ),
        }
    }
}

scalar_impls!(IpAddress);

/// The one spelling of an address that one machine can have: `::ffff:203.0.113.10` is `203.0.113.10`.
pub(super) fn of_one_machine(text: &str, ip: IpAddr) -> Result<String, Malformed> {
    let ip = ip.to_canonical();
    let is_broadcast = ip == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    if ip.is_unspecified() || ip.is_multicast() || is_broadcast {
        return Err(Malformed::new(format!(
            "{} is not the address of one machine",
            quoted(text)
        ))
        .hint("write it like `203.0.113.10` or `2001:db8::10`"));
    }
    Ok(ip.to_string())
}

/// An address or a network in CIDR notation; the host bits are cleared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode)]
pub struct Cidr(String);

impl Cidr {
    /// The network in its canonical spelling; a single address has no `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for Cidr {
    const FORMAT: &'static str = "cidr";
    const DESCRIPTION: &'static str = "An IP address or a network in CIDR notation.";
    const EXAMPLES: &'static [&'static str] = &["198.51.100.0/24", "203.0.113.7", "2001:db8::/32"];

    fn parse(text: &str) -> Result<Self, Malformed> {
        let refuse = || {
            Malformed::new(format!("{} is not an address or network", quoted(text)))
                .hint("write it like `198.51.100.0/24` or `203.0.113.7`")
        };
        let (address, length) = match text.split_once('/') {
            None => (text, None),
            Some((address, length)) => {
                let digits = length.len() <= 3 && length.bytes().all(|b| b.is_ascii_digit());
                let length = length
                    .parse::<u32>()
                    .ok()
                    .filter(|_| digits)
                    .ok_or_else(refuse)?;
                (address, Some(length))
            }
        };
        match address.parse::<IpAddr>().map_err(|_| refuse())? {
            IpAddr::V4(ip) => match length.unwrap_or(32) {
                32 => Ok(Self(ip.to_string())),
                length @ 0..32 => {
                    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                    let network = std::net::Ipv4Addr::from(u32::from(ip) & mask);
                    Ok(Self(format!("{network}/{length}")))
                }
                _ => Err(refuse()),
            },
            IpAddr::V6(ip) => match length.unwrap_or(128) {
                // Addresses of version 4 as those of version 6.
                length @ 96..=128 if ip.to_ipv4_mapped().is_some() => Self::parse(&format!(
                    "{}/{}",
                    IpAddr::V6(ip).to_canonical(),
                    length - 96
                )),
                128 => Ok(Self(ip.to_string())),
                length @ 0..128 => {
                    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                    let network = std::net::Ipv6Addr::from(u128::from(ip) & mask);
                    Ok(Self(format!("{network}/{length}")))
                }
                _ => Err(refuse()),
            },
        }
    }
}

scalar_impls!(Cidr);
