//! Where a secret comes from: a file of the fleet repo, else the control plane's own store.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cipher::encrypt;
use super::error::{Result, SecretError};
use super::fingerprint::FingerprintKey;
use super::identity::Identity;
use super::name::SecretName;
use super::value::Secret;
use crate::store::Store;

/// The bytes of `secrets/<name>.age` of one revision, by name.
pub type RepoSecrets = BTreeMap<String, Vec<u8>>;

/// Where a queued job gets the value of a secret from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The age file as it was in the plan's revision, kept under this digest.
    Repo { digest: String },
    /// The control plane's own store, as it is when the job runs.
    Store,
}

/// The fingerprint of each of `names` that exists; the fleet repo wins.
///
/// # Errors
/// When the database fails.
pub fn fingerprints<'a>(
    key: &FingerprintKey,
    store: &Store,
    repo: &RepoSecrets,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for name in names {
        let fingerprint = match repo.get(name) {
            Some(file) => Some(key.of_file(name, file)),
            None => store.secret(name)?.map(|secret| secret.fingerprint),
        };
        if let Some(fingerprint) = fingerprint {
            found.insert(name.to_owned(), fingerprint);
        }
    }
    Ok(found)
}

/// Keeps what jobs that refer to `names` will need, and says where each is.
///
/// # Errors
/// [`SecretError::NotFound`] for a name that exists nowhere.
pub fn pin<'a>(
    store: &mut Store,
    repo: &RepoSecrets,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<String, Origin>> {
    let mut origins = BTreeMap::new();
    for name in names {
        let origin = match repo.get(name) {
            Some(file) => Origin::Repo {
                digest: store.keep_secret_blob(name, file)?,
            },
            None if store.secret(name)?.is_some() => Origin::Store,
            None => return Err(SecretError::NotFound(name.to_owned())),
        };
        origins.insert(name.to_owned(), origin);
    }
    Ok(origins)
}

/// The value of a secret.
///
/// # Errors
/// [`SecretError::NotFound`], [`SecretError::Decrypt`], [`SecretError::NotText`].
pub fn reveal(
    store: &Store,
    identity: &Identity,
    name: &str,
    origin: &Origin,
) -> Result<Secret<String>> {
    let ciphertext = match origin {
        Origin::Repo { digest } => store.secret_blob(digest)?,
        Origin::Store => store.secret(name)?.map(|secret| secret.ciphertext),
    };
    let ciphertext = ciphertext.ok_or_else(|| SecretError::NotFound(name.to_owned()))?;
    identity.decrypt_text(name, &ciphertext)
}

/// Encrypts what is in the control plane's own store anew, as far as the current identity does not open
/// it without earlier ones; how many ciphertexts that were.
///
/// # Errors
/// [`SecretError::Decrypt`] when one of them opens for none of the identities, or when the database
/// fails; then all are as they were.
pub fn reseal(store: &mut Store, identity: &Identity) -> Result<usize> {
    let seal = |name: &str, ciphertext: &mut Vec<u8>| -> Result<bool> {
        if identity.opens_alone(ciphertext) {
            return Ok(false);
        }
        let value = identity.decrypt(name, ciphertext)?;
        *ciphertext = encrypt(&[identity.recipient()], value.expose())?;
        Ok(true)
    };
    let mut secrets = Vec::new();
    for mut secret in store.secrets()? {
        if seal(&secret.name, &mut secret.ciphertext)? {
            secrets.push(secret);
        }
    }
    let mut generated = Vec::new();
    for (resource, mut secret) in store.all_generated_secrets()? {
        let name = format!("{resource}:{}", secret.name);
        if seal(&name, &mut secret.ciphertext)? {
            generated.push((resource, secret));
        }
    }
    store.replace_ciphertexts(&secrets, &generated)?;
    Ok(secrets.len() + generated.len())
}

/// Sets a secret of the control plane's own store; whether its value is another one now.
///
/// # Errors
/// When the value cannot be encrypted or the database fails.
pub fn set(
    store: &mut Store,
    (identity, key): (&Identity, &FingerprintKey),
    name: &SecretName,
    value: &Secret<String>,
    actor: &str,
    now: Timestamp,
) -> Result<bool> {
    let bytes = value.expose().as_bytes();
    let ciphertext = encrypt(&[identity.recipient()], bytes)?;
    let fingerprint = key.of_value(name.as_str(), bytes);
    Ok(store.set_secret(name.as_str(), &ciphertext, &fingerprint, actor, now)?)
}
