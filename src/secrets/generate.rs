//! Secrets that nobody has to think of: passwords and salts, made once per environment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rand::seq::IndexedRandom;

use super::cipher::encrypt;
use super::error::{Result, SecretError};
use super::identity::Identity;
use super::value::Secret;
use crate::core::id::ResourceId;
use crate::store::{GeneratedSecret, Store};

/// Safe between quotes of PHP, SQL, INI and shell: no quote, backslash, `$`, `#` or space.
const ALPHABET: &[u8] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.,:;+=@%^~!?-";

/// How many of [`ALPHABET`]'s characters are letters and digits.
const ALPHANUMERIC: usize = 62;

/// The keys and salts of WordPress.
pub const SALTS: [&str; 8] = [
    "AUTH_KEY",
    "SECURE_AUTH_KEY",
    "LOGGED_IN_KEY",
    "NONCE_KEY",
    "AUTH_SALT",
    "SECURE_AUTH_SALT",
    "LOGGED_IN_SALT",
    "NONCE_SALT",
];

/// Names and lengths of the passwords.
const PASSWORDS: [(&str, usize); 2] = [("db_password", 32), ("admin_password", 32)];
const SALT_LENGTH: usize = 64;

/// What was generated for one environment.
#[expect(missing_debug_implementations, reason = "it holds secrets")]
pub struct EnvironmentSecrets {
    pub db_password: Secret<String>,
    pub admin_password: Secret<String>,
    /// By the names in [`SALTS`].
    pub salts: BTreeMap<&'static str, Secret<String>>,
}

/// The generated secrets of `environment`: made on the first call, the same ever after, also
/// when several processes call at once.
///
/// # Errors
/// When the database fails, or what it holds was encrypted for another identity.
pub fn environment_secrets(
    store: &mut Store,
    identity: &Identity,
    environment: &ResourceId,
    now: Timestamp,
) -> Result<EnvironmentSecrets> {
    let mut kept = store.generated_secrets(environment)?;
    if kept.len() < PASSWORDS.len() + 1 {
        let candidates = candidates(identity)?;
        kept = store.keep_generated_secrets(environment, &candidates, now)?;
    }
    let open = |name: &str| -> Result<Secret<String>> {
        let full = format!("{environment}:{name}");
        let secret = kept
            .iter()
            .find(|secret| secret.name == name)
            .ok_or_else(|| SecretError::NotFound(full.clone()))?;
        Secret::text(
            identity.decrypt(&full, &secret.ciphertext)?.into_inner(),
            &full,
        )
    };
    let joined = open("salts")?;
    let salts: BTreeMap<&'static str, Secret<String>> = SALTS
        .into_iter()
        .zip(
            joined
                .expose()
                .split('\n')
                .map(|salt| Secret::new(salt.to_owned())),
        )
        .collect();
    if salts.len() != SALTS.len() {
        return Err(SecretError::NotFound(format!("{environment}:salts")));
    }
    Ok(EnvironmentSecrets {
        db_password: open("db_password")?,
        admin_password: open("admin_password")?,
        salts,
    })
}

fn candidates(identity: &Identity) -> Result<Vec<GeneratedSecret>> {
    let seal = |name: &str, value: &Secret<String>| -> Result<GeneratedSecret> {
        let ciphertext = encrypt(&[identity.recipient()], value.expose().as_bytes())?;
        Ok(GeneratedSecret {
            name: name.to_owned(),
            ciphertext,
        })
    };
    let mut made = PASSWORDS
        .iter()
        .map(|(name, length)| seal(name, &random_text(*length)))
        .collect::<Result<Vec<_>>>()?;
    // All salts in one ciphertext: a job opens four of them, not eleven.
    let mut joined = Secret::new(String::with_capacity(SALTS.len() * (SALT_LENGTH + 1)));
    for n in 0..SALTS.len() {
        if n > 0 {
            joined.expose_mut().push('\n');
        }
        joined
            .expose_mut()
            .push_str(random_text(SALT_LENGTH).expose());
    }
    made.push(seal("salts", &joined)?);
    Ok(made)
}

/// Random characters, the first of them a letter or digit, so that no tool takes the text
/// for an option or a file name.
fn random_text(length: usize) -> Secret<String> {
    let mut rng = rand::rng();
    let mut text = Secret::new(String::with_capacity(length));
    for n in 0..length {
        let alphabet = if n == 0 {
            &ALPHABET[..ALPHANUMERIC]
        } else {
            ALPHABET
        };
        if let Some(byte) = alphabet.choose(&mut rng) {
            text.expose_mut().push(char::from(*byte));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_text_keeps_to_its_alphabet_and_uses_all_of_it() {
        let text = random_text(20_000);
        assert!(text.expose().bytes().all(|byte| ALPHABET.contains(&byte)));
        assert!(
            ALPHABET
                .iter()
                .all(|byte| text.expose().as_bytes().contains(byte))
        );
        for _ in 0..200 {
            assert!(
                random_text(8)
                    .expose()
                    .starts_with(|c: char| c.is_ascii_alphanumeric())
            );
        }
    }
}
