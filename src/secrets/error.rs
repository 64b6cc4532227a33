//! What can go wrong with secrets. No variant carries a value.

use std::io;
use std::path::PathBuf;

use crate::store::StoreError;

/// A failure of `secrets`.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("there is no age identity at `{path}`", path = .0.display())]
    NoIdentity(PathBuf),
    #[error("`{path}` exists already", path = .0.display())]
    Exists(PathBuf),
    #[error("`{path}` is readable by others (mode {mode:03o})", path = .path.display())]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("`{path}` holds no {what}", path = .path.display())]
    BadKeyFile { path: PathBuf, what: &'static str },
    #[error("`{0}` is no age recipient")]
    BadRecipient(String),
    #[error("`{0}` is no name for a secret")]
    BadName(String),
    #[error("the secret `{0}` is neither in the fleet repo nor in the control plane's store")]
    NotFound(String),
    #[error("the secret `{name}` cannot be decrypted: {reason}")]
    Decrypt { name: String, reason: String },
    #[error("`secrets/{name}.age` of the fleet repo holds the secret `{inside}`, not `{name}`")]
    Misnamed { name: String, inside: String },
    #[error("`secrets/{0}.age` of the fleet repo does not say inside that it holds `{0}`")]
    Unnamed(String),
    #[error("a secret cannot be encrypted: {0}")]
    Encrypt(String),
    #[error("the secret `{name}` is not text")]
    NotText { name: String },
    #[error("cannot access `{path}`", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SecretError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoIdentity(_) => Some("`pressluft secret keygen` makes one"),
            Self::Exists(_) => Some(
                "without it, what was encrypted for it is lost; `pressluft secret rotate` makes \
                 another one beside it",
            ),
            Self::TooOpen { .. } => Some("`chmod 600` it, and replace it if others had access"),
            Self::BadKeyFile { .. } => Some("restore it from a backup"),
            Self::BadRecipient(_) => Some("it starts with `age1`; `secret keygen` prints one"),
            Self::BadName(_) => Some(
                "lower-case letters, digits, `.`, `_`, `-`, in parts between `/`, each starting \
                 with a letter or digit",
            ),
            Self::NotFound(_) => Some("`pressluft secret set NAME` stores one"),
            Self::Decrypt { .. } => {
                Some("encrypt it again for this control plane: `pressluft secret set NAME`")
            }
            Self::Misnamed { .. } | Self::Unnamed(_) => Some(
                "a file that was copied from another name does not open; store the value with \
                 `pressluft secret set NAME --repo DIR`, or rename with `pressluft secret move`",
            ),
            Self::NotText { .. } => Some("encode binary values, for example as base64"),
            Self::Encrypt(_) | Self::Io { .. } | Self::Store(_) => None,
        }
    }
}

/// The result of anything about secrets.
pub type Result<T, E = SecretError> = std::result::Result<T, E>;
