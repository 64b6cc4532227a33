//! Opens a file below the directory of sources: never through a link, never above it, never
//! anything but a plain file.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use nix::libc;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{SourceError, unreadable};

/// The largest file that is taken, as on the node.
pub(super) const LARGEST: u64 = 1 << 30;

/// Opens `path`, which is relative to `directory` or lies below it.
///
/// # Errors
/// [`SourceError`], which names the part that was refused.
pub(super) fn open(
    field: &'static str,
    directory: &Path,
    path: &Path,
) -> Result<File, SourceError> {
    let failed = |error: std::io::Error| unreadable(field, path, error);
    let below = below(directory, path).ok_or_else(|| SourceError::Outside {
        field,
        path: path.to_owned(),
        directory: directory.to_owned(),
    })?;
    let refused = |part: &Path, why: &'static str| SourceError::Refused {
        field,
        path: path.to_owned(),
        part: part.to_owned(),
        why,
    };
    let root = File::options()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_PATH)
        .open(directory)
        .map_err(|error| unreadable(field, directory, error))?;
    // Step by step, each from the one before, so that no link and no renaming leads elsewhere. Not by `openat2`: a service
    // that may make no set-id files has none.
    let mut found: Option<OwnedFd> = None;
    let mut part = PathBuf::new();
    for component in below.components() {
        let before = found.as_ref().map_or(root.as_fd(), AsFd::as_fd);
        let place = match look(before, component.as_os_str()) {
            Ok(place) => place,
            Err(Errno::NOTDIR) => return Err(refused(&part, "is no directory")),
            Err(error) => return Err(failed(error.into())),
        };
        part.push(component);
        let stat = rustix::fs::fstat(&place).map_err(|error| failed(error.into()))?;
        if FileType::from_raw_mode(stat.st_mode).is_symlink() {
            return Err(refused(&part, "is a symbolic link"));
        }
        found = Some(place);
    }
    let Some(place) = found.map(File::from) else {
        return Err(refused(&part, "is the directory of sources itself"));
    };
    let metadata = place.metadata().map_err(failed)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(refused(&part, "is a directory"));
    }
    if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
        return Err(refused(&part, "is a device, pipe or socket"));
    }
    // Its other name may lie anywhere, and who may change it there is not known.
    if metadata.nlink() != 1 {
        return Err(refused(&part, "has another name: copy it here"));
    }
    if metadata.len() > LARGEST {
        return Err(refused(&part, "is larger than 1 GiB"));
    }
    // The very same file, however the directory has changed since.
    File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(format!("/proc/self/fd/{}", place.as_raw_fd()))
        .map_err(failed)
}

/// The path from the directory on, or none when it does not lie below it.
fn below<'a>(directory: &Path, path: &'a Path) -> Option<&'a Path> {
    let below = match path.is_absolute() {
        true => path.strip_prefix(directory).ok()?,
        false => path,
    };
    let is_plain = below
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    is_plain.then_some(below)
}

/// A handle of what is there, a link included, without opening it: a pipe would wait and a device would act.
fn look(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}
