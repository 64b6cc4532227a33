//! References to secrets; the values themselves never stand in a document.

use super::{Malformed, text_scalar};

text_scalar! {
    /// A reference to a secret, which is looked up when a job runs: `secret:` and the name
    /// under which `pressluft secret set` keeps it.
    SecretRef, "secret-ref", ["secret:ssh/web-1", "secret:dns/cloudflare"], secret_ref
}

impl SecretRef {
    /// The name of the secret, without `secret:`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.strip_prefix("secret:").unwrap_or(&self.0)
    }
}

/// The text may be the secret itself, so no message repeats it.
fn secret_ref(text: &str) -> Result<(), Malformed> {
    let Some(name) = text.strip_prefix("secret:") else {
        return Err(Malformed::new("a secret field holds a literal value").hint(
            "store it with `pressluft secret set NAME` and write `secret:NAME` here; \
             a value that was committed should be replaced",
        ));
    };
    let parts_fit = name.split('/').all(|part| {
        !part.is_empty()
            && part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
    });
    if parts_fit && !name.contains("..") && name.len() <= 200 {
        return Ok(());
    }
    Err(
        Malformed::new("the name after `secret:` is not a name of a secret")
            .hint("use lower-case letters, digits, `-`, `_`, `.`, in parts divided by `/`"),
    )
}
