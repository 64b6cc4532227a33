//! How results leave the program: tables, JSON, JSON lines, YAML.

use std::io::{self, BufWriter, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::error::CliError;
pub(crate) use super::printable::printable;

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
    written(anstream::stdout().write_all(text.as_bytes()))
}

/// Whether a text has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Always,
    Never,
}

impl Paint {
    /// The style, or none.
    pub(crate) fn with(self, style: Style) -> Style {
        match self {
            Self::Always => style,
            Self::Never => Style::new(),
        }
    }
}

/// Writes a long text as it is made, as [`print()`] does. To take colours out of it again would be most of the work.
pub(crate) fn stream(
    write: impl FnOnce(&mut dyn Write, Paint) -> io::Result<()>,
) -> Result<(), CliError> {
    let paint = match anstream::AutoStream::choice(&io::stdout()) {
        anstream::ColorChoice::Never => Paint::Never,
        _ => Paint::Always,
    };
    let mut out = BufWriter::with_capacity(PIECE, io::stdout().lock());
    written(write(&mut out, paint).and_then(|()| out.flush()))
}

/// Writes many lines of JSON as they are made. There is nothing in them that a terminal would obey.
pub(crate) fn stream_json(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CliError> {
    let mut out = BufWriter::with_capacity(PIECE, io::stdout().lock());
    written(write(&mut out).and_then(|()| out.flush()))
}

/// How much of a stream is written at once, in bytes.
const PIECE: usize = 64 * 1024;

fn written(result: io::Result<()>) -> Result<(), CliError> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
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

/// A whole number that somebody wrote.
pub(crate) fn whole<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| "write a whole number that is not too large".to_owned())
}

/// A plain table with a heading, fit for `width` columns.
pub(crate) fn table(width: usize, heading: &[&str], rows: &[Vec<String>]) -> String {
    let layout = Layout {
        heading,
        spare: &[],
        below: &[],
    };
    layout.table(width, rows)
}

/// A table and what may happen to its columns where there is no room for all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout<'a> {
    pub(crate) heading: &'a [&'a str],
    /// Left out, the first one first.
    pub(crate) spare: &'a [&'a str],
    /// Put into a line below their row, the first one first.
    pub(crate) below: &'a [&'a str],
}

/// What stands around each column.
const PADDING: usize = 2;

/// What stands before the line below a row.
const INDENT: &str = "    ";

impl Layout<'_> {
    /// The table for `width` columns; text in it holds no control characters, whatever a node
    /// said. Only the widest column is ever wrapped: half an id is of no use to anybody.
    pub(crate) fn table(self, width: usize, rows: &[Vec<String>]) -> String {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| one_line(cell)).collect())
            .collect();
        let widths: Vec<usize> = (0..self.heading.len())
            .map(|column| widest(self.heading[column], rows.iter().map(|row| &row[column])))
            .collect();
        let position = |name: &str| self.heading.iter().position(|heading| *heading == name);
        let mut shown: Vec<usize> = (0..self.heading.len()).collect();
        let mut below: Vec<usize> = Vec::new();
        let fits = |shown: &[usize]| {
            let total: usize = shown.iter().map(|column| widths[*column] + PADDING).sum();
            total <= width + 1
        };
        if !fits(&shown) {
            shown.retain(|column| rows.iter().any(|row| !row[*column].is_empty()));
        }
        for column in self.below.iter().filter_map(|name| position(name)) {
            if !fits(&shown) && shown.contains(&column) {
                shown.retain(|other| *other != column);
                below.push(column);
            }
        }
        for column in self.spare.iter().filter_map(|name| position(name)) {
            if !fits(&shown) {
                shown.retain(|other| *other != column);
            }
        }
        below.sort_unstable();
        let widths = fitting(width, &shown, &widths);
        let mut out = String::new();
        let heading: Vec<String> = self
            .heading
            .iter()
            .map(|word| word.to_uppercase())
            .collect();
        push_row(&mut out, &shown, &widths, &heading);
        let dim = Style::new().dimmed();
        for row in &rows {
            push_row(&mut out, &shown, &widths, row);
            let words = below.iter().map(|column| row[*column].as_str());
            let words: Vec<&str> = words.filter(|cell| !cell.is_empty()).collect();
            if !words.is_empty() {
                let line = cut(&words.join("  "), width.saturating_sub(INDENT.len()));
                out.push_str(&format!("{INDENT}{dim}{line}{dim:#}\n"));
            }
        }
        out
    }
}

/// The widths of all columns, the widest one that is shown made smaller until they fit.
fn fitting(width: usize, shown: &[usize], widths: &[usize]) -> Vec<usize> {
    let mut widths = widths.to_vec();
    let total: usize = shown.iter().map(|column| widths[*column] + PADDING).sum();
    let excess = total.saturating_sub(width + 1);
    if let Some(widest) = shown.iter().copied().max_by_key(|column| widths[*column]) {
        widths[widest] = widths[widest]
            .saturating_sub(excess)
            .max(10.min(widths[widest]));
    }
    widths
}

/// A row; what is too long for its column goes on in the next line.
fn push_row(out: &mut String, shown: &[usize], widths: &[usize], row: &[String]) {
    let cells: Vec<Vec<String>> = shown
        .iter()
        .map(|column| wrapped(&row[*column], widths[*column]))
        .collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    for index in 0..height {
        let mut line = String::new();
        for (cell, column) in cells.iter().zip(shown) {
            let text = cell.get(index).map_or("", String::as_str);
            line.push(' ');
            line.push_str(text);
            let rest = (widths[*column] + 1).saturating_sub(text.width());
            line.extend(std::iter::repeat_n(' ', rest));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// `text` in lines of at most `room` columns, divided at spaces and slashes where that helps.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while rest.width() > room {
        let mut columns = 0;
        let mut end = 0;
        let mut good = None;
        for (at, c) in rest.char_indices() {
            columns += c.width().unwrap_or(0);
            if columns > room && end > 0 {
                break;
            }
            end = at + c.len_utf8();
            if matches!(c, ' ' | '/') {
                good = Some(end);
            }
        }
        let (line, after) = rest.split_at(good.unwrap_or(end));
        lines.push(line.trim_end().to_owned());
        rest = after;
    }
    lines.push(rest.to_owned());
    lines
}

fn widest<'a>(heading: &str, cells: impl Iterator<Item = &'a String>) -> usize {
    let widest = cells.map(|cell| cell.width()).max();
    widest.unwrap_or(0).max(heading.width())
}

/// `text` in at most `room` characters.
fn cut(text: &str, room: usize) -> String {
    match text.char_indices().nth(room) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(room.saturating_sub(1)).collect();
            kept + "…"
        }
    }
}

fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

/// A moment for tables, to the second: `2026-02-22T12:00:00Z`.
pub(crate) fn seconds(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Seconds that something takes as a person reads them.
pub(crate) fn lasting(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds.round();
    format!("{}m{:02}s", (whole / 60.0).floor(), (whole % 60.0).floor())
}

/// A number of things: `1 job`, `2 jobs`.
pub(crate) fn counted(count: usize, word: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {word}{ending}")
}

/// One line of a unified diff, fit to be printed, in the colour of what it does.
pub(crate) fn diff_line(line: &str) -> String {
    let style = match line.as_bytes().first() {
        Some(b'+') => AnsiColor::Green.on_default(),
        Some(b'-') => AnsiColor::Red.on_default(),
        Some(b'@') => AnsiColor::Cyan.on_default(),
        _ => Style::new(),
    };
    format!("{style}{}{style:#}", printable(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: [&str; 4] = ["id", "resource", "node", "error"];

    fn drawn(width: usize, spare: &[&str], below: &[&str]) -> String {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        let layout = Layout {
            heading: &HEADING,
            spare,
            below,
        };
        let rows = vec![
            row([
                "7c4c5f1b",
                "env/acme/production",
                "web-1",
                "ANSIBLE_HOST_UNREACHABLE",
            ]),
            row(["9d76a5ce", "env/日本/staging", "web-2", ""]),
        ];
        anstream::adapter::strip_str(&layout.table(width, &rows)).to_string()
    }

    #[test]
    fn a_table_that_fits_has_all_columns() {
        insta::assert_snapshot!(drawn(80, &["node"], &["error"]), @r"
         ID        RESOURCE             NODE   ERROR
         7c4c5f1b  env/acme/production  web-1  ANSIBLE_HOST_UNREACHABLE
         9d76a5ce  env/日本/staging     web-2
        ");
    }

    #[test]
    fn what_may_stands_below_its_row_before_anything_is_left_out() {
        insta::assert_snapshot!(drawn(50, &["node"], &["error"]), @r"
         ID        RESOURCE             NODE
         7c4c5f1b  env/acme/production  web-1
            ANSIBLE_HOST_UNREACHABLE
         9d76a5ce  env/日本/staging     web-2
        ");
        insta::assert_snapshot!(drawn(32, &["node"], &["error"]), @r"
         ID        RESOURCE
         7c4c5f1b  env/acme/production
            ANSIBLE_HOST_UNREACHABLE
         9d76a5ce  env/日本/staging
        ");
    }

    #[test]
    fn only_the_widest_column_is_wrapped() {
        insta::assert_snapshot!(drawn(26, &["node"], &["error"]), @r"
         ID        RESOURCE
         7c4c5f1b  env/acme/
                   production
            ANSIBLE_HOST_UNREACHA…
         9d76a5ce  env/日本/
                   staging
        ");
    }
}
