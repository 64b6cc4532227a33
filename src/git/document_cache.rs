//! Keeps parsed documents by the content they were parsed from.
//!
//! Only files without any problem are kept, so that every problem is found, and told, anew.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bitcode::{Decode, Encode};

use super::parallel;
use super::snapshot::BlobId;
use super::storage;
use crate::core::document::LocatedDocument;

/// Into how many parts the documents are cut, which are read at the same time.
const PARTS: usize = 8;

/// The documents of one content.
#[derive(Encode, Decode)]
struct Entry {
    blob: BlobId,
    documents: Vec<LocatedDocument>,
}

/// The cache file of one fleet.
#[derive(Debug)]
pub(super) struct DocumentCache {
    path: PathBuf,
    key: Vec<u8>,
}

impl DocumentCache {
    pub(super) fn new(directory: &Path, identity: &str) -> Self {
        Self {
            path: directory.join(format!("documents-{identity}.bin")),
            key: build_key(),
        }
    }

    /// What is known, or nothing when the file is missing, damaged or another build's.
    pub(super) fn load(&self) -> HashMap<BlobId, Vec<LocatedDocument>> {
        let Ok(sealed) = fs::read(&self.path) else {
            return HashMap::new();
        };
        let entries = storage::unseal(&self.key, &sealed)
            .and_then(|payload| bitcode::decode::<Vec<Vec<u8>>>(payload).ok())
            .and_then(|parts| decode(&parts));
        if entries.is_none() {
            tracing::info!(path = %self.path.display(), "the document cache is made anew");
        }
        let entries = entries.unwrap_or_default();
        entries
            .into_iter()
            .map(|entry| (entry.blob, entry.documents))
            .collect()
    }

    /// Replaces the file. A cache that cannot be written costs time, not correctness.
    pub(super) fn save(&self, files: &mut [(BlobId, &mut Vec<LocatedDocument>)]) {
        // The encoder takes no references, so the documents are lent to it.
        let size = files.len().div_ceil(PARTS).max(1);
        let lend = |(blob, documents): &mut (BlobId, &mut Vec<LocatedDocument>)| Entry {
            blob: *blob,
            documents: std::mem::take(*documents),
        };
        let entries: Vec<Vec<Entry>> = files
            .chunks_mut(size)
            .map(|part| part.iter_mut().map(lend).collect())
            .collect();
        let parts = parallel::map(&entries, bitcode::encode);
        for ((_, documents), entry) in files.iter_mut().zip(entries.into_iter().flatten()) {
            **documents = entry.documents;
        }
        let sealed = storage::seal(&self.key, &bitcode::encode(&parts));
        if let Err(error) = storage::replace(&self.path, &sealed) {
            tracing::warn!(path = %self.path.display(), %error, "cannot write the document cache");
        }
    }
}

fn decode(parts: &[Vec<u8>]) -> Option<Vec<Entry>> {
    let decoded = parallel::map(parts, |part| bitcode::decode::<Vec<Entry>>(part).ok());
    decoded
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .map(|parts| parts.into_iter().flatten().collect())
}

/// What must be the same for the cache to be read: the program, to the byte. The layout of
/// the documents is not written down anywhere else.
pub(super) fn build_key() -> Vec<u8> {
    let program = fs::metadata("/proc/self/exe")
        .map(|meta| (meta.size(), meta.ino(), meta.mtime(), meta.mtime_nsec()))
        .unwrap_or_default();
    bitcode::encode(&(env!("CARGO_PKG_VERSION"), program))
}
