//! `pressluft doctor`

use jiff::SignedDuration;

use crate::ansible::Settings;
use crate::ansible::doctor::{self, Check};
use crate::ansible::venv::Venv;
use crate::clock;
use crate::core::history::HistoryKind;
use crate::secrets::{Identity, SecretError};
use crate::store::{BALLAST, Ballast, HistorySize, Store, StoreError, files_open_to_others};

use super::context::Context;
use super::db::size;
use super::error::CliError;
use super::exit::Exit;
use super::output::{self, Format};
use super::ownership;
use crate::core::causes::chain;

/// Each check says what was found, what is needed and how to mend it. The exit code is 1
/// when one fails.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Mend what can be mended: make the state directory and the Python environment
    #[arg(long)]
    fix: bool,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let mut settings = Settings::new(&context.state_dir);
    settings.log_dir.clone_from(&context.log_dir);
    settings.venv.clone_from(&context.venv);
    if args.fix {
        ownership::require_own(&settings.state_dir)?;
        doctor::make_state_dir(&settings.state_dir)?;
        if settings.venv.is_none() {
            Venv::make(&settings.state_dir, &mut anstream::stderr()).map_err(|error| {
                CliError::new(chain(&error))
                    .hint("`pressluft doctor` without `--fix` says what is missing")
            })?;
        }
    }
    let mut checks = doctor::checks(&settings);
    checks.extend([
        database(context),
        history(context),
        privacy(context),
        reserve(context),
        identity(context),
    ]);
    output::show(args.output, &checks, |checks| table(checks))?;
    let all_passed = checks.iter().all(|check| check.ok);
    Ok(if all_passed { Exit::Done } else { Exit::Error })
}

fn database(context: &Context) -> Check {
    const NAME: &str = "database";
    let needed = "one of this version that can be read, or none yet";
    let path = context.db_path.display();
    match Store::open_read_only(&context.db_path) {
        Ok(store) => match store.pause() {
            Ok(None) => Check::passed(NAME, path.to_string(), needed),
            Ok(Some(pause)) => {
                let reason = pause.reason;
                let found = format!("{path}, paused because {reason}; `pressluft resume` goes on");
                Check::passed(NAME, found, needed)
            }
            Err(error) => Check::failed(
                NAME,
                chain(&error),
                needed,
                "`pressluft db check` says what is wrong with it",
            ),
        },
        Err(StoreError::Missing(_)) => {
            Check::passed(NAME, "none yet; the first `apply` makes it", needed)
        }
        Err(error @ StoreError::Older { .. }) => Check::passed(
            NAME,
            format!("{error}; the next `apply` migrates it"),
            needed,
        ),
        Err(error) => {
            let mend = format!("check `{path}` and its owner, or restore it from a backup");
            Check::failed(NAME, chain(&error), needed, mend)
        }
    }
}

/// How much of the past there is, and how it grows.
fn history(context: &Context) -> Check {
    const NAME: &str = "history";
    let needed = "within the limits of `[history]`";
    // That it cannot be read is what the check of the database says.
    let Ok(store) = Store::open_read_only(&context.db_path) else {
        return Check::passed(NAME, "none yet", needed);
    };
    let now = clock::now();
    let read =
        || Ok::<_, StoreError>((store.history_size(now)?, store.sweep_is_due(UNSWEPT, now)?));
    match read() {
        Ok((found, is_unswept)) => {
            let limits = &context.history;
            let beyond = [
                (HistoryKind::Jobs, found.jobs),
                (HistoryKind::Looks, found.looks),
                (HistoryKind::Audit, found.audit_entries),
            ];
            // A count is no exact limit: the last of each resource stays, segments have a size.
            let is_beyond = beyond.iter().any(|(kind, count)| {
                let limit = limits.of(*kind).count;
                *count > limit.saturating_mul(2).saturating_add(10_000)
            });
            match is_beyond && is_unswept {
                false => Check::passed(NAME, history_text(&found), needed),
                true => Check::failed(
                    NAME,
                    history_text(&found),
                    needed,
                    "`pressluft db prune`; `serve` and `worker` do it by themselves, and their \
                     log says what keeps them from it",
                ),
            }
        }
        Err(error) => {
            let mend = "`pressluft db check` says what is wrong with it";
            Check::failed(NAME, chain(&error), needed, mend)
        }
    }
}

/// How long it may have been since all ended jobs were compared with the limits.
const UNSWEPT: SignedDuration = SignedDuration::from_hours(3 * 24);

fn history_text(found: &HistorySize) -> String {
    let mut text = format!(
        "{}, {} of it free; {} jobs, {} looks, {} audit entries",
        size(found.bytes),
        size(found.free),
        found.jobs,
        found.looks,
        found.audit_entries
    );
    if found.segments > 0 {
        text.push_str(&format!(
            ", {} more in {} segments of {}",
            found.closed_entries,
            found.segments,
            size(found.segment_bytes)
        ));
    }
    if let Some(growth) = &found.growth {
        let more = growth.bytes + growth.segment_bytes;
        let sign = if more < 0 { '-' } else { '+' };
        let days = output::counted(usize::try_from(growth.days).unwrap_or(0), "day");
        text.push_str(&format!("; {sign}{} in {days}", size(more.unsigned_abs())));
    }
    text
}

/// The record holds hashes of passwords, and what was encrypted.
fn privacy(context: &Context) -> Check {
    const NAME: &str = "database's files";
    let needed = "files that nobody else may read";
    match files_open_to_others(&context.db_path).first() {
        None => Check::passed(NAME, "nobody else may read them", needed),
        Some(file) => Check::failed(
            NAME,
            format!("others may read or write {}", file.display()),
            needed,
            format!("`chmod go= {}*`", context.db_path.display()),
        ),
    }
}

/// The room that is held back so that what runs can record its end on a full disk.
fn reserve(context: &Context) -> Check {
    const NAME: &str = "room held back";
    let mebibytes = BALLAST >> 20;
    let needed = format!("{mebibytes} MiB, and as much again to hold them back");
    let ballast = Ballast::of(&context.db_path);
    let path = ballast.path().display();
    if ballast.is_whole() {
        return Check::passed(NAME, format!("{mebibytes} MiB in {path}"), needed);
    }
    match ballast.room() {
        Ok(room) if room >= 2 * BALLAST => {
            Check::passed(NAME, "none now; the next job makes it", needed)
        }
        Ok(room) => Check::failed(
            NAME,
            format!("none, and {} MiB free", room >> 20),
            needed,
            format!("make room on the file system of {path}: no job starts without"),
        ),
        // Before the first run, which the check of the state directory is about.
        Err(_) if !context.state_dir.exists() => {
            Check::passed(NAME, "none yet; the first job makes it", needed)
        }
        Err(error) => Check::failed(NAME, error.to_string(), needed, "check the file system"),
    }
}

fn identity(context: &Context) -> Check {
    const NAME: &str = "age identity";
    let needed = "one that can be read, or none yet";
    match Identity::load(&context.secrets_dir) {
        Ok(identity) => Check::passed(NAME, identity.recipient().to_string(), needed),
        Err(SecretError::NoIdentity(_)) => {
            Check::passed(NAME, "none yet; the first secret makes it", needed)
        }
        Err(error) => {
            let mend = error.hint().unwrap_or("check the directory and its owner");
            Check::failed(NAME, chain(&error), needed, mend)
        }
    }
}

fn table(checks: &[Check]) -> String {
    let green = anstyle::AnsiColor::Green.on_default();
    let red = anstyle::AnsiColor::Red.on_default().bold();
    let width = checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for check in checks {
        let word = if check.ok {
            format!("{green}ok{green:#}  ")
        } else {
            format!("{red}FAIL{red:#}")
        };
        let found = output::printable(&check.found);
        text.push_str(&format!("{word}  {:width$}  {found}\n", check.name));
        if let Some(mend) = &check.mend {
            text.push_str(&format!("      {:width$}  needed: {}\n", "", check.needed));
            text.push_str(&format!("      {:width$}  mend:   {mend}\n", ""));
        }
    }
    let failed = checks.iter().filter(|check| !check.ok).count();
    text.push_str(&match failed {
        0 => format!("all {} checks passed\n", checks.len()),
        _ => format!("{failed} of {} checks failed\n", checks.len()),
    });
    text
}
