//! The lines around a mark, as the renderer of diagnostics wants them.

use miette::{LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::core::diagnostic::Diagnostic;

/// Lines longer than this are not shown; they hold no document that a person wrote.
const LONGEST_LINE: usize = 400;

/// What the renderer puts before a line besides its number.
const FRAME: usize = 5;

/// The marked line and its neighbours, cut to what can be seen.
#[derive(Debug)]
pub(super) struct Snippet {
    file: String,
    text: String,
    /// In bytes of `text`.
    span: SourceSpan,
    /// Of the first line of `text`, from 0.
    first_line: usize,
    /// Of the mark, from 0, in characters of the whole line.
    column: usize,
}

impl Snippet {
    /// The place of `diagnostic` in `text`, for at most `room` columns where lines must not
    /// wrap. None for a place that is not in the text, or in a line that is too long to show.
    pub(super) fn new(diagnostic: &Diagnostic, text: &str, room: Option<usize>) -> Option<Self> {
        let index = diagnostic.line.checked_sub(1)?;
        let first_line = index.saturating_sub(1);
        let mut around: Vec<&str> = text
            .lines()
            .skip(first_line)
            .take(index - first_line + 2)
            .collect();
        let marked = index - first_line;
        if around.len() < marked {
            return None;
        }
        if around.len() == marked {
            // A mark may stand behind the last line.
            around.push("");
        }
        let longest = around
            .iter()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0);
        if longest > LONGEST_LINE {
            return None;
        }
        let column = diagnostic.column.saturating_sub(1);
        let length = diagnostic.length.max(1);
        let digits = (diagnostic.line + 1).to_string().len();
        let window = match room.map(|room| room.saturating_sub(digits + FRAME).max(20)) {
            Some(room) if longest > room => Window::around(column, length, room),
            Some(_) | None => Window::whole(),
        };
        let shown: Vec<String> = around.iter().map(|line| window.cut(line)).collect();
        let before: usize = shown[..marked].iter().map(|line| line.len() + 1).sum();
        let line = &shown[marked];
        let byte = |nth: usize| {
            before
                + line
                    .char_indices()
                    .nth(nth)
                    .map_or(line.len(), |(at, _)| at)
        };
        let from = column - window.start;
        let (start, end) = (byte(from), byte((from + length).min(window.room)));
        Some(Self {
            file: diagnostic.file.clone(),
            text: shown.join("\n") + "\n",
            span: SourceSpan::from((start, end.saturating_sub(start))),
            first_line,
            column,
        })
    }

    /// The mark, without words of its own.
    pub(super) fn label(&self) -> LabeledSpan {
        LabeledSpan::new_primary_with_span(None, self.span)
    }
}

impl SourceCode for Snippet {
    /// The renderer counts columns in bytes and lines from the start of what it is given.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self
            .text
            .read_span(span, context_lines_before, context_lines_after)?;
        let is_mark = context_lines_before == 0 && context_lines_after == 0 && *span == self.span;
        Ok(Box::new(MietteSpanContents::new_named(
            self.file.clone(),
            inner.data(),
            *inner.span(),
            self.first_line + inner.line(),
            if is_mark { self.column } else { inner.column() },
            inner.line_count(),
        )))
    }
}

/// The part of lines that is shown, in characters.
#[derive(Clone, Copy, Debug)]
struct Window {
    start: usize,
    room: usize,
}

impl Window {
    fn whole() -> Self {
        Self {
            start: 0,
            room: usize::MAX,
        }
    }

    /// `room` characters that hold what stands at `column`, from the beginning where that fits.
    fn around(column: usize, length: usize, room: usize) -> Self {
        let start = if column + length < room {
            0
        } else {
            column.saturating_sub(room / 3)
        };
        Self { start, room }
    }

    /// The part of a line, with `…` where something is left out.
    fn cut(self, line: &str) -> String {
        let rest = line.chars().count().saturating_sub(self.start);
        let mut part: Vec<char> = line.chars().skip(self.start).take(self.room).collect();
        if let Some(first) = part.first_mut().filter(|_| self.start > 0) {
            *first = '…';
        }
        if let Some(last) = part.last_mut().filter(|_| rest > self.room) {
            *last = '…';
        }
        part.into_iter().collect()
    }
}
