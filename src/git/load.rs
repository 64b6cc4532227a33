//! From the files of a snapshot to the desired state.

use std::path::Path;

use super::{GitError, Snapshot};
use crate::core::desired::{self, Assembled};
use crate::core::diagnostic::Severity;
use crate::core::document::parse_bytes;

/// Reads and checks all documents of a snapshot. What was refused while it was read is among
/// the problems, and then nothing is desired.
///
/// # Errors
/// When a file of the snapshot cannot be read any more.
pub fn load(snapshot: &Snapshot, _cache_dir: &Path) -> Result<Assembled, GitError> {
    let mut files = Vec::with_capacity(snapshot.files.len());
    for file in &snapshot.files {
        let content = snapshot.read(file)?;
        files.push((file.path.clone(), parse_bytes(&file.path, &content)));
    }
    let mut assembled = desired::assemble(files, &|path| snapshot.text(path));
    if snapshot
        .diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error)
    {
        assembled.desired = None;
    }
    assembled
        .diagnostics
        .extend(snapshot.diagnostics.iter().cloned());
    assembled.diagnostics.sort();
    Ok(assembled)
}
