//! A closed segment of the audit chain: a file of JSON lines beside the database.
//!
//! The first line names the entries in it, the hash before them and the hash at their end; each
//! other line is one entry with its hash. Every byte follows from the entries, so whatever is
//! changed in the file is found: by the chain, or because the line is not what would be written.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::error::{Result, StoreError};
use super::super::sqlite::copy::{sync, sync_directory_of};
use super::super::sqlite::open::beside;
use crate::core::audit::{Break, BreakReason, ChainHash, Content, Head, follow};
use crate::crash_point::reach;

/// The version of the form.
const FORM: u32 = 1;
/// No line of ours is longer: one that is would fill the memory.
const LONGEST_LINE: u64 = 256 * 1024 * 1024;

/// The first line.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    pressluft_audit: u32,
    first: u64,
    last: u64,
    /// The hash of the entry before the first.
    previous: String,
    /// The hash of the last entry: the next segment, or the database, goes on from it.
    head: String,
}

/// One entry, exactly as it was in the database.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct Line {
    pub(in crate::store) seq: u64,
    pub(in crate::store) at: i64,
    pub(in crate::store) actor: String,
    pub(in crate::store) action: String,
    pub(in crate::store) resource: Option<String>,
    pub(in crate::store) job: Option<String>,
    pub(in crate::store) detail: String,
    pub(in crate::store) hash: String,
}

impl Line {
    pub(in crate::store) fn content(&self) -> Content<'_> {
        Content {
            seq: self.seq,
            at: self.at,
            actor: &self.actor,
            action: &self.action,
            resource: self.resource.as_deref(),
            job: self.job.as_deref(),
            detail: &self.detail,
        }
    }
}

/// Where the segments of a database are.
pub(in crate::store) fn directory_of(database: &Path) -> PathBuf {
    beside(database, ".audit")
}

/// The name of a segment. What another past of the same database wrote has another one.
pub(super) fn name_of(first: u64, head: Head) -> String {
    let hash = head.hash.to_string();
    let short = hash.get(..16).unwrap_or(&hash);
    format!("{first:012}-{:012}-{short}.jsonl", head.seq)
}

/// Makes the directory of the segments, for this user alone. It is on the disk with the first file
/// in it, and not before: it is made, or found, far more often than written into.
pub(super) fn make_directory(directory: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| StoreError::Write {
            path: directory.to_owned(),
            source,
        })
}

/// Writes a segment of `lines` that follow `previous` and end with `head`; its bytes. The file is
/// there under its name when it is complete and on the disk, and not before.
pub(super) fn write(directory: &Path, previous: Head, lines: &[Line], head: Head) -> Result<u64> {
    let path = directory.join(name_of(previous.seq + 1, head));
    let wrong = |source| StoreError::Write {
        path: path.clone(),
        source,
    };
    let seal = Seal {
        pressluft_audit: FORM,
        first: previous.seq + 1,
        last: head.seq,
        previous: previous.hash.to_string(),
        head: head.hash.to_string(),
    };
    let mut bytes = text(&seal).map_err(wrong)?;
    for line in lines {
        bytes.extend(text(line).map_err(wrong)?);
    }
    place(&path, &bytes).map_err(wrong)?;
    Ok(bytes.len() as u64)
}

/// Puts a file of mode 0600 in its place, whole, whatever happens.
fn place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let draft = directory.join(format!("{DRAFT}{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    reach("segment: written");
    fs::rename(&draft, path)?;
    reach("segment: named");
    sync(directory)?;
    // The directory may be of a process that died as soon as it was made.
    sync_directory_of(directory)
}

/// How the names of files begin that are not complete.
const DRAFT: &str = ".closing-";

/// Removes what processes left that were killed while they wrote.
pub(super) fn remove_drafts(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(DRAFT) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn text(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Copies a segment from one directory to another, where it replaces what has its name; nothing
/// when there is none.
pub(in crate::store) fn copy(name: &str, from: &Path, to: &Path) -> Result<()> {
    let (source, target) = (from.join(name), to.join(name));
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Write { path, source }
    };
    let bytes = match fs::read(&source) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(wrong(&source)(error)),
    };
    make_directory(to)?;
    place(&target, &bytes).map_err(wrong(&target))
}

/// Follows the chain through a segment, and hands each entry on with the head after it.
///
/// # Errors
/// When the file cannot be read at all; one that is not there or was changed is a break.
pub(in crate::store) fn follow_file(
    path: &Path,
    before: Head,
    each: &mut dyn FnMut(Head, &Line),
) -> Result<Result<Head, Break>> {
    let broken = |head: Head, reason| {
        Ok(Err(Break {
            seq: head.seq + 1,
            reason,
        }))
    };
    let unreadable =
        |error: io::Error| StoreError::Corrupt(format!("`{}`: {error}", path.display()));
    let mut file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return broken(before, BreakReason::Missing);
        }
        Err(error) => return Err(unreadable(error)),
    };
    let mut raw = Vec::new();
    let mut chain = before;
    let seal: Seal = match next(&mut file, &mut raw).map_err(unreadable)? {
        Some(seal) => seal,
        None => return broken(before, BreakReason::Segment),
    };
    let begins = seal.pressluft_audit == FORM
        && seal.first == before.seq + 1
        && seal.previous == before.hash.to_string();
    if !begins {
        return broken(before, BreakReason::Segment);
    }
    while chain.seq < seal.last {
        let Some(line) = next::<Line>(&mut file, &mut raw).map_err(unreadable)? else {
            return broken(chain, BreakReason::Segment);
        };
        let hash = line.hash.parse::<ChainHash>();
        // Digits that mean the same are other bytes.
        let Some(hash) = hash.ok().filter(|hash| hash.to_string() == line.hash) else {
            return broken(chain, BreakReason::Segment);
        };
        match follow(chain, &line.content(), chain.hash, hash) {
            Ok(head) => chain = head,
            Err(found) => return Ok(Err(found)),
        }
        each(chain, &line);
    }
    raw.clear();
    let rest = file.take(1).read_to_end(&mut raw).map_err(unreadable)?;
    if rest > 0 || seal.head != chain.hash.to_string() {
        return broken(chain, BreakReason::Segment);
    }
    Ok(Ok(chain))
}

/// The next line, or none when there is none that this program would write.
fn next<T: Serialize + for<'a> Deserialize<'a>>(
    file: &mut BufReader<File>,
    raw: &mut Vec<u8>,
) -> io::Result<Option<T>> {
    raw.clear();
    file.by_ref().take(LONGEST_LINE).read_until(b'\n', raw)?;
    let Ok(value) = serde_json::from_slice::<T>(raw) else {
        return Ok(None);
    };
    Ok((text(&value)? == *raw).then_some(value))
}
