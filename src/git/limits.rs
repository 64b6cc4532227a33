//! How much of a repository is read before it is refused, all in one place.

use std::time::Duration;

/// A file of documents.
pub(super) const DOCUMENT_BYTES: u64 = 1024 * 1024;
/// A file below `templates/`. All of them together are a part of every payload.
pub(super) const TEMPLATE_BYTES: u64 = 256 * 1024;
/// A file below `hooks/`.
pub(super) const TEXT_BYTES: u64 = 1024 * 1024;
/// An encrypted secret.
pub(super) const SECRET_BYTES: u64 = 64 * 1024;
/// `.pressluftignore`.
pub(super) const IGNORE_BYTES: u64 = 64 * 1024;
/// Everything that is considered, together.
pub(super) const TOTAL_BYTES: u64 = 256 * 1024 * 1024;
/// Considered files.
pub(super) const FILES: usize = 100_000;
/// Entries of any kind that are looked at. A tree object may name itself a thousand times, so
/// that a repository of a few kilobytes has more paths than there are atoms.
pub(super) const ENTRIES: usize = 2_000_000;
/// Directories inside of each other.
pub(super) const DEPTH: usize = 32;
/// One component of a path, which is also what Linux takes.
pub(super) const NAME_BYTES: usize = 255;
/// One fetch, as received.
pub(super) const FETCH_BYTES: usize = 512 * 1024 * 1024;
/// One fetch, from connecting to the last byte.
pub(super) const FETCH_TIME: Duration = Duration::from_secs(60);
/// Contents that a working tree keeps in memory between hashing and parsing.
pub(super) const KEPT_BYTES: u64 = 48 * 1024 * 1024;
