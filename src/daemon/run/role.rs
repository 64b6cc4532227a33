//! The posts of a state directory: one long-running worker at a time holds the one for running
//! jobs, one daemon the one for reconciling.
//!
//! It is a lock of the kernel on a file, so it is free when its holder is gone, however that
//! went. One that is stopped and shows no life counts as gone for those who would leave their jobs
//! to it. What keeps a job from running twice is the database, not this lock.

use std::cell::Cell;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What one process at a time does for a state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Post {
    /// Runs all queued jobs.
    Worker,
    /// Keeps the fleet the way its repository says.
    Serve,
}

impl Post {
    fn file(self) -> &'static str {
        match self {
            Self::Worker => "worker.lock",
            Self::Serve => "serve.lock",
        }
    }
}

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

/// How often the holder shows that it lives, in the time of the lock file.
const BEAT: Duration = Duration::from_secs(10);
/// After this long without that, others run their jobs themselves.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// The role, held until this is dropped.
#[derive(Debug)]
pub struct Role {
    file: File,
    beat: Cell<Instant>,
}

impl Role {
    /// Shows that the holder lives; to be called every few seconds.
    pub fn keep(&self, now: Timestamp) {
        if self.beat.get().elapsed() >= BEAT {
            self.beat.set(Instant::now());
            if let Err(error) = self.file.set_modified(now.into()) {
                tracing::warn!(%error, "cannot show that this process lives");
            }
        }
    }
}

/// What became of the wish to hold the role.
#[derive(Debug)]
pub enum Taken {
    Held(Role),
    /// Somebody else has it; unknown is who, when they have just taken it.
    By(Option<Holder>),
}

/// Takes a post of a state directory.
///
/// # Errors
/// When the lock file cannot be made, locked or written.
pub fn take(state_dir: &Path, post: Post, now: Timestamp) -> io::Result<Taken> {
    let mut file = open(state_dir, post)?;
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
    file.set_modified(now.into())?;
    Ok(Taken::Held(Role {
        file,
        beat: Cell::new(Instant::now()),
    }))
}

/// Whether somebody holds a post of a state directory and has shown to live lately.
///
/// # Errors
/// When the lock file cannot be read.
pub fn is_held(state_dir: &Path, post: Post, now: Timestamp) -> io::Result<bool> {
    let file = match File::open(state_dir.join(post.file())) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => {
            let beat = Timestamp::try_from(file.metadata()?.modified()?).unwrap_or(now);
            Ok(now.duration_since(beat).abs() < PATIENCE)
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn open(state_dir: &Path, post: Post) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(state_dir.join(post.file()))
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
        assert!(!is_held(directory.path(), Post::Worker, at).expect("readable"));
        let Taken::Held(role) = take(directory.path(), Post::Worker, at).expect("taken") else {
            panic!("nobody else is there");
        };
        assert!(is_held(directory.path(), Post::Worker, at).expect("readable"));
        // It has shown no life for too long.
        let later = at + SignedDuration::from_secs(61);
        assert!(!is_held(directory.path(), Post::Worker, later).expect("readable"));
        match take(directory.path(), Post::Worker, at).expect("asked") {
            Taken::By(Some(holder)) => {
                assert_eq!((holder.pid, holder.since), (std::process::id(), at));
            }
            other => panic!("{other:?}"),
        }
        assert!(!is_held(directory.path(), Post::Serve, at).expect("readable"));
        drop(role);
        assert!(!is_held(directory.path(), Post::Worker, at).expect("readable"));
        assert!(matches!(
            take(directory.path(), Post::Worker, at),
            Ok(Taken::Held(_))
        ));
    }
}
