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

/// Hands the text to `write` as HTML that shows it. The engine's own way writes each `/` as a
/// number, which nobody can read in the source of a page.
pub(super) fn escape<E>(text: &str, write: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        let (before, special) = rest.split_at(at);
        write(before)?;
        let (special, after) = special.split_at(1);
        write(match special {
            "&" => "&amp;",
            "<" => "&lt;",
            ">" => "&gt;",
            "\"" => "&quot;",
            _ => "&#39;",
        })?;
        rest = after;
    }
    write(rest)
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
        let mut out = String::new();
        let result: Result<(), ()> = escape("a/b & <i \"x\" 'y'>é", &mut |part| {
            out.push_str(part);
            Ok(())
        });
        assert_eq!(result, Ok(()));
        assert_eq!(out, "a/b &amp; &lt;i &quot;x&quot; &#39;y&#39;&gt;é");
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
