//! References to secrets, and who is granted which; the values themselves never stand in a document.

use super::{Malformed, ResourceRef, Scalar, Slug, quoted, text_scalar};
use crate::core::id::ResourceId;
use crate::core::secret_owner::User;

/// What a reference begins with.
pub(crate) const PREFIX: &str = "secret:";

text_scalar! {
    /// A reference to a secret, which is looked up when a job runs: `secret:` and the name
    /// under which `pressluft secret set` keeps it.
    SecretRef, "secret-ref", ["secret:dns/cloudflare", "secret:sites/acme/stripe", "secret:nodes/web-1/ssh"], secret_ref
}

impl SecretRef {
    /// The name of the secret, without `secret:`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.strip_prefix(PREFIX).unwrap_or(&self.0)
    }
}

text_scalar! {
    /// The name of a secret, without `secret:`, or the beginning that several names share and
    /// `/*`.
    SecretPattern, "secret-pattern", ["mail/relay", "mail/*"], secret_pattern
}

impl SecretPattern {
    /// Whether `name` is the name, or one of those with the beginning.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        match self.0.strip_suffix("/*") {
            Some(beginning) => name
                .strip_prefix(beginning)
                .is_some_and(|rest| rest.starts_with('/')),
            None => name == self.0,
        }
    }
}

text_scalar! {
    /// Who may use a secret: a node, a site with its environments, one environment, all `nodes`,
    /// or all `sites` with their environments.
    Grantee, "grantee", ["site/acme", "env/acme/staging", "node/web-1", "sites", "nodes"], grantee
}

impl Grantee {
    /// Whether it is `user`, or `user` is one of those that it stands for.
    #[must_use]
    pub fn is(&self, user: &User) -> bool {
        match (self.0.as_str(), user) {
            ("sites", User::Sites) | ("nodes", User::Nodes) => true,
            ("sites", User::Resource(id)) => id.site().is_some(),
            ("nodes", User::Resource(id)) => matches!(id, ResourceId::Node(_)),
            (text, User::Resource(id)) => match text.parse::<ResourceId>() {
                Ok(ResourceId::Site(site)) => id.site() == Some(&site),
                Ok(known) => known == *id,
                Err(_) => false,
            },
            (_, User::Sites | User::Nodes) => false,
        }
    }
}

fn grantee(text: &str) -> Result<(), Malformed> {
    if matches!(text, "sites" | "nodes") || ResourceRef::parse(text).is_ok() {
        return Ok(());
    }
    Err(Malformed::new(format!(
        "{} is nobody that a secret is granted to",
        quoted(text)
    ))
    .hint(
        "write `site/NAME`, `env/SITE/NAME`, `node/NAME`, `sites` for all sites or `nodes` for \
             all nodes",
    ))
}

fn secret_pattern(text: &str) -> Result<(), Malformed> {
    let name = text.strip_suffix("/*").unwrap_or(text);
    if !is_name(name) {
        return Err(Malformed::new(
            "this is not a name of a secret, nor the beginning of one and `/*`",
        )
        .hint("for example `mail/relay`, without `secret:`, or `mail/*`"));
    }
    let mut parts = name.split('/');
    let is_of_many = matches!(parts.next(), Some("sites" | "nodes"))
        && parts.next().is_none_or(|owner| Slug::parse(owner).is_err());
    if is_of_many {
        return Err(Malformed::new(
            "a grant of the secrets of all sites or all nodes would take them from their owners",
        )
        .hint("name those of one, such as `sites/acme/*`"));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let parts_fit = name.split('/').all(|part| {
        !part.is_empty()
            && part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
    });
    parts_fit && !name.contains("..") && name.len() <= 200
}

/// The text may be the secret itself, so no message repeats it.
fn secret_ref(text: &str) -> Result<(), Malformed> {
    let Some(name) = text.strip_prefix(PREFIX) else {
        return Err(Malformed::new("a secret field holds a literal value").hint(
            "store it with `pressluft secret set NAME` and write `secret:NAME` here; \
             a value that was committed should be replaced",
        ));
    };
    if is_name(name) {
        return Ok(());
    }
    Err(
        Malformed::new("the name after `secret:` is not a name of a secret")
            .hint("use lower-case letters, digits, `-`, `_`, `.`, in parts divided by `/`"),
    )
}
