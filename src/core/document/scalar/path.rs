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
    Ok(())
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
