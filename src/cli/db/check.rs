//! `pressluft db check`

use std::path::PathBuf;

use serde::Serialize;

use super::super::context::Context;
use super::super::error::CliError;
use super::super::exit::Exit;
use super::super::output::{self, Format, printable};
use super::size;
use crate::store::{CheckedPart, Checkup, Store};

/// Reads the whole database and changes nothing; workers may run meanwhile. The exit code is 1
/// when something is wrong.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A backup to check in place of the database
    file: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t, conflicts_with = "json")]
    output: Format,
    /// The same as `--output json`
    #[arg(long)]
    json: bool,
}

/// How many problems of one part are shown as text; JSON has all.
const SHOWN: usize = 20;

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    #[serde(flatten)]
    checkup: &'a Checkup,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let path = args.file.as_ref().unwrap_or(&context.db_path);
    let checkup = Store::open_read_only(path)?.check()?;
    let format = if args.json { Format::Json } else { args.output };
    let report = Report {
        ok: checkup.problems.is_empty(),
        checkup: &checkup,
    };
    output::show(format, &report, |report| text(report.checkup))?;
    if checkup.problems.is_empty() {
        return Ok(Exit::Done);
    }
    let count = checkup.problems.len();
    let hint = checkup
        .problems
        .iter()
        .map(|problem| problem.part)
        .min_by_key(|part| severity(*part))
        .map_or("", cure);
    Err(CliError::new(format!(
        "{count} {} wrong with `{}`",
        if count == 1 { "thing is" } else { "things are" },
        path.display()
    ))
    .hint(hint))
}

fn severity(part: CheckedPart) -> u8 {
    match part {
        CheckedPart::Integrity => 0,
        CheckedPart::References => 1,
        CheckedPart::Audit => 2,
        CheckedPart::Record => 3,
    }
}

fn cure(part: CheckedPart) -> &'static str {
    match part {
        CheckedPart::Integrity | CheckedPart::References => {
            "the file is damaged: stop what uses it, look at the disk and at `dmesg`, and put the \
             last good backup in its place with `pressluft db restore FILE`; the damaged one is \
             kept"
        }
        CheckedPart::Audit => {
            "somebody changed the record, or put back another file by hand: compare with \
             `pressluft db check BACKUP` of the backups from before and after that entry"
        }
        CheckedPart::Record => {
            "the record contradicts itself, which is an error of Pressluft or an edit by hand: \
             keep a copy with `pressluft db backup FILE`, report it, and go back to the last \
             good backup with `pressluft db restore FILE`"
        }
    }
}

fn text(checkup: &Checkup) -> String {
    let Checkup {
        path,
        schema,
        bytes,
        audit,
        paused,
        problems,
    } = checkup;
    let mut out = format!(
        "database    {}, schema {schema}, {}\n",
        path.display(),
        size(*bytes)
    );
    let entries = format!(
        "{} entries, head {}:{}",
        audit.head.seq, audit.head.seq, audit.head.hash
    );
    for (part, name, good) in [
        (CheckedPart::Integrity, "file", "ok"),
        (CheckedPart::References, "references", "ok"),
        (CheckedPart::Audit, "audit", entries.as_str()),
        (CheckedPart::Record, "record", "ok"),
    ] {
        let found: Vec<&str> = problems
            .iter()
            .filter(|problem| problem.part == part)
            .map(|problem| problem.message.as_str())
            .collect();
        if found.is_empty() {
            out.push_str(&format!("{name:10}  {good}\n"));
        }
        for message in found.iter().take(SHOWN) {
            out.push_str(&format!("{name:10}  FAIL  {}\n", printable(message)));
        }
        if found.len() > SHOWN {
            out.push_str(&format!("{name:10}  and {} more\n", found.len() - SHOWN));
        }
    }
    if let Some(pause) = paused {
        out.push_str(&format!(
            "paused      since {}: {}; `pressluft resume` goes on\n",
            output::seconds(pause.since),
            printable(&pause.reason)
        ));
    }
    out
}
