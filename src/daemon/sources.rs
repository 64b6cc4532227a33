//! Where WordPress and WP-CLI come from: a file of the control plane, or an address that the
//! node downloads from. Either way a digest is known before anything runs.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256, Sha512};

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
pub enum SourceError {
    #[error("cannot read `{path}`, which `{field}` names: {error}", path = .path.display())]
    Unreadable {
        field: &'static str,
        path: PathBuf,
        error: std::io::Error,
    },
}

/// The source of WordPress for a site.
///
/// # Errors
/// [`SourceError`] when a file cannot be read.
pub(super) fn wordpress(fleet: &Spec, site: Option<&Spec>) -> Result<SourceFile, SourceError> {
    let version = site
        .and_then(|site| site.str("wordpress.version"))
        .map(str::to_owned);
    let given = fleet.str("sources.wordpress");
    if let Some(path) = given.filter(|source| is_path(source)) {
        return Ok(SourceFile {
            sha256: Some(digest::<Sha256>("sources.wordpress", Path::new(path))?),
            path: Some(PathBuf::from(path)),
            url: None,
            version,
            sha512: None,
        });
    }
    let default = || match &version {
        Some(version) => format!("https://wordpress.org/wordpress-{version}.zip"),
        None => "https://wordpress.org/latest.zip".to_owned(),
    };
    Ok(SourceFile {
        path: None,
        url: Some(given.map_or_else(default, str::to_owned)),
        version,
        sha256: None,
        sha512: None,
    })
}

/// The source of WP-CLI.
///
/// # Errors
/// [`SourceError`] when a file cannot be read.
pub(super) fn wp_cli(fleet: &Spec) -> Result<SourceFile, SourceError> {
    let given = fleet.str("sources.wp_cli");
    if let Some(path) = given.filter(|source| is_path(source)) {
        return Ok(SourceFile {
            sha512: Some(digest::<Sha512>("sources.wp_cli", Path::new(path))?),
            path: Some(PathBuf::from(path)),
            url: None,
            version: None,
            sha256: None,
        });
    }
    let official = format!(
        "https://github.com/wp-cli/wp-cli/releases/download/v{WP_CLI_VERSION}/wp-cli-{WP_CLI_VERSION}.phar"
    );
    Ok(SourceFile {
        path: None,
        url: Some(given.map_or(official, str::to_owned)),
        version: Some(WP_CLI_VERSION.to_owned()),
        sha256: None,
        // A mirror has to have the very same file.
        sha512: Some(WP_CLI_SHA512.to_owned()),
    })
}

fn is_path(source: &str) -> bool {
    source.starts_with('/')
}

fn digest<D: Digest>(field: &'static str, path: &Path) -> Result<String, SourceError> {
    let unreadable = |error| SourceError::Unreadable {
        field,
        path: path.to_owned(),
        error,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut digest = D::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            return Ok(HEXLOWER.encode(&digest.finalize()));
        }
        digest.update(&buffer[..read]);
    }
}
