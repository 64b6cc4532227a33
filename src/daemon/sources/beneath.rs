//! Opens a file below the directory of sources: never through a link, never above it, never
//! anything but a plain file.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use nix::libc;
use rustix::fs::{Mode, OFlags, ResolveFlags};
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
    // Step by step, so that the part can be named. What counts is the last of them, which the
    // kernel resolves beneath the directory as a whole.
    let mut found = None;
    let mut part = PathBuf::new();
    for component in below.components() {
        part.push(component);
        match look(&root, &part) {
            Ok(place) => found = Some(place),
            Err(Errno::LOOP) => return Err(refused(&part, "is a symbolic link")),
            Err(Errno::XDEV) => {
                return Err(refused(&part, "leads out of the directory of sources"));
            }
            Err(Errno::NOTDIR) => {
                let parent = part.parent().unwrap_or(&part);
                return Err(refused(parent, "is no directory"));
            }
            Err(error) => return Err(failed(error.into())),
        }
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

/// A handle of what is there, without opening it: a pipe would wait and a device would act.
fn look(root: &File, path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat2(
        root,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )
}
