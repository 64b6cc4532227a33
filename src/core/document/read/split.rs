//! Cuts a file into documents, so that a mistake in one does not hide those of the others.

use super::{Broken, Place, Problem};
use crate::core::document::DocumentKind;
use crate::core::document::scalar::is_hidden;
use crate::core::plain_text;

/// One document of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) text: &'a str,
    /// How many lines of the file stand before it.
    pub(crate) lines_before: usize,
}

impl Segment<'_> {
    /// The kind and its line when they stand in a line of their own in the usual spelling.
    pub(crate) fn kind(&self) -> Option<(DocumentKind, usize)> {
        for (index, line) in self.text.lines().enumerate() {
            if let Some(rest) = line.strip_prefix("kind:") {
                let word = rest.split(" #").next().unwrap_or_default().trim();
                let kind = DocumentKind::ALL
                    .iter()
                    .find(|kind| kind.as_str() == word)?;
                return Some((*kind, self.lines_before + index + 1));
            }
        }
        None
    }

    /// What the document seems to be, for when it cannot be read: the values of its fields
    /// `kind`, `site`, `name` and `type` as far as they stand in lines of their own.
    pub(crate) fn guess(&self) -> Broken {
        let kind = self.kind().map(|(kind, _)| kind);
        let field = |name: &str| {
            self.text.lines().find_map(|line| {
                let value = line.trim_start().strip_prefix(name)?.strip_prefix(':')?;
                let value = value.split(" #").next().unwrap_or_default();
                Some(value.trim().trim_matches(['"', '\'']).to_owned())
            })
        };
        let (site, name, r#type) = (field("site"), field("name"), field("type"));
        Broken {
            kind,
            site,
            name,
            r#type,
        }
    }

    /// Whether nothing but comments, directives and document marks is here.
    fn is_empty(&self) -> bool {
        self.text.lines().all(|line| {
            let line = line.trim();
            line.is_empty()
                || line.starts_with('#')
                || line.starts_with('%')
                || line == "..."
                || line.strip_prefix("---").is_some_and(|rest| {
                    rest.trim_start().is_empty() || rest.trim_start().starts_with('#')
                })
        })
    }
}

/// The documents of a file, without empty ones. YAML ends a document at a line that begins
/// with `---`, whatever stands before it.
pub(crate) fn segments(text: &str) -> impl Iterator<Item = Segment<'_>> {
    let text = plain_text::unmarked(text);
    let mut segments = Vec::new();
    let (mut start, mut start_line) = (0, 0);
    let mut offset = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let ends_here = |mark: &str| {
            let rest = line.strip_prefix(mark);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        };
        if offset > start && ends_here("---") {
            segments.push(Segment {
                text: &text[start..offset],
                lines_before: start_line,
            });
            (start, start_line) = (offset, number);
        } else if ends_here("...") {
            segments.push(Segment {
                text: &text[start..offset],
                lines_before: start_line,
            });
            (start, start_line) = (offset + line.len(), number + 1);
        }
        offset += line.len();
    }
    segments.push(Segment {
        text: &text[start..],
        lines_before: start_line,
    });
    segments.into_iter().filter(|segment| !segment.is_empty())
}

/// Characters that no document needs and that make a file show something else than it holds.
///
/// A carriage return is one of them unless a line feed follows: YAML and PHP end a line and with it a comment
/// there, and what shows a difference between two files does not.
pub(crate) fn find_hidden_characters(text: &str, problems: &mut Vec<Problem>) {
    let plain = |b: u8| (0x20..0x7F).contains(&b) || matches!(b, b'\n' | b'\t');
    if text.bytes().all(plain) {
        return;
    }
    let text = plain_text::unmarked(text);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let line = line.strip_suffix("\r\n").unwrap_or(line);
        let line = line.strip_suffix('\n').unwrap_or(line);
        let hidden = line
            .chars()
            .enumerate()
            .filter(|(_, c)| is_hidden(*c) && *c != '\t');
        for (column, c) in hidden {
            if problems.len() == super::MOST_PROBLEMS {
                return;
            }
            let place = Place {
                line: index + 1,
                column: column + 1,
                length: 1,
            };
            problems.push(
                Problem::new(
                    place,
                    "hidden-character",
                    format!(
                        "the file holds the character U+{:04X}, which cannot be seen",
                        u32::from(c)
                    ),
                )
                .hint(Some("remove it".to_owned())),
            );
        }
    }
}

/// The problem of a file whose text ends being UTF-8 after `valid` bytes.
pub(crate) fn not_utf8(bytes: &[u8], valid: usize) -> Problem {
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    let utf16 = bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]);
    Problem::new(
        Place {
            line,
            column,
            length: 1,
        },
        "not-utf8",
        if utf16 {
            "the file is UTF-16, not UTF-8"
        } else {
            "the file is not UTF-8 text"
        },
    )
    .hint(Some("save it as UTF-8".to_owned()))
}
