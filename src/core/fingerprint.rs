//! What the files of a resource are made of besides its spec: the values behind its references to secrets, and the fleet
//! repo's own templates. A digest of each is recorded beside the spec, so that a plan sees that it changed.
//!
//! They stand in one map. A secret's has the name of the field that refers to it, a template's that of its file.

use std::collections::BTreeMap;

use super::id::ResourceKind;
use super::spec::SpecHash;

/// The folder of templates. No field has its name.
pub const TEMPLATES: &str = "templates";

/// Digests by name.
pub type Fingerprints = BTreeMap<String, String>;

/// Whether it is that of a template.
#[must_use]
pub fn is_template(name: &str) -> bool {
    file(name).is_some()
}

/// The path below the folder of the template that has this name; none for a secret.
fn file(name: &str) -> Option<&str> {
    name.strip_prefix(TEMPLATES)?.strip_prefix('/')
}

/// The name as the path of a leaf, which tells who carries it out.
#[must_use]
pub fn path(name: &str) -> Vec<&str> {
    match file(name) {
        Some(file) => vec![TEMPLATES, file],
        None => name.split('.').collect(),
    }
}

/// A digest of all that the files of a resource are made of: of its spec, and of what is besides it. Two of one resource
/// are equal when nothing is left to do.
#[must_use]
pub fn form(spec: SpecHash, besides: &Fingerprints) -> SpecHash {
    if besides.is_empty() {
        return spec;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&spec.0);
    for text in besides.iter().flat_map(|(name, digest)| [name, digest]) {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    SpecHash(*hasher.finalize().as_bytes())
}

/// Those of the templates that the files of each kind of resource are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateFingerprints {
    node: Fingerprints,
    environment: Fingerprints,
}

impl TemplateFingerprints {
    /// Of the fleet repo's templates, by path below their folder. `is_seen` says whether files of a kind are made of one.
    pub fn new(
        templates: &BTreeMap<String, String>,
        is_seen: impl Fn(ResourceKind, &str) -> bool,
    ) -> Self {
        let of = |kind| {
            let seen = templates.iter().filter(|(path, _)| is_seen(kind, path));
            seen.map(|(path, text)| (format!("{TEMPLATES}/{path}"), digest(text)))
                .collect()
        };
        Self {
            node: of(ResourceKind::Node),
            environment: of(ResourceKind::Env),
        }
    }

    #[must_use]
    pub fn of(&self, kind: ResourceKind) -> &Fingerprints {
        static NONE: Fingerprints = Fingerprints::new();
        match kind {
            ResourceKind::Node => &self.node,
            ResourceKind::Env => &self.environment,
            // Files are made for nodes and environments.
            ResourceKind::Fleet | ResourceKind::Site => &NONE,
        }
    }

    /// Whether what is recorded of a resource's templates is what there is now.
    #[must_use]
    pub fn are_recorded(&self, kind: ResourceKind, recorded: &Fingerprints) -> bool {
        let recorded = recorded.iter().filter(|(name, _)| is_template(name));
        recorded.eq(self.of(kind))
    }
}

/// As long as a person can compare.
fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_it_is() {
        assert_eq!(path("http.basic_auth"), ["http", "basic_auth"]);
        assert_eq!(
            path("templates/nginx/site.conf"),
            ["templates", "nginx/site.conf"]
        );
        assert!(!is_template("templates"));
    }

    #[test]
    fn each_kind_has_the_templates_that_it_sees() {
        let texts = ["a", "b"].map(|name| (name.to_owned(), format!("text of {name}")));
        let found = TemplateFingerprints::new(&texts.into(), |kind, path| {
            kind == ResourceKind::Node || path == "b"
        });
        let names = |kind| found.of(kind).keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(ResourceKind::Node), ["templates/a", "templates/b"]);
        assert_eq!(names(ResourceKind::Env), ["templates/b"]);
        assert_eq!(names(ResourceKind::Site), [""; 0]);
        let mut recorded = found.of(ResourceKind::Env).clone();
        recorded.insert("http.basic_auth".to_owned(), "x".to_owned());
        assert!(found.are_recorded(ResourceKind::Env, &recorded));
        assert!(!found.are_recorded(ResourceKind::Node, &recorded));
        assert!(!found.are_recorded(ResourceKind::Site, &recorded));
    }
}
