//! Keeps the catalog of a checked fleet with the contents that it was made from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bitcode::{Decode, Encode};

use super::document_cache::build_key;
use super::snapshot::{BlobId, Snapshot};
use super::storage;
use crate::core::desired::Catalog;
use crate::core::secret_owner::Reserved;

/// A catalog, and the content of each of its files.
#[derive(Debug, Encode, Decode)]
pub(super) struct Known {
    pub(super) catalog: Catalog,
    /// In the order of the catalog's files.
    blobs: Vec<BlobId>,
}

/// How the files of a snapshot differ from those of a catalog.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Indices into the catalog's files: removed, or with another content.
    pub(super) replaced: BTreeSet<u32>,
    /// Indices into the snapshot's files: new, or with another content.
    pub(super) new: Vec<usize>,
}

impl Known {
    /// Whether `catalog` is worth keeping.
    pub(super) fn new(catalog: Catalog, snapshot: &Snapshot) -> Self {
        let blobs = snapshot.files.iter().map(|file| file.blob).collect();
        Self { catalog, blobs }
    }

    /// The catalog in `path`, or none when it is missing, damaged, another build's, or was made with
    /// other `reserved` names.
    pub(super) fn load(path: &Path, reserved: &Reserved) -> Option<Self> {
        let sealed = std::fs::read(path).ok()?;
        let payload = storage::unseal(&key(reserved), &sealed)?;
        let known: Self = bitcode::decode(payload).ok()?;
        (known.blobs.len() == known.catalog.files.len()).then_some(known)
    }

    /// Replaces the file. A cache that cannot be written costs time, not correctness.
    pub(super) fn save(&self, path: &Path, reserved: &Reserved) {
        let sealed = storage::seal(&key(reserved), &bitcode::encode(self));
        if let Err(error) = storage::replace(path, &sealed) {
            tracing::warn!(path = %path.display(), %error, "cannot write the catalog");
        }
    }

    /// What is different in `snapshot`. Both lists of files are sorted by path.
    pub(super) fn difference(&self, snapshot: &Snapshot) -> Difference {
        let mut difference = Difference::default();
        let mut old = self
            .catalog
            .files
            .iter()
            .zip(&self.blobs)
            .zip(0_u32..)
            .peekable();
        for (index, file) in snapshot.files.iter().enumerate() {
            while let Some(((path, _), gone)) = old.peek()
                && **path < file.path
            {
                difference.replaced.insert(*gone);
                old.next();
            }
            match old.peek() {
                Some(((path, blob), at)) if **path == file.path => {
                    if **blob != file.blob {
                        difference.replaced.insert(*at);
                        difference.new.push(index);
                    }
                    old.next();
                }
                Some(_) | None => difference.new.push(index),
            }
        }
        difference.replaced.extend(old.map(|(_, gone)| gone));
        difference
    }
}

impl Difference {
    /// How many files are different.
    pub(super) fn len(&self) -> usize {
        self.replaced.len().max(self.new.len())
    }
}

/// What must be the same for a catalog to be read: what is right depends on the settings, too.
fn key(reserved: &Reserved) -> Vec<u8> {
    let names: Vec<&str> = reserved.names().collect();
    bitcode::encode(&(build_key(), names))
}

/// The file of the fleet that `snapshot` is a state of.
pub(super) fn path(cache_dir: &Path, snapshot: &Snapshot) -> PathBuf {
    cache_dir.join(format!("catalog-{}.bin", snapshot.identity))
}
