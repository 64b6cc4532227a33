//! A value that does not show itself.

use zeroize::Zeroize;

use super::error::{Result, SecretError};

/// A secret value: without `Debug`, `Display` and `Serialize`, overwritten when dropped.
#[expect(
    missing_debug_implementations,
    reason = "what holds a secret must not be printable by accident"
)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the value in.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value. Whoever asks keeps it out of logs, argv, plans and errors.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value without its shell: the caller sees to it that it is overwritten.
    pub(super) fn into_inner(mut self) -> T
    where
        T: Default,
    {
        std::mem::take(&mut self.0)
    }

    pub(super) fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret<String> {
    /// The text that `bytes` hold.
    ///
    /// # Errors
    /// [`SecretError::NotText`] when they are not UTF-8 or hold a NUL.
    pub fn text(bytes: Vec<u8>, name: &str) -> Result<Self> {
        let not_text = || SecretError::NotText {
            name: name.to_owned(),
        };
        let text = match String::from_utf8(bytes) {
            Ok(text) => Self::new(text),
            Err(error) => {
                error.into_bytes().zeroize();
                return Err(not_text());
            }
        };
        if text.expose().contains('\0') {
            Err(not_text())
        } else {
            Ok(text)
        }
    }
}
