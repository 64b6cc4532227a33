//! Files of the fleet repo, which say inside whose secret they hold.
//!
//! Whoever may commit can read every file there and put it under another name. So the first line of
//! what is encrypted names the secret, and under another name the file does not open. A file that
//! was made by hand may leave the line out, but not where the name has an owner: there it would be
//! anybody's.

use super::cipher::encrypt_armored;
use super::error::{Result, SecretError};
use super::identity::{Identity, Recipient};
use super::name::SecretName;
use super::value::Secret;
use crate::core::secret_owner::{Owner, Reserved};

/// Begins the line that names the secret.
const MARK: &str = "pressluft-secret: ";

/// An armored age file for `recipients` that holds the secret `name`.
///
/// # Errors
/// [`SecretError::Encrypt`] without recipients.
pub fn encrypt_file(
    recipients: &[Recipient],
    name: &SecretName,
    value: &Secret<String>,
) -> Result<Vec<u8>> {
    let head = format!("{MARK}{name}\n");
    // Room for all of it at once: growing would leave copies of the start behind.
    let capacity = head.len() + value.expose().len();
    let mut text = Secret::new(String::with_capacity(capacity));
    text.expose_mut().push_str(&head);
    text.expose_mut().push_str(value.expose());
    encrypt_armored(recipients, text.expose().as_bytes())
}

impl Identity {
    /// The secret `name` in an age file of the fleet repo, armored or binary.
    ///
    /// # Errors
    /// [`SecretError::Misnamed`] when it holds another one, [`SecretError::Unnamed`] when it does not
    /// say so and has to, and those of [`Identity::decrypt_text`].
    pub fn open_file(&self, name: &str, file: &[u8]) -> Result<Secret<String>> {
        let text = self.decrypt_text(name, file)?;
        let named = text.expose().strip_prefix(MARK);
        let Some((inside, value)) = named.and_then(|named| named.split_once('\n')) else {
            let has_owner = !matches!(Reserved::default().owner(name), Owner::Fleet);
            return match has_owner {
                true => Err(SecretError::Unnamed(name.to_owned())),
                false => Ok(text),
            };
        };
        // By hand, the line may end as on other systems.
        let inside = inside.trim_end_matches('\r');
        if inside == name {
            Ok(Secret::new(value.to_owned()))
        } else {
            Err(SecretError::Misnamed {
                name: name.to_owned(),
                inside: inside
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect(),
            })
        }
    }
}
