//! Where WordPress and WP-CLI come from: a file of the control plane, or an address that the
//! node downloads from. Either way a digest is known before anything runs.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::core::spec::Spec;

/// WP-CLI's latest release that was tried with the roles.
const WP_CLI_VERSION: &str = "2.12.0";
const WP_CLI_SHA512: &str = "be928f6b8ca1e8dfb9d2f4b75a13aa4aee0896f8a9a0a1c45cd5d2c98605e6172e6d014dda2e27f88c98befc16c040cbb2bd1bfa121510ea5cdf5f6a30fe8832";

/// One program file and how it is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceFile {
    /// On the control plane; none when the node downloads.
    pub path: Option<PathBuf>,
    pub url: Option<String>,
    pub version: Option<String>,
    pub sha256: Option<String>,
    pub sha512: Option<String>,
}

/// A source that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("cannot read `{path}`, which `{field}` names: {error}", path = .path.display())]
    Unreadable {
        field: &'static str,
        path: PathBuf,
        error: std::io::Error,
    },
}

/// The source of WordPress for a site; the digest of a file is not known yet.
pub(super) fn wordpress(fleet: &Spec, site: Option<&Spec>) -> SourceFile {
    let version = site
        .and_then(|site| site.str("wordpress.version"))
        .map(str::to_owned);
    let given = fleet.str("sources.wordpress");
    if let Some(path) = given.filter(|source| is_path(source)) {
        return SourceFile {
            path: Some(PathBuf::from(path)),
            url: None,
            version,
            sha256: None,
            sha512: None,
        };
    }
    let default = || match &version {
        Some(version) => format!("https://wordpress.org/wordpress-{version}.zip"),
        None => "https://wordpress.org/latest.zip".to_owned(),
    };
    SourceFile {
        path: None,
        url: Some(given.map_or_else(default, str::to_owned)),
        version,
        sha256: None,
        sha512: None,
    }
}

/// The source of WP-CLI; a file needs no digest, because the node's is compared with it itself.
pub(super) fn wp_cli(fleet: &Spec) -> SourceFile {
    let given = fleet.str("sources.wp_cli");
    if let Some(path) = given.filter(|source| is_path(source)) {
        return SourceFile {
            path: Some(PathBuf::from(path)),
            url: None,
            version: None,
            sha256: None,
            sha512: None,
        };
    }
    let official = format!(
        "https://github.com/wp-cli/wp-cli/releases/download/v{WP_CLI_VERSION}/wp-cli-{WP_CLI_VERSION}.phar"
    );
    SourceFile {
        path: None,
        url: Some(given.map_or(official, str::to_owned)),
        version: Some(WP_CLI_VERSION.to_owned()),
        sha256: None,
        // A mirror has to have the very same file.
        sha512: Some(WP_CLI_SHA512.to_owned()),
    }
}

fn is_path(source: &str) -> bool {
    source.starts_with('/')
}

impl SourceFile {
    /// Says what keeps the file from being read, if it is one of the control plane.
    ///
    /// # Errors
    /// [`SourceError`].
    pub(super) fn check(&self, field: &'static str) -> Result<(), SourceError> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        File::open(path)
            .map(drop)
            .map_err(|error| unreadable(field, path, error))
    }

    /// Reads the digest of a file of the control plane.
    ///
    /// # Errors
    /// [`SourceError`] when it cannot be read.
    pub(super) fn read_digest(&mut self, field: &'static str) -> Result<(), SourceError> {
        if let Some(path) = &self.path {
            let digest = digest(path).map_err(|error| unreadable(field, path, error))?;
            self.sha256 = Some(digest);
        }
        Ok(())
    }
}

fn unreadable(field: &'static str, path: &Path, error: std::io::Error) -> SourceError {
    SourceError::Unreadable {
        field,
        path: path.to_owned(),
        error,
    }
}

/// What tells one state of a file from all others that it had or will have.
#[derive(PartialEq, Eq)]
struct Version {
    path: PathBuf,
    place: (u64, u64),
    length: u64,
    changed: (i64, i64),
}

/// The SHA-256 of a file, read once for each of its versions: many sites are made from one.
fn digest(path: &Path) -> std::io::Result<String> {
    static KNOWN: Mutex<Vec<(Version, String)>> = Mutex::new(Vec::new());
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let version = Version {
        path: path.to_owned(),
        place: (metadata.dev(), metadata.ino()),
        length: metadata.len(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, digest)) = known.iter().find(|(of, _)| *of == version) {
        return Ok(digest.clone());
    }
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
    }
    let digest = HEXLOWER.encode(&digest.finalize());
    known.retain(|(of, _)| of.path != version.path);
    known.push((version, digest.clone()));
    Ok(digest)
}
