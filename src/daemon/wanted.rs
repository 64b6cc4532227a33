//! The desired state by id: the hash of every resource, and specs of those that are asked for.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::thread;

use crate::core::desired::{Desired, Resource};
use crate::core::id::ResourceId;
use crate::core::recorded::Source;
use crate::core::spec::{Spec, SpecHash};

/// Below this many unknown hashes a second thread costs more than it saves.
const WORTH_A_THREAD: usize = 256;

/// The hashes of all specs. Making a spec of every resource in each plan would take longer than
/// all the rest, so they are kept by the fingerprint of what is written: equal fingerprints
/// mean equal specs. The file is a cache; without it everything is computed.
#[derive(Debug, Default)]
pub struct SpecHashes {
    known: HashMap<SpecHash, SpecHash>,
}

impl SpecHashes {
    /// What is kept in the file, or nothing when it is missing, damaged or another version's.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        let Ok(bytes) = fs::read(path) else {
            return Self::default();
        };
        let Some(body) = bytes.strip_prefix(version().as_slice()) else {
            return Self::default();
        };
        let Some((digest, body)) = body.split_at_checked(32) else {
            return Self::default();
        };
        if blake3::hash(body).as_bytes() != digest || body.len() % 64 != 0 {
            return Self::default();
        }
        let array = |bytes: &[u8]| -> [u8; 32] {
            let mut array = [0; 32];
            array.copy_from_slice(bytes);
            array
        };
        let pairs = body.chunks_exact(64);
        let known = pairs.map(|pair| (SpecHash(array(&pair[..32])), SpecHash(array(&pair[32..]))));
        Self {
            known: known.collect(),
        }
    }

    /// Keeps the hashes of `wanted` and no others.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(path: &Path, wanted: &WantedState<'_>) -> std::io::Result<()> {
        let mut body = Vec::with_capacity(wanted.entries.len() * 64);
        for entry in &wanted.entries {
            body.extend_from_slice(&entry.fingerprint.0);
            body.extend_from_slice(&entry.hash.0);
        }
        let mut bytes = version().to_vec();
        bytes.extend_from_slice(blake3::hash(&body).as_bytes());
        bytes.extend_from_slice(&body);
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        std::io::Write::write_all(&mut file, &bytes)?;
        file.persist(path)?;
        Ok(())
    }
}

/// Another version may fill in other defaults.
fn version() -> [u8; 32] {
    *blake3::hash(concat!("spec hashes of ", env!("CARGO_PKG_VERSION")).as_bytes()).as_bytes()
}

/// The desired state as a plan sees it.
#[derive(Debug)]
pub struct WantedState<'a> {
    desired: &'a Desired,
    /// Sorted by id.
    entries: Vec<Entry>,
    /// How many hashes were not known before.
    computed: usize,
}

#[derive(Debug)]
struct Entry {
    id: ResourceId,
    fingerprint: SpecHash,
    hash: SpecHash,
}

/// A resource whose hash is to be found.
enum Open<'a> {
    Fleet(&'a Resource<crate::core::document::Fleet>),
    Node(&'a Resource<crate::core::document::Node>),
    Site(&'a Resource<crate::core::document::Site>),
    Env(&'a Resource<crate::core::document::Environment>),
}

impl Open<'_> {
    fn fingerprint(&self) -> SpecHash {
        match self {
            Self::Fleet(resource) => resource.fingerprint,
            Self::Node(resource) => resource.fingerprint,
            Self::Site(resource) => resource.fingerprint,
            Self::Env(resource) => resource.fingerprint,
        }
    }

    fn id(&self) -> ResourceId {
        match self {
            Self::Fleet(resource) => resource.id(),
            Self::Node(resource) => resource.id(),
            Self::Site(resource) => resource.id(),
            Self::Env(resource) => resource.id(),
        }
    }

    fn hash(&self) -> SpecHash {
        match self {
            Self::Fleet(resource) => resource.spec().hash(),
            Self::Node(resource) => resource.spec().hash(),
            Self::Site(resource) => resource.spec().hash(),
            Self::Env(resource) => resource.spec().hash(),
        }
    }
}

impl<'a> WantedState<'a> {
    /// The state with the hash of every resource.
    #[must_use]
    pub fn new(desired: &'a Desired, hashes: &SpecHashes) -> Self {
        // In the order of ids: the fleet, then nodes, sites and environments by name.
        let all: Vec<Open<'_>> = std::iter::once(Open::Fleet(&desired.fleet))
            .chain(desired.nodes.values().map(Open::Node))
            .chain(desired.sites.values().map(Open::Site))
            .chain(desired.environments.values().map(Open::Env))
            .collect();
        let unknown = all
            .iter()
            .filter(|open| !hashes.known.contains_key(&open.fingerprint()))
            .count();
        let entries_of = |part: &[Open<'_>]| -> Vec<Entry> {
            part.iter()
                .map(|open| {
                    let fingerprint = open.fingerprint();
                    let known = hashes.known.get(&fingerprint).copied();
                    Entry {
                        id: open.id(),
                        hash: known.unwrap_or_else(|| open.hash()),
                        fingerprint,
                    }
                })
                .collect()
        };
        let threads = if unknown < WORTH_A_THREAD {
            1
        } else {
            thread::available_parallelism().map_or(1, std::num::NonZero::get)
        };
        let entries = thread::scope(|scope| {
            let parts: Vec<_> = all
                .chunks(all.len().div_ceil(threads).max(1))
                .map(|part| scope.spawn(|| entries_of(part)))
                .collect();
            parts
                .into_iter()
                .flat_map(|part| match part.join() {
                    Ok(entries) => entries,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .collect()
        });
        Self {
            desired,
            entries,
            computed: unknown,
        }
    }

    /// Whether hashes had to be computed that are worth keeping.
    #[must_use]
    pub fn is_worth_saving(&self) -> bool {
        self.computed > self.entries.len() / 50
    }

    /// Every resource with the hash of its spec, sorted by id.
    pub fn hashes(&self) -> impl Iterator<Item = (&ResourceId, SpecHash)> {
        self.entries.iter().map(|entry| (&entry.id, entry.hash))
    }

    /// Whether a document asks for the resource.
    #[must_use]
    pub fn contains(&self, id: &ResourceId) -> bool {
        self.entries
            .binary_search_by(|entry| entry.id.cmp(id))
            .is_ok()
    }

    /// The spec of a resource, if a document asks for it.
    #[must_use]
    pub fn spec(&self, id: &ResourceId) -> Option<Spec> {
        Some(match id {
            ResourceId::Fleet => self.desired.fleet.spec(),
            ResourceId::Node(name) => self.desired.nodes.get(name)?.spec(),
            ResourceId::Site(name) => self.desired.sites.get(name)?.spec(),
            ResourceId::Env { site, name } => self
                .desired
                .environments
                .get(&(site.clone(), name.clone()))?
                .spec(),
        })
    }

    /// Where a resource is written.
    #[must_use]
    pub fn source(&self, id: &ResourceId) -> Option<Source> {
        let source = match id {
            ResourceId::Fleet => &self.desired.fleet.source,
            ResourceId::Node(name) => &self.desired.nodes.get(name)?.source,
            ResourceId::Site(name) => &self.desired.sites.get(name)?.source,
            ResourceId::Env { site, name } => {
                &self
                    .desired
                    .environments
                    .get(&(site.clone(), name.clone()))?
                    .source
            }
        };
        let line = u32::try_from(source.line).unwrap_or(u32::MAX);
        Some(Source {
            file: source.file.to_string(),
            line,
        })
    }

    /// The name of a site's production environment.
    #[must_use]
    pub fn production_of(&self, site: &str) -> Option<String> {
        use crate::core::document::environment::EnvironmentType;
        self.desired
            .environments_of(site)
            .find(|env| env.value.r#type == EnvironmentType::Production)
            .map(|env| env.value.name.to_string())
    }
}
