//! Files on this machine: reads below a directory without following links, and writes caches.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bitcode::{Decode, Encode};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::error::GitError;

/// What tells whether a file has changed since it was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct FileStat {
    pub(super) size: u64,
    pub(super) inode: u64,
    pub(super) device: u64,
    /// In nanoseconds since 1970.
    pub(super) modified: i64,
    /// In nanoseconds since 1970; set by the kernel alone.
    pub(super) changed: i64,
}

impl From<&fs::Metadata> for FileStat {
    fn from(meta: &fs::Metadata) -> Self {
        let nanoseconds = |s: i64, n: i64| s.saturating_mul(1_000_000_000).saturating_add(n);
        Self {
            size: meta.size(),
            inode: meta.ino(),
            device: meta.dev(),
            modified: nanoseconds(meta.mtime(), meta.mtime_nsec()),
            changed: nanoseconds(meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// An open directory, below which files are read.
#[derive(Debug)]
pub(super) struct FleetDir {
    pub(super) path: PathBuf,
    descriptor: OwnedFd,
}

impl FleetDir {
    /// Opens the directory, whose own path may lead through links.
    pub(super) fn open(path: &Path) -> Result<Self, GitError> {
        let path = fs::canonicalize(path)
            .ok()
            .filter(|path| path.is_dir())
            .ok_or_else(|| GitError::NoDirectory(path.to_owned()))?;
        let descriptor = File::open(&path)
            .map_err(|e| GitError::io("open", &path, e))?
            .into();
        Ok(Self { path, descriptor })
    }

    /// The content of a plain file and its state before it was read. `path` is relative.
    ///
    /// # Errors
    /// When any part of the path is a link, when it is not a plain file, and when it has more
    /// than `limit` bytes, of which no more than that are read.
    pub(super) fn read(&self, path: &str, limit: u64) -> Result<(Vec<u8>, FileStat), GitError> {
        self.try_read(path, limit)
            .map_err(|e| GitError::io("read", Path::new(path), e))
    }

    fn try_read(&self, path: &str, limit: u64) -> io::Result<(Vec<u8>, FileStat)> {
        let file = File::from(self.open_beneath(path)?);
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("not a plain file"));
        }
        let mut content = Vec::with_capacity(usize::try_from(meta.size().min(limit)).unwrap_or(0));
        file.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(io::Error::other(format!("more than {} KiB", limit / 1024)));
        }
        Ok((content, FileStat::from(&meta)))
    }

    fn open_beneath(&self, path: &str) -> io::Result<OwnedFd> {
        // Without O_NONBLOCK, a pipe that took the place of a file would stop the program.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let how = OpenHow::new().flags(flags).resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_SYMLINKS
                | ResolveFlag::RESOLVE_NO_MAGICLINKS,
        );
        match openat2(self.descriptor.as_fd(), path, how) {
            // Kernels before 5.6 and some container runtimes do not have the call.
            Err(Errno::ENOSYS | Errno::EPERM) => {
                let mode = nix::sys::stat::Mode::empty();
                Ok(nix::fcntl::openat(
                    self.descriptor.as_fd(),
                    path,
                    flags,
                    mode,
                )?)
            }
            other => Ok(other?),
        }
    }
}

/// Replaces a file, so that a reader finds the old content or the new one, never half of it.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

/// A cache file: magic, a digest of what must be the same for it to be read, a checksum, and
/// the payload. Caches are never trusted further than that: they lie in a directory that
/// belongs to the control plane.
pub(super) fn seal(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(payload.len() + 64);
    sealed.extend_from_slice(blake3::hash(key).as_bytes());
    sealed.extend_from_slice(blake3::hash(payload).as_bytes());
    sealed.extend_from_slice(payload);
    sealed
}

/// The payload of a sealed file, or none when it is another version's, or damaged.
pub(super) fn unseal<'a>(key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (head, rest) = sealed.split_at_checked(32)?;
    let (checksum, payload) = rest.split_at_checked(32)?;
    let intact =
        head == blake3::hash(key).as_bytes() && checksum == blake3::hash(payload).as_bytes();
    intact.then_some(payload)
}
