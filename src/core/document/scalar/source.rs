//! Where files come from that jobs take to nodes.

use super::{Malformed, printable, quoted, text_scalar};
use crate::core::address::{ends_in_number, host_of};

text_scalar! {
    /// An address to download from.
    SourceUrl, "source-url", ["https://downloads.example.com/wordpress.zip"], source_url
}

text_scalar! {
    /// A file below the directory of sources of the control plane.
    SourcePath, "source-path", ["wordpress-7.1.1.zip", "mirror/wp-cli.phar"], source_path
}

text_scalar! {
    /// An address to download from, or a path below the directory of sources of the control plane.
    Source, "source", ["https://downloads.example.com/acme.tar.gz", "imports/acme.tar.gz"], source
}

fn source_url(text: &str) -> Result<(), Malformed> {
    let refuse = |why: &str| {
        Err(Malformed::new(format!(
            "{} is not an address to download from: {why}",
            quoted(text)
        ))
        .hint("write it like `https://downloads.example.com/wordpress.zip`"))
    };
    printable(text)?;
    if !text.starts_with("https://") && !text.starts_with("http://") {
        return refuse("it begins with neither `https://` nor `http://`");
    }
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"\"'`\\<>{}|^$;#".contains(&b);
    if text.len() > 2048 || !text.bytes().all(is_plain) {
        return refuse("it is too long, or has a character that must be percent-encoded");
    }
    let Some(host) = host_of(text) else {
        return refuse("it names no host");
    };
    let authority = text.split('/').nth(2).unwrap_or_default();
    let authority = authority.split('?').next().unwrap_or_default();
    if authority.contains('@') {
        return Err(Malformed::new("the address holds credentials")
            .hint("leave them out; whoever may read the repository would know them"));
    }
    let (is_ip6, rest) = match authority.strip_prefix('[') {
        Some(rest) => (true, rest.get(host.len() + 1..).unwrap_or_default()),
        None => (false, authority.get(host.len()..).unwrap_or_default()),
    };
    let port_fits = match rest.strip_prefix(':') {
        None => rest.is_empty(),
        Some(port) => {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0)
        }
    };
    let host_fits = if is_ip6 {
        host.parse::<std::net::Ipv6Addr>().is_ok()
    } else if ends_in_number(host) {
        host.parse::<std::net::Ipv4Addr>().is_ok()
    } else {
        host.starts_with(|c: char| c.is_ascii_alphanumeric())
            && host.len() <= 253
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    match host_fits && port_fits {
        true => Ok(()),
        false => refuse("its host or port is none"),
    }
}

fn source_path(text: &str) -> Result<(), Malformed> {
    let refuse = |why: &str| {
        Err(Malformed::new(format!("{} is not the path of a source: {why}", quoted(text))).hint(
            "put the file into the directory of sources of the control plane and write its path from there, such as `wordpress-7.1.1.zip`",
        ))
    };
    printable(text)?;
    if text.is_empty() || text.len() > 1024 {
        return refuse("it is empty or longer than 1024 characters");
    }
    if text.contains("://") {
        return refuse("it is an address, which belongs into `url`");
    }
    let below = text.strip_prefix('/').unwrap_or(text);
    if let Some(part) = below
        .split('/')
        .find(|part| part.is_empty() || matches!(*part, "." | ".."))
    {
        return refuse(&format!("it has the part {}", quoted(part)));
    }
    Ok(())
}

fn source(text: &str) -> Result<(), Malformed> {
    match text.contains("://") {
        true => source_url(text),
        false => source_path(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_no_credentials() {
        for text in [
            "https://downloads.example.com/a.zip",
            "http://mirror:8080/a.zip?x=1",
            "https://203.0.113.7/a",
            "https://[2001:db8::1]:8443/a",
        ] {
            assert!(source_url(text).is_ok(), "{text}");
        }
        for text in [
            "ftp://a.example/",
            "https://",
            "https:///a",
            "https://user:pw@a.example/a",
            "https://a.example:0/",
            "https://a.example:99999/",
            "https://127.1/a",
            "https://2130706433/a",
            "https://0x7f.1/",
            "https://[::1/",
            "https://[x]/",
            "https://a b/",
            "https://a.example/#x",
            "https://a.example\\@b/",
            "https://a@b/",
            "https://-a/",
            "file:///etc/shadow",
            "https://::1/",
        ] {
            assert!(source_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_stays_below_where_it_begins() {
        for text in ["a.zip", "a/b.zip", "/srv/sources/a.zip", "..a/b.."] {
            assert!(source_path(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "/",
            "..",
            "a/../b",
            "./a",
            "a//b",
            "a/",
            "https://a/b",
            "a\nb",
            "a\0b",
        ] {
            assert!(source_path(text).is_err(), "{text:?}");
        }
    }
}
