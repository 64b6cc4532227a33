//! Text that people read.

use super::{Malformed, printable, text_scalar};

text_scalar! {
    /// One line of any printable text.
    Text, "text", ["Acme Bakery"], text
}

fn text(text: &str) -> Result<(), Malformed> {
    if text.trim().is_empty() {
        return Err(Malformed::new("the text is empty"));
    }
    if text.chars().count() > 2000 {
        return Err(Malformed::new("the text is longer than 2000 characters"));
    }
    printable(text)
}

impl From<&super::Slug> for Text {
    fn from(slug: &super::Slug) -> Self {
        Self(slug.as_str().to_owned())
    }
}
