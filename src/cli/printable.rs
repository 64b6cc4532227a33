//! Text of others on a terminal.

use std::borrow::Cow;

use crate::core::document::scalar::is_hidden;

/// `text` with characters replaced that drive the terminal, or make it show something else than it gets.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .map(|c| {
            if is_hidden(c) && c != '\n' && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}
