//! `pressluft drift`

use std::fmt::Write as _;

use serde_json::json;

use super::context::Context;
use super::describe::found_by;
use super::error::CliError;
use super::execute::{self, LimitArgs};
use super::exit::Exit;
use super::open;
use super::output;
use crate::clock;
use crate::core::event::TaskStatus;
use crate::core::id::{ResourceId, ResourceKind};
use crate::daemon::{self, Request, Summary};
use crate::store::{Drift, Store};

/// More of one difference is in `pressluft jobs show`.
const SHOWN_LINES: usize = 40;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Nodes and environments to look at, whatever their `drift` says [default: all that are
    /// recorded, without those whose `drift` is off]
    #[arg(value_name = "ID")]
    ids: Vec<ResourceId>,
    #[command(flatten)]
    limits: LimitArgs,
    /// JSON lines on standard output
    #[arg(long)]
    json: bool,
}

/// What was found of one resource.
struct Found {
    drift: Drift,
    /// What differs, tasks with what they would change.
    tasks: Vec<(String, Option<String>)>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    if args.json {
        output::json_version()?;
    }
    let mut store = open::for_writing(context)?;
    store.require_not_paused()?;
    execute::recover(&mut store, context, args.json)?;
    let checks = checks(args, &store)?;
    if checks.is_empty() {
        passed_over(&store)?;
        return nothing_to_look_at(args);
    }
    let begun = clock::now();
    let summary = execute::run_requests(&mut store, context, &checks, &args.limits, args.json)?;
    let mut found = Vec::new();
    for check in &checks {
        // What was not looked at now says nothing about now.
        if let Some(drift) = store.drift(&check.resource)?
            && drift.since.is_some()
            && drift.checked_at >= begun
        {
            found.push(Found::read(&store, drift)?);
        }
    }
    let exit = report(args, checks.len(), &summary, &found)?;
    if args.ids.is_empty() {
        passed_over(&store)?;
    }
    Ok(exit)
}

/// What nothing is said about, so that nobody takes it for clean.
fn passed_over(store: &Store) -> Result<(), CliError> {
    let left = store.passed_over_for_drift()?;
    let names: Vec<String> = left.iter().take(5).map(ToString::to_string).collect();
    let more = match left.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    if names.is_empty() {
        return Ok(());
    }
    output::note(&format!(
        "not checked, because a job is still at work there or the last one did not succeed: {}{more}; give an ID to check it anyway",
        names.join(", ")
    ))
}

fn checks(args: &Args, store: &Store) -> Result<Vec<Request>, CliError> {
    const REASON: &str = "somebody asked whether it drifted";
    if args.ids.is_empty() {
        let watched = store.watched_for_drift()?.into_iter();
        return Ok(watched.map(|id| daemon::drift_check(id, REASON)).collect());
    }
    let mut checks = Vec::new();
    for id in &args.ids {
        if !matches!(id.kind(), ResourceKind::Node | ResourceKind::Env) {
            return Err(
                CliError::new(format!("`{id}` has nothing of its own on a node"))
                    .exit(Exit::Usage)
                    .hint("give a node or an environment, such as env/acme/production"),
            );
        }
        if store.recorded(id)?.is_none() {
            return Err(CliError::new(format!("`{id}` is not recorded"))
                .hint("`pressluft get` lists what is; `pressluft apply` makes what is planned"));
        }
        let check = daemon::drift_check(id.clone(), REASON);
        if !checks.contains(&check) {
            checks.push(check);
        }
    }
    Ok(checks)
}

fn nothing_to_look_at(args: &Args) -> Result<Exit, CliError> {
    if args.json {
        output::json_line(&summary_line(0, &Summary::default(), 0))?;
    } else {
        output::print("nothing is recorded that could be looked at\n")?;
    }
    Ok(Exit::Done)
}

impl Found {
    fn read(store: &Store, drift: Drift) -> Result<Self, CliError> {
        let mut events = match drift.job {
            Some(job) => store.task_events(job)?,
            None => Vec::new(),
        };
        events.retain(|event| event.status == TaskStatus::Changed);
        let tasks = drift.found.tasks.iter().map(|task| {
            let index = events.iter().position(|event| event.task == *task);
            let diff = index.and_then(|index| events.remove(index).diff);
            (task.clone(), diff)
        });
        let tasks = tasks.collect();
        Ok(Self { drift, tasks })
    }

    fn text(&self) -> String {
        let mut text = format!("\n{} differs from what was applied\n", self.drift.resource);
        for (task, diff) in &self.tasks {
            writeln!(text, "  {}", found_by(task, &self.drift.found)).ok();
            let lines: Vec<&str> = diff.iter().flat_map(|diff| diff.lines()).collect();
            for line in lines.iter().take(SHOWN_LINES) {
                writeln!(text, "      {}", output::diff_line(line)).ok();
            }
            if let Some(more) = lines.len().checked_sub(SHOWN_LINES + 1) {
                writeln!(text, "      … {} more lines", more + 1).ok();
            }
        }
        text
    }
}

fn report(
    args: &Args,
    checked: usize,
    summary: &Summary,
    found: &[Found],
) -> Result<Exit, CliError> {
    if args.json {
        for found in found {
            let tasks = found.tasks.iter();
            let by_hand = &found.drift.found.by_hand;
            let tasks = tasks.map(|(task, diff)| {
                json!({ "name": task, "diff": diff, "by_hand": by_hand.contains(task) })
            });
            output::json_line(&json!({
                "type": "drift", "resource": found.drift.resource, "job_id": found.drift.job,
                "since": found.drift.since, "tasks": tasks.collect::<Vec<_>>(),
            }))?;
        }
        output::json_line(&summary_line(checked, summary, found.len()))?;
    } else {
        for found in found {
            output::print(&found.text())?;
        }
        let unknown = summary.failed + summary.cancelled + summary.open;
        let mut line = format!(
            "\n{} drifted, {} as applied",
            found.len(),
            summary.succeeded.saturating_sub(found.len() as u64)
        );
        if unknown > 0 {
            line.push_str(&format!(", {unknown} could not be looked at"));
        }
        output::print(&format!("{line}\n"))?;
        let can_heal = |found: &Found| !found.drift.found.to_heal().is_empty();
        if found.iter().any(can_heal) {
            output::note("`pressluft apply --rerun ID` puts things back")?;
        }
    }
    Ok(if summary.interrupted {
        Exit::Interrupted
    } else if summary.failed + summary.open > 0 {
        Exit::SomeJobsFailed
    } else if found.is_empty() {
        Exit::Done
    } else {
        Exit::Pending
    })
}

fn summary_line(checked: usize, summary: &Summary, drifted: usize) -> serde_json::Value {
    json!({
        "type": "summary", "checked": checked, "drifted": drifted,
        "clean": summary.succeeded.saturating_sub(drifted as u64),
        "failed": summary.failed, "cancelled": summary.cancelled, "open": summary.open,
    })
}
