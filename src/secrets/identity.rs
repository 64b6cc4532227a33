//! The control plane's age identity (X25519) and the recipients of a fleet.

use std::fmt;
use std::iter;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::x25519;
use zeroize::Zeroizing;

use super::cipher;
use super::error::{Result, SecretError};
use super::file;
use super::value::Secret;
use crate::core::plain_text;

/// What decrypts: the identity that is encrypted for, and those before it. Its file has the format of
/// `age-keygen`.
#[expect(missing_debug_implementations, reason = "it holds private keys")]
pub struct Identity {
    current: x25519::Identity,
    /// Those that were encrypted for earlier, the newest first.
    earlier: Vec<x25519::Identity>,
    /// What the first one was encrypted for, where that is not the current one.
    first: Option<Recipient>,
}

/// Begins the line that says by what name nodes know the control plane.
const FIRST: &[u8] = b"# control plane: ";

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
        let identity = Self {
            current: x25519::Identity::generate(),
            earlier: Vec::new(),
            first: None,
        };
        file::create(&Self::path(directory), identity.text().as_bytes())?;
        Ok(identity)
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
        Self::parse(&content).ok_or(SecretError::BadKeyFile {
            path,
            what: "age identity",
        })
    }

    fn parse(content: &[u8]) -> Option<Self> {
        let lines = || plain_text::unmarked_bytes(content).split(|byte| *byte == b'\n');
        let mut identities = lines()
            .filter(|line| !line.trim_ascii().is_empty() && !line.starts_with(b"#"))
            .map(|line| std::str::from_utf8(line).ok()?.trim().parse().ok());
        let first = lines().find_map(|line| line.strip_prefix(FIRST));
        Some(Self {
            current: identities.next()??,
            earlier: identities.collect::<Option<_>>()?,
            first: match first {
                Some(line) => Some(std::str::from_utf8(line).ok()?.trim().parse().ok()?),
                None => None,
            },
        })
    }

    fn text(&self) -> Zeroizing<String> {
        // Room for all of it at once: growing would leave copies of the keys behind.
        let lines = 256 * (2 + self.earlier.len());
        let mut text = Zeroizing::new(String::with_capacity(lines));
        if let Some(first) = &self.first {
            text.push_str(&format!("# control plane: {first}\n"));
        }
        for (index, identity) in iter::once(&self.current).chain(&self.earlier).enumerate() {
            let earlier = if index == 0 { "" } else { " of an earlier one" };
            text.push_str(&format!(
                "# public key{earlier}: {}\n",
                identity.to_public()
            ));
            text.push_str(identity.to_string().expose_secret());
            text.push('\n');
        }
        text
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

    /// This one with a new identity before it that is encrypted for from now on; not saved yet.
    #[must_use]
    pub fn rotated(self) -> Self {
        let first = Some(self.control_plane());
        Self {
            current: x25519::Identity::generate(),
            earlier: iter::once(self.current).chain(self.earlier).collect(),
            first,
        }
    }

    /// This one without the earlier identities; not saved yet.
    #[must_use]
    pub fn without_earlier(self) -> Self {
        Self {
            earlier: Vec::new(),
            ..self
        }
    }

    /// Puts it in the place of the identity of this control plane, which is to be a part of it.
    ///
    /// # Errors
    /// When the file cannot be written; then it is as it was.
    pub fn save(&self, directory: &Path) -> Result<()> {
        file::replace(&Self::path(directory), self.text().as_bytes())
    }

    /// How many earlier ones there are.
    #[must_use]
    pub fn earlier(&self) -> usize {
        self.earlier.len()
    }

    /// What others encrypt for.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient(self.current.to_public())
    }

    /// By what nodes know this control plane, whatever identity it has now.
    #[must_use]
    pub fn control_plane(&self) -> Recipient {
        self.first.clone().unwrap_or_else(|| self.recipient())
    }

    /// The bytes in an armored or binary age file that was encrypted for this identity or an earlier
    /// one.
    ///
    /// # Errors
    /// [`SecretError::Decrypt`] when it was not, or is damaged.
    pub fn decrypt(&self, name: &str, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>> {
        let all = iter::once(&self.current).chain(&self.earlier);
        cipher::decrypt(all, name, ciphertext)
    }

    /// Whether the current identity opens an age file, without the earlier ones.
    #[must_use]
    pub fn opens_alone(&self, ciphertext: &[u8]) -> bool {
        cipher::decrypt(iter::once(&self.current), "", ciphertext).is_ok()
    }

    /// Whether an earlier identity opens an age file, whoever else does.
    #[must_use]
    pub fn earlier_opens(&self, ciphertext: &[u8]) -> bool {
        cipher::decrypt(self.earlier.iter(), "", ciphertext).is_ok()
    }

    /// Whether this was what one of the earlier identities was encrypted for.
    #[must_use]
    pub fn was_for(&self, recipient: &Recipient) -> bool {
        let mut earlier = self.earlier.iter();
        earlier.any(|identity| Recipient(identity.to_public()) == *recipient)
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
pub struct Recipient(pub(super) x25519::Recipient);

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
