//! Remembers which content a file of a working tree had, so that unchanged files are not read.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::snapshot::BlobId;
use super::storage::{self, FileStat};

const KEY: &[u8] = concat!("stat index 2 ", env!("CARGO_PKG_VERSION")).as_bytes();

/// A file whose time of change lies closer than this to the moment when it was read could
/// have been changed again without its time changing, so it is read once more. Covers file
/// systems that keep times in steps of two seconds.
const COARSE: i64 = 2_000_000_000;
const FINE: i64 = 50_000_000;

/// What is known of the files of one working tree.
#[derive(Debug)]
pub(super) struct StatIndex {
    path: Option<PathBuf>,
    /// Sorted by path.
    entries: Vec<(String, (FileStat, BlobId))>,
    started: i64,
}

impl StatIndex {
    /// The index in `cache_dir` for the working tree `identity`, empty when there is none.
    /// `now` is a moment before the first file is looked at.
    pub(super) fn load(cache_dir: Option<&Path>, identity: &str, now: Timestamp) -> Self {
        let path = cache_dir.map(|dir| dir.join(format!("stat-{identity}.bin")));
        let entries = path.as_deref().and_then(read).unwrap_or_default();
        let started = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MIN);
        Self {
            path,
            entries,
            started,
        }
    }

    /// The blob id that the file still has, or none when it must be read.
    pub(super) fn get(&self, path: &str, stat: &FileStat) -> Option<BlobId> {
        let at = self
            .entries
            .binary_search_by(|(known, _)| known.as_str().cmp(path))
            .ok()?;
        let (_, (known, blob)) = self.entries.get(at)?;
        (known == stat).then_some(*blob)
    }

    /// Whether the file cannot change any more without its times showing it.
    fn is_settled(&self, stat: &FileStat) -> bool {
        let last = stat.modified.max(stat.changed);
        let margin = if last % 1_000_000_000 == 0 {
            COARSE
        } else {
            FINE
        };
        last.saturating_add(margin) < self.started
    }

    /// Writes the index anew from `files`, sorted by path, unless nearly all of it is still right: reading a
    /// few files again costs less than writing tens of thousands of entries.
    pub(super) fn save<'a>(
        &self,
        files: impl ExactSizeIterator<Item = (&'a str, FileStat, BlobId)>,
        misses: usize,
    ) {
        let Some(path) = &self.path else { return };
        let removed = self.entries.len().saturating_sub(files.len());
        if misses + removed <= files.len() / 100 && !self.entries.is_empty() {
            return;
        }
        let entries: Vec<(String, (FileStat, BlobId))> = files
            .filter(|(_, stat, _)| self.is_settled(stat))
            .map(|(path, stat, blob)| (path.to_owned(), (stat, blob)))
            .collect();
        let sealed = storage::seal(KEY, &bitcode::encode(&entries));
        if let Err(error) = storage::replace(path, &sealed) {
            tracing::warn!(path = %path.display(), %error, "cannot write the stat index");
        }
    }
}

fn read(path: &Path) -> Option<Vec<(String, (FileStat, BlobId))>> {
    let sealed = std::fs::read(path).ok()?;
    let entries = storage::unseal(KEY, &sealed).and_then(|bytes| bitcode::decode(bytes).ok());
    if entries.is_none() {
        tracing::info!(path = %path.display(), "the stat index is made anew");
    }
    entries
}
