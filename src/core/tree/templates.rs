//! The templates: those in the binary, each replaceable by one from the fleet repo.
//!
//! Ours are rendered here. One of the fleet repo is written by whoever may commit, so it is
//! rendered elsewhere, in bounds, and sees no secret unless its file is one.

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::Serde;

use super::RenderError;
use super::context::Named;
use super::engine;
use super::request::{RenderInBounds, RenderRequest};
use crate::core::fingerprint::TemplateFingerprints;
use crate::core::id::ResourceKind;

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../ansible/templates/", $name)))),+]
    };
}

const EMBEDDED: &[(&str, &str)] = embedded![
    "apt/auto-upgrades",
    "apt/unattended-upgrades",
    "apt/upgrade.timer",
    "certbot/deploy.sh",
    "fail2ban/jail.local",
    "fail2ban/login.conf",
    "fail2ban/xmlrpc.conf",
    "logrotate/environment.conf",
    "logrotate/node.conf",
    "mariadb/pressluft.cnf",
    "nftables/nftables.conf",
    "nginx/default.conf",
    "nginx/deny.conf",
    "nginx/htpasswd",
    "nginx/nginx.conf",
    "nginx/php.conf",
    "nginx/purge.sh",
    "nginx/site.conf",
    "php/environment.ini",
    "php/fpm.conf",
    "php/node-pool.conf",
    "php/node.ini",
    "redis/environment.conf",
    "ssh/socket.conf",
    "ssh/sshd.conf",
    "sysctl/pressluft.conf",
    "systemd/cron.service",
    "systemd/cron.timer",
    "systemd/journald.conf",
    "systemd/logrotate.conf",
    "systemd/mariadb.conf",
    "systemd/php.service",
    "systemd/php.socket",
    "systemd/proc-group.conf",
    "systemd/proc.service",
    "systemd/purge.path",
    "systemd/purge.service",
    "systemd/reboot.service",
    "systemd/reboot.timer",
    "systemd/redis.service",
    "systemd/sandbox.conf",
    "systemd/swap.service",
    "systemd/sysusers.conf",
    "systemd/tmpfiles.conf",
    "wordpress/pressluft.php",
    "wordpress/wp-cli.yml",
    "wordpress/wp-config.php",
];

/// What the files of an environment are made of; the others make those of a node.
const OF_ENVIRONMENTS: &[&str] = &[
    "logrotate/environment.conf",
    "nginx/htpasswd",
    "nginx/site.conf",
    "php/environment.ini",
    "php/fpm.conf",
    "redis/environment.conf",
    "systemd/cron.service",
    "systemd/cron.timer",
    "systemd/php.service",
    "systemd/php.socket",
    "systemd/purge.path",
    "systemd/purge.service",
    "systemd/redis.service",
    "systemd/sandbox.conf",
    "wordpress/pressluft.php",
    "wordpress/wp-cli.yml",
    "wordpress/wp-config.php",
];

/// The templates of this version, and those of the fleet repo that take their place.
#[derive(Clone, Debug)]
pub struct Templates {
    /// By the path below `templates/`.
    overrides: BTreeMap<String, String>,
    in_bounds: Option<RenderInBounds>,
}

impl Templates {
    /// The templates of this version.
    #[must_use]
    pub fn embedded() -> Self {
        Self {
            overrides: BTreeMap::new(),
            in_bounds: None,
        }
    }

    /// The same, but those of the fleet repo in the place of ours; `in_bounds` renders them.
    ///
    /// # Errors
    /// [`RenderError::UnknownTemplate`] when there is nothing to replace at a path.
    pub fn with_overrides(
        overrides: BTreeMap<String, String>,
        in_bounds: RenderInBounds,
    ) -> Result<Self, RenderError> {
        match overrides.keys().find(|path| source(path).is_none()) {
            Some(unknown) => Err(RenderError::UnknownTemplate(unknown.clone())),
            None => Ok(Self {
                overrides,
                in_bounds: Some(in_bounds),
            }),
        }
    }

    /// The paths of all templates, sorted.
    pub fn names() -> impl Iterator<Item = &'static str> {
        EMBEDDED.iter().map(|(name, _)| *name)
    }

    /// What is recorded of the fleet repo's templates, for each kind of resource whose files are made of them.
    #[must_use]
    pub fn fingerprints(overrides: &BTreeMap<String, String>) -> TemplateFingerprints {
        let is_own =
            |kind, path: &str| OF_ENVIRONMENTS.contains(&path) == (kind == ResourceKind::Env);
        let is_open = |kind| {
            let mut own = overrides.iter().filter(|(path, _)| is_own(kind, path));
            own.any(|(_, text)| takes_in_others(text))
        };
        let (of_node, of_environment) = (is_open(ResourceKind::Node), is_open(ResourceKind::Env));
        TemplateFingerprints::new(overrides, |kind, path| match kind {
            ResourceKind::Node => of_node || is_own(kind, path),
            ResourceKind::Env => of_environment || is_own(kind, path),
            ResourceKind::Fleet | ResourceKind::Site => false,
        })
    }

    /// Renders one template. References to secrets are looked up in `named`.
    pub(super) fn render(
        &self,
        name: &str,
        view: &Value,
        named: &Named,
    ) -> Result<String, RenderError> {
        let text = match self.overrides.get(name) {
            Some(text) => text,
            None => {
                let unknown = || RenderError::UnknownTemplate(name.to_owned());
                let text = source(name).ok_or_else(unknown)?;
                if !self.replaces_part_of(text) {
                    return engine::render(name, view, named);
                }
                text
            }
        };
        let in_bounds = self
            .in_bounds
            .ok_or(RenderError::Missing("a place to render templates in"))?;
        let request = RenderRequest::new(name, text, &self.overrides, view, named)?;
        in_bounds(&request)
    }
}

impl Templates {
    /// Whether one of ours includes one that the fleet repo replaces.
    fn replaces_part_of(&self, text: &str) -> bool {
        let mut overrides = self.overrides.keys();
        overrides.any(|path| text.contains(&format!("include \"{path}\"")))
    }
}

/// Whether a template may take in any other one: it has a tag for that.
fn takes_in_others(text: &str) -> bool {
    let words = text.split("{%").skip(1).map(|tag| {
        let tag = tag.trim_start_matches(['-', '+']).trim_start();
        tag.split(|c: char| !c.is_alphanumeric()).next()
    });
    let mut words = words.flatten();
    words.any(|word| matches!(word, "include" | "import" | "from" | "extends"))
}

/// The text of one of our templates.
pub(super) fn source(name: &str) -> Option<&'static str> {
    let index = EMBEDDED.binary_search_by(|(known, _)| (*known).cmp(name));
    Some(EMBEDDED.get(index.ok()?)?.1)
}

/// Any value as templates see it.
pub(super) fn seen<T: serde::Serialize>(value: T) -> Value {
    Value::from(Serde(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_templates_are_found_by_their_name() {
        assert!(EMBEDDED.is_sorted_by_key(|(name, _)| *name));
        assert!(EMBEDDED.iter().all(|(name, _)| source(name).is_some()));
        assert!(OF_ENVIRONMENTS.iter().all(|name| source(name).is_some()));
        assert_eq!(source("nginx/none.conf"), None);
    }
}
