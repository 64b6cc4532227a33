//! The address of a remote fleet repo: `https`, `ssh` or a path, and nothing that git would
//! run a program for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::GitError;

/// An address that is safe to fetch from and, without its credentials, to show.
#[derive(Clone, PartialEq, Eq)]
pub struct RepoUrl {
    pub(super) transport: Transport,
    /// What libgit2 is given; it never holds a password.
    address: String,
    /// From the URL of an https repository.
    pub(super) login: Option<(String, Option<String>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Https,
    Ssh { host: String, port: u16 },
    File(PathBuf),
}

impl RepoUrl {
    /// The address without credentials, for libgit2, logs and records.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// The path of a repository on this machine.
    #[must_use]
    pub fn local_path(&self) -> Option<&Path> {
        match &self.transport {
            Transport::File(path) => Some(path),
            Transport::Https | Transport::Ssh { .. } => None,
        }
    }

    /// A name for this address in the file system.
    pub(super) fn digest(&self) -> String {
        blake3::hash(self.address.as_bytes()).to_hex()[..24].to_owned()
    }
}

impl fmt::Display for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl fmt::Debug for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepoUrl({})", self.address)
    }
}

impl FromStr for RepoUrl {
    type Err = GitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|reason| GitError::InvalidUrl {
            url: super::selection::escaped(redact(text).as_bytes()),
            reason,
        })
    }
}

fn parse(text: &str) -> Result<RepoUrl, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.starts_with('-') {
        return Err("it starts with `-`");
    }
    if text
        .chars()
        .any(|c| c.is_whitespace() || super::selection::is_invisible(c))
    {
        return Err("it has white space or control characters");
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return match scheme {
            "https" => parse_https(rest),
            "ssh" => parse_ssh(text, rest),
            "file" => parse_file(rest),
            "http" | "git" => Err("the connection would not be encrypted"),
            _ => Err("only https, ssh and file are allowed"),
        };
    }
    if ["/", "./", "../"]
        .iter()
        .any(|start| text.starts_with(start))
    {
        return Ok(local(PathBuf::from(text)));
    }
    if text.contains("::") {
        return Err("only https, ssh and file are allowed");
    }
    parse_scp(text)
}

fn parse_https(rest: &str) -> Result<RepoUrl, &'static str> {
    let (authority, path) = rest.split_once('/').ok_or("it has no path")?;
    let (userinfo, host) = match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(userinfo), host),
        None => (None, authority),
    };
    check_host(host.split(':').next().unwrap_or_default())?;
    let login = match userinfo.map(|info| info.split_once(':').unwrap_or((info, ""))) {
        Some((user, password)) => {
            let password = decode(password).ok_or("its password is not UTF-8")?;
            let user = decode(user).ok_or("its user is not UTF-8")?;
            Some((user, Some(password).filter(|password| !password.is_empty())))
        }
        None => None,
    };
    Ok(RepoUrl {
        transport: Transport::Https,
        address: format!("https://{host}/{path}"),
        login,
    })
}

fn parse_ssh(text: &str, rest: &str) -> Result<RepoUrl, &'static str> {
    let (authority, _) = rest.split_once('/').ok_or("it has no path")?;
    let (user, host) = authority.rsplit_once('@').unwrap_or(("git", authority));
    if user.contains(':') {
        return Err("a password in an ssh address is not supported");
    }
    check_host(user)?;
    let (host, port) = match host
        .strip_prefix('[')
        .and_then(|inner| inner.split_once(']'))
    {
        Some((address, port)) => (address, port.strip_prefix(':')),
        None => match host.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host, None),
        },
    };
    check_host(host)?;
    let port = port.map_or(Ok(22), |port| {
        port.parse().map_err(|_| "its port is not a number")
    })?;
    let address = match authority.contains('@') {
        true => text.to_owned(),
        false => format!("ssh://git@{rest}"),
    };
    Ok(RepoUrl {
        transport: Transport::Ssh {
            host: host.to_owned(),
            port,
        },
        address,
        login: None,
    })
}

fn parse_scp(text: &str) -> Result<RepoUrl, &'static str> {
    let (authority, path) = text
        .split_once(':')
        .ok_or("it is neither an address nor a path")?;
    let (user, host) = authority
        .split_once('@')
        .ok_or("it has no `user@` before the host")?;
    check_host(user)?;
    check_host(host)?;
    if path.is_empty() || path.starts_with('-') {
        return Err("its path is empty or starts with `-`");
    }
    let transport = Transport::Ssh {
        host: host.to_owned(),
        port: 22,
    };
    Ok(RepoUrl {
        transport,
        address: text.to_owned(),
        login: None,
    })
}

fn parse_file(rest: &str) -> Result<RepoUrl, &'static str> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err("a file address has three slashes: `file:///PATH`");
    }
    Ok(local(PathBuf::from(
        decode(path).ok_or("its path is not UTF-8")?,
    )))
}

fn local(path: PathBuf) -> RepoUrl {
    let path = std::path::absolute(&path).unwrap_or(path);
    let address = format!("file://{}", path.display());
    RepoUrl {
        transport: Transport::File(path),
        address,
        login: None,
    }
}

/// A host or user that no program would take for an option and no shell for more than a word.
fn check_host(host: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || host.starts_with('-') || !host.chars().all(plain) {
        return Err("its host or user is not a plain word");
    }
    Ok(())
}

/// Text with its `%XX` replaced; what does not look like one stays as it is.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|_| *first == b'%');
        match digits.and_then(|hex| data_encoding::HEXLOWER_PERMISSIVE.decode(hex).ok()) {
            Some(decoded) => {
                bytes.extend(decoded);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}

/// Text in which no address has a user or password any more.
pub(super) fn redact(text: &str) -> String {
    let mut pieces = text.split("://");
    let mut redacted = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let ends = |c: char| matches!(c, '/' | '\'' | '"' | '`') || c.is_whitespace();
        let authority = &piece[..piece.find(ends).unwrap_or(piece.len())];
        let secret = authority.rfind('@').map_or(0, |at| at + 1);
        redacted.push_str("://");
        redacted.push_str(&piece[secret..]);
    }
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowed_forms_are_read() {
        for (text, shown) in [
            (
                "https://git.example/fleet.git",
                "https://git.example/fleet.git",
            ),
            (
                "https://u:p%40ss@git.example:8443/fleet",
                "https://git.example:8443/fleet",
            ),
            (
                "ssh://git.example/fleet.git",
                "ssh://git@git.example/fleet.git",
            ),
            (
                "ssh://me@[2001:db8::1]:2222/f",
                "ssh://me@[2001:db8::1]:2222/f",
            ),
            (
                "git@git.example:studio/fleet.git",
                "git@git.example:studio/fleet.git",
            ),
            ("file:///srv/a%20b.git", "file:///srv/a b.git"),
            ("/srv/fleet.git", "file:///srv/fleet.git"),
        ] {
            let url: RepoUrl = text.parse().expect(text);
            assert_eq!(url.to_string(), shown);
        }
        let url: RepoUrl = "https://u:p%40ss@git.example/f".parse().expect("valid");
        assert_eq!(url.login, Some(("u".to_owned(), Some("p@ss".to_owned()))));
        assert!(!format!("{url:?}").contains("ss@"));
        let url: RepoUrl = "ssh://me@[2001:db8::1]:2222/f".parse().expect("valid");
        assert_eq!(
            url.transport,
            Transport::Ssh {
                host: "2001:db8::1".to_owned(),
                port: 2222
            }
        );
    }

    #[test]
    fn everything_else_is_refused_without_showing_credentials() {
        for text in [
            "",
            "-oProxyCommand=x",
            "--upload-pack=x",
            "ext::sh -c x",
            "ext::x",
            "git://h/x",
            "http://h/x",
            "fd::17/x",
            "https://h",
            "https://-h/x",
            "ssh://-oProxyCommand=x/y",
            "ssh://u:p@h/x",
            "git@-h:x",
            "git@h:--upload-pack=x",
            "u@h;id:x",
            "h",
            "file://h/x",
            "https://u:topsecret@h h/x",
            "https://h\n/x",
            "ftp://u:topsecret@h/x",
        ] {
            let error = text.parse::<RepoUrl>().expect_err(text);
            assert!(matches!(error, GitError::InvalidUrl { .. }), "{text}");
            assert!(!error.to_string().contains("topsecret"), "{error}");
        }
    }

    #[test]
    fn messages_lose_their_userinfo() {
        let text = "cannot open 'https://u:p@h/x' or ssh://git@h, see https://h/a@b";
        assert_eq!(
            redact(text),
            "cannot open 'https://h/x' or ssh://h, see https://h/a@b"
        );
    }
}
