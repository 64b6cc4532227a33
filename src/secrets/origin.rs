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
use crate::core::id::ResourceId;
use crate::store::{GeneratedSecret, Store, StoredSecret};

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
/// [`SecretError::NotFound`], [`SecretError::Decrypt`], [`SecretError::NotText`], and for a file of the
/// fleet repo those of [`Identity::open_file`].
pub fn reveal(
    store: &Store,
    identity: &Identity,
    name: &str,
    origin: &Origin,
) -> Result<Secret<String>> {
    let missing = || SecretError::NotFound(name.to_owned());
    match origin {
        Origin::Repo { digest } => {
            let file = store.secret_blob(digest)?.ok_or_else(missing)?;
            identity.open_file(name, &file)
        }
        Origin::Store => {
            let secret = store.secret(name)?.ok_or_else(missing)?;
            identity.decrypt_text(name, &secret.ciphertext)
        }
    }
}

/// What the control plane keeps, encrypted anew, and not kept yet.
#[derive(Debug)]
pub struct Resealed {
    secrets: Vec<StoredSecret>,
    generated: Vec<(ResourceId, GeneratedSecret)>,
    blobs: Vec<(String, Vec<u8>)>,
}

impl Resealed {
    /// Puts it in the place of what is kept, all or none; how many ciphertexts that are.
    ///
    /// # Errors
    /// When the database fails; then all are as they were.
    pub fn keep(self, store: &mut Store) -> Result<usize> {
        store.replace_ciphertexts(&self.secrets, &self.generated, &self.blobs)?;
        Ok(self.secrets.len() + self.generated.len() + self.blobs.len())
    }
}

/// Encrypts anew what the control plane keeps and the current identity does not open without earlier
/// ones: its own store, what was generated, and the files of the fleet repo that jobs use. A file that
/// was never for this control plane stays as it is.
///
/// # Errors
/// [`SecretError::Decrypt`] when something of its own opens for none of the identities, or when the
/// database fails.
pub fn reseal(store: &Store, identity: &Identity) -> Result<Resealed> {
    let sealed = |name: &str, ciphertext: &[u8]| -> Result<Option<Vec<u8>>> {
        if identity.opens_alone(ciphertext) {
            return Ok(None);
        }
        let value = identity.decrypt(name, ciphertext)?;
        encrypt(&[identity.recipient()], value.expose()).map(Some)
    };
    let mut resealed = Resealed {
        secrets: Vec::new(),
        generated: Vec::new(),
        blobs: Vec::new(),
    };
    for secret in store.secrets()? {
        if let Some(ciphertext) = sealed(&secret.name, &secret.ciphertext)? {
            resealed.secrets.push(StoredSecret {
                ciphertext,
                ..secret
            });
        }
    }
    for (resource, secret) in store.all_generated_secrets()? {
        let full = format!("{resource}:{}", secret.name);
        if let Some(ciphertext) = sealed(&full, &secret.ciphertext)? {
            let name = secret.name;
            resealed
                .generated
                .push((resource, GeneratedSecret { name, ciphertext }));
        }
    }
    for (digest, file) in store.secret_blobs()? {
        if identity.earlier_opens(&file)
            && let Some(ciphertext) = sealed(&digest, &file)?
        {
            resealed.blobs.push((digest, ciphertext));
        }
    }
    Ok(resealed)
}

/// Gives a secret of the control plane's own store another name; false, and nothing is changed, when
/// there is none of the old name or there is one of the new.
///
/// # Errors
/// [`SecretError::Decrypt`] when it cannot be opened, or when the database fails.
pub fn rename(
    store: &mut Store,
    (identity, key): (&Identity, &FingerprintKey),
    old: &SecretName,
    new: &SecretName,
    actor: &str,
    now: Timestamp,
) -> Result<bool> {
    let Some(kept) = store.secret(old.as_str())? else {
        return Ok(false);
    };
    // A fingerprint depends on the name, so that equal values of two names cannot be told.
    let value = identity.decrypt(old.as_str(), &kept.ciphertext)?;
    let fingerprint = key.of_value(new.as_str(), value.expose());
    Ok(store.rename_secret(old.as_str(), new.as_str(), &fingerprint, actor, now)?)
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
