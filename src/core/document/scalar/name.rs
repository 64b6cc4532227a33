//! Names: of resources, hosts, people, labels and versions.

use std::net::IpAddr;

use super::net::of_one_machine;
use super::{Malformed, only, printable, quoted, text_scalar};
use crate::core::address::ends_in_number;

text_scalar! {
    /// The name of a resource: lower-case letters, digits and single dashes, at most 40
    /// characters, beginning with a letter.
    Slug, "slug", ["acme", "web-1"], slug
}

text_scalar! {
    /// A domain name such as `acme.example`, in its ASCII form.
    HostName, "host-name", ["acme.example", "www.acme.example"], host_name
}

text_scalar! {
    /// A host name or an IP address, which SSH connects to.
    Host, "host", ["203.0.113.10", "web-1.example.com"] => host
}

text_scalar! {
    /// A user name on a Linux system.
    UnixUser, "unix-user", ["root", "deploy"], unix_user
}

text_scalar! {
    /// An e-mail address.
    Email, "e-mail", ["ops@example.com"], email
}

text_scalar! {
    /// The name of a label: letters, digits, `.`, `_`, `-` and `/`.
    LabelKey, "label-key", ["tier", "region"], label_key
}

text_scalar! {
    /// A WordPress locale.
    Locale, "locale", ["en_US", "de_DE", "de_DE_formal"], locale
}

text_scalar! {
    /// An exact version; words such as `latest` are not accepted, so that a commit means one thing.
    Version, "version", ["6.8.2", "9.9.5"], version
}

impl UnixUser {
    /// The user `root`.
    #[must_use]
    pub fn root() -> Self {
        Self("root".to_owned())
    }
}

impl From<&Slug> for UnixUser {
    /// A slug of up to 32 characters is a user name; longer ones lose their end.
    fn from(slug: &Slug) -> Self {
        Self(slug.0.chars().take(32).collect())
    }
}

impl Locale {
    /// American English.
    #[must_use]
    pub fn standard() -> Self {
        Self("en_US".to_owned())
    }
}

const SLUG_RULE: &str = "lower-case letters, digits and single dashes, beginning with a letter \
                         and not ending with a dash, at most 40 characters";

fn slug(text: &str) -> Result<(), Malformed> {
    let bytes = text.as_bytes();
    let fits = (1..=40).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes[bytes.len() - 1] != b'-'
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && !text.contains("--");
    if fits {
        return Ok(());
    }
    let error = Malformed::new(format!("{} is not a name for a resource", quoted(text)));
    let suggestion = suggested_slug(text);
    Err(match slug(&suggestion) {
        Ok(()) => error.hint(format!("use {SLUG_RULE}, such as `{suggestion}`")),
        Err(_) => error.hint(format!("use {SLUG_RULE}")),
    })
}

fn suggested_slug(text: &str) -> String {
    if text.len() > 200 || suggested_is_empty(text) {
        return "acme".to_owned();
    }
    let dashed: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let joined: Vec<&str> = dashed.split('-').filter(|part| !part.is_empty()).collect();
    let joined = joined.join("-");
    let start = joined.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    start
        .chars()
        .take(40)
        .collect::<String>()
        .trim_end_matches('-')
        .to_owned()
}

fn suggested_is_empty(text: &str) -> bool {
    !text.chars().any(|c| c.is_ascii_alphabetic())
}

const LIKE_A_NAME: &str = "write it like `www.acme.example`";

fn host_name(text: &str) -> Result<(), Malformed> {
    let refuse = |why: &str| {
        Err(Malformed::new(format!("{} is not a host name: {why}", quoted(text))).hint(LIKE_A_NAME))
    };
    if text.len() > 253 {
        return refuse("it is longer than 253 characters");
    }
    if !text.is_ascii() {
        return Err(
            Malformed::new(format!("{} is not an ASCII host name", quoted(text)))
                .hint("write an international name in its `xn--` form"),
        );
    }
    let lower = text.to_ascii_lowercase();
    if lower != text && host_name(&lower).is_ok() {
        return Err(
            Malformed::new(format!("{} has capital letters", quoted(text)))
                .hint(format!("write `{lower}`")),
        );
    }
    let labels: Vec<&str> = text.split('.').collect();
    if labels.len() < 2 {
        return refuse("it has no dot");
    }
    for label in &labels {
        if label.is_empty() {
            return refuse("a part between dots is empty");
        }
        if label.len() > 63 {
            return refuse("a part is longer than 63 characters");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return refuse("a part begins or ends with a dash");
        }
        if !label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return refuse("it has characters other than lower-case letters, digits and dashes");
        }
    }
    if ends_in_number(text) {
        return refuse("its last part is a number");
    }
    Ok(())
}

fn host(text: &str) -> Result<String, Malformed> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return of_one_machine(text, ip);
    }
    let refuse = |why: &str, hint: &str| {
        let message = format!("{} is not an address or host name: {why}", quoted(text));
        Err(Malformed::new(message).hint(hint))
    };
    if text.ends_with('.') {
        return refuse("it ends with a dot", "write the name without it");
    }
    if ends_in_number(text) {
        // `010` is 8 to some programs and 10 to others.
        return refuse(
            "it is the old spelling of an address, or none",
            "write four numbers without zeros in front, such as `203.0.113.10`",
        );
    }
    if text.starts_with('[') {
        return refuse(
            "it has brackets",
            "write the address alone, and a port in `ssh.port`",
        );
    }
    if text.contains(':') {
        return refuse(
            "it has a colon",
            "write an IPv6 address such as `2001:db8::10`, and a port in `ssh.port`",
        );
    }
    // A node of a private network is often reached by a name without a dot.
    let single = !text.contains('.') && !text.is_empty() && text.len() <= 63;
    let letters = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if single && letters && !text.starts_with('-') && !text.ends_with('-') {
        return Ok(text.to_owned());
    }
    match host_name(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => {
            let message = error
                .message
                .replace("is not a host name", "is not an address or host name");
            let hint = "write an IP address such as `203.0.113.10`, or a lower-case host name";
            let better = error.hint.filter(|hint| hint != LIKE_A_NAME);
            Err(Malformed::new(message).hint(better.unwrap_or_else(|| hint.to_owned())))
        }
    }
}

fn unix_user(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    only(
        text,
        "a user name",
        32,
        allowed,
        "lower-case letters, digits, `-` and `_`",
    )?;
    if text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') {
        return Ok(());
    }
    Err(
        Malformed::new(format!("{} is not a user name", quoted(text)))
            .hint("begin with a lower-case letter"),
    )
}

fn email(text: &str) -> Result<(), Malformed> {
    let refuse = || {
        Malformed::new(format!("{} is not an e-mail address", quoted(text)))
            .hint("write it like `ops@example.com`")
    };
    let (user, domain) = text.rsplit_once('@').ok_or_else(refuse)?;
    let user_fits = !user.is_empty()
        && user.len() <= 64
        && !user.starts_with('-')
        && user
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._%+-'".contains(&b));
    if user_fits && host_name(&domain.to_ascii_lowercase()).is_ok() {
        Ok(())
    } else {
        Err(refuse())
    }
}

fn label_key(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    only(
        text,
        "a label name",
        63,
        allowed,
        "letters, digits, `.`, `_`, `-` and `/`",
    )
}

fn locale(text: &str) -> Result<(), Malformed> {
    let mut parts = text.split('_');
    let language = parts.next().unwrap_or_default();
    let fits = (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_lowercase())
        && text.len() <= 30
        && parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    if fits {
        return Ok(());
    }
    Err(
        Malformed::new(format!("{} is not a WordPress locale", quoted(text)))
            .hint("write it like `en_US`"),
    )
}

fn version(text: &str) -> Result<(), Malformed> {
    printable(text)?;
    let fits = text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-+_".contains(&b))
        && !text.contains("..");
    if fits {
        return Ok(());
    }
    Err(Malformed::new(format!("{} is not a version", quoted(text)))
        .hint("write the exact version such as `6.8.2`"))
}
