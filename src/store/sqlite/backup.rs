//! A backup: one file with what the database held at one moment, checked before it counts.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::error::{Result, StoreError};
use super::super::history::close::{Closed, segments};
use super::super::history::segment::{self, directory_of, follow_file};
use super::super::{Store, audit};
use super::check;
use super::copy::{copy, sync, sync_directory_of};
use super::open::{self, Access, beside};
use crate::core::audit::{EMPTY, Head};
use crate::crash_point::reach;

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    pub path: PathBuf,
    pub bytes: u64,
    /// The end of its audit chain: it belongs to the backup, and proves later that it is whole.
    pub head: Head,
    /// Closed segments of the audit chain, in the directory `FILE.audit` beside it.
    pub segments: u64,
    /// Those of them that were missing or damaged beside the database, and no whole copy was there.
    pub missing_segments: u64,
}

impl Store {
    /// Writes what the database holds at this moment into the file `target`, mode 0600. Others
    /// may write meanwhile. The file is there under its name when it is complete, on the disk
    /// and checked, and not before.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is something and `replace` is not set.
    pub fn backup(&self, target: &Path, replace: bool) -> Result<BackedUp> {
        self.refuse_own_files(target)?;
        if !replace && std::fs::symlink_metadata(target).is_ok() {
            return Err(StoreError::Exists(target.to_owned()));
        }
        let failed = |source| StoreError::Write {
            path: target.to_owned(),
            source,
        };
        let directory = target
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        // Made with mode 0600, and removed again when anything below fails.
        let draft = tempfile::Builder::new()
            .prefix(".pressluft-backup-")
            .tempfile_in(directory)
            .map_err(failed)?;
        reach("backup: begun");
        let (head, segments) = self
            .copy_checked(draft.path(), target)
            .map_err(|error| error.located(target))?;
        // Before the backup has its name: whoever sees it finds all that belongs to it.
        let missing_segments =
            keep_segments(&segments, &directory_of(&self.path), &directory_of(target))?;
        reach("backup: segments kept");
        sync(draft.path()).map_err(failed)?;
        let bytes = draft.as_file().metadata().map_err(failed)?.len();
        reach("backup: checked");
        let kept = if replace {
            draft.persist(target)
        } else {
            draft.persist_noclobber(target)
        };
        kept.map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => StoreError::Exists(target.to_owned()),
            _ => failed(error.error),
        })?;
        reach("backup: named");
        sync_directory_of(target).map_err(failed)?;
        Ok(BackedUp {
            path: target.to_owned(),
            bytes,
            head,
            segments: segments.len() as u64,
            missing_segments,
        })
    }

    fn copy_checked(&self, draft: &Path, target: &Path) -> Result<(Head, Vec<Closed>)> {
        copy(&self.connection, draft)?;
        reach("backup: copied");
        let made = open::connect(draft, Access::Read)?;
        check::require_sound(&made, target)?;
        let head = audit::head(&made)?;
        // By now the database may have more entries, but never others.
        if audit::contains(&self.connection, head)? {
            Ok((head, segments(&made)?))
        } else {
            Err(StoreError::BadBackup {
                path: target.to_owned(),
                why: "its audit chain does not end in one that the database has".to_owned(),
            })
        }
    }

    /// A backup in the place of the database, or of what belongs to it, would end it.
    fn refuse_own_files(&self, target: &Path) -> Result<()> {
        let is_same = |own: &Path| match (own.metadata(), target.metadata()) {
            (Ok(own), Ok(target)) => own.dev() == target.dev() && own.ino() == target.ino(),
            _ => own == target,
        };
        let own = [
            "",
            "-wal",
            "-shm",
            "-journal",
            ".audit-head",
            ".lock",
            ".ballast",
            ".audit",
        ];
        if own.iter().any(|end| is_same(&beside(&self.path, end))) {
            return Err(StoreError::OwnFile(target.to_owned()));
        }
        Ok(())
    }
}

/// Brings closed segments from one directory to another; how many hold in neither of them.
///
/// A name has the hash of the end, so files of one name differ only when one of them is damaged:
/// the one that holds stays, or takes the place of the other.
pub(super) fn keep_segments(segments: &[Closed], from: &Path, to: &Path) -> Result<u64> {
    let mut lost = 0;
    let mut before = EMPTY;
    for closed in segments {
        let name = closed.name();
        let holds = |directory: &Path| -> Result<bool> {
            Ok(follow_file(&directory.join(&name), before, &mut |_, _| {})? == Ok(closed.head))
        };
        if !holds(to)? {
            let is_whole = holds(from)?;
            // What is left of a damaged one is better than nothing, and never better than a file.
            if is_whole || !to.join(&name).exists() {
                segment::copy(&name, from, to)?;
            }
            lost += u64::from(!is_whole);
        }
        before = closed.head;
    }
    Ok(lost)
}
