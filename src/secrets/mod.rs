//! Secrets: age ciphertexts, keyed fingerprints, generated values, redaction.
//!
//! Values exist in memory as [`Secret`] alone, on disk as age ciphertexts alone. `store` keeps
//! the ciphertexts and cannot open them; the identity that can is a file beside it.

mod cipher;
mod error;
mod file;
mod fingerprint;
mod generate;
mod identity;
mod name;
mod origin;
mod redact;
mod repo_file;
mod value;

pub use cipher::{encrypt, encrypt_armored};
pub use error::{Result, SecretError};
pub use fingerprint::FingerprintKey;
pub use generate::{EnvironmentSecrets, SALTS, environment_secrets};
pub use identity::{Identity, Recipient};
pub use name::SecretName;
pub use origin::{Origin, RepoSecrets, Resealed, fingerprints, pin, rename, reseal, reveal, set};
pub use redact::{MASK, RedactingStream, Redactor};
pub use repo_file::encrypt_file;
pub use value::Secret;
