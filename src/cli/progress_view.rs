//! A run as it happens: a line per running job on a terminal, plain lines elsewhere, JSON lines
//! for programs.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::error::CliError;
use super::output::{self, lasting, printable};
use crate::core::job::JobStatus;
use crate::core::recorded::JobId;
use crate::daemon::{JobEnd, JobLabel, Progress, Wait};

/// Shows events as they come.
pub(crate) enum ProgressView {
    Json,
    Plain,
    Live {
        bars: MultiProgress,
        running: BTreeMap<JobId, ProgressBar>,
    },
}

impl ProgressView {
    /// The view that fits where the output goes.
    pub(crate) fn new(is_json: bool, interactive: bool) -> Self {
        if is_json {
            Self::Json
        } else if interactive && std::io::stderr().is_terminal() {
            Self::Live {
                bars: MultiProgress::new(),
                running: BTreeMap::new(),
            }
        } else {
            Self::Plain
        }
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, progress: &Progress) -> Result<(), CliError> {
        if matches!(
            (&self, progress),
            (Self::Json | Self::Plain, Progress::Disk { .. })
        ) {
            output::note(&note(progress))?;
        }
        match self {
            Self::Json => json_of(progress).map_or(Ok(()), |line| output::json_line(&line)),
            Self::Plain => plain_of(progress).map_or(Ok(()), |line| output::print(&line)),
            Self::Live { bars, running } => {
                live(bars, running, progress);
                Ok(())
            }
        }
    }
}

fn json_of(progress: &Progress) -> Option<Value> {
    Some(match progress {
        Progress::JobStarted {
            job,
            attempt,
            elsewhere,
        } => json!({
            "type": "job_started", "elsewhere": elsewhere, "job_id": job.id, "resource": job.resource,
            "job_type": job.job_type, "node": job.node, "attempt": attempt,
        }),
        Progress::TaskStarted { .. } => return None,
        Progress::Task { job, result } => {
            let mut line = json!({
                "type": "task", "job_id": job.id, "resource": job.resource, "name": result.task,
                "status": result.status, "seconds": result.seconds,
            });
            if !result.diff.is_empty() {
                line["diff"] = json!(result.diff);
            }
            line
        }
        Progress::JobFinished { job, end } => json!({
            "type": "job_finished", "job_id": job.id, "resource": job.resource,
            "job_type": job.job_type, "node": job.node, "status": end.status,
            "error_code": end.error_code, "error_message": end.error_message,
            "hint": end.hint,
            "seconds": Duration::from_millis(end.milliseconds).as_secs_f64(),
            "waits_until": match end.wait {
                Some(Wait::Until(at)) => json!(at),
                Some(Wait::Node) | None => Value::Null,
            },
            "waits_for_node": end.wait == Some(Wait::Node),
        }),
        Progress::NodeAnswers { node } => json!({ "type": "node_answers", "node": node }),
        Progress::Draining { running } => json!({ "type": "draining", "running": running }),
        Progress::Disk { database, trouble } => json!({
            "type": "disk", "ok": trouble.is_none(), "database": database, "message": trouble,
        }),
    })
}

fn plain_of(progress: &Progress) -> Option<String> {
    match progress {
        Progress::JobStarted { job, elsewhere, .. } => Some(format!(
            "{}: started on {}{}\n",
            title(job),
            job.node,
            if *elsewhere {
                " by another process"
            } else {
                ""
            }
        )),
        Progress::TaskStarted { .. } => None,
        Progress::Task { job, result } => {
            let status = result.status.as_str();
            if matches!(status, "ok" | "skipped") {
                return None;
            }
            Some(format!(
                "{}: {status}: {}\n",
                title(job),
                printable(&result.task)
            ))
        }
        Progress::JobFinished { job, end } => Some(format!("{}\n", finished(job, end))),
        Progress::NodeAnswers { .. } | Progress::Draining { .. } => {
            Some(format!("{}\n", note(progress)))
        }
        // On standard error, see `show`.
        Progress::Disk { .. } => None,
    }
}

/// What is about no job.
fn note(progress: &Progress) -> String {
    match progress {
        Progress::NodeAnswers { node } => format!("node {} answers again", printable(node)),
        Progress::Draining { running } => {
            format!("nothing starts any more; {running} running jobs may finish")
        }
        Progress::Disk { database, trouble } => {
            let database = database.display();
            match trouble {
                Some(trouble) => format!(
                    "{trouble}\nno new job starts, and what runs goes on; make room or mend the \
                     disk of `{database}`, and it goes on by itself"
                ),
                None => format!("the disk of `{database}` is good again, and jobs start"),
            }
        }
        Progress::JobStarted { .. }
        | Progress::TaskStarted { .. }
        | Progress::Task { .. }
        | Progress::JobFinished { .. } => String::new(),
    }
}

fn title(job: &JobLabel) -> String {
    format!("{} {}", job.job_type, job.resource)
}

fn finished(job: &JobLabel, end: &JobEnd) -> String {
    let style = match end.status {
        JobStatus::Succeeded => AnsiColor::Green.on_default(),
        JobStatus::Failed => AnsiColor::Red.on_default().bold(),
        JobStatus::Queued | JobStatus::Running | JobStatus::Unknown | JobStatus::Cancelled => {
            AnsiColor::Yellow.on_default()
        }
    };
    let took = lasting(Duration::from_millis(end.milliseconds).as_secs_f64());
    let mut text = match end.wait {
        None => format!("{}: {style}{}{style:#} in {took}", title(job), end.status),
        Some(Wait::Until(at)) => format!(
            "{}: {style}waits until {}{style:#} for its next attempt, after {took}",
            title(job),
            output::seconds(at)
        ),
        Some(Wait::Node) => format!(
            "{}: {style}waits for {}{style:#}, which does not answer, after {took}",
            title(job),
            job.node
        ),
    };
    if let Some(code) = end.error_code {
        text.push_str(&format!(", {code} (job {})", job.id));
    }
    // All of it is in `jobs show`; what fits on a screen is here.
    for line in end
        .error_message
        .iter()
        .flat_map(|message| message.lines())
        .take(12)
    {
        text.push_str(&format!("\n    {}", printable(line)));
    }
    if let Some(hint) = end.hint {
        let cyan = AnsiColor::Cyan.on_default();
        text.push_str(&format!("\n    {cyan}hint{cyan:#}: {hint}"));
    }
    text
}

fn live(bars: &MultiProgress, running: &mut BTreeMap<JobId, ProgressBar>, progress: &Progress) {
    match progress {
        Progress::JobStarted { job, .. } => {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template(
                "{spinner:.cyan} {prefix:.bold} {elapsed:>4} {wide_msg:.dim}",
            ) {
                bar.set_style(style);
            }
            bar.set_prefix(format!("{} on {}", title(job), job.node));
            bar.enable_steady_tick(Duration::from_millis(120));
            running.insert(job.id, bar);
        }
        Progress::TaskStarted { job, task } => {
            if let Some(bar) = running.get(&job.id) {
                bar.set_message(printable(task).into_owned());
            }
        }
        Progress::Task { .. } => {}
        Progress::JobFinished { job, end } => {
            if let Some(bar) = running.remove(&job.id) {
                bar.finish_and_clear();
                bars.remove(&bar);
            }
            // Above the lines of what still runs; a terminal that is gone takes no line.
            drop(bars.println(finished(job, end)));
        }
        Progress::NodeAnswers { .. } | Progress::Draining { .. } | Progress::Disk { .. } => {
            drop(bars.println(note(progress)));
        }
    }
}

/// The last words of a run.
pub(crate) fn summary(summary: &crate::daemon::Summary, not_run: usize) -> String {
    let bold = Style::new().bold();
    let mut text = format!(
        "\n{bold}{} succeeded, {} failed, {} cancelled",
        summary.succeeded, summary.failed, summary.cancelled
    );
    if summary.open > 0 {
        text.push_str(&format!(", {} still queued", summary.open));
    }
    if not_run > 0 {
        text.push_str(&format!("; {not_run} blocked"));
    }
    text.push_str(&format!("{bold:#}\n"));
    text
}
