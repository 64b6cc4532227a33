//! `pressluft plan`

use std::path::PathBuf;

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::fleet::{self, FleetArgs};
use super::output;
use super::plan_view;
use crate::core::id::ResourceId;
use crate::core::plan::Choice;
use crate::daemon::{self, Purpose};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Keep the plan in a file for `pressluft apply FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// JSON lines on standard output
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Markdown for a comment on a pull request
    #[arg(long)]
    markdown: bool,
    /// Show what would change in the files on the nodes, rendered without touching them
    #[arg(long, conflicts_with = "markdown")]
    show_files: bool,
    /// Exit with 2 when changes are pending
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Which part of the plan is asked for.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ChoiceArgs {
    /// Only this resource and what it needs; may be given more than once
    #[arg(long, value_name = "ID")]
    target: Vec<ResourceId>,
    /// All but this resource and what needs it; may be given more than once
    #[arg(long, value_name = "ID")]
    exclude: Vec<ResourceId>,
    /// Run the jobs of this resource again although nothing changed; may be given more than once
    #[arg(long, value_name = "ID")]
    rerun: Vec<ResourceId>,
}

impl ChoiceArgs {
    pub(crate) fn choice(&self) -> Choice {
        Choice {
            targets: self.target.clone(),
            excludes: self.exclude.clone(),
            rerun: self.rerun.clone(),
            ..Choice::default()
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    if args.json {
        output::json_version()?;
    }
    let Some(fleet) = fleet::load(&args.fleet, context, args.json)? else {
        return Ok(Exit::InvalidDocuments);
    };
    let choice = args.choice.choice();
    fleet.require(
        choice
            .targets
            .iter()
            .chain(&choice.excludes)
            .chain(&choice.rerun),
    )?;
    let purpose = match args.out.is_some() || args.show_files {
        true => Purpose::Apply,
        false => Purpose::Show,
    };
    let prepared = fleet.plan(context, &choice, purpose)?;
    let heading = fleet::heading(&prepared, &fleet.name());
    // The program is about to end; to take a large fleet and its plan apart would cost more than to print it.
    std::mem::forget(fleet);
    if let Some(path) = &args.out {
        daemon::save_plan(path, &prepared)?;
    }
    let plan = &prepared.plan;
    if args.json {
        output::stream_json(|out| plan_view::json(out, plan, &heading))?;
        if args.show_files {
            fleet::file_changes(context, &prepared, &mut |changes| {
                output::stream_json(|out| plan_view::files_json(out, &changes))
            })?;
        }
        output::json_line(&plan_view::summary(plan))?;
    } else if args.markdown {
        output::print(&plan_view::markdown(plan, &heading))?;
    } else {
        output::stream(|out, paint| plan_view::text(out, plan, &heading, context.verbose, paint))?;
        if args.show_files {
            fleet::file_changes(context, &prepared, &mut |changes| {
                output::print(&plan_view::files_text(&changes))
            })?;
        }
        if let Some(path) = &args.out {
            let path = path.display();
            output::print(&format!(
                "\nKept in `{path}`; apply it with: pressluft apply {path}\n"
            ))?;
        }
    }
    let exit = match args.detailed_exitcode && plan.has_changes() {
        true => Exit::Pending,
        false => Exit::Done,
    };
    std::mem::forget(prepared);
    Ok(exit)
}
