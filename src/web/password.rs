//! Passwords: argon2id, with the parameters and the salt in the hash.

use std::sync::LazyLock;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, Salt, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

/// Characters that a password has at least.
const SHORTEST: usize = 12;
/// Bytes of the longest password: what is hashed has a bound.
pub(super) const LONGEST: usize = 1024;

/// Memory in KiB, passes, lanes: 19 MiB and two passes, as OWASP recommends.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// Why a password cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("a password has at least {SHORTEST} characters")]
    TooShort,
    #[error("a password has at most {LONGEST} bytes")]
    TooLong,
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
}

/// The hash of a new password, in PHC form.
///
/// # Errors
/// When it is too short or too long.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    if password.chars().count() < SHORTEST {
        return Err(PasswordError::TooShort);
    }
    if password.len() > LONGEST {
        return Err(PasswordError::TooLong);
    }
    digest(password)
}

fn digest(password: &str) -> Result<String, PasswordError> {
    let failed = |error: &dyn std::fmt::Display| PasswordError::Hash(error.to_string());
    let random: [u8; Salt::RECOMMENDED_LENGTH] = rand::random();
    let salt = SaltString::encode_b64(&random).map_err(|error| failed(&error))?;
    let params = Params::new(COST.0, COST.1, COST.2, None).map_err(|error| failed(&error))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| failed(&error))
}

/// Takes the place of the hash of a user that does not exist. Nobody knows its password.
static NOBODYS: LazyLock<Option<String>> = LazyLock::new(|| {
    let random: [u8; 32] = rand::random();
    digest(&data_encoding::BASE64URL_NOPAD.encode(&random)).ok()
});

/// Whether `password` has the hash `known`. Without one it takes as long, and is wrong.
pub(super) fn is_right(password: &str, known: Option<&str>) -> bool {
    let Some(text) = known.or(NOBODYS.as_deref()) else {
        return false;
    };
    let Ok(hash) = PasswordHash::new(text) else {
        tracing::error!("a stored password hash cannot be read");
        return false;
    };
    // Compares in constant time; parameters are those of the hash.
    let is_right = Argon2::default()
        .verify_password(password.as_bytes(), &hash)
        .is_ok();
    is_right && known.is_some()
}

/// Makes the first login as fast as every other.
pub(super) fn warm_up() {
    LazyLock::force(&NOBODYS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_opens_its_hash() {
        let known = hash("correct horse battery").expect("hashed");
        assert!(
            known.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{known}"
        );
        assert!(is_right("correct horse battery", Some(&known)));
        assert!(!is_right("correct horse batterx", Some(&known)));
        assert!(!is_right("", None));
        assert!(!is_right("correct horse battery", Some("not a hash")));
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert!(matches!(hash("short"), Err(PasswordError::TooShort)));
        let long = "x".repeat(LONGEST + 1);
        assert!(matches!(hash(&long), Err(PasswordError::TooLong)));
    }
}
