//! Problems of documents as people and programs read them.

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource};
use serde_json::{Value, json};

use super::context::Context;
use super::error::CliError;
use super::output::{self, printable};
use crate::core::diagnostic::{Diagnostic, Severity};
use crate::git::Snapshot;

/// Says what is wrong: to standard error for people, as JSON lines on standard output.
pub(crate) fn show(
    diagnostics: &[Diagnostic],
    snapshot: &Snapshot,
    context: &Context,
    is_json: bool,
) -> Result<(), CliError> {
    for diagnostic in diagnostics {
        if is_json {
            output::json_line(&line(diagnostic))?;
        } else {
            output::note(text(diagnostic, snapshot, context.width()).trim_end())?;
        }
    }
    Ok(())
}

/// One line of the JSON stream.
fn line(diagnostic: &Diagnostic) -> Value {
    let mut value = json!({
        "type": "diagnostic",
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "file": diagnostic.file,
        "line": diagnostic.line,
        "column": diagnostic.column,
    });
    if let Some(hint) = &diagnostic.hint {
        value["hint"] = json!(hint);
    }
    value
}

/// What, where, the lines around it with the place underlined, and what to do.
fn text(diagnostic: &Diagnostic, snapshot: &Snapshot, width: usize) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => miette::Severity::Error,
        Severity::Warning => miette::Severity::Warning,
    };
    let mut report = MietteDiagnostic::new(printable(&diagnostic.message))
        .with_code(diagnostic.code)
        .with_severity(severity);
    if let Some(hint) = &diagnostic.hint {
        report = report.with_help(printable(hint));
    }
    let source = source(diagnostic, snapshot);
    if let Some(text) = &source {
        let offset = offset(text, diagnostic.line, diagnostic.column);
        let bytes = text[offset..].chars().take(diagnostic.length).map(char::len_utf8).sum();
        report = report.with_label(LabeledSpan::underline((offset, bytes)));
    }
    let place = format!("{}:{}:{}", diagnostic.file, diagnostic.line, diagnostic.column);
    let report = miette::Report::new(report);
    let report = match source {
        Some(text) => report.with_source_code(NamedSource::new(printable(&diagnostic.file), text)),
        None => report,
    };
    let mut out = String::new();
    let theme = match anstream::stderr().current_choice() {
        anstream::ColorChoice::Never => GraphicalTheme::unicode_nocolor(),
        _ => GraphicalTheme::unicode(),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(width);
    match handler.render_report(&mut out, report.as_ref()) {
        Ok(()) => out,
        // Without a snippet the place has to be said in words.
        Err(_) => format!("{place}: {}\n", printable(&diagnostic.message)),
    }
}

/// The text that the problem is in, if it has a place and can be shown.
fn source(diagnostic: &Diagnostic, snapshot: &Snapshot) -> Option<String> {
    if diagnostic.line == 0 {
        return None;
    }
    let file = snapshot.files.iter().find(|file| file.path == diagnostic.file)?;
    let text = String::from_utf8(snapshot.read(file).ok()?).ok()?;
    // Hidden characters would move the cursor; each is replaced by one that shows.
    Some(text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c }).collect())
}

/// The byte offset of a place; the end of the text when there is no such place.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize =
        text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(start..).unwrap_or("");
    start + rest.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum::<usize>()
}
