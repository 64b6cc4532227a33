//! Directories and files for our own eyes, and directories that belong to a living process.
//!
//! A directory with secrets holds a lock for as long as its process lives. The kernel lets
//! go of the lock when the process dies, however it dies, so the next one can tell leftovers
//! from what is in use.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LOCK: &str = ".lock";

/// A directory without a lock is left alone for this long: its owner may be about to lock it.
const UNLOCKED_AGE: Duration = Duration::from_secs(60);

/// Makes a directory and its parents, with mode 0700 for what is new.
pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a directory of mode 0700 that is not there yet.
pub(super) fn make_new_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Writes a new file of mode 0600.
///
/// # Errors
/// Also when the file exists: nothing that somebody else put there is written to.
pub(super) fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)
}

/// A directory of mode 0700 that is removed with all its content when this is dropped, or
/// by [`sweep`] of a later process.
#[derive(Debug)]
pub(super) struct OwnedDir {
    path: PathBuf,
    _lock: File,
}

impl OwnedDir {
    /// Makes the directory, after removing what a dead process left under the same name.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] while a living process owns it.
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            make_dir(parent)?;
            sweep_one(&path, Duration::ZERO)?;
        }
        make_new_dir(&path)?;
        let lock = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path.join(LOCK))?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnedDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            // The next start sweeps it.
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a directory");
        }
    }
}

/// Writes `size` bytes in several files into a new directory below `parent`, and takes them away
/// again.
///
/// # Errors
/// What keeps files of this size from being written there.
pub fn try_room(parent: &Path, size: usize) -> io::Result<()> {
    // As many as an attempt has: a file system can also run out of their number.
    const FILES: usize = 16;
    let directory = OwnedDir::create(parent.join(format!("room-{}", std::process::id())))?;
    let content = vec![0; size / FILES];
    (0..FILES).try_for_each(|n| write_file(&directory.path().join(format!("{n}")), &content))
}

/// Removes the directories below `parent` whose owners are dead, and returns how many.
pub(super) fn sweep(parent: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() && sweep_one(&entry.path(), UNLOCKED_AGE)? {
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes those of `parent`'s directories whose names begin with `prefix` and whose owners, who are our own
/// user's, are dead. Others use `parent`, too: what never had a lock is left, and so is what cannot be removed.
pub(super) fn sweep_shared(parent: &Path, prefix: &str) {
    let user = nix::unistd::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_named = entry.file_name().to_string_lossy().starts_with(prefix);
        let metadata = entry.metadata();
        let is_ours = metadata.is_ok_and(|found| found.is_dir() && found.uid() == user);
        if is_named
            && is_ours
            && let Err(error) = sweep_one(&entry.path(), Duration::MAX)
        {
            tracing::debug!(path = %entry.path().display(), %error, "left");
        }
    }
}

fn sweep_one(path: &Path, unlocked_age: Duration) -> io::Result<bool> {
    let lock = match File::open(path.join(LOCK)) {
        Ok(lock) => Some(lock),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match lock.as_ref().map(File::try_lock) {
        Some(Ok(())) => {}
        Some(Err(TryLockError::WouldBlock)) => return Ok(false),
        Some(Err(TryLockError::Error(error))) => return Err(error),
        None => {
            let Ok(metadata) = fs::symlink_metadata(path) else {
                return Ok(false);
            };
            // A clock that went backwards makes the directory young, which is the safe side.
            if metadata.modified()?.elapsed().unwrap_or_default() < unlocked_age {
                return Ok(false);
            }
        }
    }
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(true),
        // Another process swept it first.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_the_directories_of_the_dead_are_swept() {
        let state = tempfile::tempdir().expect("a directory");
        let run = state.path().join("run");
        let living = OwnedDir::create(run.join("a-1")).expect("new");
        let dead = OwnedDir::create(run.join("b-1")).expect("new");
        write_file(&dead.path().join("secrets.json"), b"{}").expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(dead.path()), 0o700);
        assert_eq!(mode(&dead.path().join("secrets.json")), 0o600);
        // As after `kill -9`: the lock is gone, nothing was removed.
        let OwnedDir { path, _lock } = &dead;
        _lock.unlock().expect("unlocked");
        assert_eq!(sweep(&run).expect("swept"), 1);
        assert!(!path.exists() && living.path().exists());
        let again = OwnedDir::create(run.join("a-1")).expect_err("in use");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        std::mem::forget(dead);
    }

    #[test]
    fn a_young_directory_without_a_lock_is_left_alone() {
        let state = tempfile::tempdir().expect("a directory");
        make_dir(&state.path().join("run/new")).expect("made");
        assert_eq!(sweep(&state.path().join("run")).expect("swept"), 0);
    }
}
