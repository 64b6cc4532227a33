//! Places and errors of the YAML reader, in our words.

use serde_yaml::{Error, Location};

use super::split::Segment;
use super::{Place, Problem};

/// The place in the file of a location in a segment.
pub(crate) fn place(segment: &Segment<'_>, location: &Location) -> Place {
    let line = usize::try_from(location.line()).unwrap_or(0);
    let column = usize::try_from(location.column()).unwrap_or(0);
    if line == 0 {
        return Place {
            line: segment.lines_before + 1,
            column: 1,
            length: 1,
        };
    }
    // A scalar of several lines is marked to the end of its first line.
    let length = slice(segment, location)
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end();
    Place {
        line: segment.lines_before + line,
        column,
        length: length.chars().count().max(1),
    }
}

/// The source of a location; nothing where the reader does not know.
pub(crate) fn slice<'a>(segment: &Segment<'a>, location: &Location) -> &'a str {
    let span = location.span();
    let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len()) else {
        return "";
    };
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let length = usize::try_from(length).unwrap_or(0);
    segment
        .text
        .get(start..start.saturating_add(length))
        .unwrap_or_default()
}

/// What the reader could not read. `code` is for errors that are neither about limits nor
/// about tags.
pub(crate) fn problem(segment: &Segment<'_>, error: &Error, code: &'static str) -> Problem {
    let mut error = error.without_snippet();
    while let Error::AliasError { error: inner, .. } = error {
        error = inner.without_snippet();
    }
    let place = error.location().map_or_else(
        || Place {
            line: segment.lines_before + 1,
            column: 1,
            length: 1,
        },
        |location| clamped(segment, place(segment, &location)),
    );
    match error {
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => beyond_limit(place),
        Error::UnsupportedTag { .. }
        | Error::TaggedStructFieldName { .. }
        | Error::TaggedScalarCannotDeserializeIntoString { .. }
        | Error::TaggedEnumMismatch { .. } => {
            let place = tag_before(segment, place);
            Problem::new(place, "yaml-tag", "tags are not supported")
                .hint(Some("remove the word that begins with `!`".to_owned()))
        }
        Error::UnknownAnchor { .. } => Problem::new(
            place,
            code,
            "the alias names no anchor that stands before it in this document",
        )
        .hint(Some(
            "write `&NAME` before the value that is to be repeated, or repeat it".to_owned(),
        )),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            Problem::new(place, code, "the alias stands inside of what it repeats")
                .hint(Some("write the value itself here".to_owned()))
        }
        _ => match tab_near(segment, place) {
            Some(place) => Problem::new(place, code, "the line is indented with a tab")
                .hint(Some("indent with spaces, not with tabs".to_owned())),
            None => match words(error) {
                // The scanner has a limit of its own, and only its words to tell it by.
                said if said == "recursion limit exceeded" => beyond_limit(place),
                said if is_about_a_number(&said) => {
                    Problem::new(place, code, "this is not a whole number").hint(Some(
                        "write it in digits and without a zero in front, such as `8`".to_owned(),
                    ))
                }
                said => Problem::new(place, code, said).hint(Some(
                    "look for a missing quote, colon or bracket, or a wrong indentation, here or \
                     in the line before"
                        .to_owned(),
                )),
            },
        },
    }
}

/// `invalid u16`, of a number that the reader takes for one of another base.
fn is_about_a_number(said: &str) -> bool {
    let kind = said.strip_prefix("invalid ").unwrap_or_default();
    kind.starts_with(['u', 'i'])
        && kind.len() > 1
        && kind[1..].bytes().all(|byte| byte.is_ascii_digit())
}

fn beyond_limit(place: Place) -> Problem {
    Problem::new(
        place,
        "yaml-limit",
        "the document grows beyond what a document may hold",
    )
    .hint(Some(
        "write it without so many nested or repeated parts".to_owned(),
    ))
}

/// The first tab that indents the line of a problem or the line after it: a text of several
/// lines is marked at its beginning.
fn tab_near(segment: &Segment<'_>, place: Place) -> Option<Place> {
    let first = place.line - segment.lines_before - 1;
    let mut lines = segment.text.lines().enumerate().skip(first).take(2);
    lines.find_map(|(index, line)| {
        let indent = line.chars().take_while(|c| matches!(c, ' ' | '\t'));
        let column = indent.enumerate().find(|(_, c)| *c == '\t')?.0;
        let is_blank = line.trim().is_empty();
        (!is_blank).then_some(Place {
            line: segment.lines_before + index + 1,
            column: column + 1,
            length: 1,
        })
    })
}

/// The reader points at the value behind a tag, which may stand in the line before.
fn tag_before(segment: &Segment<'_>, place: Place) -> Place {
    let index = place.line - segment.lines_before - 1;
    let in_line = |line: usize, column: usize| {
        tag_in(segment.text.lines().nth(line).unwrap_or_default(), column).map(
            |(column, length)| Place {
                line: segment.lines_before + line + 1,
                column,
                length,
            },
        )
    };
    in_line(index, place.column)
        .or_else(|| in_line(index.checked_sub(1)?, usize::MAX))
        .unwrap_or(place)
}

/// The column, from 1, and the length of the last tag that begins in the first `until`
/// characters of a line.
fn tag_in(line: &str, until: usize) -> Option<(usize, usize)> {
    let characters: Vec<char> = line.chars().take(until).collect();
    let begins = |index: usize| {
        characters[index] == '!'
            && index
                .checked_sub(1)
                .is_none_or(|before| " [{,".contains(characters[before]))
    };
    let index = (0..characters.len()).rev().find(|index| begins(*index))?;
    let word = line.chars().skip(index).take_while(|c| !c.is_whitespace());
    Some((index + 1, word.count()))
}

/// Errors at the end of a document lie behind its last line.
fn clamped(segment: &Segment<'_>, place: Place) -> Place {
    let lines = segment.text.lines().count().max(1);
    if place.line <= segment.lines_before + lines {
        return place;
    }
    let last = segment.text.lines().last().unwrap_or_default();
    Place {
        line: segment.lines_before + lines,
        column: last.chars().count() + 1,
        length: 1,
    }
}

/// The message without the place that the reader puts behind it.
fn words(error: &Error) -> String {
    let options = serde_yaml::render_options! {
        formatter: &serde_yaml::UserMessageFormatter,
        snippets: serde_yaml::SnippetMode::Off,
    };
    let text = error.render_with_options(options);
    let text = text.lines().next().unwrap_or_default();
    let text = text.split(" at line ").next().unwrap_or(text);
    let text = text.trim().trim_end_matches('.');
    let mut characters = text.chars().take(300);
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => "this is not YAML".to_owned(),
    }
}
