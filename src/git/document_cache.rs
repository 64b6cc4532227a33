//! Keeps parsed documents by the content they were parsed from.
//!
//! Only files without any problem are kept, so that every problem is found, and told, anew.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use bitcode::{Decode, Encode};

use super::parallel;
use super::snapshot::BlobId;
use super::storage;
use crate::core::document::LocatedDocument;

/// Into how many parts the documents are cut, which are read at the same time.
const PARTS: usize = 8;

/// The documents of one content.
#[derive(Decode)]
struct Entry {
    blob: BlobId,
    documents: Vec<LocatedDocument>,
}

/// The same, without a copy.
#[derive(Encode)]
struct EntryRef<'a> {
    blob: BlobId,
    documents: &'a Vec<LocatedDocument>,
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
            tracing::warn!(path = %self.path.display(), "the document cache is made anew");
        }
        let entries = entries.unwrap_or_default();
        entries
            .into_iter()
            .map(|entry| (entry.blob, entry.documents))
            .collect()
    }

    /// Replaces the file. A cache that cannot be written costs time, not correctness.
    pub(super) fn save<'a>(&self, files: impl Iterator<Item = (BlobId, &'a Vec<LocatedDocument>)>) {
        let entries: Vec<EntryRef<'_>> = files
            .map(|(blob, documents)| EntryRef { blob, documents })
            .collect();
        let size = entries.len().div_ceil(PARTS).max(1);
        let parts: Vec<Vec<u8>> = thread::scope(|scope| {
            let parts: Vec<_> = entries
                .chunks(size)
                .map(|part| scope.spawn(move || bitcode::encode(part)))
                .collect();
            parts.into_iter().map(parallel::join).collect()
        });
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
fn build_key() -> Vec<u8> {
    let program = fs::metadata("/proc/self/exe")
        .map(|meta| (meta.size(), meta.ino(), meta.mtime(), meta.mtime_nsec()))
        .unwrap_or_default();
    bitcode::encode(&(env!("CARGO_PKG_VERSION"), program))
}
