//! Key files: mode 0600 in a directory of mode 0700, whole at every moment.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::error::{Result, SecretError};

/// The content of a key file, or none when there is no file.
///
/// # Errors
/// [`SecretError::TooOpen`] when anybody but its owner can read it.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let content = match fs::read(path) {
        Ok(content) => Zeroizing::new(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(SecretError::Io {
                path: path.to_owned(),
                source,
            });
        }
    };
    let metadata = fs::metadata(path).map_err(|source| SecretError::Io {
        path: path.to_owned(),
        source,
    })?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(Some(content))
    } else {
        Err(SecretError::TooOpen {
            path: path.to_owned(),
            mode,
        })
    }
}

/// Makes a key file that is complete from the moment that it exists under its name.
///
/// # Errors
/// [`SecretError::Exists`] when there is one already; it stays as it is.
pub(super) fn create(path: &Path, content: &[u8]) -> Result<()> {
    // A hard link, unlike a rename, refuses to replace what is there.
    let link = |draft: &Path| fs::hard_link(draft, path);
    write(path, content, link).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => SecretError::Exists(path.to_owned()),
        _ => SecretError::Io {
            path: path.to_owned(),
            source,
        },
    })
}

/// Puts another content in the place of what a key file holds.
///
/// # Errors
/// [`SecretError::Io`]; then it is as it was.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    // Where a link leads to somewhere safer, it is that file that changes.
    fs::canonicalize(path)
        .and_then(|place| write(&place, content, |draft| fs::rename(draft, &place)))
        .map_err(|source| SecretError::Io {
            path: path.to_owned(),
            source,
        })
}

fn write(path: &Path, content: &[u8], put: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let draft = tempfile::Builder::new()
        .prefix(".key-")
        .tempfile_in(directory)?;
    let mut file = OpenOptions::new()
        .write(true)
        .mode(0o600)
        .open(draft.path())?;
    file.write_all(content)?;
    file.sync_all()?;
    put(draft.path())?;
    fs::File::open(directory)?.sync_all()
}
