//! How results leave the program: tables, JSON, JSON lines, YAML.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, TableStyle};
use serde::Serialize;

use super::error::CliError;

/// The form of a command's result.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
    Yaml,
}

/// Writes `text` to standard output, with colours where it takes them.
///
/// A reader that closed the pipe (`| head`) ends the program quietly, as it does elsewhere.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    match anstream::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CliError::new(format!(
            "cannot write to standard output: {error}"
        ))),
    }
}

/// Writes a note for people to standard error.
pub(crate) fn note(text: &str) -> Result<(), CliError> {
    anstream::stderr()
        .write_all(format!("{text}\n").as_bytes())
        .map_err(CliError::from)
}

/// One line of JSON.
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), CliError> {
    let line = serde_json::to_string(value).map_err(CliError::new)?;
    print(&format!("{line}\n"))
}

/// The first line of every JSON stream.
pub(crate) fn json_version() -> Result<(), CliError> {
    print("{\"type\":\"version\",\"format\":\"1.0\"}\n")
}

/// `value` as one JSON or YAML document; for [`Format::Table`] what `table` makes of it.
pub(crate) fn show<T: Serialize>(
    format: Format,
    value: &T,
    table: impl FnOnce(&T) -> String,
) -> Result<(), CliError> {
    match format {
        Format::Table => print(&table(value)),
        Format::Json => {
            let text = serde_json::to_string_pretty(value).map_err(CliError::new)?;
            print(&format!("{text}\n"))
        }
        Format::Yaml => {
            let text = serde_yaml::to_string(value).map_err(CliError::new)?;
            print(&text)
        }
    }
}

/// A plain table with a heading, fit for `width` columns; text in it holds no control
/// characters, whatever a node said.
pub(crate) fn table(width: usize, heading: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(TableStyle::new())
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(width).unwrap_or(u16::MAX))
        .set_header(heading.iter().map(|word| word.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    let mut lines: Vec<String> = table
        .to_string()
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.push(String::new());
    lines.join("\n")
}

/// A moment for tables, to the second: `2026-02-22T12:00:00Z`.
pub(crate) fn seconds(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `text` with control characters replaced, so that no output of a node drives the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}
