//! What editors and other systems add to a text without its author's doing: a byte order mark in front of it, and carriage
//! returns at the ends of its lines. Every text that a person writes for us is read through here.

use std::borrow::Cow;

const MARK: char = '\u{FEFF}';
const MARK_BYTES: &[u8] = b"\xEF\xBB\xBF";

/// The text without a byte order mark.
#[must_use]
pub fn unmarked(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// The same of bytes that should be text.
#[must_use]
pub fn unmarked_bytes(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK_BYTES).unwrap_or(bytes)
}

/// The text without a byte order mark, and with line feeds alone at the ends of its lines.
#[must_use]
pub fn with_line_feeds(text: &str) -> Cow<'_, str> {
    let text = unmarked(text);
    match text.contains("\r\n") {
        true => Cow::Owned(text.replace("\r\n", "\n")),
        false => Cow::Borrowed(text),
    }
}

/// The same in pieces that are parts of `bytes`, so that there is no copy of a secret.
pub fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = unmarked_bytes(bytes).split_inclusive(|byte| *byte == b'\n');
    lines.flat_map(|line| match line.strip_suffix(b"\r\n") {
        Some(line) => [line, b"\n".as_slice()],
        None => [line, b"".as_slice()],
    })
}

/// Takes the mark and one line end at the end off a value that somebody typed or piped in.
pub fn trim_value(bytes: &mut Vec<u8>) {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    trim_mark(bytes);
}

/// Takes the mark off the content of a file, and the line end off a file of one line.
pub fn trim_file(bytes: &mut Vec<u8>) {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    match (lines, bytes.last()) {
        (1, Some(b'\n')) => trim_value(bytes),
        _ => trim_mark(bytes),
    }
}

fn trim_mark(bytes: &mut Vec<u8>) {
    if bytes.starts_with(MARK_BYTES) {
        bytes.drain(..MARK_BYTES.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_types_is_no_part_of_a_text() {
        for (given, meant) in [
            ("a\nb", "a\nb"),
            ("\u{FEFF}a\r\nb\r\n", "a\nb\n"),
            ("a\rb\r", "a\rb\r"),
            ("\u{FEFF}", ""),
            ("", ""),
        ] {
            assert_eq!(with_line_feeds(given), meant, "{given:?}");
            let joined: Vec<u8> = pieces(given.as_bytes()).flatten().copied().collect();
            assert_eq!(joined, meant.as_bytes(), "{given:?}");
        }
        // A mark within a text is a character like any other.
        assert_eq!(unmarked("a\u{FEFF}"), "a\u{FEFF}");
    }

    #[test]
    fn values_lose_their_mark_and_line_end_and_files_keep_their_lines() {
        for (given, value, file) in [
            ("a\n", "a", "a"),
            ("a\r\n", "a", "a"),
            ("\u{FEFF}a\r\n", "a", "a"),
            ("a\r", "a\r", "a\r"),
            ("a\n\n", "a\n", "a\n\n"),
            ("\u{FEFF}a\nb\n", "a\nb", "a\nb\n"),
            ("a\nb", "a\nb", "a\nb"),
            ("", "", ""),
        ] {
            let trimmed = |trim: fn(&mut Vec<u8>)| {
                let mut bytes = given.as_bytes().to_vec();
                trim(&mut bytes);
                String::from_utf8(bytes).expect("text")
            };
            assert_eq!(trimmed(trim_value), value, "{given:?}");
            assert_eq!(trimmed(trim_file), file, "{given:?}");
        }
    }
}
