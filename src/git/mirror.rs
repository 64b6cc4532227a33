//! The bare copy of a remote repository in the state directory, used by one fetch at a time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use git2::{ConfigLevel, Repository};

use super::error::GitError;
use super::url::RepoUrl;

/// When fetches have left this many packs, the copy is made anew instead of growing for ever.
const PACKS: usize = 100;

/// The copy of one repository, locked against other processes while this value lives.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) path: PathBuf,
    /// Closing the file gives the lock back.
    _lock: File,
}

impl Mirror {
    /// Waits until no other process fetches the same repository.
    ///
    /// # Errors
    /// [`GitError::Locked`] when that takes longer than `patience`.
    pub(super) fn lock(state: &Path, url: &RepoUrl, patience: Duration) -> Result<Self, GitError> {
        let directory = state.join("repos");
        fs::create_dir_all(&directory).map_err(|e| GitError::io("create", &directory, e))?;
        let path = directory.join(format!("{}.lock", url.digest()));
        let cannot = |e| GitError::io("lock", &path, e);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(cannot)?;
        let started = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if started.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    let seconds = patience.as_secs();
                    return Err(GitError::Locked {
                        url: url.to_string(),
                        seconds,
                    });
                }
                Err(TryLockError::Error(error)) => return Err(cannot(error)),
            }
        }
        let path = directory.join(format!("{}.git", url.digest()));
        Ok(Self { path, _lock: lock })
    }

    /// Opens the copy, and makes it first when there is none or when it is worn out.
    pub(super) fn open(path: &Path) -> Result<Repository, GitError> {
        let packs = fs::read_dir(path.join("objects/pack")).map_or(0, Iterator::count);
        // A pack is two files.
        if packs <= 2 * PACKS
            && let Ok(repository) = Repository::open_bare(path)
        {
            only_what_is_named(&repository)?;
            return Ok(repository);
        }
        remove(path)?;
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).no_reinit(true).external_template(false);
        let repository = Repository::init_opts(path, &options)
            .map_err(|e| GitError::repository(path.display().to_string(), &e))?;
        only_what_is_named(&repository)?;
        Ok(repository)
    }
}

/// Has fetches follow no redirect: whoever is led elsewhere would get the token.
fn only_what_is_named(repository: &Repository) -> Result<(), GitError> {
    const FOLLOW: &str = "http.followRedirects";
    let set = || {
        let mut own = repository.config()?.open_level(ConfigLevel::Local)?;
        match own.get_bool(FOLLOW) {
            Ok(false) => Ok(()),
            Ok(true) | Err(_) => own.set_bool(FOLLOW, false),
        }
    };
    set().map_err(|e| GitError::repository(repository.path().display().to_string(), &e))
}

/// Removes a copy, so that the next fetch makes it anew.
pub(super) fn remove(path: &Path) -> Result<(), GitError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(GitError::io("remove", path, error)),
    }
}
