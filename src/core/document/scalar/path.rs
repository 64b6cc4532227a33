//! Paths in URLs and below directories that Pressluft chooses.

use super::{Malformed, printable, quoted, text_scalar};

text_scalar! {
    /// A path of the site, from its root.
    UrlPath, "url-path", ["/shop/", "/wp-json/acme/"], url_path
}

text_scalar! {
    /// A path below the directory that the field is about, without `..`.
    RelativePath, "relative-path", ["wp-content", "wp-content/uploads/menus"], relative_path
}

impl UrlPath {
    /// The front page.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }
}

impl RelativePath {
    /// `wp-content`.
    #[must_use]
    pub fn wp_content() -> Self {
        Self("wp-content".to_owned())
    }
}

pub(super) fn url_path(text: &str) -> Result<(), Malformed> {
    printable(text)?;
    let refuse =
        |why: &str| {
            Err(Malformed::new(format!("{} is not a path of a URL: {why}", quoted(text)))
            .hint("begin with `/` and percent-encode what is not a letter, digit or sign of a URL"))
        };
    if !text.starts_with('/') {
        return refuse("it does not begin with `/`");
    }
    if text.len() > 1024 {
        return refuse("it is longer than 1024 characters");
    }
    if text.split(['/', '?']).any(|part| part == "..") {
        return refuse("it holds `..`");
    }
    if !text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"/-._~!&()*+,=:@%?".contains(&b))
    {
        return refuse("it has a character that a URL cannot have as it is");
    }
    let is_encoded = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_encoded) {
        return refuse("a `%` in it is not followed by two hexadecimal digits");
    }
    if decoded(text).chars().any(char::is_control) {
        return refuse("it encodes a control character");
    }
    Ok(())
}

/// `text` without percent-encoding, or as it is when that gives no UTF-8.
pub(crate) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        // A number may have a sign; a byte of an address has two digits.
        let hex = text
            .get(index + 1..index + 3)
            .filter(|hex| *byte == b'%' && hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                plain.push(value);
                index += 3;
            }
            None => {
                plain.push(*byte);
                index += 1;
            }
        }
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_owned())
}

fn relative_path(text: &str) -> Result<(), Malformed> {
    printable(text)?;
    let refuse = |why: &str| {
        Err(
            Malformed::new(format!("{} is not a relative path: {why}", quoted(text)))
                .hint("write it like `wp-content/uploads`"),
        )
    };
    if text.is_empty() || text.len() > 255 {
        return refuse("it has no or more than 255 characters");
    }
    if text.starts_with('/') {
        return refuse("it begins with `/`");
    }
    if text.starts_with(['-', '~']) {
        return refuse("it begins with a sign that a command could take for something else");
    }
    if text
        .split('/')
        .any(|part| part == ".." || part.is_empty() || part.starts_with('-'))
    {
        return refuse("a part of it is `..`, empty or begins with a dash");
    }
    if !text
        .chars()
        .all(|c| c.is_alphanumeric() || "/-._+@ ".contains(c))
    {
        return refuse("it has signs other than `/`, `-`, `.`, `_`, `+`, `@`");
    }
    Ok(())
}
