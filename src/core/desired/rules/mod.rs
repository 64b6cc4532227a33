//! Rules that need more than one document, or more than one field.
//!
//! Each rule looks at effective values and adds what it finds; none of them stops another.

mod bounds;
mod domains;
mod environments;
mod extensions;
mod identity;
mod languages;
mod lists;
mod machines;
mod moved;
mod nodes;
mod places;
mod redirects;
mod references;
mod secrets;
mod sources;

use std::collections::{BTreeMap, HashMap};

pub(super) use machines::{Mark, marks};

use super::Resource;
use super::findings::Findings;
use crate::core::document::read::Broken;
use crate::core::document::{DocumentKind, Environment, Fleet, Node, Site};
use crate::core::secret_owner::Reserved;

/// All resources of a commit before it is known whether they are right.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) fleet: Option<Resource<Fleet>>,
    pub(crate) nodes: Vec<Resource<Node>>,
    pub(crate) sites: Vec<Resource<Site>>,
    pub(crate) environments: Vec<Resource<Environment>>,
    pub(crate) known: Known,
    /// Whether the defaults are those that the operator wrote.
    pub(crate) fleet_is_known: bool,
}

/// What exists without being readable.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) broken: Vec<Broken>,
}

impl Known {
    fn is_broken(&self, kind: DocumentKind, name: &str) -> bool {
        self.broken
            .iter()
            .any(|b| b.kind == Some(kind) && b.name.as_deref() == Some(name))
    }

    fn is_broken_environment(&self, site: &str, name: &str) -> bool {
        self.broken.iter().any(|b| {
            b.kind == Some(DocumentKind::Environment)
                && b.site.as_deref() == Some(site)
                && b.name.as_deref() == Some(name)
        })
    }

    /// Whether one of the documents that cannot be read may be the production of a site.
    fn may_be_production_of(&self, site: &str) -> bool {
        self.broken.iter().any(|b| {
            b.kind == Some(DocumentKind::Environment)
                && b.site.as_deref() == Some(site)
                && !matches!(b.r#type.as_deref(), Some("staging" | "clone"))
        })
    }
}

/// The draft by name. Of two resources with one id the first one counts.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    pub(crate) draft: &'a Draft,
    pub(crate) nodes: HashMap<&'a str, &'a Resource<Node>>,
    pub(crate) sites: HashMap<&'a str, &'a Resource<Site>>,
    /// By site, then by name.
    pub(crate) environments: HashMap<&'a str, BTreeMap<&'a str, &'a Resource<Environment>>>,
}

impl<'a> Index<'a> {
    fn new(draft: &'a Draft) -> Self {
        let mut index = Self {
            draft,
            nodes: HashMap::with_capacity(draft.nodes.len()),
            sites: HashMap::with_capacity(draft.sites.len()),
            environments: HashMap::with_capacity(draft.sites.len()),
        };
        for node in &draft.nodes {
            index.nodes.entry(node.value.name.as_str()).or_insert(node);
        }
        for site in &draft.sites {
            index.sites.entry(site.value.name.as_str()).or_insert(site);
        }
        for environment in &draft.environments {
            let value = &environment.value;
            let of = index.environments.entry(value.site.as_str()).or_default();
            of.entry(value.name.as_str()).or_insert(environment);
        }
        index
    }

    /// The environment `name` of `site`.
    fn environment(&self, site: &str, name: &str) -> Option<&'a Resource<Environment>> {
        self.environments.get(site)?.get(name).copied()
    }

    /// Whether no document before this one has the same id.
    fn is_first(&self, environment: &Resource<Environment>) -> bool {
        let value = &environment.value;
        self.environment(value.site.as_str(), value.name.as_str())
            .is_some_and(|first| std::ptr::eq(first, environment))
    }

    /// The node that an environment runs on.
    fn node_of(&self, environment: &'a Environment) -> Option<&'a Resource<Node>> {
        let name = match &environment.node {
            Some(node) => node.as_str(),
            // Which node was meant is not known while that of the site is wrong.
            None if self
                .sites
                .get(environment.site.as_str())?
                .source
                .lost("node") =>
            {
                return None;
            }
            None => self
                .sites
                .get(environment.site.as_str())?
                .value
                .node
                .as_str(),
        };
        self.nodes.get(name).copied()
    }
}

/// Checks every rule. `reserved` are names of secrets that the control plane keeps to itself.
pub(crate) fn check(draft: &Draft, reserved: &Reserved, findings: &mut Findings) {
    let index = Index::new(draft);
    identity::check(draft, findings);
    references::check(&index, findings);
    environments::check(&index, findings);
    domains::check(&index, findings);
    redirects::check(draft, findings);
    machines::check(&index, findings);
    nodes::check(&index, findings);
    sources::check(draft, findings);
    languages::check(draft, findings);
    extensions::check(draft, findings);
    lists::check(draft, findings);
    bounds::check(draft, findings);
    moved::check(&index, findings);
    secrets::check(draft, reserved, findings);
    places::check(draft, findings);
}
