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
        | Error::AliasReplayStackDepthExceeded { .. } => Problem::new(
            place,
            "yaml-limit",
            "the document grows beyond what a document may hold",
        )
        .hint(Some(
            "write it without so many nested or repeated parts".to_owned(),
        )),
        Error::UnsupportedTag { .. }
        | Error::TaggedStructFieldName { .. }
        | Error::TaggedScalarCannotDeserializeIntoString { .. }
        | Error::TaggedEnumMismatch { .. } => {
            let place = tag_before(segment, place);
            Problem::new(place, "yaml-tag", "tags are not supported")
                .hint(Some("remove the word that begins with `!`".to_owned()))
        }
        _ => {
            let line = segment
                .text
                .lines()
                .nth(place.line - segment.lines_before - 1);
            let tab = line.is_some_and(|line| line.trim_start_matches(' ').starts_with('\t'));
            let hint = tab.then(|| "indent with spaces, not with tabs".to_owned());
            Problem::new(place, code, words(error)).hint(hint)
        }
    }
}

/// The reader points at the value behind a tag.
fn tag_before(segment: &Segment<'_>, place: Place) -> Place {
    let line = segment
        .text
        .lines()
        .nth(place.line - segment.lines_before - 1)
        .unwrap_or_default();
    let characters: Vec<char> = line.chars().take(place.column).collect();
    let begins = |index: usize| {
        characters[index] == '!'
            && index
                .checked_sub(1)
                .is_none_or(|before| " [{,".contains(characters[before]))
    };
    match (0..characters.len()).rev().find(|index| begins(*index)) {
        Some(index) => {
            let word = line.chars().skip(index).take_while(|c| !c.is_whitespace());
            Place {
                column: index + 1,
                length: word.count(),
                ..place
            }
        }
        None => place,
    }
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
