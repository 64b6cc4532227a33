//! Age files below `secrets/` of a fleet repo's working tree.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::error::CliError;
use crate::core::plain_text;
use crate::core::secret_owner::Reserved;
use crate::secrets::{Identity, Recipient, Secret, SecretError, SecretName, encrypt_file};

/// Of `pressluft.yaml` only what is needed here; `validate` checks the rest.
#[derive(Deserialize)]
struct Fleet {
    kind: String,
    #[serde(default)]
    secrets: FleetSecrets,
}

#[derive(Default, Deserialize)]
struct FleetSecrets {
    #[serde(default)]
    recipients: Vec<String>,
}

/// Encrypts a value for the fleet's recipients and this control plane; the file's path.
pub(super) fn write(
    directory: &Path,
    name: &SecretName,
    value: &Secret<String>,
    secrets_dir: &Path,
) -> Result<PathBuf, CliError> {
    if Reserved::default().contains(name.as_str()) {
        return Err(CliError::new(format!(
            "`{name}` belongs to the control plane, which reads it from its own store alone"
        ))
        .hint("leave out `--repo`"));
    }
    let mut recipients = recipients(directory)?;
    match Identity::load(secrets_dir) {
        Ok(identity) => {
            let own = identity.recipient();
            if !recipients.contains(&own) {
                recipients.push(own);
            }
        }
        // On the laptop of an operator the fleet's recipients are enough.
        Err(SecretError::NoIdentity(_)) if !recipients.is_empty() => {}
        Err(error) => return Err(error.into()),
    }
    let ciphertext = encrypt_file(&recipients, name, value)?;
    let path = path_of(directory, name)?;
    let parent = path
        .parent()
        .ok_or_else(|| CliError::new("a secret needs a directory"))?;
    fs::create_dir_all(parent)?;
    let mut draft = tempfile::Builder::new()
        .prefix(".secret-")
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(parent)?;
    draft.write_all(&ciphertext)?;
    draft
        .persist(&path)
        .map_err(|error| CliError::from(error.error))?;
    Ok(path)
}

/// The bytes of the age file of a secret.
pub(super) fn read(directory: &Path, name: &SecretName) -> Result<Vec<u8>, CliError> {
    let path = path_of(directory, name)?;
    fs::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SecretError::NotFound(name.to_string()).into(),
        _ => CliError::new(format!("cannot read `{}`: {error}", path.display())),
    })
}

/// Removes the age file of a secret; its path.
pub(super) fn remove(directory: &Path, name: &SecretName) -> Result<PathBuf, CliError> {
    let path = path_of(directory, name)?;
    fs::remove_file(&path)?;
    Ok(path)
}

pub(super) fn exists(directory: &Path, name: &SecretName) -> bool {
    path_of(directory, name).is_ok_and(|path| path.exists())
}

/// The names of all age files, sorted.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, CliError> {
    let root = directory.join("secrets");
    let mut names = Vec::new();
    let mut pending = vec![root.clone()];
    while let Some(directory) = pending.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            let path = entry.path();
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_file()
                && let Ok(relative) = path.strip_prefix(&root)
                && let Some(name) = relative.to_str().and_then(|text| text.strip_suffix(".age"))
                && name.parse::<SecretName>().is_ok()
            {
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Where the age file of a secret is. Links are refused: whoever wrote the repo must not
/// choose what else is read or written here.
fn path_of(directory: &Path, name: &SecretName) -> Result<PathBuf, CliError> {
    let mut path = directory.join("secrets");
    let file = format!("{name}.age");
    for part in std::iter::once("").chain(file.split('/')) {
        if !part.is_empty() {
            path.push(part);
        }
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(
                CliError::new(format!("`{}` is a symbolic link", path.display()))
                    .hint("put a directory or file in its place"),
            );
        }
    }
    Ok(path)
}

pub(super) fn recipients(directory: &Path) -> Result<Vec<Recipient>, CliError> {
    let path = directory.join("pressluft.yaml");
    let text = fs::read_to_string(&path).map_err(|error| {
        CliError::new(format!("cannot read `{}`: {error}", path.display()))
            .hint("`--repo` takes the root of a fleet repo; `pressluft init` makes one")
    })?;
    let documents: Vec<Fleet> =
        serde_yaml::from_multiple(plain_text::unmarked(&text)).map_err(|error| {
            CliError::new(format!("cannot read `{}`: {error}", path.display()))
                .hint("`pressluft validate` says more")
        })?;
    documents
        .into_iter()
        .filter(|document| document.kind == "Fleet")
        .flat_map(|fleet| fleet.secrets.recipients)
        .map(|recipient| recipient.parse().map_err(CliError::from))
        .collect()
}
