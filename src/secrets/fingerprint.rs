//! Keyed hashes that say whether a secret changed, and nothing else.

use std::path::Path;

use super::error::{Result, SecretError};
use super::file;
use super::value::Secret;

/// The key of all fingerprints of this control plane.
#[expect(missing_debug_implementations, reason = "it is a secret key")]
pub struct FingerprintKey(Secret<[u8; 32]>);

impl FingerprintKey {
    /// The key, or none while no secret was ever stored here.
    ///
    /// # Errors
    /// When the key file cannot be read or is damaged.
    pub fn load(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join("fingerprint.key");
        let Some(content) = file::read(&path)? else {
            return Ok(None);
        };
        match content.as_slice().try_into() {
            Ok(key) => Ok(Some(Self(Secret::new(key)))),
            Err(_) => Err(SecretError::BadKeyFile {
                path,
                what: "key of 32 bytes",
            }),
        }
    }

    /// The key, made when there is none yet.
    ///
    /// # Errors
    /// When the key file can be neither read nor made.
    pub fn load_or_make(directory: &Path) -> Result<Self> {
        if let Some(key) = Self::load(directory)? {
            return Ok(key);
        }
        let path = directory.join("fingerprint.key");
        let made: Secret<[u8; 32]> = Secret::new(rand::random());
        match file::create(&path, made.expose()) {
            Ok(()) => Ok(Self(made)),
            // Another process was faster.
            Err(SecretError::Exists(_)) => {
                Self::load(directory)?.ok_or(SecretError::NoIdentity(path))
            }
            Err(error) => Err(error),
        }
    }

    /// The fingerprint of a value of the control plane's own store, as hex.
    #[must_use]
    pub fn of_value(&self, name: &str, value: &[u8]) -> String {
        self.of(b"value", name, value)
    }

    /// The fingerprint of an age file of the fleet repo, as hex. Of the ciphertext, so that a
    /// plan decrypts nothing; encrypting the same value again counts as a change.
    #[must_use]
    pub fn of_file(&self, name: &str, ciphertext: &[u8]) -> String {
        self.of(b"file", name, ciphertext)
    }

    fn of(&self, domain: &[u8], name: &str, bytes: &[u8]) -> String {
        let mut hasher = blake3::Hasher::new_keyed(self.0.expose());
        for part in [domain, name.as_bytes(), bytes] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }
}
