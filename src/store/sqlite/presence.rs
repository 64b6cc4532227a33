//! Who has the database open. Each open database holds a shared lock on a file beside it, so
//! that a restore, which needs the database for itself, knows when nobody has it, and who has.
//!
//! The lock goes with its process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::super::error::{Result, StoreError};

/// How long opening waits for a restore, and a restore for commands that only look.
const PATIENCE: Duration = Duration::from_secs(20);

/// The shared lock of one that writes; the file is made where it is missing.
///
/// # Errors
/// [`StoreError::InUse`] while a restore has the database for itself.
pub(super) fn shared(database: &Path) -> Result<File> {
    let path = path_of(database);
    let file = make(&path).map_err(|source| StoreError::Write { path, source })?;
    wait(database, file, File::try_lock_shared, PATIENCE)
}

/// The shared lock of one that only reads, or none where there is no file for it: then nobody
/// has written with this database yet.
pub(super) fn shared_if_there(database: &Path) -> Result<Option<File>> {
    match File::open(path_of(database)) {
        Ok(file) => wait(database, file, File::try_lock_shared, PATIENCE).map(Some),
        // Without it a restore under way is not noticed; the database itself is still safe.
        Err(_) => Ok(None),
    }
}

/// The lock of one that must be alone.
///
/// # Errors
/// [`StoreError::InUse`] with the processes that have the database open.
pub(super) fn exclusive(database: &Path, patience: Duration) -> Result<File> {
    let path = path_of(database);
    let file = make(&path).map_err(|source| StoreError::Write { path, source })?;
    wait(database, file, File::try_lock, patience)
}

fn path_of(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn make(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn wait(
    database: &Path,
    file: File,
    try_lock: fn(&File) -> Result<(), TryLockError>,
    patience: Duration,
) -> Result<File> {
    let begun = Instant::now();
    loop {
        match try_lock(&file) {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < patience => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse {
                    path: database.to_owned(),
                    holders: holders(&file).unwrap_or_default(),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(StoreError::Write {
                    path: path_of(database),
                    source,
                });
            }
        }
    }
}

/// The numbers of the processes that hold a lock on the file, as far as the kernel tells. Only
/// the inode is compared: some file systems show another device there than elsewhere.
fn holders(file: &File) -> io::Result<Vec<i32>> {
    let inode = file.metadata()?.ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks")?;
    let mut found: Vec<i32> = locks
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let of_file = words.get(5)?.rsplit(':').next() == Some(inode.as_str());
            let pid = words.get(4)?.parse().ok()?;
            (words.get(1) == Some(&"FLOCK") && of_file && pid > 0).then_some(pid)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_the_database_is_named() {
        let directory = tempfile::tempdir().expect("directory");
        let database = directory.path().join("state.db");
        let first = shared(&database).expect("shared");
        let second = shared_if_there(&database).expect("shared").expect("there");
        let error = exclusive(&database, Duration::ZERO).expect_err("it is in use");
        let this = i32::try_from(std::process::id()).expect("a number");
        match error {
            StoreError::InUse { holders, .. } => assert_eq!(holders, [this]),
            other => panic!("{other}"),
        }
        drop((first, second));
        exclusive(&database, Duration::ZERO).expect("free");
    }
}
