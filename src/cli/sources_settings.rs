//! `[sources]` of `pressluft.toml`: what documents may name on this machine and in the network.

use std::path::{Path, PathBuf};

use super::env::{env_path, env_text};
use super::error::CliError;
use super::exit::Exit;
use super::settings::SourcesSettings;
use crate::core::address::Allowed;
use crate::daemon::SourceSettings;

pub(super) fn sources(
    settings: &SourcesSettings,
    state_dir: &Path,
) -> Result<SourceSettings, CliError> {
    let directory = env_path("PRESSLUFT_SOURCES_DIR").or_else(|| settings.directory.clone());
    let directory = directory.unwrap_or_else(|| PathBuf::from("sources"));
    let of_env = env_text("PRESSLUFT_SOURCES_ALLOW_PRIVATE");
    let allowed: Vec<&str> = match &of_env {
        Some(text) => text.split(',').map(str::trim).collect(),
        None => settings.allow_private.iter().map(String::as_str).collect(),
    };
    let parse = |text: &&str| {
        Allowed::parse(text).map_err(|error| {
            let usage =
                CliError::new(format!("`sources.allow_private`: {error}")).exit(Exit::Usage);
            match error.hint {
                Some(hint) => usage.hint(hint),
                None => usage,
            }
        })
    };
    Ok(SourceSettings {
        directory: std::path::absolute(state_dir.join(directory))?,
        copies: state_dir.join("cache/sources"),
        allow_private: allowed.iter().map(parse).collect::<Result<_, _>>()?,
    })
}

/// What documents may name must not have anything of `kept` in it, nor lie below `secrets_dir`.
pub(super) fn require_apart(
    directory: &Path,
    kept: &[&PathBuf],
    secrets_dir: &Path,
) -> Result<(), CliError> {
    let found = really(directory);
    let is_above = |path: &&&PathBuf| really(path).starts_with(&found);
    let told = match kept.iter().find(is_above) {
        Some(path) => format!("holds `{}`", path.display()),
        None if found.starts_with(really(secrets_dir)) => {
            format!("is a part of `{}`", secrets_dir.display())
        }
        None => return Ok(()),
    };
    Err(CliError::new(format!(
        "the directory of sources `{}` {told}, which no commit may name",
        directory.display(),
    ))
    .exit(Exit::Usage)
    .hint("give it a directory of its own: `directory` under `[sources]` of `pressluft.toml`"))
}

/// Where a path leads, as much of it as there is.
fn really(path: &Path) -> PathBuf {
    if let Ok(found) = path.canonicalize() {
        return found;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => really(parent).join(name),
        _ => path.to_owned(),
    }
}
