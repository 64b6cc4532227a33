//! The control plane's age identity (X25519) and the recipients of a fleet.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::cipher;
use super::error::{Result, SecretError};
use super::file;
use super::value::Secret;

/// What decrypts. Its file has the format of `age-keygen`.
#[expect(missing_debug_implementations, reason = "it is a private key")]
pub struct Identity(age::x25519::Identity);

impl Identity {
    /// Where the identity is below the directory of secrets.
    #[must_use]
    pub fn path(directory: &Path) -> PathBuf {
        directory.join("identity.age")
    }

    /// Makes the identity of this control plane.
    ///
    /// # Errors
    /// [`SecretError::Exists`] when there is one: replacing it would lose every secret.
    pub fn generate(directory: &Path) -> Result<Self> {
        let identity = age::x25519::Identity::generate();
        let text = Zeroizing::new(format!(
            "# public key: {}\n{}\n",
            identity.to_public(),
            identity.to_string().expose_secret()
        ));
        file::create(&Self::path(directory), text.as_bytes())?;
        Ok(Self(identity))
    }

    /// The identity of this control plane.
    ///
    /// # Errors
    /// [`SecretError::NoIdentity`], and what reading a key file can fail with.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = Self::path(directory);
        let Some(content) = file::read(&path)? else {
            return Err(SecretError::NoIdentity(path));
        };
        let line = content
            .split(|byte| *byte == b'\n')
            .find(|line| !line.is_empty() && !line.starts_with(b"#"))
            .and_then(|line| std::str::from_utf8(line).ok());
        line.and_then(|line| line.trim().parse().ok())
            .map(Self)
            .ok_or(SecretError::BadKeyFile {
                path,
                what: "age identity",
            })
    }

    /// The identity of this control plane, made when there is none yet.
    ///
    /// # Errors
    /// Those of [`Identity::load`] and [`Identity::generate`].
    pub fn load_or_generate(directory: &Path) -> Result<Self> {
        match Self::load(directory) {
            Err(SecretError::NoIdentity(_)) => match Self::generate(directory) {
                // Another process was faster.
                Err(SecretError::Exists(_)) => Self::load(directory),
                made => made,
            },
            loaded => loaded,
        }
    }

    /// What others encrypt for.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// The bytes in an armored or binary age file that was encrypted for this identity.
    ///
    /// # Errors
    /// [`SecretError::Decrypt`] when it was not, or is damaged.
    pub fn decrypt(&self, name: &str, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>> {
        cipher::decrypt(&self.0, name, ciphertext)
    }

    /// The text in an armored or binary age file that was encrypted for this identity.
    ///
    /// # Errors
    /// [`SecretError::Decrypt`] and [`SecretError::NotText`].
    pub fn decrypt_text(&self, name: &str, ciphertext: &[u8]) -> Result<Secret<String>> {
        Secret::text(self.decrypt(name, ciphertext)?.into_inner(), name)
    }
}

/// Somebody who can decrypt: `age1…`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recipient(pub(super) age::x25519::Recipient);

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Recipient {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self> {
        text.parse()
            .map(Self)
            .map_err(|_| SecretError::BadRecipient(text.to_owned()))
    }
}
