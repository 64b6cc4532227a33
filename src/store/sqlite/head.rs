//! The head of the audit chain in a file beside the database, so that a chain whose end was
//! cut off, or a database that was put back to an older state, is noticed.
//!
//! It is written after the commit, so it may be behind, never ahead. Who can write to both
//! files can cut both; `audit verify --expect` compares with a head that was kept elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::core::audit::{ChainHash, Head};
use crate::crash_point::reach;

/// Notes `head` unless a later one is there already. The entries are committed by now, so a
/// failure is only told to the log.
pub(in crate::store) fn note(database: &Path, head: Head) {
    let path = path_of(database);
    if let Err(error) = write(&path, head) {
        tracing::warn!(path = %path.display(), %error, "cannot note the audit head");
    }
}

/// The head that was noted last, or none when there is no file.
pub(in crate::store) fn noted(database: &Path) -> io::Result<Option<Head>> {
    match File::open(path_of(database)) {
        Ok(mut file) => {
            file.lock_shared()?;
            read(&mut file)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Forgets what was noted: another chain takes the place of this one.
pub(super) fn forget(database: &Path) -> io::Result<()> {
    match std::fs::remove_file(path_of(database)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn path_of(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".audit-head");
    path.into()
}

fn write(path: &Path, head: Head) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    reach("head: opened");
    file.lock()?;
    reach("head: locked");
    if read(&mut file)?.is_none_or(|noted| noted.seq < head.seq) {
        // Always the same length, written in place: this works on a full disk, too.
        file.write_all_at(format!("{:020} {}\n", head.seq, head.hash).as_bytes(), 0)?;
        reach("head: written");
    }
    Ok(())
}

/// None for a file that was made and never written: a death in between leaves it empty, a
/// power loss may leave zeros. Nothing was noted then, as without a file.
fn read(file: &mut File) -> io::Result<Option<Head>> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text)?;
    if text.bytes().all(|byte| byte == 0) {
        return Ok(None);
    }
    let head = parse(&text);
    head.map(Some)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an audit head"))
}

fn parse(text: &str) -> Option<Head> {
    let (seq, hash) = text.trim_end().split_once(' ')?;
    Some(Head {
        seq: seq.parse().ok()?,
        hash: hash.parse::<ChainHash>().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_was_never_written_is_none_and_is_written_later() {
        let directory = tempfile::tempdir().expect("directory");
        let database = directory.path().join("state.db");
        let head = Head {
            seq: 3,
            hash: ChainHash([7; 32]),
        };
        for left in [0, 86] {
            std::fs::write(path_of(&database), vec![0; left]).expect("written");
            assert_eq!(noted(&database).expect("read"), None, "{left} zeros");
            note(&database, head);
            assert_eq!(noted(&database).expect("read"), Some(head));
        }
        std::fs::write(path_of(&database), "somebody wrote here").expect("written");
        assert!(noted(&database).is_err(), "anything else is told");
    }
}
