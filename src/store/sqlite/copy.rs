//! A whole database as one file: what a backup is, and what a restore puts in its place.

use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::super::error::{Result, StoreError};
use super::open::{self, Access};

/// How often a copy is begun again while somebody holds a lock that it needs.
const TRIES: i32 = 1_000;

/// Copies what `from` holds at this moment into the new file `to`, which is one file without a
/// write-ahead log afterwards.
///
/// In one step: a reader never holds up those who write into the log, and what they write
/// meanwhile would make a copy in several steps begin anew each time.
pub(in crate::store) fn copy(from: &Connection, to: &Path) -> Result<()> {
    open::make_file(to).map_err(|source| StoreError::Create {
        path: to.to_owned(),
        source,
    })?;
    let mut target = open::connect(to, Access::Write)?;
    {
        let backup = Backup::new(from, &mut target)?;
        let mut tries = 0;
        loop {
            match backup.step(-1)? {
                StepResult::Done => break,
                StepResult::More => {}
                StepResult::Busy | StepResult::Locked => {
                    if tries == TRIES || !open::wait_with_jitter(tries) {
                        return Err(busy());
                    }
                    tries += 1;
                }
                _ => return Err(StoreError::Corrupt("the copy has no end".to_owned())),
            }
        }
    }
    make_single(&target)?;
    target.close().map_err(|(_, error)| error.into())
}

/// Carries the write-ahead log over and does without one, so that the file alone is all.
pub(super) fn make_single(connection: &Connection) -> Result<()> {
    let mode: String =
        connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    if mode == "delete" {
        Ok(())
    } else {
        Err(busy())
    }
}

/// Makes sure that the file is on the disk, whatever happens next.
pub(in crate::store) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes sure that the names in the directory of `path` are on the disk.
pub(in crate::store) fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    sync(directory)
}

pub(super) fn busy() -> StoreError {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    StoreError::Busy(rusqlite::Error::SqliteFailure(code, None))
}
