//! What a snapshot asks for: every resource by its hash, and the documents of those that
//! somebody asks for.
//!
//! A fleet that was checked before is not read again as a whole: its catalog tells what changed,
//! and what changed is checked together with all that a rule could compare it with.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalog_cache::{self, Known};
use super::error::GitError;
use super::load::{self, find_pointers, parse_content};
use super::parallel;
use super::snapshot::{Reader, Snapshot, SourceFile};
use crate::core::desired::{
    self, Assembled, Catalog, Changes, Desired, FLEET_FILE, Rechecked, Resource, recheck,
};
use crate::core::diagnostic::Diagnostic;
use crate::core::document::ParsedFile;
use crate::core::fast_map::HashMap;
use crate::core::id::ResourceId;
use crate::core::recorded::Source;
use crate::core::secret_owner::Reserved;
use crate::core::spec::{Spec, SpecHash};

/// With more changed files than this, all of the fleet is checked.
const MOST_CHANGED: usize = 100;

/// With more changed files than this, the catalog is written anew. Checking a few once more in
/// the next run costs less than writing all of it.
const MOST_UNKEPT: usize = 8;

/// With more single files read than this, all documents are.
const MOST_SINGLE: usize = 64;

/// The desired state of a snapshot.
#[derive(Debug)]
pub struct DesiredState {
    pub snapshot: Snapshot,
    /// The names of secrets that no document may use.
    pub reserved: Reserved,
    cache_dir: Option<PathBuf>,
    catalog: Catalog,
    /// All documents, as long as they are not let go.
    whole: RefCell<Option<Arc<Desired>>>,
    /// The documents that were read while `whole` is not there: the fleet's at least.
    part: RefCell<Option<Desired>>,
    read: RefCell<usize>,
}

/// What came of a snapshot.
#[derive(Debug)]
pub enum Loaded {
    /// With what is to be said about it all the same.
    Valid(Box<DesiredState>, Vec<Diagnostic>),
    /// The documents have errors.
    Invalid(Box<Snapshot>, Box<Assembled>),
}

/// What `snapshot` asks for, or everything that is wrong with it. What is known of it is kept
/// in `cache_dir`. `reserved` are the names of secrets that the control plane's settings use.
///
/// # Errors
/// [`GitError`] when a file of the snapshot cannot be read any more.
pub fn load_desired(
    snapshot: Snapshot,
    cache_dir: Option<&Path>,
    reserved: &Reserved,
) -> Result<Loaded, GitError> {
    let path = cache_dir.map(|dir| catalog_cache::path(dir, &snapshot));
    let known = path.as_deref().and_then(|path| Known::load(path, reserved));
    let rechecked = match &known {
        Some(known) => again(&snapshot, known, reserved)?,
        None => None,
    };
    let known = match (known, rechecked) {
        (Some(known), Some((rechecked, changed))) => {
            let (catalog, part) = rechecked.apply(known.catalog);
            let catalog = match &path {
                Some(path) if changed > MOST_UNKEPT => keep(catalog, &snapshot, path, reserved),
                Some(_) | None => catalog,
            };
            let part = RefCell::new(Some(part));
            let state = DesiredState {
                part,
                ..DesiredState::new(snapshot, cache_dir, catalog, reserved)
            };
            return Ok(Loaded::Valid(Box::new(state), Vec::new()));
        }
        (known, _) => known,
    };
    let mut assembled = load::load(&snapshot, cache_dir, reserved)?;
    let Some(desired) = assembled.desired.take() else {
        return Ok(Loaded::Invalid(Box::new(snapshot), Box::new(assembled)));
    };
    let catalog = match &path {
        // What was said about a fleet is said again, so it is checked again.
        Some(path) if assembled.diagnostics.is_empty() => {
            let catalog = catalog(&desired, &snapshot, known.as_ref());
            keep(catalog, &snapshot, path, reserved)
        }
        // Making all hashes takes a while, and it may be that nobody asks for one.
        Some(_) | None => Catalog::new(&desired, paths(&snapshot), &|_| None),
    };
    let whole = RefCell::new(Some(Arc::new(desired)));
    let state = DesiredState {
        whole,
        ..DesiredState::new(snapshot, cache_dir, catalog, reserved)
    };
    Ok(Loaded::Valid(Box::new(state), assembled.diagnostics))
}

/// The fleet after what changed in it, and how many files that are; none when all of it has to
/// be checked.
fn again(
    snapshot: &Snapshot,
    known: &Known,
    reserved: &Reserved,
) -> Result<Option<(Rechecked, usize)>, GitError> {
    let difference = known.difference(snapshot);
    let changed = difference.len();
    if changed > MOST_CHANGED
        || !snapshot.diagnostics.is_empty()
        || !find_pointers(snapshot)?.is_empty()
    {
        return Ok(None);
    }
    let reader = snapshot.reader()?;
    let parsed = difference
        .new
        .iter()
        .map(|index| read(&reader, &snapshot.files[*index]))
        .collect::<Result<Vec<_>, _>>()?;
    let changes = Changes {
        replaced: difference.replaced,
        parsed,
        files: paths(snapshot),
    };
    let mut read_one = |path: &str| match find(snapshot, path) {
        Some(file) => read(&reader, file).map(|(_, parsed)| parsed),
        None => Err(GitError::Changed {
            path: path.to_owned(),
        }),
    };
    let rechecked = recheck(&known.catalog, changes, reserved, &mut read_one)?;
    Ok(rechecked.map(|rechecked| (rechecked, changed)))
}

fn read(reader: &Reader<'_>, file: &SourceFile) -> Result<(String, ParsedFile), GitError> {
    let content = reader.read(file)?;
    Ok((file.path.clone(), parse_content(&file.path, &content)))
}

fn find<'a>(snapshot: &'a Snapshot, path: &str) -> Option<&'a SourceFile> {
    let index = snapshot
        .files
        .binary_search_by(|file| file.path.as_str().cmp(path))
        .ok()?;
    snapshot.files.get(index)
}

fn paths(snapshot: &Snapshot) -> Vec<String> {
    let paths = snapshot.files.iter().map(|file| file.path.clone());
    paths.collect()
}

fn keep(catalog: Catalog, snapshot: &Snapshot, path: &Path, reserved: &Reserved) -> Catalog {
    let known = Known::new(catalog, snapshot);
    known.save(path, reserved);
    known.catalog
}

/// The catalog of a fleet that was read as a whole. Making a spec of every resource takes longer
/// than all the rest, so hashes come from what is known as far as what is written is the same.
fn catalog(desired: &Desired, snapshot: &Snapshot, known: Option<&Known>) -> Catalog {
    let known: HashMap<SpecHash, SpecHash> = known
        .into_iter()
        .flat_map(|known| &known.catalog.resources)
        .filter_map(|listed| Some((listed.fingerprint, listed.hash?)))
        .collect();
    fn open<T: desired::HasSpec + Sync>(resource: &Resource<T>) -> Open<'_> {
        Open {
            fingerprint: resource.fingerprint,
            hash: Box::new(|| resource.hash()),
        }
    }
    let all = std::iter::once(open(&desired.fleet))
        .chain(desired.nodes.values().map(open))
        .chain(desired.sites.values().map(open))
        .chain(desired.environments.values().map(open));
    let unknown: Vec<Open<'_>> = all
        .filter(|open| !known.contains_key(&open.fingerprint))
        .collect();
    let hashes = parallel::map(&unknown, |open| (open.fingerprint, (open.hash)()));
    let hashes: HashMap<SpecHash, SpecHash> = hashes.into_iter().collect();
    Catalog::new(desired, paths(snapshot), &|fingerprint| {
        known
            .get(&fingerprint)
            .or_else(|| hashes.get(&fingerprint))
            .copied()
    })
}

/// A resource whose hash is not known yet.
struct Open<'a> {
    fingerprint: SpecHash,
    hash: Box<dyn Fn() -> SpecHash + Sync + 'a>,
}

impl DesiredState {
    fn new(
        snapshot: Snapshot,
        cache_dir: Option<&Path>,
        catalog: Catalog,
        reserved: &Reserved,
    ) -> Self {
        Self {
            snapshot,
            reserved: reserved.clone(),
            cache_dir: cache_dir.map(Path::to_owned),
            catalog,
            whole: RefCell::default(),
            part: RefCell::new(None),
            read: RefCell::new(0),
        }
    }

    /// The name of the fleet.
    #[must_use]
    pub fn fleet_name(&self) -> String {
        let name = |desired: &Desired| desired.fleet.value.name.to_string();
        match &*self.whole.borrow() {
            Some(whole) => name(whole),
            None => self.part.borrow().as_ref().map(name).unwrap_or_default(),
        }
    }

    /// The ids of all resources, sorted.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = &ResourceId> {
        self.catalog.resources.iter().map(|listed| &listed.id)
    }

    /// The same, each with the hash of its spec where that is made already.
    pub fn listed(&self) -> impl Iterator<Item = (&ResourceId, Option<SpecHash>)> {
        let resources = self.catalog.resources.iter();
        resources.map(|listed| (&listed.id, listed.hash))
    }

    /// The hash of the spec of a resource, if a document asks for it.
    ///
    /// # Errors
    /// [`GitError`] when its file cannot be read any more.
    pub fn hash(&self, id: &ResourceId) -> Result<Option<SpecHash>, GitError> {
        match self.made_hash(id) {
            Some(made) => Ok(Some(made)),
            None if self.contains(id) => Ok(self.whole()?.hash(id)),
            None => Ok(None),
        }
    }

    /// The same where it is made already.
    #[must_use]
    pub fn made_hash(&self, id: &ResourceId) -> Option<SpecHash> {
        self.catalog.find(id)?.hash
    }

    /// Whether a document asks for the resource.
    #[must_use]
    pub fn contains(&self, id: &ResourceId) -> bool {
        self.catalog.find(id).is_some()
    }

    /// The spec of a resource, if a document asks for it.
    ///
    /// # Errors
    /// [`GitError`] when its file cannot be read any more.
    pub fn spec(&self, id: &ResourceId) -> Result<Option<Spec>, GitError> {
        let Some(listed) = self.catalog.find(id) else {
            return Ok(None);
        };
        if let Some(whole) = &*self.whole.borrow() {
            return Ok(whole.spec(id));
        }
        if let Some(spec) = self.part.borrow().as_ref().and_then(|part| part.spec(id)) {
            return Ok(Some(spec));
        }
        let single = self.read.replace_with(|read| *read + 1) < MOST_SINGLE;
        if single && let Some(spec) = self.read_single(self.catalog.file_of(listed), id)? {
            return Ok(Some(spec));
        }
        Ok(self.whole()?.spec(id))
    }

    /// Reads the documents of one file, among them that of `id`.
    fn read_single(&self, path: &str, id: &ResourceId) -> Result<Option<Spec>, GitError> {
        let reader = self.snapshot.reader()?;
        let mut files = Vec::new();
        for path in [FLEET_FILE, path] {
            if let Some(file) = find(&self.snapshot, path)
                && files.iter().all(|(read, _)| read != path)
            {
                files.push(read(&reader, file)?);
            }
        }
        let Some(found) = desired::without_rules(files) else {
            return Ok(None);
        };
        let spec = found.spec(id);
        let mut part = self.part.borrow_mut();
        match part.as_mut() {
            Some(part) => part.absorb(found),
            None => *part = Some(found),
        }
        Ok(spec)
    }

    /// All documents.
    fn whole(&self) -> Result<Arc<Desired>, GitError> {
        if let Some(whole) = &*self.whole.borrow() {
            return Ok(Arc::clone(whole));
        }
        let assembled = load::load(&self.snapshot, self.cache_dir.as_deref(), &self.reserved)?;
        match assembled.desired {
            Some(desired) => {
                let whole = Arc::new(desired);
                *self.whole.borrow_mut() = Some(Arc::clone(&whole));
                Ok(whole)
            }
            // The catalog says that all is well with these contents.
            None => Err(GitError::Changed {
                path: FLEET_FILE.to_owned(),
            }),
        }
    }

    /// Lets all documents go but the fleet's: those of a large fleet are most of its memory. What
    /// is asked for again is read again.
    pub fn release(&self) {
        let Some(whole) = self.whole.borrow_mut().take() else {
            return;
        };
        *self.part.borrow_mut() = Some(Desired {
            fleet: whole.fleet.clone(),
            nodes: BTreeMap::new(),
            sites: BTreeMap::new(),
            environments: BTreeMap::new(),
        });
        *self.read.borrow_mut() = 0;
    }

    /// Where a resource is written.
    #[must_use]
    pub fn source(&self, id: &ResourceId) -> Option<Source> {
        let listed = self.catalog.find(id)?;
        Some(Source {
            file: self.catalog.file_of(listed).to_owned(),
            line: listed.line,
        })
    }

    /// The names of all production environments, by their sites'.
    #[must_use]
    pub fn productions(&self) -> HashMap<&str, &str> {
        self.catalog.productions()
    }
}
