//! How any text becomes a literal in the files of a node.
//!
//! Every string of a document is hostile: a function here either gives a form that the
//! reader of the file takes as exactly that text, or refuses the text.

use std::fmt::Write as _;
use std::net::IpAddr;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};
use sha2::{Digest, Sha256};

fn refuse(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{what} {why}"))
}

fn no_control(text: &str, what: &str) -> Result<(), Error> {
    if text.chars().any(char::is_control) {
        return Err(refuse(what, "holds a control character"));
    }
    Ok(())
}

/// A single-quoted PHP string: only the backslash and the quote mean something in it.
pub(super) fn php_single_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        if matches!(c, '\\' | '\'') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

/// A PHP literal of a scalar, a list or a map.
pub(super) fn php_value(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if value.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number => Ok(value.to_string()),
        ValueKind::String => Ok(php_single_quoted(value.as_str().unwrap_or_default())),
        ValueKind::Seq => {
            let items: Result<Vec<_>, _> = value.try_iter()?.map(|item| php_value(&item)).collect();
            Ok(format!("array( {} )", items?.join(", ")))
        }
        ValueKind::Map => {
            let mut items = Vec::new();
            for key in value.try_iter()? {
                items.push(format!(
                    "{} => {}",
                    php_value(&key)?,
                    php_value(&value.get_item(&key)?)?
                ));
            }
            Ok(format!("array( {} )", items.join(", ")))
        }
        _ => Err(refuse("the value", "has no form in PHP")),
    }
}

/// A quoted word for a place where nginx knows no variables, such as a location.
pub(super) fn nginx_literal(text: &str) -> Result<String, Error> {
    no_control(text, "a value of nginx")?;
    Ok(format!(
        "\"{}\"",
        text.replace('\\', "\\\\").replace('"', "\\\"")
    ))
}

/// A quoted word for a place where nginx looks for variables. It has no escape for a dollar
/// sign; `nginx.conf` keeps one in a variable.
pub(super) fn nginx_value(text: &str) -> Result<String, Error> {
    Ok(nginx_literal(text)?.replace('$', "${pressluft_dollar}"))
}

/// The name of an HTTP header.
pub(super) fn header_name(text: &str) -> Result<String, Error> {
    let token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.chars().all(token) {
        return Ok(text.to_owned());
    }
    Err(refuse(
        "a header's name",
        "may hold letters, digits, `-` and `_` only",
    ))
}

/// A DNS name.
pub(super) fn host_name(text: &str) -> Result<String, Error> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if !text.is_empty() && text.len() <= 253 && text.chars().all(fits) && !text.starts_with('-') {
        return Ok(text.to_owned());
    }
    Err(refuse(
        "a host name",
        "may hold lower-case letters, digits, `-` and `.` only",
    ))
}

/// The name of a PHP setting.
pub(super) fn ini_key(text: &str) -> Result<String, Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '-';
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err(refuse(
        "a PHP setting's name",
        "may hold letters, digits, `_`, `-` and `.` only",
    ))
}

/// A value in a PHP-FPM pool file. Single quotes take everything literally but themselves;
/// pieces join as in a shell.
pub(super) fn ini_value(value: &Value) -> Result<String, Error> {
    let text = match value.kind() {
        ValueKind::Bool => return Ok(if value.is_true() { "1" } else { "0" }.to_owned()),
        ValueKind::Number => return Ok(value.to_string()),
        ValueKind::String => value.as_str().unwrap_or_default(),
        _ => {
            return Err(refuse(
                "a PHP setting",
                "is neither text, number nor switch",
            ));
        }
    };
    no_control(text, "a PHP setting")?;
    if text.contains("$pool") {
        return Err(refuse(
            "a PHP setting",
            "holds `$pool`, which PHP-FPM always replaces",
        ));
    }
    if text.is_empty() {
        return Ok("\"\"".to_owned());
    }
    let mut quoted = String::new();
    for (index, piece) in text.split('\'').enumerate() {
        if index > 0 {
            quoted.push_str("\"'\"");
        }
        if !piece.is_empty() {
            // Writing to a string cannot fail.
            write!(quoted, "'{piece}'").map_err(|_| refuse("a PHP setting", "is too long"))?;
        }
    }
    Ok(quoted)
}

/// An address, or a network as address and prefix length.
pub(super) fn ip_network(text: &str) -> Result<String, Error> {
    network(text).map(|_| text.to_owned())
}

/// nftables' word for the family of an address or network.
pub(super) fn ip_family(text: &str) -> Result<&'static str, Error> {
    network(text).map(|address| if address.is_ipv4() { "ip" } else { "ip6" })
}

fn network(text: &str) -> Result<IpAddr, Error> {
    let (address, prefix) = text
        .split_once('/')
        .map_or((text, None), |(a, p)| (a, Some(p)));
    let address: IpAddr = address
        .parse()
        .map_err(|_| refuse("an address", "is not an IP address or network"))?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix_fits = prefix.is_none_or(|digits| {
        digits.bytes().all(|b| b.is_ascii_digit())
            && digits.parse::<u8>().is_ok_and(|length| length <= longest)
    });
    if prefix_fits {
        Ok(address)
    } else {
        Err(refuse("a network", "has no valid prefix length"))
    }
}

/// The name of a Debian package, as it may stand in a regular expression.
pub(super) fn package_name(text: &str) -> Result<String, Error> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    if text.len() < 2 || !text.chars().all(fits) {
        return Err(refuse(
            "a package's name",
            "may hold lower-case letters, digits, `+-.` only",
        ));
    }
    Ok(text.replace('.', "\\.").replace('+', "\\+"))
}

/// The user in a password file of nginx.
pub(super) fn htpasswd_user(text: &str) -> Result<String, Error> {
    no_control(text, "a user name")?;
    if text.is_empty() || text.contains(':') || text.starts_with('#') {
        return Err(refuse(
            "a user name",
            "is empty, holds `:` or begins with `#`",
        ));
    }
    Ok(text.to_owned())
}

/// The hexadecimal SHA-256 digest of a text.
pub(super) fn sha256(text: &str) -> String {
    if text == super::SENSITIVE {
        return text.to_owned();
    }
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::new(), |mut hex, byte| {
            hex.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            hex.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
            hex
        })
}
