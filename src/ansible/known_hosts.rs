//! The host key that a node must show, and the file in which `ssh` looks for it.

use std::fmt;

use data_encoding::{BASE64, BASE64_NOPAD};
use sha2::{Digest, Sha256};

/// A public host key: its type and its base64 text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostKey {
    kind: &'static str,
    text: String,
}

/// Key types with the signature algorithms that prove them; the order is the preference at
/// first contact. SHA-1 signatures are left out.
const KINDS: [(&str, &str); 5] = [
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("ssh-rsa", "rsa-sha2-512,rsa-sha2-256"),
];

impl HostKey {
    /// The key in a text like `ssh-ed25519 AAAA… comment`; none when it is anything else, so
    /// that no text of a document adds lines or markers to a known_hosts file.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.contains(['\n', '\r']) {
            return None;
        }
        let mut words = text.split_ascii_whitespace();
        let (kind, encoded) = (words.next()?, words.next()?);
        let (kind, _) = KINDS.into_iter().find(|(name, _)| *name == kind)?;
        let blob = BASE64.decode(encoded.as_bytes()).ok()?;
        let length = u32::from_be_bytes(blob.get(..4)?.try_into().ok()?) as usize;
        // The type stands in the blob too; a key under a wrong label would never match.
        (blob.get(4..4 + length)? == kind.as_bytes()).then(|| Self {
            kind,
            text: encoded.to_owned(),
        })
    }

    /// The value of `HostKeyAlgorithms` that lets only this type of key through.
    pub(super) fn algorithms(&self) -> &'static str {
        KINDS
            .iter()
            .find(|(name, _)| *name == self.kind)
            .map_or("", |(_, algorithms)| algorithms)
    }

    /// The line that pins this key to a host.
    pub(super) fn line(&self, address: &str, port: u16) -> String {
        format!("{} {self}\n", host_pattern(address, port))
    }

    /// `SHA256:…`, as `ssh-keygen -l` and `ssh` show it.
    pub(super) fn fingerprint(&self) -> String {
        let blob = BASE64.decode(self.text.as_bytes()).unwrap_or_default();
        format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(blob)))
    }

    /// The key that `ssh` wrote at first contact.
    pub(super) fn learned(known_hosts: &str) -> Option<Self> {
        known_hosts
            .lines()
            .find_map(|line| Self::parse(line.split_once(' ')?.1))
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.text)
    }
}

/// The value of `HostKeyAlgorithms` at first contact.
pub(super) fn acceptable_algorithms() -> String {
    KINDS.map(|(_, algorithms)| algorithms).join(",")
}

fn host_pattern(address: &str, port: u16) -> String {
    if port == 22 {
        address.to_owned()
    } else {
        format!("[{address}]:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    #[test]
    fn a_key_is_pinned_to_host_and_port() {
        let key = HostKey::parse(&format!("{KEY} root@web-1")).expect("a key");
        assert_eq!(
            key.line("203.0.113.10", 22),
            format!("203.0.113.10 {KEY}\n")
        );
        assert_eq!(
            key.line("2001:db8::1", 2222),
            format!("[2001:db8::1]:2222 {KEY}\n")
        );
        assert_eq!(key.algorithms(), "ssh-ed25519");
        let file = format!("# comment\n[203.0.113.10]:2222 {KEY}\n");
        assert_eq!(HostKey::learned(&file), Some(key));
    }

    #[test]
    fn a_fingerprint_is_that_of_ssh_keygen() {
        let key = HostKey::parse(KEY).expect("a key");
        // As `ssh-keygen -lf` prints it.
        assert_eq!(
            key.fingerprint(),
            "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
        );
    }

    #[test]
    fn other_texts_pin_nothing() {
        let blob = KEY.split(' ').nth(1).expect("a blob");
        for text in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 not-base64",
            &format!("ssh-rsa {blob}"),
            &format!("ssh-dss {blob}"),
            &format!("{KEY}\n* {KEY}"),
            &format!("@cert-authority * {KEY}"),
        ] {
            assert_eq!(HostKey::parse(text), None, "{text}");
        }
    }
}
