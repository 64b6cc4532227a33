//! Secrets are used by whom they belong to, or who was granted them, and named only where one is
//! looked up.
//!
//! What decides over a document is the document itself and the `Fleet`, so a part of a fleet can be
//! checked without the rest.

use std::collections::BTreeSet;

use super::Draft;
use crate::core::desired::findings::{Findings, fields};
use crate::core::desired::{HasSpec, Resource, Source};
use crate::core::document::Fleet;
use crate::core::document::fleet::Grant;
use crate::core::document::read::Step;
use crate::core::document::secret_text::{SecretText, find};
use crate::core::id::{ResourceId, ResourceKind};
use crate::core::secret_owner::{NotOwned, Owners, Reserved, User};

/// What the fleet lays under every document of a kind, by the path in such a document.
type Defaults = BTreeSet<(ResourceKind, Vec<String>, String)>;

pub(super) fn check(draft: &Draft, reserved: &Reserved, findings: &mut Findings) {
    let fleet = draft.fleet.as_ref();
    let grants = fleet.map_or(&[][..], |fleet| &fleet.value.secrets.grants);
    // Who is granted what is not known while the fleet, or this part of it, cannot be read.
    let is_known = draft.fleet_is_known && fleet.is_none_or(|fleet| !fleet.source.lost("secrets"));
    let rule = Rule {
        owners: Owners { grants, reserved },
        is_known,
    };
    let defaults = match fleet {
        Some(fleet) => {
            of_grants(fleet, reserved, findings);
            rule.of_fleet(fleet, findings)
        }
        None => Defaults::new(),
    };
    let nodes = draft.nodes.iter();
    nodes.for_each(|node| rule.of_document(node, &defaults, findings));
    let sites = draft.sites.iter();
    sites.for_each(|site| rule.of_document(site, &defaults, findings));
    let environments = draft.environments.iter();
    environments.for_each(|environment| rule.of_document(environment, &defaults, findings));
}

/// What the control plane keeps to itself is granted to nobody.
fn of_grants(fleet: &Resource<Fleet>, reserved: &Reserved, findings: &mut Findings) {
    let at = |index: usize, field: &'static str| {
        let mut path = fields(["secrets", "grants"]);
        path.extend([Step::Item(index), Step::Field(field)]);
        path
    };
    for (index, Grant { secret, to }) in fleet.value.secrets.grants.iter().enumerate() {
        let pattern = secret.as_str();
        let name = pattern.strip_suffix("/*").map(|all| format!("{all}/any"));
        let mut taken = reserved.names().filter(|name| secret.covers(name));
        let of_settings = taken.next();
        if of_settings.is_some() || reserved.contains(name.as_deref().unwrap_or(pattern)) {
            let why = match of_settings {
                Some(name) => format!("settings of the control plane use `{name}`"),
                None => "it belongs to the control plane".to_owned(),
            };
            findings
                .error(
                    &fleet.source,
                    at(index, "secret"),
                    "reserved-secret",
                    format!("the secret `{pattern}` cannot be granted: {why}"),
                )
                .hint("store another one for whom this is meant, and grant that");
        }
        if to.is_empty() && !fleet.source.lost("secrets") {
            findings
                .error(
                    &fleet.source,
                    at(index, "to"),
                    "empty-list",
                    "`secrets.grants[].to` is empty",
                )
                .hint("name at least one");
        }
    }
}

struct Rule<'a> {
    owners: Owners<'a>,
    is_known: bool,
}

impl Rule<'_> {
    /// The fleet's own fields, and what it lays under documents, which is also returned.
    fn of_fleet(&self, fleet: &Resource<Fleet>, findings: &mut Findings) -> Defaults {
        let mut defaults = Defaults::new();
        for found in find(&fleet.value) {
            let user = match found.path.as_slice() {
                [Step::Field("defaults"), Step::Field(kind), rest @ ..] => {
                    let (kind, user) = match *kind {
                        "node" => (ResourceKind::Node, User::Nodes),
                        "site" => (ResourceKind::Site, User::Sites),
                        _ => (ResourceKind::Env, User::Sites),
                    };
                    defaults.insert((kind, names(rest), found.text.clone()));
                    user
                }
                _ => User::Resource(ResourceId::Fleet),
            };
            self.one(&fleet.source, found, &user, findings);
        }
        defaults
    }

    fn of_document<T: HasSpec>(
        &self,
        resource: &Resource<T>,
        defaults: &Defaults,
        findings: &mut Findings,
    ) {
        let all = find(&resource.value);
        if all.is_empty() {
            return;
        }
        let id = resource.id();
        for found in all {
            // What is wrong with a default is told once, where it is written.
            let default = (id.kind(), names(&found.path), found.text.clone());
            if !defaults.contains(&default) {
                let user = User::Resource(id.clone());
                self.one(&resource.source, found, &user, findings);
            }
        }
    }

    fn one(&self, source: &Source, found: SecretText, user: &User, findings: &mut Findings) {
        if !found.is_reference {
            let field = names(&found.path).join(".");
            findings
                .error(
                    source,
                    found.path,
                    "misplaced-secret",
                    format!("`{field}` begins with `secret:`, and no secret is looked up there"),
                )
                .hint(
                    "write the text itself; `docs/secrets.md` lists the fields that take a secret",
                );
            return;
        }
        let refused = match self.owners.check(found.name(), user) {
            Err(refused) if self.is_known || self.owners.reserved.contains(found.name()) => refused,
            Ok(()) | Err(NotOwned { .. }) => return,
        };
        findings
            .error(source, found.path, "secret-not-owned", refused.to_string())
            .hint(refused.hint());
    }
}

/// A path as its words.
fn names(path: &[Step]) -> Vec<String> {
    path.iter()
        .map(|step| match step {
            Step::Field(name) => (*name).to_owned(),
            Step::Entry(name) => name.clone(),
            Step::Item(index) => index.to_string(),
        })
        .collect()
}
