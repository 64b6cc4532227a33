//! `pressluft reconcile`

use std::time::{Duration, Instant};

use serde_json::json;

use super::context::{Context, actor};
use super::error::CliError;
use super::exit::Exit;
use super::fleet::FleetArgs;
use super::{git_settings, open, output, reconcile_view};
use crate::clock;
use crate::core::document::scalar;
use crate::core::reconcile::{Cause, Verdict};
use crate::daemon::role::{self, Post};
use crate::daemon::{self, Pass, PassResult, Reconciled};
use crate::store::{Sighting, Store};

/// How long a running `serve` may take to answer where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether it has.
const TICK: Duration = Duration::from_millis(50);

/// A running `serve` does it and this command waits for that; with none running it makes one
/// reconcile itself and leaves the jobs queued.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    fleet: FleetArgs,
    /// Also try again what is left alone because it failed
    #[arg(long)]
    retry: bool,
    /// How long to wait for a running `serve` [default: 2m]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<scalar::Duration>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let mut store = open::for_writing(context)?;
    if args.retry {
        let released = store.release_holds(&actor(), clock::now())?;
        if released > 0 && !args.json {
            output::note(&format!("{released} resources are tried again"))?;
        }
    }
    let serves = || role::is_held(&context.state_dir, Post::Serve, clock::now());
    if serves()? {
        return ask(args, context, &store, serves);
    }
    let setup = git_settings::setup(&args.fleet, context, &store)?;
    let began = Instant::now();
    let cause = Cause::Command;
    let pass = daemon::reconcile_once(&setup, &mut store, cause, clock::now())?;
    let exit = exit_of(&pass, &store)?;
    if args.json {
        output::json_line(&reconcile_view::of_pass(&pass))?;
        return Ok(exit);
    }
    let queued = match &pass.result {
        PassResult::Planned { queued, .. } => queued.jobs,
        PassResult::Nothing | PassResult::Unchanged | PassResult::Paused(_) => 0,
    };
    let took = began.elapsed();
    let pass = Box::new(pass);
    output::print(&reconcile_view::text(&Reconciled::Passed {
        cause,
        pass,
        took,
    }))?;
    if queued > 0 {
        output::note("`pressluft worker` or `pressluft serve` runs the jobs")?;
    }
    Ok(exit)
}

/// Asks the daemon that runs, and waits until it has made a pass.
fn ask(
    args: &Args,
    context: &Context,
    store: &Store,
    serves: impl Fn() -> std::io::Result<bool>,
) -> Result<Exit, CliError> {
    if args.fleet.path.is_some() || args.fleet.repo.is_some() {
        return Err(
            CliError::new("the running `serve` follows its own fleet repo")
                .exit(Exit::Usage)
                .hint("leave the repository out, or end `serve` first"),
        );
    }
    let note = daemon::command_note(&context.state_dir);
    daemon::leave_note(&note)?;
    let patience = args
        .timeout
        .map_or(PATIENCE, |span| Duration::from_secs(span.as_secs()));
    let asked = Instant::now();
    while note.exists() {
        if asked.elapsed() > patience {
            return Err(
                CliError::new("the running `serve` has not answered in time")
                    .exit(Exit::LockTimeout)
                    .hint("it looks again by itself; its log says what it does"),
            );
        }
        if !serves()? {
            return Err(CliError::new("`serve` has ended meanwhile")
                .hint("run this again: with no `serve` it does the work itself"));
        }
        std::thread::sleep(TICK);
    }
    let repository = store.repository()?;
    let newest = store.last_sighting()?;
    let in_force = repository.as_ref().and_then(|known| known.accepted.clone());
    let unreachable = repository.and_then(|known| known.unreachable);
    let paused = store.pause()?;
    if args.json {
        output::json_line(&json!({
            "in_force": in_force, "newest": newest, "unreachable": unreachable,
            "paused": paused,
        }))?;
    } else {
        let mut out = match &in_force {
            Some(revision) => format!("{} is in force\n", reconcile_view::short(revision)),
            None => "nothing is in force yet\n".to_owned(),
        };
        if let Some(away) = &unreachable {
            out.push_str(&format!("cannot read the fleet repo: {}\n", away.error));
        }
        out.push_str(&newest.as_ref().and_then(trouble).unwrap_or_default());
        if let Some(pause) = &paused {
            out.push_str(&format!("paused because {}\n", pause.reason));
        }
        output::print(&output::printable(&out))?;
    }
    Ok(exit(
        unreachable.is_some(),
        newest.map(|newest| newest.verdict),
        paused.is_some(),
    ))
}

fn trouble(newest: &Sighting) -> Option<String> {
    let name = reconcile_view::short(&newest.revision.id);
    match (newest.verdict, &newest.refused) {
        (Verdict::Refused, Some(refused)) => Some(format!(
            "{name} changes nothing: {}: {}\n",
            refused.code, refused.message
        )),
        (Verdict::Invalid, _) => {
            let count = newest.diagnostics.as_array().map_or(0, Vec::len);
            Some(format!(
                "{name} changes nothing: its documents have {count} errors\n"
            ))
        }
        (Verdict::Accepted | Verdict::Superseded | Verdict::Refused, _) => None,
    }
}

fn exit_of(pass: &Pass, store: &Store) -> Result<Exit, CliError> {
    let verdict = match &pass.judged {
        Some(judged) => Some(judged.verdict),
        None => store.last_sighting()?.map(|newest| newest.verdict),
    };
    let paused = matches!(pass.result, PassResult::Paused(_));
    Ok(exit(pass.fault.is_some(), verdict, paused))
}

fn exit(unreachable: bool, verdict: Option<Verdict>, paused: bool) -> Exit {
    match verdict {
        _ if unreachable => Exit::Error,
        Some(Verdict::Refused) => Exit::Blocked,
        Some(Verdict::Invalid) => Exit::InvalidDocuments,
        Some(Verdict::Accepted | Verdict::Superseded) | None if paused => Exit::Blocked,
        Some(Verdict::Accepted | Verdict::Superseded) | None => Exit::Done,
    }
}
