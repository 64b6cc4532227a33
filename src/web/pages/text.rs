//! Text of nodes and commits as it is shown: without the codes that colour terminals.

use std::iter::Peekable;
use std::str::Chars;

use crate::core::event::visible;

/// What stands for the escape character in texts that were made visible when they were recorded.
const WRITTEN_ESCAPE: &str = "\\u{1b}";

/// The text without terminal codes; other control characters are written out.
pub(super) fn plain(text: &str) -> String {
    if !text.contains('\u{1b}') && !text.contains(WRITTEN_ESCAPE) {
        return visible(text);
    }
    let text = text.replace(WRITTEN_ESCAPE, "\u{1b}");
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if character == '\u{1b}' {
            skip_code(&mut rest);
        } else {
            shown.push(character);
        }
    }
    visible(&shown)
}

/// Skips what follows an escape character: a control sequence up to its letter, an operating
/// system command up to its end, or one character.
fn skip_code(rest: &mut Peekable<Chars<'_>>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            while let Some(character) = rest.peek() {
                let is_end = matches!(character, '\u{40}'..='\u{7e}');
                if !is_end && !matches!(character, '\u{20}'..='\u{3f}') {
                    break;
                }
                rest.next();
                if is_end {
                    break;
                }
            }
        }
        Some(']') => {
            for character in rest.by_ref() {
                if matches!(character, '\u{7}' | '\u{1b}' | '\n') {
                    break;
                }
            }
            if rest.peek() == Some(&'\\') {
                rest.next();
            }
        }
        Some('\u{20}'..='\u{7e}') => {
            rest.next();
        }
        Some(_) | None => {}
    }
}

/// The text as HTML that shows it. The engine's own way writes each `/` as a number, which nobody
/// can read in the source of a page.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// The text as HTML in which what stands between backticks is set as code.
pub(super) fn coded(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    let mut out = String::with_capacity(text.len() + 32);
    for (index, part) in parts.iter().enumerate() {
        let part = escape(part);
        match (index % 2 == 1, index + 1 < parts.len()) {
            (true, true) => out.push_str(&format!("<code>{part}</code>")),
            (true, false) => out.push_str(&format!("`{part}")),
            (false, _) => out.push_str(&part),
        }
    }
    out
}

/// The first line of a text.
pub(super) fn first_line(text: &str) -> String {
    plain(text.lines().next().unwrap_or_default())
}

/// A revision as short as people write it.
pub(super) fn short(revision: &str) -> String {
    match revision.strip_prefix("dirty:") {
        Some(digest) => format!("dirty:{}", digest.get(..8).unwrap_or(digest)),
        None => revision.get(..10).unwrap_or(revision).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        let out = escape("a/b & <i \"x\" 'y'>é");
        assert_eq!(out, "a/b &amp; &lt;i &quot;x&quot; &#39;y&#39;&gt;é");
    }

    #[test]
    fn backticks_are_code_where_they_close() {
        assert_eq!(coded("a `b<c` d"), "a <code>b&lt;c</code> d");
        assert_eq!(coded("a `b"), "a `b");
        assert_eq!(coded("``"), "<code></code>");
    }

    #[test]
    fn terminal_codes_are_gone_however_they_are_written() {
        assert_eq!(plain("\u{1b}[31;1mred\u{1b}[0m text"), "red text");
        assert_eq!(plain("\\u{1b}[2Jcleared"), "cleared");
        assert_eq!(plain("\u{1b}]0;title\u{7}shell"), "shell");
        assert_eq!(plain("a\u{1b}"), "a");
        assert_eq!(plain("bell\u{7} <b>"), "bell\\u{7} <b>");
        assert_eq!(plain("\u{1b}[31\nnext"), "\nnext");
    }
}
