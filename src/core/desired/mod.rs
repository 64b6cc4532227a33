//! Desired state: all documents of one commit, with defaults merged and all rules checked.

mod assemble;
mod catalog;
mod findings;
mod plain;
mod pruned;
mod recheck;
mod rules;
mod spec;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::diagnostic::Diagnostic;
use crate::core::document::read::Lost;
use crate::core::document::{Environment, Fleet, Node, Site};
use crate::core::id::ResourceId;
use crate::core::spec::{Spec, SpecHash};

pub use assemble::{assemble, without_rules};
pub use catalog::{Catalog, Listed};
pub use plain::{defaults, plain};
pub use recheck::{Changes, Rechecked, recheck};
pub use spec::{HasSpec, SpecError};

/// The file that holds the `Fleet` document.
pub const FLEET_FILE: &str = "pressluft.yaml";

/// Where a resource is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Relative to the fleet root, with `/`.
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
    /// What of the document is wrong, so that rules do not take what is missing there for left
    /// out. Empty in a desired state.
    pub(crate) lost: Lost,
}

impl Source {
    /// Whether something below a field at the top is wrong and therefore missing.
    pub(crate) fn lost(&self, field: &str) -> bool {
        self.lost.field(field)
    }
}

/// One resource of the desired state.
#[derive(Clone, Debug)]
pub struct Resource<T> {
    /// Every field has its value.
    pub value: T,
    pub source: Source,
    /// A digest of what is written and of the defaults below it. Equal fingerprints mean
    /// equal specs; unequal ones say nothing, and the specs decide.
    pub fingerprint: SpecHash,
}

impl<T: HasSpec> Resource<T> {
    /// The canonical form that is compared and recorded.
    #[must_use]
    pub fn spec(&self) -> Spec {
        self.value.spec()
    }

    /// The digest of that.
    #[must_use]
    pub fn hash(&self) -> SpecHash {
        self.value.spec_hash()
    }

    /// The id of the resource.
    #[must_use]
    pub fn id(&self) -> ResourceId {
        self.value.id()
    }
}

/// All resources of a commit that passed every rule.
#[derive(Clone, Debug)]
pub struct Desired {
    pub fleet: Resource<Fleet>,
    /// By name.
    pub nodes: BTreeMap<String, Resource<Node>>,
    /// By name.
    pub sites: BTreeMap<String, Resource<Site>>,
    /// By site and name.
    pub environments: BTreeMap<(String, String), Resource<Environment>>,
}

impl Desired {
    /// The environment `name` of `site`.
    #[must_use]
    pub fn environment(&self, site: &str, name: &str) -> Option<&Resource<Environment>> {
        self.environments.get(&(site.to_owned(), name.to_owned()))
    }

    /// The spec of a resource, if a document asks for it.
    #[must_use]
    pub fn spec(&self, id: &ResourceId) -> Option<Spec> {
        Some(match id {
            ResourceId::Fleet => self.fleet.spec(),
            ResourceId::Node(name) => self.nodes.get(name)?.spec(),
            ResourceId::Site(name) => self.sites.get(name)?.spec(),
            ResourceId::Env { site, name } => self.environment(site, name)?.spec(),
        })
    }

    /// The digest of the spec of a resource, if a document asks for it.
    #[must_use]
    pub fn hash(&self, id: &ResourceId) -> Option<SpecHash> {
        Some(match id {
            ResourceId::Fleet => self.fleet.hash(),
            ResourceId::Node(name) => self.nodes.get(name)?.hash(),
            ResourceId::Site(name) => self.sites.get(name)?.hash(),
            ResourceId::Env { site, name } => self.environment(site, name)?.hash(),
        })
    }

    /// Takes in the resources of `other`, a part of the same fleet.
    pub fn absorb(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
        self.sites.extend(other.sites);
        self.environments.extend(other.environments);
    }

    /// The node that an environment runs on: its own or that of its site.
    #[must_use]
    pub fn node_of(&self, environment: &Environment) -> Option<&Resource<Node>> {
        let name = match &environment.node {
            Some(node) => node.as_str(),
            None => self
                .sites
                .get(environment.site.as_str())?
                .value
                .node
                .as_str(),
        };
        self.nodes.get(name)
    }

    /// The environments of a site, by name.
    pub fn environments_of(&self, site: &str) -> impl Iterator<Item = &Resource<Environment>> {
        self.environments
            .range((site.to_owned(), String::new())..)
            .take_while({
                let site = site.to_owned();
                move |((of, _), _)| *of == site
            })
            .map(|(_, environment)| environment)
    }
}

/// What came of the files of a commit.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// None when there is an error: a commit that is partly wrong is not carried out.
    pub desired: Option<Desired>,
    /// Sorted by file, line and column.
    pub diagnostics: Vec<Diagnostic>,
    /// How many documents there are, those with errors included.
    pub documents: usize,
}
