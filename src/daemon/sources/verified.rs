//! Copies of sources whose digest is known. What is sent to a node is the copy, so it is what was
//! checked, whatever becomes of the source in the meantime.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256, Sha512};
use tempfile::NamedTempFile;

use super::beneath::LARGEST;
use super::{SourceError, unreadable};

/// What of a kind of files is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// How many copies.
    pub(super) most: usize,
    /// How large one may be, in bytes.
    pub(super) largest: u64,
}

impl Keep {
    /// A fleet has three of them, and some more while it moves to new ones.
    pub(super) const PROGRAMS: Self = Self {
        most: 16,
        largest: LARGEST,
    };
}

/// What a digest is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
        }
    }
}

/// What tells one state of a file from all others that it had or will have.
#[derive(PartialEq, Eq)]
struct Version {
    place: (u64, u64),
    length: u64,
    changed: (i64, i64),
    /// The directory of the copies.
    copies: PathBuf,
    digest: String,
}

/// A copy of `file`, which `path` names, in `copies`. It is read once for each of its versions:
/// many sites are made from one.
///
/// # Errors
/// [`SourceError::Differs`] when its digest is not the one that is wanted.
pub(super) fn copy(
    field: &'static str,
    path: &Path,
    mut file: File,
    (algorithm, wanted): (Algorithm, &str),
    copies: &Path,
    keep: Keep,
) -> Result<PathBuf, SourceError> {
    static KNOWN: Mutex<Vec<Version>> = Mutex::new(Vec::new());
    let metadata = file
        .metadata()
        .map_err(|error| unreadable(field, path, error))?;
    if metadata.len() > keep.largest {
        return Err(SourceError::TooLarge {
            field,
            path: path.to_owned(),
            mebibytes: keep.largest >> 20,
        });
    }
    let version = Version {
        place: (metadata.dev(), metadata.ino()),
        length: metadata.len(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        copies: copies.to_owned(),
        digest: wanted.to_owned(),
    };
    let copy = copies.join(wanted);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.contains(&version) && is_whole(&copy, version.length) {
        return Ok(copy);
    }
    let failed = |error| SourceError::Copy {
        field,
        path: copies.to_owned(),
        error,
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(copies);
    let mut temporary = made
        .and_then(|()| NamedTempFile::new_in(copies))
        .map_err(failed)?;
    let found = match algorithm {
        Algorithm::Sha256 => transfer::<Sha256>(&mut file, temporary.as_file_mut()),
        Algorithm::Sha512 => transfer::<Sha512>(&mut file, temporary.as_file_mut()),
    };
    let found = found.map_err(failed)?;
    if found != wanted {
        return Err(SourceError::Differs {
            field,
            path: path.to_owned(),
            algorithm: algorithm.as_str(),
            wanted: wanted.to_owned(),
            found,
        });
    }
    let file = temporary.as_file();
    file.set_permissions(Permissions::from_mode(0o400))
        .and_then(|()| file.sync_all())
        .and_then(|()| temporary.persist(&copy).map_err(|error| error.error))
        .and_then(|_| drop_oldest(copies, &copy, keep.most))
        .map_err(failed)?;
    known.retain(|of| of.place != version.place && of.digest != version.digest);
    known.push(version);
    Ok(copy)
}

fn is_whole(copy: &Path, length: u64) -> bool {
    fs::symlink_metadata(copy).is_ok_and(|found| found.is_file() && found.len() == length)
}

/// Copies all of it and gives the digest of what was written, in hexadecimal.
fn transfer<D: Digest>(from: &mut File, to: &mut File) -> io::Result<String> {
    let mut digest = D::new();
    let mut buffer = vec![0; 1 << 16];
    // It may grow while it is read.
    let mut from = from.take(LARGEST);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
    }
    Ok(HEXLOWER.encode(&digest.finalize()))
}

/// Removes the oldest copies beyond those that are kept.
fn drop_oldest(copies: &Path, newest: &Path, most: usize) -> io::Result<()> {
    let mut all: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(copies)? {
        let entry = entry?;
        // A directory holds the copies of another kind.
        if entry.file_type()?.is_dir() {
            continue;
        }
        all.push((entry.metadata()?.modified()?, entry.path()));
    }
    all.sort();
    let too_many = all.len().saturating_sub(most);
    for (_, path) in all.into_iter().take(too_many) {
        if path != newest {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
