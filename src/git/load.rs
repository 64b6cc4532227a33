//! Turns a snapshot into documents, and parses only what has not been parsed before.

use std::collections::HashMap;
use std::path::Path;

use super::document_cache::DocumentCache;
use super::error::GitError;
use super::parallel;
use super::snapshot::{BlobId, Snapshot, SourceFile, is_lfs_pointer};
use crate::core::desired::{Assembled, assemble};
use crate::core::diagnostic::{Diagnostic, Severity};
use crate::core::document::{ParsedFile, parse_bytes};
use crate::core::secret_owner::Reserved;

/// The desired state that `snapshot` asks for, or everything that is wrong with it: refused
/// files, mistakes in documents and broken rules, together. Parsed documents are kept in
/// `cache_dir`. `reserved` are the names of secrets that the control plane's settings use.
///
/// # Errors
/// [`GitError`] when a file of the snapshot cannot be read any more.
pub fn load(
    snapshot: &Snapshot,
    cache_dir: Option<&Path>,
    reserved: &Reserved,
) -> Result<Assembled, GitError> {
    let files = parse(snapshot, cache_dir)?;
    let mut refused = snapshot.diagnostics.clone();
    refused.extend(find_pointers(snapshot)?);

    let text = |path: &str| {
        let file = snapshot
            .files
            .binary_search_by(|file| file.path.as_str().cmp(path))
            .ok()?;
        let content = snapshot.read(&snapshot.files[file]).ok()?;
        String::from_utf8(content).ok()
    };
    let mut assembled = assemble(files, reserved, &text);
    if !refused.is_empty() {
        assembled.diagnostics.extend(refused);
        assembled.diagnostics.sort();
        if assembled
            .diagnostics
            .iter()
            .any(|d| d.severity == Severity::Error)
        {
            assembled.desired = None;
        }
    }
    Ok(assembled)
}

/// The documents of every file, in the order of the snapshot's files.
fn parse(
    snapshot: &Snapshot,
    cache_dir: Option<&Path>,
) -> Result<Vec<(String, ParsedFile)>, GitError> {
    let cache = cache_dir.map(|directory| DocumentCache::new(directory, &snapshot.identity));
    let mut known = cache.as_ref().map(DocumentCache::load).unwrap_or_default();
    let cached = known.len();
    let mut files: Vec<Option<ParsedFile>> = Vec::with_capacity(snapshot.files.len());
    let mut last: HashMap<BlobId, usize> = HashMap::new();
    let mut missing = Vec::new();
    for (index, file) in snapshot.files.iter().enumerate() {
        match known.remove(&file.blob) {
            Some(documents) => {
                last.insert(file.blob, index);
                files.push(Some(ParsedFile {
                    documents,
                    ..ParsedFile::default()
                }));
            }
            // The same content in two files.
            None => match last.get(&file.blob).and_then(|i| files[*i].clone()) {
                Some(parsed) => files.push(Some(parsed)),
                None => {
                    missing.push(index);
                    files.push(None);
                }
            },
        }
    }
    let parsed = parallel::map_with(
        &missing,
        || snapshot.reader(),
        |reader, index| {
            let file = &snapshot.files[*index];
            let content = match reader {
                Ok(reader) => reader.read(file)?,
                // Every thread fails alike; opening it once more gives the error by value.
                Err(_) => snapshot.reader()?.read(file)?.into_owned().into(),
            };
            Ok::<_, GitError>(parse_content(&file.path, &content))
        },
    );
    for (index, parsed) in missing.iter().zip(parsed) {
        files[*index] = Some(parsed?);
    }
    let mut files: Vec<ParsedFile> = files.into_iter().flatten().collect();
    if let Some(cache) = &cache {
        let clean = |file: &ParsedFile| file.diagnostics.is_empty();
        let added = missing
            .iter()
            .filter(|index| clean(&files[**index]))
            .count();
        if is_worth_saving(added, known.len(), cached) {
            let blobs = snapshot.files.iter().map(|file| file.blob);
            let entries = blobs.zip(&mut files).filter(|(_, file)| clean(file));
            let mut entries: Vec<_> = entries
                .map(|(blob, file)| (blob, &mut file.documents))
                .collect();
            cache.save(&mut entries);
        }
    }
    let paths = snapshot.files.iter().map(|file| file.path.clone());
    Ok(paths.zip(files).collect())
}

/// Parsing a few files again takes less time than writing all of the documents.
fn is_worth_saving(added: usize, unused: usize, cached: usize) -> bool {
    cached == 0 || added + unused > cached / 100
}

pub(super) fn parse_content(path: &str, content: &[u8]) -> ParsedFile {
    if is_lfs_pointer(content) {
        return ParsedFile {
            diagnostics: vec![pointer(path)],
            ..ParsedFile::default()
        };
    }
    parse_bytes(path, content)
}

/// Secrets, templates and hooks are read when they are needed, which would be late to say
/// that they are not there. A pointer has about 130 bytes, and nothing sealed is that short.
pub(super) fn find_pointers(snapshot: &Snapshot) -> Result<Vec<Diagnostic>, GitError> {
    let lists = [&snapshot.secrets, &snapshot.templates, &snapshot.hooks];
    let suspects: Vec<&SourceFile> = lists
        .into_iter()
        .flatten()
        .filter(|file| (100..160).contains(&file.size))
        .collect();
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    let reader = snapshot.reader()?;
    let mut diagnostics = Vec::new();
    for file in suspects {
        if is_lfs_pointer(&reader.read(file)?) {
            diagnostics.push(pointer(&file.path));
        }
    }
    Ok(diagnostics)
}

fn pointer(path: &str) -> Diagnostic {
    Diagnostic {
        file: path.to_owned(),
        line: 1,
        column: 1,
        severity: Severity::Error,
        code: "lfs-pointer",
        message: format!("`{path}` is a git LFS pointer, not the file itself"),
        hint: Some("commit the file itself: `git lfs untrack` it, then add it again".to_owned()),
        length: 7,
    }
}
