//! Where WordPress, WP-CLI, the file for an object cache and translations come from: a file of the control plane, or an address that the
//! node downloads from. Either way a digest is known before anything runs.
//!
//! The documents say which, and whoever may commit writes them; the settings of the control plane
//! say within which bounds: one directory, and which private addresses.

mod beneath;
mod languages;
mod verified;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::core::address::{Allowed, host_of, names_private};
use crate::core::document::fleet;
use crate::core::document::{Environment, Fleet, Site};
pub(super) use languages::Languages;
use verified::{Algorithm, Keep};

/// WP-CLI's latest release that was tried with the roles.
const WP_CLI_VERSION: &str = "2.12.0";
const WP_CLI_SHA512: &str = "be928f6b8ca1e8dfb9d2f4b75a13aa4aee0896f8a9a0a1c45cd5d2c98605e6172e6d014dda2e27f88c98befc16c040cbb2bd1bfa121510ea5cdf5f6a30fe8832";
/// The release of Redis Object Cache whose drop-in was tried with WordPress and the roles.
const OBJECT_CACHE_VERSION: &str = "2.6.3";
const OBJECT_CACHE_SHA512: &str = "fb85df46469d1a79e8da596b90dbe81d571f569a4a94a931265d95079d5020b3b309f388a2ae0a269388bbc7edc872bb80423c48190a9a719f3af0e686a91300";

/// What a commit may name, from the settings of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSettings {
    /// The one directory below which sources lie.
    pub directory: PathBuf,
    /// Where copies of them are kept whose digest is known; for this user alone.
    pub copies: PathBuf,
    /// What may be asked although it is no address of the public internet.
    pub allow_private: Vec<Allowed>,
}

impl SourceSettings {
    fn allow_private_texts(&self) -> Vec<String> {
        self.allow_private.iter().map(Allowed::text).collect()
    }
}

/// One program file and how it is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceFile {
    /// On the control plane; none when the node downloads.
    pub path: Option<PathBuf>,
    pub url: Option<String>,
    pub version: Option<String>,
    pub sha256: Option<String>,
    pub sha512: Option<String>,
    /// What the node may connect to although it is private: addresses, networks and names.
    pub allow_private: Vec<String>,
}

/// A source that cannot be used. No message holds anything of what stands in a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("`{field}` is recorded without a digest: write it as docs/migration.md says")]
    Old { field: &'static str },
    #[error(
        "`{field}.path` is `{path}`, which does not lie below `{directory}`: put the file there",
        path = .path.display(), directory = .directory.display()
    )]
    Outside {
        field: &'static str,
        path: PathBuf,
        directory: PathBuf,
    },
    #[error(
        "`{field}.path` is `{path}`, and `{part}` of it {why}",
        path = .path.display(), part = .part.display()
    )]
    Refused {
        field: &'static str,
        path: PathBuf,
        /// From the directory of sources.
        part: PathBuf,
        why: &'static str,
    },
    #[error("cannot read `{path}`, which `{field}` names: {error}", path = .path.display())]
    Unreadable {
        field: &'static str,
        path: PathBuf,
        error: std::io::Error,
    },
    #[error(
        "`{path}` is not what `{field}` asks for: its {algorithm} is {found}, and {wanted} is wanted",
        path = .path.display()
    )]
    Differs {
        field: &'static str,
        path: PathBuf,
        algorithm: &'static str,
        wanted: String,
        found: String,
    },
    #[error("`{field}` names `{path}`, which is larger than {mebibytes} MiB", path = .path.display())]
    TooLarge {
        field: &'static str,
        path: PathBuf,
        mebibytes: u64,
    },
    #[error("cannot keep a copy of what `{field}` names in `{path}`: {error}", path = .path.display())]
    Copy {
        field: &'static str,
        path: PathBuf,
        error: std::io::Error,
    },
    #[error(
        "`{field}.url` leads to the private address `{host}`, which `sources.allow_private` of `pressluft.toml` does not have"
    )]
    Private { field: &'static str, host: String },
}

/// The source of WordPress for a site.
pub(super) fn wordpress(fleet: &Fleet, site: Option<&Site>) -> SourceFile {
    let version = site.and_then(|site| site.wordpress.version.as_ref());
    let official = match version {
        Some(version) => format!("https://wordpress.org/wordpress-{version}.zip"),
        None => "https://wordpress.org/latest.zip".to_owned(),
    };
    SourceFile {
        version: version.map(ToString::to_string),
        ..given(&fleet.sources.wordpress, official)
    }
}

/// The source of WP-CLI.
pub(super) fn wp_cli(fleet: &Fleet) -> SourceFile {
    let official = format!(
        "https://github.com/wp-cli/wp-cli/releases/download/v{WP_CLI_VERSION}/wp-cli-{WP_CLI_VERSION}.phar"
    );
    pinned(
        &fleet.sources.wp_cli,
        official,
        WP_CLI_VERSION,
        WP_CLI_SHA512,
    )
}

/// The file that WordPress talks to an object cache with, for an environment that has one.
pub(super) fn object_cache(fleet: &Fleet, env: Option<&Environment>) -> Option<SourceFile> {
    env.filter(|env| env.cache.object)?;
    let official = format!(
        "https://raw.githubusercontent.com/rhubarbgroup/redis-cache/{OBJECT_CACHE_VERSION}/includes/object-cache.php"
    );
    let source = &fleet.sources.object_cache;
    Some(pinned(
        source,
        official,
        OBJECT_CACHE_VERSION,
        OBJECT_CACHE_SHA512,
    ))
}

/// What the fleet says, or the release that this version was tried with.
fn pinned(source: &fleet::SourceFile, official: String, version: &str, sha512: &str) -> SourceFile {
    let file = given(source, official);
    match source.path.is_some() || source.url.is_some() {
        true => file,
        false => SourceFile {
            version: Some(version.to_owned()),
            sha512: Some(sha512.to_owned()),
            ..file
        },
    }
}

/// What the fleet says, or the official address.
fn given(source: &fleet::SourceFile, official: String) -> SourceFile {
    let path = source
        .path
        .as_ref()
        .map(|path| PathBuf::from(path.as_str()));
    let url = source.url.as_ref().map(ToString::to_string);
    SourceFile {
        url: match &path {
            Some(_) => None,
            None => Some(url.unwrap_or(official)),
        },
        path,
        version: None,
        sha256: source.sha256.as_ref().map(ToString::to_string),
        sha512: source.sha512.as_ref().map(ToString::to_string),
        allow_private: Vec::new(),
    }
}

impl SourceFile {
    /// The source as jobs may use it: of a file of the control plane a copy that is proven to be
    /// what the documents ask for; of an address what the node has to know besides.
    ///
    /// # Errors
    /// [`SourceError`].
    pub(super) fn checked(
        self,
        field: &'static str,
        settings: &SourceSettings,
    ) -> Result<Self, SourceError> {
        self.checked_as(field, settings, Keep::PROGRAMS)
    }

    fn checked_as(
        self,
        field: &'static str,
        settings: &SourceSettings,
        keep: Keep,
    ) -> Result<Self, SourceError> {
        let Some(path) = &self.path else {
            let host = self.url.as_deref().and_then(host_of).unwrap_or_default();
            if names_private(host, &settings.allow_private) {
                let host = host.to_owned();
                return Err(SourceError::Private { field, host });
            }
            return Ok(Self {
                allow_private: settings.allow_private_texts(),
                ..self
            });
        };
        let wanted = match (&self.sha256, &self.sha512) {
            (Some(digest), _) => (Algorithm::Sha256, digest.as_str()),
            (None, Some(digest)) => (Algorithm::Sha512, digest.as_str()),
            (None, None) => return Err(SourceError::Old { field }),
        };
        let file = beneath::open(field, &settings.directory, path)?;
        let copy = verified::copy(field, path, file, wanted, &settings.copies, keep)?;
        Ok(Self {
            path: Some(copy),
            ..self
        })
    }
}

fn unreadable(field: &'static str, path: &Path, error: std::io::Error) -> SourceError {
    SourceError::Unreadable {
        field,
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests;
