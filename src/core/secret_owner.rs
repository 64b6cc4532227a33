//! Whose a secret is, and who may use it.
//!
//! The owner of a secret is its name: `sites/<site>/…` is of that site and its environments,
//! `nodes/<node>/…` of that node, `control/…` of the control plane alone, and every other name of
//! the fleet: of the `Fleet` document's own fields. A grant in the `Fleet` lets others use it. The
//! same rule is asked when documents are checked, when a job is packed, and when its secrets are
//! revealed.

use std::collections::BTreeSet;
use std::fmt;

use super::document::fleet::Grant;
use super::id::ResourceId;
use super::spec::Spec;

/// Whose a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    Site(String),
    Node(String),
    /// The `Fleet` document's own fields.
    Fleet,
    /// Nothing that a commit holds.
    ControlPlane,
    /// Settings of this control plane.
    Settings,
    /// The name looks like one with an owner and names none.
    Nobody,
}

/// The names that the settings of this control plane use. No document may, whoever is granted them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reserved(BTreeSet<String>);

/// Who wants to use a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    Resource(ResourceId),
    /// Every node: `defaults.node` of the fleet.
    Nodes,
    /// Every site with its environments: `defaults.site` and `defaults.environment` of the fleet.
    Sites,
}

/// That somebody may not use a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NotOwned {
    pub name: String,
    pub owner: Owner,
    pub user: User,
}

/// What decides over the secrets of one state of the fleet.
#[derive(Clone, Copy, Debug)]
pub struct Owners<'a> {
    pub grants: &'a [Grant],
    pub reserved: &'a Reserved,
}

impl Reserved {
    /// These names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether settings use the secret, or the control plane keeps the name to itself.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        matches!(self.owner(name), Owner::ControlPlane | Owner::Settings)
    }

    /// Whose the secret `name` is.
    #[must_use]
    pub fn owner(&self, name: &str) -> Owner {
        // Before anything else: settings may use a name of any form.
        if self.0.contains(name) {
            return Owner::Settings;
        }
        let mut parts = name.splitn(3, '/');
        let owner = parts.next().unwrap_or_default();
        match (owner, parts.next(), parts.next()) {
            ("control", Some(_), _) => Owner::ControlPlane,
            ("sites", Some(site), Some(_)) => Owner::Site(site.to_owned()),
            ("nodes", Some(node), Some(_)) => Owner::Node(node.to_owned()),
            ("sites" | "nodes", Some(_), None) => Owner::Nobody,
            _ => Owner::Fleet,
        }
    }
}

impl Owners<'_> {
    /// Whether `user` may use the secret `name`.
    ///
    /// # Errors
    /// [`NotOwned`] with whose it is.
    pub fn check(&self, name: &str, user: &User) -> Result<(), NotOwned> {
        let owner = self.reserved.owner(name);
        let is_own = match (&owner, user) {
            (Owner::Site(site), User::Resource(id)) => id.site() == Some(site),
            (Owner::Node(node), User::Resource(ResourceId::Node(name))) => name == node,
            (Owner::Fleet, User::Resource(ResourceId::Fleet)) => true,
            _ => false,
        };
        let is_grantable = matches!(owner, Owner::Site(_) | Owner::Node(_) | Owner::Fleet);
        let is_granted = || {
            let mut grants = self.grants.iter();
            is_grantable && grants.any(|grant| grant.covers(name) && grant.is_for(user))
        };
        if is_own || is_granted() {
            return Ok(());
        }
        Err(NotOwned {
            name: name.to_owned(),
            owner,
            user: user.clone(),
        })
    }
}

/// The grants of a recorded fleet. One that this version cannot read grants nothing.
#[must_use]
pub fn grants_of(fleet: &Spec) -> Vec<Grant> {
    let grants = fleet.get("secrets.grants").cloned();
    grants
        .and_then(|grants| serde_json::from_value(grants).ok())
        .unwrap_or_default()
}

impl User {
    /// What a grant names to let it use a secret.
    fn grantee(&self) -> String {
        match self {
            // A secret of a site is the site's and not one environment's.
            Self::Resource(ResourceId::Env { site, .. }) => format!("site/{site}"),
            Self::Resource(id) => id.to_string(),
            Self::Nodes => "nodes".to_owned(),
            Self::Sites => "sites".to_owned(),
        }
    }
}

impl fmt::Display for NotOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, owner, user } = self;
        match owner {
            Owner::Site(site) => write!(f, "the secret `{name}` belongs to `site/{site}`")?,
            Owner::Node(node) => write!(f, "the secret `{name}` belongs to `node/{node}`")?,
            Owner::Fleet => write!(f, "the secret `{name}` belongs to the fleet")?,
            Owner::ControlPlane => write!(f, "the secret `{name}` belongs to the control plane")?,
            Owner::Settings => write!(
                f,
                "the secret `{name}` belongs to the control plane, whose settings use it"
            )?,
            Owner::Nobody => return write!(f, "`{name}` is not the whole name of a secret"),
        }
        match user {
            User::Resource(id) => write!(f, "; `{id}` may not use it"),
            User::Nodes => f.write_str("; not every node may use it"),
            User::Sites => f.write_str("; not every site may use it"),
        }
    }
}

impl NotOwned {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> String {
        let Self { name, owner, user } = self;
        let own = self.own_name();
        let grant = format!(
            "grant it in the `Fleet`: `secrets: {{grants: [{{secret: {name}, to: [{}]}}]}}`",
            user.grantee()
        );
        match (owner, user) {
            (Owner::Nobody, _) => format!(
                "`sites/SITE/NAME` is a secret of a site, `nodes/NODE/NAME` one of a node, such as \
                 `{own}`"
            ),
            (Owner::ControlPlane | Owner::Settings, _) => {
                format!("store another one for this: `pressluft secret set {own}`")
            }
            (_, User::Resource(ResourceId::Fleet)) => format!(
                "store one of the fleet's own, with a name that begins neither with `sites/` nor \
                 with `nodes/`: `pressluft secret set {own}`"
            ),
            (_, User::Nodes | User::Sites) => {
                format!("name it in each document that needs it, or {grant}")
            }
            (Owner::Fleet, _) => format!(
                "make it its own with `pressluft secret move {name} {own}` (`--repo DIR` for a file \
                 of the fleet repo) and write `secret:{own}`, or {grant}"
            ),
            (Owner::Site(_) | Owner::Node(_), _) => format!(
                "store one of its own with `pressluft secret set {own}` and write `secret:{own}`, \
                 or {grant}"
            ),
        }
    }

    /// A name that the user may use: the last parts of this one, without the user's own name,
    /// which the new one begins with.
    fn own_name(&self) -> String {
        let prefix = match &self.user {
            User::Resource(ResourceId::Node(node)) => Some(("nodes", node.as_str())),
            User::Resource(id) => id.site().map(|site| ("sites", site)),
            User::Nodes | User::Sites => None,
        };
        let owner = prefix.map_or("", |(_, owner)| owner);
        let skipped = match self.owner {
            Owner::Site(_) | Owner::Node(_) => 2,
            Owner::ControlPlane | Owner::Nobody => 1,
            Owner::Fleet | Owner::Settings => 0,
        };
        let parts: Vec<&str> = self.name.split('/').skip(skipped).collect();
        let mut rest: Vec<&str> = parts
            .iter()
            .copied()
            .filter(|part| *part != owner)
            .collect();
        if rest.is_empty() {
            rest = vec![if parts.is_empty() || self.owner == Owner::Nobody {
                "NAME"
            } else {
                owner
            }];
        }
        let rest = rest.join("/");
        match prefix {
            Some((kind, owner)) => format!("{kind}/{owner}/{rest}"),
            None => rest,
        }
    }
}

#[cfg(test)]
mod tests;
