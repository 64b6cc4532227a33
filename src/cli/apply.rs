//! `pressluft apply`

use std::io::{BufRead, IsTerminal, Write};

use serde_json::json;

use super::context::{Context, actor};
use super::error::CliError;
use super::execute::{self, LimitArgs};
use super::exit::Exit;
use super::fleet::{self, Fleet, FleetArgs};
use super::plan::ChoiceArgs;
use super::progress_view::{self, ProgressView};
use super::{open, output, plan_view};
use crate::clock;
use crate::core::document::scalar;
use crate::core::plan::Choice;
use crate::daemon::{
    self, DaemonError, Jobs, Limits, Plans, Prepared, Purpose, Queued, Summary, Urgency,
};
use crate::secrets::FingerprintKey;
use crate::store::{Store, StoreError};

/// How often it is planned anew when the record moves between planning and queueing.
const PLANNINGS: u32 = 8;

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
    #[command(flatten)]
    limits: LimitArgs,
    /// How long to wait, when all else is done, for nodes that do not answer and for next attempts
    /// [default: not at all for nodes, 2m for attempts]
    #[arg(long, value_name = "DURATION", conflicts_with = "no_wait")]
    wait: Option<scalar::Duration>,
    /// Queue the jobs and leave running them to a worker
    #[arg(long)]
    no_wait: bool,
    /// JSON lines on standard output; needs --auto-approve or a saved plan
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let choice = args.choice.choice();
    let saved = saved_plan(args, context)?;
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
    execute::recover(&mut store, context, args.json)?;
    // Made before anything is recorded: without it no change of a secret would be noticed.
    FingerprintKey::load_or_make(&context.secrets_dir)
        .map_err(|error| CliError::new(crate::core::causes::chain(&error)))?;
    // What is queued now is not wanted any more when the plan, which comes after, has nothing to do.
    let has_queued = fleet.is_some() && store.has_queued_changes()?;
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
    let is_left = !daemon::left_behind(&store)?.is_empty();
    let is_unwanted = has_queued && !has_changes && !prepared.plan.partial;
    if !has_changes && !is_left && !is_unwanted {
        return nothing_to_do(args, &prepared, fleet.is_some());
    }
    if is_unwanted {
        output::note(
            "jobs of earlier plans are queued that this plan does not want; it cancels them",
        )?;
    }
    if (has_changes || is_unwanted) && !approved && !confirm()? {
        output::note("nothing was changed")?;
        return Ok(Exit::Done);
    }
    // Before anything is queued: a machine that cannot run jobs must not collect them. What is only
    // recorded needs no Ansible.
    let runs_jobs = is_left || !prepared.plan.jobs.is_empty();
    let runner = if runs_jobs && !args.no_wait {
        Some(execute::runner(context, &store)?)
    } else {
        None
    };
    let Some((prepared, queued)) = queue(args, context, &mut store, prepared, fleet.as_ref())?
    else {
        output::note("nothing was changed")?;
        return Ok(Exit::Done);
    };
    let runner = match runner {
        // The plan was made anew meanwhile, and has jobs now.
        None if !args.no_wait && !prepared.plan.jobs.is_empty() => {
            Some(execute::runner(context, &store)?)
        }
        runner => runner,
    };
    let Some(runner) = runner else {
        return left_queued(args, &queued, &prepared);
    };
    let may_claim = execute::may_claim(context);
    let plans = plans(&store, &queued, may_claim())?;
    if plans.own.is_none() && plans.joined.is_empty() && plans.adopted.is_empty() {
        return left_queued(args, &queued, &prepared);
    }
    if !args.json {
        told(&plans, queued.superseded, may_claim())?;
    }
    let limits = Limits {
        wait: args.wait.map(super::settings::span),
        ..args.limits.limits(context, prepared.max_parallel_nodes)
    };
    let stop = execute::stop_on_signals([Urgency::Cancel, Urgency::Cancel])?;
    let mut view = ProgressView::new(args.json, context.interactive);
    let mut broken = None;
    let mut watch = |progress| {
        // The jobs go on when nobody can be told about them any more.
        if let Err(error) = view.show(&progress) {
            broken.get_or_insert(error);
        }
    };
    let cancelled = plans.own.iter().chain(&plans.adopted).copied();
    let cancelled: Vec<_> = cancelled.collect();
    let summary = daemon::run(
        &runner,
        &mut store,
        &Jobs::Plans(plans),
        &limits,
        &may_claim,
        &stop,
        &mut watch,
    )?;
    if stop.urgency() == Urgency::None {
        execute::clear_up(&mut store, context);
    }
    // After a SIGTERM what is queued stays so, for a worker or the next apply.
    if stop.urgency() == Urgency::Cancel {
        for plan in cancelled {
            execute::cancel_plan(&mut store, plan, "apply was interrupted")?;
        }
    }
    finish(args, &summary, &queued, &prepared)
}

/// Queues the plan. When the record has moved since it was made, another apply was faster: then
/// it is made anew, and shown and asked about again when it is another one. None when that is
/// not wanted.
fn queue(
    args: &Args,
    context: &Context,
    store: &mut Store,
    mut prepared: Prepared,
    fleet: Option<&Fleet>,
) -> Result<Option<(Prepared, Queued)>, CliError> {
    let mut plannings = 1;
    loop {
        match (
            daemon::enqueue(store, &prepared, &actor(), clock::now()),
            fleet,
        ) {
            (Ok(queued), _) => return Ok(Some((prepared, queued))),
            (Err(DaemonError::Store(StoreError::StalePlan(_))), Some(fleet))
                if plannings < PLANNINGS =>
            {
                plannings += 1;
                let again = fleet.plan(context, &args.choice.choice(), Purpose::Apply)?;
                if !args.auto_approve && again.plan.jobs != prepared.plan.jobs {
                    output::note("the record has moved meanwhile; this is the new plan")?;
                    show(args, context, &again, &fleet.name())?;
                    if again.plan.has_changes() && !confirm()? {
                        return Ok(None);
                    }
                }
                prepared = again;
            }
            (Err(error), _) => return Err(error.into()),
        }
    }
}

/// What to run and wait for. What nobody works on any more is run as well, unless a worker does
/// that anyway.
fn plans(store: &Store, queued: &Queued, may_claim: bool) -> Result<Plans, CliError> {
    let mut plans = Plans {
        own: queued.plan,
        joined: queued.joined.clone(),
        adopted: Vec::new(),
    };
    if may_claim {
        plans.adopted = daemon::left_behind(store)?;
        plans.adopted.retain(|plan| {
            Some(*plan) != plans.own && plans.joined.iter().all(|(_, joined)| joined != plan)
        });
    }
    Ok(plans)
}

fn told(plans: &Plans, superseded: usize, may_claim: bool) -> Result<(), CliError> {
    if superseded > 0 {
        let jobs = output::counted(superseded, "queued job");
        output::note(&format!("{jobs} superseded by this plan"))?;
    }
    if !plans.joined.is_empty() {
        output::note("all of it is queued or running already; waiting for that")?;
    }
    if !plans.adopted.is_empty() {
        output::note("jobs of an earlier apply are still queued, and run too")?;
    }
    if !may_claim {
        output::note("a worker runs the jobs; this command follows them")?;
    }
    Ok(())
}

fn saved_plan(args: &Args, context: &Context) -> Result<Option<Prepared>, CliError> {
    match &args.fleet.path {
        Some(path) if path.is_file() => {
            let prepared = daemon::load_plan(path)?;
            prepared.require_entitled(&context.reserved())?;
            Ok(Some(prepared))
        }
        Some(_) | None => Ok(None),
    }
}

fn show(args: &Args, context: &Context, prepared: &Prepared, fleet: &str) -> Result<(), CliError> {
    let heading = fleet::heading(prepared, fleet);
    if !args.json {
        return output::stream(|out, paint| {
            plan_view::text(out, &prepared.plan, &heading, context.verbose, paint)
        });
    }
    // The summary is that of the run.
    output::stream_json(|out| plan_view::json(out, &prepared.plan, &heading))
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

fn nothing_to_do(args: &Args, prepared: &Prepared, is_shown: bool) -> Result<Exit, CliError> {
    let blocked = prepared.plan.blocked.len();
    if !args.json && !is_shown {
        output::print(&format!("The plan has no jobs; {blocked} blocked\n"))?;
    }
    if args.json {
        output::json_line(&json!({
            "type": "summary", "succeeded": 0, "failed": 0, "blocked": blocked, "cancelled": 0,
        }))?;
    }
    Ok(if prepared.plan.waiting() > 0 {
        Exit::Blocked
    } else {
        Exit::Done
    })
}

fn left_queued(args: &Args, queued: &Queued, prepared: &Prepared) -> Result<Exit, CliError> {
    let blocked = prepared.plan.blocked.len();
    if args.json {
        output::json_line(&json!({
            "type": "summary", "succeeded": 0, "failed": 0, "blocked": blocked, "cancelled": 0,
            "queued": queued.jobs, "joined": queued.joined.len(), "recorded": queued.recorded,
            "superseded": queued.superseded,
        }))?;
    } else {
        let mut text = format!("{} queued", output::counted(queued.jobs, "job"));
        if !queued.joined.is_empty() {
            let joined = queued.joined.len();
            text.push_str(&format!(", {joined} are queued or running already"));
        }
        let recorded = output::counted(queued.recorded, "resource");
        text.push_str(&format!(", {recorded} recorded"));
        if queued.superseded > 0 {
            let superseded = output::counted(queued.superseded, "queued job");
            text.push_str(&format!(", {superseded} superseded"));
        }
        output::print(&format!("\n{text}\n"))?;
    }
    Ok(if prepared.plan.waiting() > 0 {
        Exit::Blocked
    } else {
        Exit::Done
    })
}

fn finish(
    args: &Args,
    summary: &Summary,
    queued: &Queued,
    prepared: &Prepared,
) -> Result<Exit, CliError> {
    let blocked = prepared.plan.blocked.len();
    if args.json {
        output::json_line(&json!({
            "type": "summary", "succeeded": summary.succeeded, "failed": summary.failed,
            "blocked": blocked, "cancelled": summary.cancelled, "queued": summary.open,
            "superseded": queued.superseded,
        }))?;
    } else {
        output::print(&progress_view::summary(summary, blocked))?;
    }
    Ok(if summary.interrupted {
        Exit::Interrupted
    } else if summary.only_unhealthy {
        Exit::Unhealthy
    } else if summary.failed + summary.cancelled + summary.open > 0 {
        Exit::SomeJobsFailed
    } else if prepared.plan.waiting() > 0 {
        Exit::Blocked
    } else {
        Exit::Done
    })
}
