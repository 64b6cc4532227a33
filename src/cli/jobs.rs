//! `pressluft jobs`

use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use serde_json::json;

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::job_id::find;
use super::output::{self, Format, Layout, lasting, printable};
use super::{job_actions, open, plan_view};
use crate::core::id::ResourceId;
use crate::core::job::JobStatus;
use crate::core::recorded::JobId;
use crate::store::{Job, JobFilter, JobPage, TaskEvent};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List jobs, the newest first
    List(ListArgs),
    /// Show one job: its changes, its attempts, the timeline of its tasks
    Show(ShowArgs),
    /// Print what Ansible itself said in the attempts at a job
    Logs(LogsArgs),
    /// Cancel a job that has not ended, and what waits for it
    Cancel(job_actions::CancelArgs),
    /// Try a job again: one that failed or was cancelled, or one that waits for its next attempt
    Retry(job_actions::RetryArgs),
}

#[derive(clap::Args, Debug)]
struct ListArgs {
    /// Only jobs in this state
    #[arg(long, value_parser = parse_status)]
    status: Option<JobStatus>,
    /// Only jobs of this resource, such as env/acme/production
    #[arg(long, value_name = "ID")]
    resource: Option<ResourceId>,
    /// Only jobs on this node
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Only jobs of this site and its environments
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = output::whole::<u32>)]
    limit: u32,
    /// Where the page before ended, as printed by it
    #[arg(long, value_parser = output::whole::<u64>)]
    cursor: Option<u64>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(clap::Args, Debug)]
struct ShowArgs {
    /// The job's id, or its beginning or end
    id: String,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(clap::Args, Debug)]
struct LogsArgs {
    /// The job's id, or its beginning or end
    id: String,
}

fn parse_status(text: &str) -> Result<JobStatus, String> {
    text.parse().map_err(|_| {
        let all: Vec<&str> = JobStatus::ALL
            .iter()
            .map(|status| status.as_str())
            .collect();
        format!("one of {}", all.join(", "))
    })
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    match &args.command {
        Command::List(args) => list(args, context),
        Command::Show(args) => show(args, context),
        Command::Logs(args) => logs(args, context),
        Command::Cancel(args) => job_actions::cancel(args, context),
        Command::Retry(args) => job_actions::retry(args, context),
    }
}

fn list(args: &ListArgs, context: &Context) -> Result<Exit, CliError> {
    let filter = JobFilter {
        status: args.status,
        resource: args.resource.clone(),
        node: args.node.clone(),
        site: args.site.clone(),
        plan: None,
        cursor: args.cursor,
        limit: args.limit,
    };
    let page = match open::if_there(context)? {
        Some(store) => store.jobs(&filter)?,
        None => JobPage {
            jobs: Vec::new(),
            cursor: None,
        },
    };
    output::show(args.output, &page.jobs, |jobs| {
        let narrow = context.width() < WIDE;
        let rows: Vec<_> = jobs.iter().map(|job| row(job, narrow)).collect();
        let layout = Layout {
            heading: &[
                "id", "job type", "resource", "node", "status", "started", "took", "error",
            ],
            spare: &["node"],
            below: &["error"],
        };
        layout.table(context.width(), &rows)
    })?;
    if let (Format::Table, Some(cursor)) = (args.output, page.cursor) {
        output::note(&format!("more with --cursor {cursor}"))?;
    }
    Ok(Exit::Done)
}

/// From this width on there is room for dates.
const WIDE: usize = 110;

fn row(job: &Job, narrow: bool) -> Vec<String> {
    let started = match (job.started_at, narrow) {
        (None, _) => String::new(),
        (Some(at), false) => moment(at),
        (Some(at), true) => at.strftime("%m-%d %H:%MZ").to_string(),
    };
    vec![
        short(job.id),
        job.job_type.to_string(),
        job.resource.to_string(),
        job.node_id.clone(),
        job.status.to_string(),
        started,
        took(job.started_at, job.finished_at),
        job.error_code
            .map_or_else(String::new, |code| code.to_string()),
    ]
}

/// The end of an id: the part that differs most, and enough for `jobs show`.
fn short(id: JobId) -> String {
    let id = id.to_string();
    id.get(id.len().saturating_sub(8)..)
        .unwrap_or(&id)
        .to_owned()
}

/// A moment to the second, in UTC.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The time between two moments, or nothing while it is open.
fn took(from: Option<Timestamp>, to: Option<Timestamp>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => lasting(to.duration_since(from).as_secs_f64()),
        _ => String::new(),
    }
}

fn show(args: &ShowArgs, context: &Context) -> Result<Exit, CliError> {
    let store = open::for_reading(context)?;
    let job = find(&store, &args.id)?;
    let attempts = store.attempts(job.id)?;
    let events = store.task_events(job.id)?;
    let changes = store.job_changes(job.id)?;
    let after = store.job_dependencies(job.id)?;
    let whole = json!({
        "job": job, "changes": changes, "after": after, "attempts": attempts, "tasks": events,
    });
    output::show(args.output, &whole, |_| {
        let mut out = heading(&job);
        if !changes.is_empty() {
            out.push_str("\nChanges\n");
            out.push_str(&plan_view::changes(&changes));
        }
        for attempt in &attempts {
            let outcome = attempt
                .outcome
                .map_or("running", |outcome| outcome.as_str());
            out.push_str(&format!(
                "\nAttempt {} {} {}\n",
                attempt.number,
                outcome,
                took(Some(attempt.started_at), attempt.finished_at)
            ));
            for event in events
                .iter()
                .filter(|event| event.attempt == attempt.number)
            {
                push_event(&mut out, event);
            }
            if attempt.events_dropped > 0 {
                out.push_str(&format!(
                    "  {} more tasks were not kept\n",
                    attempt.events_dropped
                ));
            }
        }
        out
    })?;
    Ok(Exit::Done)
}

fn heading(job: &Job) -> String {
    let bold = Style::new().bold();
    let mut out = format!(
        "{bold}{} {}{bold:#} on {}: {}\n",
        job.job_type, job.resource, job.node_id, job.status
    );
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            out.push_str(&format!("  {name:9} {}\n", printable(&value)));
        }
    };
    line("id", job.id.to_string());
    line("reason", job.reason.clone());
    line("origin", job.origin.to_string());
    line("revision", job.revision.clone());
    line("created", moment(job.created_at));
    line("started", job.started_at.map_or_else(String::new, moment));
    line("finished", job.finished_at.map_or_else(String::new, moment));
    line("took", took(job.started_at, job.finished_at));
    line(
        "attempts",
        format!("{} of {}", job.attempt_count, job.max_attempts),
    );
    if job.status == JobStatus::Queued && job.error_code.is_some() {
        line("next", format!("not before {}", moment(job.run_after)));
    }
    if let Some(code) = job.error_code {
        line("error", code.to_string());
    }
    for text in job.error_message.iter().flat_map(|message| message.lines()) {
        line("", text.to_owned());
    }
    out
}

fn push_event(out: &mut String, event: &TaskEvent) {
    let style = match event.status.as_str() {
        "changed" => AnsiColor::Yellow.on_default(),
        "failed" | "unreachable" => AnsiColor::Red.on_default(),
        "skipped" => AnsiColor::Cyan.on_default(),
        _ => AnsiColor::Green.on_default(),
    };
    let took = event.seconds.map_or_else(String::new, lasting);
    out.push_str(&format!(
        "  {} {style}{:11}{style:#} {took:>7}  {}\n",
        event.at.strftime("%H:%M:%S"),
        event.status.as_str(),
        printable(&event.task)
    ));
    let failed = matches!(event.status.as_str(), "failed" | "unreachable");
    if let Some(message) = event.message.as_ref().filter(|_| failed) {
        for line in message.lines() {
            out.push_str(&format!("      {}\n", printable(line)));
        }
    }
    for line in event.diff.iter().flat_map(|diff| diff.lines()) {
        out.push_str(&format!("      {}\n", output::diff_line(line)));
    }
}

fn logs(args: &LogsArgs, context: &Context) -> Result<Exit, CliError> {
    let store = open::for_reading(context)?;
    let job = find(&store, &args.id)?;
    let mut paths: Vec<PathBuf> = match std::fs::read_dir(&context.log_dir) {
        Ok(entries) => entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let prefix = format!("{}-", job.id);
    paths.retain(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
    });
    paths.sort();
    if paths.is_empty() {
        output::note(
            "ansible printed nothing besides its events; `pressluft jobs show` has those",
        )?;
    }
    for path in paths {
        let text = std::fs::read(&path)?;
        output::print(&format!("== {}\n", path.display()))?;
        output::print(&printable(&String::from_utf8_lossy(&text)))?;
    }
    Ok(Exit::Done)
}
