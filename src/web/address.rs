//! Where a request is from, and which host it asks for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;
use axum::http::header::HOST;

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Headers by which proxies say that a client is elsewhere, besides all `X-Forwarded-…`.
const FORWARDING: [&str; 7] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
];

/// Whether something between client and server says that the client is elsewhere.
fn is_forwarded(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| name.as_str().starts_with("x-forwarded") || FORWARDING.contains(&name.as_str()))
}

/// Whether the client is on this machine and nothing stands between: it asks for this machine by
/// a name that means nothing elsewhere, so a proxy that passes a public name on is none, even if
/// it does not say for whom it asks.
pub(super) fn is_local(peer: Peer, headers: &HeaderMap) -> bool {
    plain(peer.0.ip()).is_loopback()
        && !is_forwarded(headers)
        && host(headers).is_some_and(|host| is_local_name(&host))
}

/// Whether a host is this machine, for whoever asks.
pub(super) fn is_local_name(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// Where a request is from: the peer, or behind a proxy of this machine what that one says.
///
/// Only the last address counts: those before it are what the client itself sent.
pub(super) fn source(peer: Peer, headers: &HeaderMap, behind_proxy: bool) -> IpAddr {
    let peer = plain(peer.0.ip());
    if !behind_proxy || !peer.is_loopback() {
        return peer;
    }
    headers
        .get_all("x-forwarded-for")
        .iter()
        .next_back()
        .and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok())
        .map_or(peer, plain)
}

/// The part of an address that one party has: an IPv4 address, or 64 bits of an IPv6 address.
pub(super) fn party(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        // It has a network to itself, and is still this machine.
        IpAddr::V6(v6) if v6.is_loopback() => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The host that a request asks for, in lower case and without its port; none when there is not
/// exactly one.
pub(super) fn host(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(HOST).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let text = value.to_str().ok()?.to_ascii_lowercase();
    let name = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, port) = rest.split_once(']')?;
            is_port(port)?;
            format!("[{inside}]")
        }
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            is_port(port)?;
            name.strip_suffix('.').unwrap_or(name).to_owned()
        }
    };
    (!name.is_empty()).then_some(name)
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> Option<()> {
    match text.strip_prefix(':') {
        None => text.is_empty().then_some(()),
        Some(digits) => digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn asked(text: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(text));
        host(&headers)
    }

    #[test]
    fn hosts_are_compared_without_port_case_and_dot() {
        assert_eq!(
            asked("Status.Example.:443").as_deref(),
            Some("status.example")
        );
        assert_eq!(asked("[::1]:8080").as_deref(), Some("[::1]"));
        assert_eq!(asked("127.0.0.1").as_deref(), Some("127.0.0.1"));
        for bad in ["", ":80", "a:b", "[::1", "[::1]x", "a:80:80"] {
            assert_eq!(asked(bad), None, "{bad}");
        }
        let mut two = HeaderMap::new();
        two.append(HOST, HeaderValue::from_static("a.example"));
        two.append(HOST, HeaderValue::from_static("b.example"));
        assert_eq!(host(&two), None);
    }

    #[test]
    fn only_a_proxy_of_this_machine_is_believed() {
        let mut headers = HeaderMap::new();
        headers.append(
            "x-forwarded-for",
            HeaderValue::from_static("192.0.2.1, 203.0.113.9"),
        );
        let local = Peer(SocketAddr::from(([127, 0, 0, 1], 9)));
        let remote = Peer(SocketAddr::from(([192, 0, 2, 77], 9)));
        let text = |peer, proxied| source(peer, &headers, proxied).to_string();
        assert_eq!(text(local, true), "203.0.113.9");
        assert_eq!(text(local, false), "127.0.0.1");
        assert_eq!(text(remote, true), "192.0.2.77");
    }

    #[test]
    fn only_who_asks_for_this_machine_without_detour_is_on_it() {
        let local = Peer(SocketAddr::from(([127, 0, 0, 1], 9)));
        let is = |peer: Peer, list: &[(&'static str, &'static str)]| {
            let pairs = list.iter().map(|(name, value)| {
                let name = axum::http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            });
            is_local(peer, &pairs.collect())
        };
        assert!(is(local, &[("host", "127.0.0.1:8080")]));
        assert!(is(local, &[("host", "localhost")]));
        assert!(!is(local, &[]), "no host");
        assert!(!is(local, &[("host", "status.example")]), "a proxy's name");
        let remote = Peer(SocketAddr::from(([192, 0, 2, 77], 9)));
        assert!(!is(remote, &[("host", "localhost")]));
        for name in ["x-forwarded-for", "x-forwarded-proto", "via", "forwarded"] {
            assert!(
                !is(local, &[("host", "localhost"), (name, "127.0.0.1")]),
                "{name}"
            );
        }
    }

    #[test]
    fn a_party_has_half_of_an_ipv6_address() {
        let address: IpAddr = "2001:db8:1:2:3:4:5:6".parse().expect("an address");
        assert_eq!(party(address).to_string(), "2001:db8:1:2::");
        let local: IpAddr = "::1".parse().expect("an address");
        assert!(party(local).is_loopback());
    }
}
