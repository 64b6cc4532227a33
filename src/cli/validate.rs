//! `pressluft validate`

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::fleet::{self, FleetArgs};
use super::times_view::Times;
use super::{diagnostics_view, output};
use crate::clock;
use crate::core::desired::Assembled;
use crate::core::diagnostic::Severity;
use crate::daemon;

/// Check all documents of a fleet repo and report every problem; with `--verbose` also say when
/// windows and schedules come next
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    fleet: FleetArgs,
    /// JSON lines on standard output
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let snapshot = fleet::snapshot(&args.fleet, context)?;
    let mut assembled = fleet::assemble(&snapshot, context)?;
    if let Some(desired) = &assembled.desired {
        let found = daemon::vet_documents(&snapshot, desired, &context.sources)?;
        assembled.diagnostics.extend(found);
        assembled.diagnostics.sort();
    }
    let errors = diagnostics_view::count(&assembled.diagnostics, Severity::Error);
    let shown = assembled.desired.as_ref().filter(|_| context.verbose);
    let times = shown.map(Times::of).unwrap_or_default();
    if args.json {
        output::json_version()?;
        for diagnostic in &assembled.diagnostics {
            output::json_line(&diagnostics_view::line(diagnostic))?;
        }
        for line in times.lines(clock::now()) {
            output::json_line(&line)?;
        }
        output::json_line(&diagnostics_view::summary(
            assembled.documents,
            &assembled.diagnostics,
        ))?;
    } else {
        let source = snapshot.texts();
        output::print(&diagnostics_view::text(
            &assembled.diagnostics,
            &source,
            context.width(),
            context.interactive,
        ))?;
        output::print(&times.text(clock::now(), true))?;
        output::print(&format!("{}\n", verdict(&assembled)))?;
    }
    Ok(if errors > 0 {
        Exit::InvalidDocuments
    } else {
        Exit::Done
    })
}

/// `12 documents are valid`, or how many problems there are in how many files.
fn verdict(assembled: &Assembled) -> String {
    let green = anstyle::AnsiColor::Green.on_default().bold();
    let red = anstyle::AnsiColor::Red.on_default().bold();
    let documents = output::counted(assembled.documents, "document");
    let (errors, warnings) = (
        diagnostics_view::count(&assembled.diagnostics, Severity::Error),
        diagnostics_view::count(&assembled.diagnostics, Severity::Warning),
    );
    let also = if warnings > 0 {
        format!(", {}", output::counted(warnings, "warning"))
    } else {
        String::new()
    };
    if errors == 0 {
        let are = if assembled.documents == 1 {
            "is"
        } else {
            "are"
        };
        return format!("{green}✓{green:#} {documents} {are} valid{also}");
    }
    let mut files: Vec<&str> = assembled
        .diagnostics
        .iter()
        .map(|d| d.file.as_str())
        .collect();
    files.dedup();
    format!(
        "{red}✗{red:#} {}{also} in {}; {documents} checked",
        output::counted(errors, "error"),
        output::counted(files.len(), "file"),
    )
}
