//! `pressluft doctor`.

use std::io::{self, Write};

use crate::ansible::Settings;
use crate::ansible::doctor::{self, Check};
use crate::ansible::venv::{Venv, VenvError};

/// Check that this machine has all that a job needs
///
/// Each check says what was found, what is needed and how to mend it. The exit code is 1
/// when one fails.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Mend what can be mended: make the state directory and the Python environment
    #[arg(long)]
    fix: bool,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// The form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

/// The checks could not be made or printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Venv(#[from] VenvError),
    #[error("cannot make the state directory `{}`", .path.display())]
    StateDir { path: std::path::PathBuf, source: io::Error },
    #[error("cannot print the checks")]
    Output(#[from] io::Error),
}

/// Checks, after mending if asked to, and says whether all is well. `more` are the checks of
/// what running Ansible does not need; they come after mending.
///
/// # Errors
/// [`Error`] when mending failed or nothing can be printed.
pub(crate) fn run(
    args: &Args,
    settings: &Settings,
    more: impl FnOnce() -> Vec<Check>,
    out: &mut dyn Write,
    progress: &mut dyn Write,
) -> Result<bool, Error> {
    if args.fix {
        doctor::make_state_dir(&settings.state_dir)
            .map_err(|source| Error::StateDir { path: settings.state_dir.clone(), source })?;
        if settings.venv.is_none() {
            Venv::make(&settings.state_dir, progress)?;
        }
    }
    let mut checks = doctor::checks(settings);
    checks.extend(more());
    match args.output {
        Output::Table => table(&checks, out)?,
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &checks).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(checks.iter().all(|check| check.ok))
}

fn table(checks: &[Check], out: &mut dyn Write) -> io::Result<()> {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    for check in checks {
        let word = if check.ok { "ok  " } else { "FAIL" };
        writeln!(out, "{word}  {:width$}  {}", check.name, check.found)?;
        if let Some(mend) = &check.mend {
            writeln!(out, "      {:width$}  needed: {}", "", check.needed)?;
            writeln!(out, "      {:width$}  mend:   {mend}", "")?;
        }
    }
    let failed = checks.iter().filter(|check| !check.ok).count();
    match failed {
        0 => writeln!(out, "all {} checks passed", checks.len()),
        1 => writeln!(out, "1 of {} checks failed", checks.len()),
        _ => writeln!(out, "{failed} of {} checks failed", checks.len()),
    }
}
