//! `pressluft apply`

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::context::{Context, actor};
use super::error::CliError;
use super::exit::Exit;
use super::fleet::{self, FleetArgs};
use super::plan::ChoiceArgs;
use super::progress_view::{self, ProgressView};
use super::{open, output, plan_view};
use crate::ansible::{Engine, Settings};
use crate::clock;
use crate::core::plan::Choice;
use crate::daemon::{self, Plans, Prepared, Purpose, Runner, Stop, Summary};
use crate::secrets::{FingerprintKey, Identity, SecretError};
use crate::store::Store;

/// How many nodes are worked on at once where neither the fleet nor the settings say.
const PARALLEL: usize = 8;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The fleet repo, or a plan that `pressluft plan --out` kept
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Do not ask before changing anything
    #[arg(long)]
    auto_approve: bool,
    /// How many nodes to work on at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: Option<u16>,
    /// Queue the jobs and leave running them to a worker
    #[arg(long)]
    no_wait: bool,
    /// JSON lines on standard output; needs --auto-approve or a saved plan
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let choice = args.choice.choice();
    let saved = saved_plan(args)?;
    if saved.is_some() && choice != Choice::default() {
        return Err(CliError::new("a saved plan is applied whole")
            .exit(Exit::Usage)
            .hint("give `--target`, `--exclude` and `--rerun` to `pressluft plan --out`"));
    }
    let approved = args.auto_approve || saved.is_some();
    if args.json && !approved {
        return Err(CliError::new("`--json` leaves no room for a question")
            .exit(Exit::Usage)
            .hint("add `--auto-approve`, or apply a saved plan"));
    }
    if args.json {
        output::json_version()?;
    }
    let fleet = match &saved {
        Some(_) => None,
        None => match fleet::load(&args.fleet, context, args.json)? {
            Some(fleet) => Some(fleet),
            None => return Ok(Exit::InvalidDocuments),
        },
    };
    let mut store = open::for_writing(context)?;
    store.require_not_paused()?;
    recover(&mut store, args.json)?;
    // Made before anything is recorded: without it no change of a secret would be noticed.
    FingerprintKey::load_or_make(&context.secrets_dir)
        .map_err(|error| CliError::new(super::error::chain(&error)))?;
    let prepared = match (saved, &fleet) {
        (Some(prepared), _) => prepared,
        (None, Some(fleet)) => {
            fleet.require(
                choice
                    .targets
                    .iter()
                    .chain(&choice.excludes)
                    .chain(&choice.rerun),
            )?;
            let prepared = fleet.plan(context, &choice, Purpose::Apply)?;
            show(args, context, &prepared, &fleet.name())?;
            prepared
        }
        (None, None) => return Ok(Exit::InvalidDocuments),
    };
    let has_changes = prepared.plan.has_changes();
    if !has_changes && daemon::left_behind(&store)?.is_empty() {
        return nothing_to_do(args, &prepared);
    }
    if has_changes && !approved && !confirm()? {
        output::note("nothing was changed")?;
        return Ok(Exit::Done);
    }
    // Before anything is queued: a machine that cannot run jobs must not collect them.
    let runner = if args.no_wait {
        None
    } else {
        Some(Arc::new(runner(context, &store)?))
    };
    let queued = daemon::enqueue(&mut store, &prepared, &actor(), clock::now())?;
    let Some(runner) = runner else {
        return left_queued(args, &queued, &prepared);
    };
    let mut plans = Plans {
        own: queued.plan,
        adopted: daemon::left_behind(&store)?,
    };
    plans.adopted.retain(|plan| Some(*plan) != plans.own);
    if plans.own.is_none() && plans.adopted.is_empty() {
        return left_queued(args, &queued, &prepared);
    }
    if !plans.adopted.is_empty() && !args.json {
        output::note("jobs of an earlier apply are still queued, and run too")?;
    }
    let parallel = args
        .parallel
        .map(usize::from)
        .or(prepared.max_parallel_nodes)
        .or(context.settings.parallel)
        .unwrap_or(PARALLEL);
    let stop = Stop::default();
    stop_on_signals(&stop)?;
    let mut view = ProgressView::new(args.json, context.interactive);
    let mut broken = None;
    let mut watch = |progress| {
        // The jobs go on when nobody can be told about them any more.
        if let Err(error) = view.show(&progress) {
            broken.get_or_insert(error);
        }
    };
    let summary = daemon::run(&runner, &mut store, &plans, parallel, &stop, &mut watch)?;
    if summary.interrupted {
        for plan in plans.own.iter().chain(&plans.adopted) {
            cancel_rest(&mut store, *plan)?;
        }
    }
    finish(args, &summary, &prepared)
}

fn saved_plan(args: &Args) -> Result<Option<Prepared>, CliError> {
    match &args.fleet.path {
        Some(path) if path.is_file() => Ok(Some(daemon::load_plan(path)?)),
        Some(_) | None => Ok(None),
    }
}

fn show(args: &Args, context: &Context, prepared: &Prepared, fleet: &str) -> Result<(), CliError> {
    let heading = fleet::heading(prepared, fleet);
    if !args.json {
        return output::print(&plan_view::text(&prepared.plan, &heading, context.verbose));
    }
    // The summary is that of the run.
    for line in plan_view::json(&prepared.plan, &heading) {
        if !matches!(line["type"].as_str(), Some("summary")) {
            output::json_line(&line)?;
        }
    }
    Ok(())
}

/// Settles what dead processes left, and waits for what they started to end.
fn recover(store: &mut Store, is_json: bool) -> Result<(), CliError> {
    let deadline = Instant::now() + Duration::from_secs(45);
    loop {
        let recovery = daemon::recover(store, &actor(), clock::now())?;
        for job in &recovery.interrupted {
            output::note(&format!("job {job} was interrupted when its process died"))?;
        }
        if !is_json {
            for (job, worker) in &recovery.held {
                output::note(&format!(
                    "job {job} is running in another process ({worker})"
                ))?;
            }
        }
        if recovery.ending.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(CliError::new(format!(
                "job {} lost its process, and what that started has not ended",
                recovery.ending[0]
            ))
            .exit(Exit::LockTimeout)
            .hint("wait for it to end, then apply again; `pressluft jobs show` names the job"));
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

fn confirm() -> Result<bool, CliError> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(CliError::new("there is no terminal to ask on")
            .exit(Exit::Usage)
            .hint("add `--auto-approve`, or apply a plan that was kept with `plan --out`"));
    }
    output::print("\nApply this plan? Only `yes` is taken: ")?;
    std::io::stdout().flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

fn runner(context: &Context, store: &Store) -> Result<Runner, CliError> {
    let mut settings = Settings::new(&context.state_dir);
    settings.log_dir.clone_from(&context.log_dir);
    settings.venv.clone_from(&context.venv);
    let engine = Engine::locate(settings).map_err(|error| {
        CliError::new(super::error::chain(&error))
            .hint("`pressluft doctor` says what is missing, and `pressluft doctor --fix` makes it")
    })?;
    Ok(Runner {
        engine,
        identity: identity(context, store)?,
        database: context.db_path.clone(),
        actor: actor(),
    })
}

/// The identity that opens the secrets. A new one is made only where nothing is encrypted yet:
/// in the place of a lost one it would open nothing.
fn identity(context: &Context, store: &Store) -> Result<Identity, CliError> {
    let directory = &context.secrets_dir;
    let identity = match Identity::load(directory) {
        Err(SecretError::NoIdentity(_)) if !store.has_ciphertexts()? => {
            Identity::load_or_generate(directory)
        }
        other => other,
    };
    identity.map_err(|error| {
        CliError::new(super::error::chain(&error)).hint(
            "put the identity file back from a backup: the recorded secrets can be opened with \
             no other",
        )
    })
}

fn stop_on_signals(stop: &Stop) -> Result<(), CliError> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let stop = stop.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for _ in signals.forever() {
                stop.stop();
            }
        })?;
    Ok(())
}

/// Takes what had not started out of the queue: nobody is there to run it.
fn cancel_rest(store: &mut Store, plan: crate::core::recorded::PlanId) -> Result<(), CliError> {
    loop {
        let page = store.jobs(&crate::store::JobFilter {
            status: Some(crate::core::job::JobStatus::Queued),
            plan: Some(plan),
            limit: 1,
            ..crate::store::JobFilter::default()
        })?;
        let Some(job) = page.jobs.first() else {
            return Ok(());
        };
        store.cancel_queued(job.id, "apply was interrupted", &actor(), clock::now())?;
    }
}

fn nothing_to_do(args: &Args, prepared: &Prepared) -> Result<Exit, CliError> {
    let blocked = prepared.plan.blocked.len();
    if args.json {
        output::json_line(&json!({
            "type": "summary", "succeeded": 0, "failed": 0, "blocked": blocked, "cancelled": 0,
        }))?;
    }
    Ok(if blocked > 0 {
        Exit::Blocked
    } else {
        Exit::Done
    })
}

fn left_queued(
    args: &Args,
    queued: &daemon::Queued,
    prepared: &Prepared,
) -> Result<Exit, CliError> {
    let blocked = prepared.plan.blocked.len();
    if args.json {
        output::json_line(&json!({
            "type": "summary", "succeeded": 0, "failed": 0, "blocked": blocked, "cancelled": 0,
            "queued": queued.jobs.len(), "recorded": queued.recorded,
        }))?;
    } else {
        output::print(&format!(
            "\n{} jobs queued, {} resources recorded\n",
            queued.jobs.len(),
            queued.recorded
        ))?;
    }
    Ok(if blocked > 0 {
        Exit::Blocked
    } else {
        Exit::Done
    })
}

fn finish(args: &Args, summary: &Summary, prepared: &Prepared) -> Result<Exit, CliError> {
    let blocked = prepared.plan.blocked.len();
    if args.json {
        output::json_line(&json!({
            "type": "summary", "succeeded": summary.succeeded, "failed": summary.failed,
            "blocked": blocked, "cancelled": summary.cancelled,
        }))?;
    } else {
        output::print(&progress_view::summary(summary, blocked))?;
    }
    Ok(if summary.interrupted {
        Exit::Interrupted
    } else if summary.only_unhealthy {
        Exit::Unhealthy
    } else if summary.failed + summary.cancelled > 0 {
        Exit::SomeJobsFailed
    } else if blocked > 0 {
        Exit::Blocked
    } else {
        Exit::Done
    })
}
