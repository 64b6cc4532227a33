//! The worker role of a state directory: one long-running worker at a time holds it.
//!
//! It is a lock of the kernel on a file, so it is free when its holder is gone, however that
//! went. What keeps a job from running twice is the database, not this lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Who asks whether the role is taken holds the lock for a moment; a new worker tries this often.
const TRIES: u32 = 20;

/// Who holds the role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub since: Timestamp,
    /// The name of the machine.
    pub host: String,
}

/// The role, held until this is dropped.
#[derive(Debug)]
pub struct Role {
    _file: File,
}

/// What became of the wish to hold the role.
#[derive(Debug)]
pub enum Taken {
    Held(Role),
    /// Somebody else has it; unknown is who, when they have just taken it.
    By(Option<Holder>),
}

/// Takes the worker role of a state directory.
///
/// # Errors
/// When the lock file cannot be made, locked or written.
pub fn take(state_dir: &Path, now: Timestamp) -> io::Result<Taken> {
    let mut file = open(state_dir)?;
    let mut tries = 0;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if tries < TRIES => {
                tries += 1;
                thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => return Ok(Taken::By(read(&mut file)?)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    let holder = Holder {
        pid: std::process::id(),
        since: now,
        host: nix::unistd::gethostname()?.to_string_lossy().into_owned(),
    };
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(serde_json::to_string(&holder)?.as_bytes())?;
    Ok(Taken::Held(Role { _file: file }))
}

/// Whether somebody holds the worker role of a state directory.
///
/// # Errors
/// When the lock file cannot be read.
pub fn is_held(state_dir: &Path) -> io::Result<bool> {
    let file = match File::open(state_dir.join(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

const NAME: &str = "worker.lock";

fn open(state_dir: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(state_dir.join(NAME))
}

fn read(file: &mut File) -> io::Result<Option<Holder>> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(4096).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_the_role_and_is_named_to_the_next() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = Timestamp::UNIX_EPOCH;
        assert!(!is_held(directory.path()).expect("readable"));
        let Taken::Held(role) = take(directory.path(), at).expect("taken") else {
            panic!("nobody else is there");
        };
        assert!(is_held(directory.path()).expect("readable"));
        match take(directory.path(), at).expect("asked") {
            Taken::By(Some(holder)) => {
                assert_eq!((holder.pid, holder.since), (std::process::id(), at));
            }
            other => panic!("{other:?}"),
        }
        drop(role);
        assert!(!is_held(directory.path()).expect("readable"));
        assert!(matches!(take(directory.path(), at), Ok(Taken::Held(_))));
    }
}
