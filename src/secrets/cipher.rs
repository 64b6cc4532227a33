//! Encrypting and decrypting with age.

use std::io::{Read, Write};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor};

use super::error::{Result, SecretError};
use super::identity::Recipient;
use super::value::Secret;
use crate::core::plain_text;

/// A binary age file for `recipients`.
///
/// # Errors
/// [`SecretError::Encrypt`] without recipients.
pub fn encrypt(recipients: &[Recipient], plaintext: &[u8]) -> Result<Vec<u8>> {
    write(recipients, plaintext, Format::Binary)
}

/// An age file of plain ASCII for `recipients`, fit for a git repository.
///
/// # Errors
/// [`SecretError::Encrypt`] without recipients.
pub fn encrypt_armored(recipients: &[Recipient], plaintext: &[u8]) -> Result<Vec<u8>> {
    write(recipients, plaintext, Format::AsciiArmor)
}

fn write(recipients: &[Recipient], plaintext: &[u8], format: Format) -> Result<Vec<u8>> {
    let failed = |error: &dyn std::fmt::Display| SecretError::Encrypt(error.to_string());
    let recipients = recipients
        .iter()
        .map(|recipient| &recipient.0 as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(recipients).map_err(|error| failed(&error))?;
    let armored = ArmoredWriter::wrap_output(Vec::new(), format).map_err(|error| failed(&error))?;
    let mut writer = encryptor
        .wrap_output(armored)
        .map_err(|error| failed(&error))?;
    writer
        .write_all(plaintext)
        .and_then(|()| writer.finish())
        .and_then(ArmoredWriter::finish)
        .map_err(|error| failed(&error))
}

pub(super) fn decrypt<'a>(
    identities: impl Iterator<Item = &'a age::x25519::Identity>,
    name: &str,
    ciphertext: &[u8],
) -> Result<Secret<Vec<u8>>> {
    let failed = |reason: String| SecretError::Decrypt {
        name: name.to_owned(),
        reason,
    };
    let open = || -> Result<_, DecryptError> {
        Decryptor::new_buffered(ArmoredReader::new(plain_text::unmarked_bytes(ciphertext)))?
            .decrypt(identities.map(|identity| identity as &dyn age::Identity))
    };
    let mut reader = open().map_err(|error| {
        failed(match error {
            DecryptError::NoMatchingKeys => "it is for other recipients".to_owned(),
            other => other.to_string(),
        })
    })?;
    // Room for all of it at once: growing would leave copies of the start behind.
    let mut plaintext = Secret::new(Vec::with_capacity(ciphertext.len()));
    match reader.read_to_end(plaintext.expose_mut()) {
        Ok(_) => Ok(plaintext),
        Err(error) => Err(failed(error.to_string())),
    }
}
