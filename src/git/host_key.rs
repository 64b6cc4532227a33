//! Compares the key that an ssh host presents with the recorded ones.
//!
//! Two files count: the control plane's own, which is read here, and `~/.ssh/known_hosts`,
//! which libgit2 reads when the first one does not know the host.

use std::path::Path;

use data_encoding::BASE64;
use git2::CertificateCheckStatus;
use git2::cert::CertHostkey;

use crate::core::plain_text;

/// What a host presented.
#[derive(Clone, Debug)]
pub(super) struct Presented {
    /// As `known_hosts` names it: `git.example` or `[git.example]:2222`.
    pub(super) host: String,
    /// The line for `known_hosts`.
    pub(super) line: String,
    /// Whether the control plane's own file has another key of the same type.
    pub(super) mismatch: bool,
}

/// Judges the key by the file `own`; a host that it does not know is left to libgit2.
pub(super) fn check(
    host: &str,
    port: u16,
    certificate: &CertHostkey<'_>,
    own: Option<&Path>,
) -> (CertificateCheckStatus, Presented) {
    let host = if port == 22 {
        host.to_owned()
    } else {
        format!("[{host}]:{port}")
    };
    let kind = certificate
        .hostkey_type()
        .map_or("unknown", |kind| kind.name());
    let key = certificate
        .hostkey()
        .map(|key| BASE64.encode(key))
        .unwrap_or_default();
    let recorded = own
        .and_then(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    let keys = keys_of(&recorded, &host, kind);
    let known = !key.is_empty() && keys.contains(&key.as_str());
    let presented = Presented {
        line: format!("{host} {kind} {key}"),
        host,
        mismatch: !known && !keys.is_empty(),
    };
    let status = if known {
        CertificateCheckStatus::CertificateOk
    } else {
        CertificateCheckStatus::CertificatePassthrough
    };
    (status, presented)
}

/// The keys of one type that a `known_hosts` file records for a host. Hashed names and
/// markers are left out: the control plane writes neither.
fn keys_of<'a>(recorded: &'a str, host: &str, kind: &str) -> Vec<&'a str> {
    plain_text::unmarked(recorded)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (hosts, found, key) = (words.next()?, words.next()?, words.next()?);
            (found == kind && hosts.split(',').any(|h| h == host)).then_some(key)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_host_and_type() {
        let file = "# note\n\
                    git.example,203.0.113.5 ssh-ed25519 AAAA1 c\n\
                    [git.example]:2222 ssh-ed25519 AAAA2\n\
                    git.example ecdsa-sha2-nistp256 AAAA3\n\
                    @revoked git.example ssh-ed25519 AAAA4\n";
        assert_eq!(keys_of(file, "git.example", "ssh-ed25519"), ["AAAA1"]);
        assert_eq!(
            keys_of(file, "[git.example]:2222", "ssh-ed25519"),
            ["AAAA2"]
        );
        assert!(keys_of(file, "it.example", "ssh-ed25519").is_empty());
        let foreign = "\u{FEFF}git.example ssh-ed25519 AAAA1\r\na.example ssh-ed25519 AAAA2\r\n";
        assert_eq!(keys_of(foreign, "git.example", "ssh-ed25519"), ["AAAA1"]);
        assert_eq!(keys_of(foreign, "a.example", "ssh-ed25519"), ["AAAA2"]);
    }
}
