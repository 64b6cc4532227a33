//! A fleet that passed every rule, in short: what each resource is called, where it is written,
//! the digest of its spec, and what ties it to others.
//!
//! It is small enough to be read in each plan, and says which resources a rule could look at
//! together with one that changed. The documents themselves stay where they are.

use std::collections::BTreeSet;

use bitcode::{Decode, Encode};

use super::rules::{Mark, marks};
use super::{Desired, HasSpec, Resource};
use crate::core::document::environment::EnvironmentType;
use crate::core::document::{Environment, Fleet, Moved, Node, Site};
use crate::core::fast_map::HashMap;
use crate::core::id::ResourceId;
use crate::core::names::system_name;
use crate::core::spec::SpecHash;

/// One resource of a checked fleet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Listed {
    pub id: ResourceId,
    /// The index of its file in [`Catalog::files`].
    pub file: u32,
    /// The line of its document, from 1.
    pub line: u32,
    /// See [`Resource::fingerprint`].
    pub fingerprint: SpecHash,
    /// None where nobody has made it yet: a catalog that is kept has all of them.
    pub hash: Option<SpecHash>,
    /// The node that a site names, or an environment for itself.
    node: Option<String>,
    is_production: bool,
    /// What only one resource of a fleet may have.
    claims: Vec<Claim>,
}

/// Something that one resource of a fleet has for itself, by a digest: its id, a domain, an
/// address. That two of them differ and have one digest costs a full check, nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
struct Claim(u64);

impl Claim {
    fn new(what: &str, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(what.as_bytes()).update(&[0]);
        let hash = hasher.update(name.as_bytes()).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        Self(u64::from_le_bytes(first))
    }

    /// That this id means one thing: the resource that has it, or one that had it before.
    fn id(id: &ResourceId) -> Self {
        Self::new("id", &id.to_string())
    }
}

/// All resources of a checked fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Catalog {
    /// The paths of all files with documents, sorted.
    pub files: Vec<String>,
    /// Sorted by id.
    pub resources: Vec<Listed>,
}

/// The names of sites and nodes whose resources the rules compare with each other.
#[derive(Debug, Default)]
pub(super) struct Neighbourhood<'a> {
    sites: BTreeSet<&'a str>,
    nodes: BTreeSet<&'a str>,
}

impl Catalog {
    /// The catalog of `desired`, whose documents are in `files`, sorted. `hash` gives the hash
    /// of a spec by its fingerprint where that is known.
    #[must_use]
    pub fn new(
        desired: &Desired,
        files: Vec<String>,
        hash: &dyn Fn(SpecHash) -> Option<SpecHash>,
    ) -> Self {
        let mut catalog = Self {
            files,
            resources: Vec::new(),
        };
        catalog.resources = catalog.list(desired, hash);
        catalog
    }

    /// The resources of `desired`, sorted by id.
    fn list(&self, desired: &Desired, hash: &dyn Fn(SpecHash) -> Option<SpecHash>) -> Vec<Listed> {
        let place = |file: &str| {
            self.files
                .binary_search_by(|known| known.as_str().cmp(file))
        };
        let list = Lister {
            place: &|file| place(file).ok().and_then(|index| u32::try_from(index).ok()),
            hash,
        };
        let mut listed = Vec::with_capacity(
            1 + desired.nodes.len() + desired.sites.len() + desired.environments.len(),
        );
        listed.extend(list.one(&desired.fleet));
        listed.extend(desired.nodes.values().filter_map(|node| list.one(node)));
        listed.extend(desired.sites.values().filter_map(|site| list.one(site)));
        listed.extend(
            desired
                .environments
                .values()
                .filter_map(|env| list.one(env)),
        );
        listed
    }

    /// The resource with this id, or none.
    #[must_use]
    pub fn find(&self, id: &ResourceId) -> Option<&Listed> {
        let index = self
            .resources
            .binary_search_by(|listed| listed.id.cmp(id))
            .ok()?;
        self.resources.get(index)
    }

    /// The path of the file that a resource is written in.
    #[must_use]
    pub fn file_of(&self, listed: &Listed) -> &str {
        self.files
            .get(listed.file as usize)
            .map_or("", String::as_str)
    }

    /// The names of all production environments, by their sites'.
    #[must_use]
    pub fn productions(&self) -> HashMap<&str, &str> {
        let environments = self.resources.iter().filter_map(|listed| match &listed.id {
            ResourceId::Env { site, name } if listed.is_production => {
                Some((site.as_str(), name.as_str()))
            }
            _ => None,
        });
        environments.collect()
    }

    /// Whether a resource outside of the files `replaced` has what one of `new` wants for itself.
    pub(super) fn is_claimed(&self, new: &[Listed], replaced: &BTreeSet<u32>) -> bool {
        let wanted: BTreeSet<Claim> = new
            .iter()
            .flat_map(|listed| &listed.claims)
            .copied()
            .collect();
        self.resources
            .iter()
            .filter(|listed| !replaced.contains(&listed.file))
            .any(|listed| listed.claims.iter().any(|claim| wanted.contains(claim)))
    }

    /// Everything whose rules could look at one of the resources of `replaced` files or at one
    /// of `new`: all of their sites, and all that runs on their nodes.
    pub(super) fn around<'a>(
        &'a self,
        new: &'a [Listed],
        replaced: &BTreeSet<u32>,
    ) -> Neighbourhood<'a> {
        let gone = self
            .resources
            .iter()
            .filter(|listed| replaced.contains(&listed.file));
        let mut touched = Neighbourhood::default();
        for listed in gone.chain(new) {
            touched.sites.extend(listed.id.site());
            touched.nodes.extend(listed.own_node());
        }
        // An environment without a node of its own is on that of its site, which has not
        // changed unless its document has.
        let sites = self.resources.iter().filter(|listed| {
            listed
                .id
                .site()
                .is_some_and(|site| touched.sites.contains(site))
        });
        let nodes: Vec<&str> = sites.filter_map(Listed::own_node).collect();
        touched.nodes.extend(nodes);
        let mut around = Neighbourhood::default();
        for listed in &self.resources {
            if listed
                .own_node()
                .is_some_and(|node| touched.nodes.contains(node))
            {
                around.sites.extend(listed.id.site());
            }
        }
        around.sites.extend(&touched.sites);
        // What runs on these nodes is there as a whole; of the other nodes of these sites only
        // the node itself is needed.
        let of_sites = self.resources.iter().chain(new).filter(|listed| {
            listed
                .id
                .site()
                .is_some_and(|site| around.sites.contains(site))
        });
        let nodes: Vec<&str> = of_sites.filter_map(Listed::own_node).collect();
        around.nodes.extend(nodes);
        around.nodes.extend(touched.nodes);
        around
    }

    /// The catalog after the resources of the files `replaced` gave way to those of `desired`
    /// that are in `files`, the new list of all files.
    pub(super) fn replace(
        self,
        replaced: &BTreeSet<u32>,
        files: Vec<String>,
        desired: &Desired,
        is_new: impl Fn(&str) -> bool,
    ) -> Self {
        let Self {
            files: old,
            mut resources,
        } = self;
        resources.retain(|listed| !replaced.contains(&listed.file));
        if old != files {
            let moved: Vec<Option<u32>> = old
                .iter()
                .map(|file| files.binary_search(file).ok())
                .map(|index| index.and_then(|index| u32::try_from(index).ok()))
                .collect();
            resources.retain_mut(|listed| {
                match moved.get(listed.file as usize).copied().flatten() {
                    Some(file) => {
                        listed.file = file;
                        true
                    }
                    None => false,
                }
            });
        }
        let mut next = Self { files, resources };
        let new = next.list(desired, &|_| None).into_iter();
        let new = new.filter(|listed| is_new(next.file_of(listed)));
        let new: Vec<Listed> = new
            .map(|listed| Listed {
                hash: desired.hash(&listed.id),
                ..listed
            })
            .collect();
        next.resources.extend(new);
        next.resources.sort_by(|left, right| left.id.cmp(&right.id));
        next
    }
}

impl Neighbourhood<'_> {
    pub(super) fn contains(&self, id: &ResourceId) -> bool {
        match id {
            ResourceId::Fleet => false,
            ResourceId::Node(name) => self.nodes.contains(name.as_str()),
            ResourceId::Site(site) | ResourceId::Env { site, .. } => {
                self.sites.contains(site.as_str())
            }
        }
    }
}

impl Listed {
    /// The node that the resource is, or names.
    fn own_node(&self) -> Option<&str> {
        match &self.id {
            ResourceId::Node(name) => Some(name),
            ResourceId::Fleet | ResourceId::Site(_) | ResourceId::Env { .. } => {
                self.node.as_deref()
            }
        }
    }
}

/// Turns resources into entries of a catalog.
pub(super) struct Lister<'a> {
    /// The index of a file.
    pub(super) place: &'a dyn Fn(&str) -> Option<u32>,
    pub(super) hash: &'a dyn Fn(SpecHash) -> Option<SpecHash>,
}

impl Lister<'_> {
    /// The entry of a resource, or none when its file is not among those that are known.
    pub(super) fn one<T: HasSpec + Ties>(&self, resource: &Resource<T>) -> Option<Listed> {
        let value = &resource.value;
        let id = value.id();
        let mut claims = vec![Claim::id(&id)];
        claims.extend(
            value
                .moved()
                .and_then(|moved| moved.from.id())
                .map(|from| Claim::id(&from)),
        );
        value.claim(&mut |what, name| claims.push(Claim::new(what, name)));
        let fingerprint = resource.fingerprint;
        Some(Listed {
            file: (self.place)(&resource.source.file)?,
            line: u32::try_from(resource.source.line).unwrap_or(u32::MAX),
            hash: (self.hash)(fingerprint),
            fingerprint,
            node: value.node().map(str::to_owned),
            is_production: value.is_production(),
            claims,
            id,
        })
    }
}

/// What ties a resource to others. Each rule that compares resources of different sites or
/// nodes rests on something here.
pub(super) trait Ties {
    fn moved(&self) -> Option<&Moved>;

    fn node(&self) -> Option<&str> {
        None
    }

    fn is_production(&self) -> bool {
        false
    }

    /// Tells what else the resource has for itself, as a kind of thing and its name.
    fn claim(&self, _claim: &mut dyn FnMut(&str, &str)) {}
}

impl Ties for Fleet {
    fn moved(&self) -> Option<&Moved> {
        None
    }
}

impl Ties for Node {
    fn moved(&self) -> Option<&Moved> {
        self.moved.as_ref()
    }

    fn claim(&self, claim: &mut dyn FnMut(&str, &str)) {
        for (_, mark) in marks(self) {
            match mark {
                Mark::Server(address, port) => claim("host", &format!("{address} {port}")),
                Mark::PublicAddress(address) => claim("address", &address),
                Mark::HostKey(key) => claim("key", &key),
            }
        }
    }
}

impl Ties for Site {
    fn moved(&self) -> Option<&Moved> {
        self.moved.as_ref()
    }

    fn node(&self) -> Option<&str> {
        Some(self.node.as_str())
    }
}

impl Ties for Environment {
    fn moved(&self) -> Option<&Moved> {
        self.moved.as_ref()
    }

    fn node(&self) -> Option<&str> {
        self.node.as_ref().map(|node| node.as_str())
    }

    fn is_production(&self) -> bool {
        self.r#type == EnvironmentType::Production
    }

    fn claim(&self, claim: &mut dyn FnMut(&str, &str)) {
        claim(
            "system",
            &system_name(self.site.as_str(), self.name.as_str()),
        );
        for domain in &self.domains {
            claim("domain", domain.name.as_str());
        }
    }
}
