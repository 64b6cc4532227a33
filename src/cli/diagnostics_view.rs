//! How diagnostics are shown: with the lines that they are about, or as JSON lines.

use std::collections::BTreeMap;
use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, Severity as MietteSeverity, SourceCode,
};
use serde_json::{Value, json};

use super::output::counted;
use super::snippet::Snippet;
use crate::core::diagnostic::{Diagnostic, Severity, together};
use crate::core::plain_text;

/// How many places are named of what is said of many.
const PLACES: usize = 3;

/// One diagnostic as an object of a JSON stream. Whoever reads it may rely on lines and columns
/// that count from 1: what is about a whole file is at its beginning.
pub(crate) fn line(diagnostic: &Diagnostic) -> Value {
    let mut object = json!({
        "type": "diagnostic",
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "file": diagnostic.file,
        "line": diagnostic.line.max(1),
        "column": diagnostic.column.max(1),
    });
    if let (Some(hint), Some(object)) = (&diagnostic.hint, object.as_object_mut()) {
        object.insert("hint".to_owned(), json!(hint));
    }
    object
}

/// The diagnostics for an output of `width` columns, a terminal or not; `source` gives the text
/// of a file. What is said of many places is said once, with the first of them. Only a terminal
/// wraps lines, so only there long ones are cut to what surrounds the mark.
pub(crate) fn text(
    diagnostics: &[Diagnostic],
    source: &dyn Fn(&str) -> Option<String>,
    width: usize,
    is_terminal: bool,
) -> String {
    let width = width.clamp(40, 120);
    let room = is_terminal.then_some(width);
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode())
        .with_width(width)
        .with_context_lines(1)
        .without_cause_chain();
    let secrets = secret_places(diagnostics);
    let mut sources: BTreeMap<&str, Option<String>> = BTreeMap::new();
    let mut out = String::new();
    for same in together(diagnostics) {
        let Some(diagnostic) = same.first().copied() else {
            continue;
        };
        let file = diagnostic.file.as_str();
        let text = sources.entry(file).or_insert_with(|| {
            let hidden = secrets.get(file).map_or(&[][..], Vec::as_slice);
            source(file).map(|text| harmless(&text, hidden))
        });
        let snippet = text
            .as_deref()
            .and_then(|text| Snippet::new(diagnostic, text, room));
        let report = Report {
            diagnostic,
            snippet,
            count: same.len(),
        };
        if handler.render_report(&mut out, &report).is_err() {
            // A string takes everything; a report that cannot be drawn is still said.
            out.push_str(&plain(diagnostic));
        }
        out.push_str(&other_places(&same));
        out.push('\n');
    }
    out
}

/// A line with the next of the places that the same is said of, and how many more there are.
fn other_places(same: &[&Diagnostic]) -> String {
    let Some(others) = same.get(1..).filter(|others| !others.is_empty()) else {
        return String::new();
    };
    let named: Vec<String> = others.iter().take(PLACES - 1).map(|d| place(d)).collect();
    let more = match others.len() - named.len() {
        0 => String::new(),
        more => format!(
            " and at {} (`--json` lists all)",
            counted(more, "more place")
        ),
    };
    format!("  also at {}{more}\n", named.join(", "))
}

fn place(diagnostic: &Diagnostic) -> String {
    let Diagnostic {
        file, line, column, ..
    } = diagnostic;
    match line {
        0 => file.clone(),
        _ => format!("{file}:{line}:{column}"),
    }
}

fn plain(diagnostic: &Diagnostic) -> String {
    format!("{}: {}\n", place(diagnostic), diagnostic.message)
}

/// Where literal secrets stand, by file: line, column and length.
fn secret_places(diagnostics: &[Diagnostic]) -> BTreeMap<&str, Vec<(usize, usize, usize)>> {
    let mut places: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for diagnostic in diagnostics.iter().filter(|d| d.code == "literal-secret") {
        let place = (diagnostic.line, diagnostic.column, diagnostic.length);
        places
            .entry(diagnostic.file.as_str())
            .or_default()
            .push(place);
    }
    places
}

/// The text with everything replaced, one character by one, that would drive a terminal, and
/// with secrets covered.
fn harmless(text: &str, secrets: &[(usize, usize, usize)]) -> String {
    let text = plain_text::unmarked(text);
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let covered: Vec<_> = secrets.iter().filter(|(at, ..)| *at == index + 1).collect();
        for (position, c) in line.chars().enumerate() {
            let column = position + 1;
            let secret = covered
                .iter()
                .any(|(_, from, length)| (*from..from + length).contains(&column));
            match c {
                '\n' | '\r' => out.push(c),
                '\t' => out.push(' '),
                _ if secret => out.push('*'),
                _ if crate::core::document::scalar::is_hidden(c) => out.push('\u{fffd}'),
                _ => out.push(c),
            }
        }
    }
    out
}

/// A diagnostic in the words of the renderer.
#[derive(Debug)]
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    snippet: Option<Snippet>,
    /// Of how many places this is said.
    count: usize,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.snippet {
            Some(_) => f.write_str(&self.diagnostic.message)?,
            None => write!(f, "{}: {}", place(self.diagnostic), self.diagnostic.message)?,
        }
        match self.count {
            1 => Ok(()),
            count => write!(f, " ({count} times)"),
        }
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<MietteSeverity> {
        Some(match self.diagnostic.severity {
            Severity::Error => MietteSeverity::Error,
            Severity::Warning => MietteSeverity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic
            .hint
            .as_ref()
            .map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.snippet
            .as_ref()
            .map(|snippet| snippet as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let snippet = self.snippet.as_ref()?;
        Some(Box::new(std::iter::once(snippet.label())))
    }
}

/// The last line of a JSON stream about documents.
pub(crate) fn summary(documents: usize, diagnostics: &[Diagnostic]) -> Value {
    json!({
        "type": "summary",
        "documents": documents,
        "errors": count(diagnostics, Severity::Error),
        "warnings": count(diagnostics, Severity::Warning),
    })
}

pub(crate) fn count(diagnostics: &[Diagnostic], severity: Severity) -> usize {
    diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == severity)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(
        source: &str,
        line: usize,
        column: usize,
        length: usize,
        code: &'static str,
    ) -> String {
        let diagnostic = Diagnostic {
            file: "a.yaml".to_owned(),
            line,
            column,
            severity: Severity::Error,
            code,
            message: "something is wrong".to_owned(),
            hint: Some("mend it".to_owned()),
            length,
        };
        let text = text(&[diagnostic], &|_| Some(source.to_owned()), 80, true);
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn the_place_is_underlined() {
        let text = shown("kind: Site\nname: Ä€b\n", 2, 7, 3, "invalid-value");
        assert!(text.contains("a.yaml:2:7"), "{text}");
        assert!(text.contains("2 │ name: Ä€b\n   ·       ───"), "{text}");
        assert!(text.contains("help: mend it"), "{text}");
    }

    #[test]
    fn columns_are_characters_as_in_json() {
        let source = "plugins: [{ name: \"日本\", versoin: 1 }]\n";
        let text = shown(source, 1, 25, 7, "unknown-field");
        assert!(text.contains("a.yaml:1:25"), "{text}");
    }

    #[test]
    fn a_long_line_is_cut_around_the_mark() {
        let source = format!(
            "kind: Site\n{}: {{ wrong: x }} # {}\n",
            "a".repeat(150),
            "b".repeat(150)
        );
        let text = shown(&source, 2, 155, 5, "unknown-field");
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines.iter().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        let at = lines
            .iter()
            .position(|line| line.contains("wrong: x"))
            .expect("the line");
        let mark = lines[at + 1]
            .chars()
            .position(|c| c == '─')
            .expect("the mark");
        let shown: String = lines[at].chars().skip(mark).take(5).collect();
        assert_eq!(shown, "wrong");
        assert!(text.contains("a.yaml:2:155"), "{text}");
    }

    #[test]
    fn a_literal_secret_is_covered() {
        let text = shown("ssh:\n  key: hunter2\n", 2, 8, 7, "literal-secret");
        assert!(
            text.contains("key: *******") && !text.contains("hunter2"),
            "{text}"
        );
    }

    #[test]
    fn what_is_said_of_many_places_is_said_once_with_the_first_three() {
        let one = |file: usize, message: &str| Diagnostic {
            file: format!("sites/{file}.yaml"),
            line: 2,
            column: 1,
            severity: Severity::Error,
            code: "backup-repository-needed",
            message: message.to_owned(),
            hint: Some("write it".to_owned()),
            length: 4,
        };
        let said = |diagnostics: &[Diagnostic]| {
            let source = |_: &str| Some("kind: Site\nname: x\n".to_owned());
            let text = text(diagnostics, &source, 80, false);
            anstream::adapter::strip_str(&text).to_string()
        };
        let mut many: Vec<_> = (0..600).map(|n| one(n, "no repository")).collect();
        many.insert(1, one(700, "something else"));
        let text = said(&many);
        assert_eq!(text.matches("no repository").count(), 1, "{text}");
        assert!(text.contains("no repository (600 times)"), "{text}");
        assert!(text.contains("sites/0.yaml:2:1"), "{text}");
        let others = "also at sites/1.yaml:2:1, sites/2.yaml:2:1 and at 597 more places";
        assert!(text.contains(others), "{text}");
        assert_eq!(text.matches("help: write it").count(), 2, "{text}");
        assert!(text.contains("something else"), "{text}");
        // A few are told one by one, with their lines.
        let text = said(&[one(1, "a"), one(2, "a"), one(3, "a")]);
        assert_eq!(text.matches("help: write it").count(), 3, "{text}");
        assert!(!text.contains("times"), "{text}");
    }

    #[test]
    fn nothing_in_a_file_drives_the_terminal() {
        let text = shown("title: \u{1b}[31m\u{202e}\n", 1, 8, 1, "hidden-character");
        assert!(
            !text.contains('\u{1b}') && !text.contains('\u{202e}'),
            "{text:?}"
        );
    }

    #[test]
    fn very_long_lines_are_not_shown() {
        let text = shown(
            &format!("a: {}\n", "x".repeat(100_000)),
            1,
            1,
            1,
            "wrong-type",
        );
        assert!(
            text.len() < 500 && text.contains("a.yaml:1:1"),
            "{}",
            text.len()
        );
    }
}
