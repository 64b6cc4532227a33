//! The plan for a terminal: grouped by resource, before → after, counted.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::{Heading, mark, sentence, value};
use crate::cli::output::printable;
use crate::core::change::Change;
use crate::core::id::ResourceId;
use crate::core::plan::{Action, Plan, PlannedJob, Shown};

/// How many fields of a new resource are shown where not all are asked for.
const FIELDS_SHOWN: usize = 8;

/// So much text is gathered before it is written.
const PIECE: usize = 16 * 1024;

/// Writes the whole plan, piece by piece; `all` shows every field of new resources.
pub(crate) fn text(
    to: &mut dyn Write,
    plan: &Plan,
    heading: &Heading,
    all: bool,
) -> io::Result<()> {
    let bold = Style::new().bold();
    let dim = Style::new().dimmed();
    let mut out = header(heading);
    if plan.partial {
        out.push_str(&format!(
            "{dim}Part of the plan only: --target or --exclude is given{dim:#}\n"
        ));
    }
    let most = (!all).then_some(FIELDS_SHOWN);
    let mut last = None;
    for job in &plan.jobs {
        if last != Some(&job.resource) {
            out.push_str(&format!("\n{bold}{}{bold:#}", job.resource));
            if job.resource.site().is_some() {
                out.push_str(&format!(" {dim}on {}{dim:#}", job.node));
            }
            out.push('\n');
            last = Some(&job.resource);
        }
        push_job(&mut out, job, most);
        write_full(to, &mut out)?;
    }
    if !plan.records.is_empty() {
        out.push_str(&format!("\n{bold}Recorded without a job{bold:#}\n"));
        for record in &plan.records {
            out.push_str(&format!("  {}\n", record.resource));
            push_shown(&mut out, &record.shown(most));
            write_full(to, &mut out)?;
        }
    }
    push_list(
        &mut out,
        "Blocked",
        AnsiColor::Yellow.on_default(),
        '!',
        plan.blocked.iter().map(|b| {
            (
                b.resource.to_string(),
                format!("{} ({})", b.message, b.code),
            )
        }),
    );
    push_list(
        &mut out,
        "No longer asked for",
        AnsiColor::Magenta.on_default(),
        '-',
        plan.removed
            .iter()
            .map(|r| (r.resource.to_string(), r.message.clone())),
    );
    if plan.has_changes() {
        out.push_str(&format!("\n{bold}{}{bold:#}\n", sentence(plan.counts())));
    } else {
        let rest = plan.counts();
        let green = AnsiColor::Green.on_default().bold();
        out.push_str(&format!(
            "\n{green}No changes{green:#}: the record is what the documents ask for"
        ));
        if rest.blocked + rest.removed > 0 {
            out.push_str(&format!(
                "; {} blocked, {} no longer asked for",
                rest.blocked, rest.removed
            ));
        }
        out.push('\n');
    }
    to.write_all(out.as_bytes())
}

/// Writes `out` once it is worth that.
fn write_full(to: &mut dyn Write, out: &mut String) -> io::Result<()> {
    if out.len() >= PIECE {
        to.write_all(out.as_bytes())?;
        out.clear();
    }
    Ok(())
}

fn header(heading: &Heading) -> String {
    let bold = Style::new().bold();
    let yellow = AnsiColor::Yellow.on_default();
    let mut out = format!("{bold}Plan{bold:#} for `{}`", printable(&heading.fleet));
    match &heading.commit {
        Some(commit) => {
            let short = commit.get(..12).unwrap_or(commit);
            out.push_str(&format!(" at {short}"));
            if let Some(subject) = &heading.subject {
                out.push_str(&format!(" ({})", printable(subject)));
            }
        }
        None => out.push_str(", which is not in a git repository"),
    }
    if heading.dirty && heading.commit.is_some() {
        out.push_str(&format!(
            " {yellow}with changes that are not committed{yellow:#}"
        ));
    }
    out.push('\n');
    out
}

fn style(action: Action) -> Style {
    match action {
        Action::Create => AnsiColor::Green.on_default(),
        Action::Update => AnsiColor::Yellow.on_default(),
        Action::Delete => AnsiColor::Red.on_default(),
        Action::Run => AnsiColor::Cyan.on_default(),
    }
}

fn push_job(out: &mut String, job: &PlannedJob, most: Option<usize>) {
    let style = style(job.action);
    let dim = Style::new().dimmed();
    out.push_str(&format!(
        "  {style}{}{style:#} {} {} {dim}{}{dim:#}",
        mark(job.action),
        job.id,
        job.job_type,
        job.reason
    ));
    if !job.after.is_empty() {
        out.push_str(&format!(" {dim}(after {}){dim:#}", job.after.join(", ")));
    }
    out.push('\n');
    for shown in job.shown(most) {
        push_shown(out, &shown);
    }
}

fn push_shown(out: &mut String, shown: &Shown<'_>) {
    let dim = Style::new().dimmed();
    if shown.changes.is_empty() {
        push_name(out, shown.of);
    }
    push_changes(out, &shown.changes);
    let defaults = match shown.defaults {
        1 => "1 default".to_owned(),
        count => format!("{count} defaults"),
    };
    let left = match (shown.more, shown.defaults) {
        (0, 0) => return,
        (more, 0) => format!("and {more} more"),
        (0, _) if shown.changes.is_empty() => defaults,
        (0, _) => format!("and {defaults}"),
        (more, _) => format!("and {more} more and {defaults}"),
    };
    out.push_str(&format!("      {dim}{left}, shown with --verbose{dim:#}\n"));
}

/// Pushes the name above what is of another resource than the job's.
fn push_name(out: &mut String, of: Option<&ResourceId>) {
    let dim = Style::new().dimmed();
    if let Some(of) = of {
        out.push_str(&format!("      {dim}{of}{dim:#}\n"));
    }
}

/// Pushes a line for each change, below the name of the resource where that is another one than the job's.
pub(super) fn push_changes(out: &mut String, changes: &[Change]) {
    let width = changes
        .iter()
        .map(|change| change.path.chars().count())
        .max();
    let width = width.unwrap_or(0).min(32);
    let mut last = None;
    for change in changes {
        let of = change.resource.as_ref();
        if of != last {
            push_name(out, of);
            last = of;
        }
        let (sign, colour) = match (change.before.is_null(), change.after.is_null()) {
            (true, _) => ('+', AnsiColor::Green),
            (_, true) => ('-', AnsiColor::Red),
            _ => ('~', AnsiColor::Yellow),
        };
        let colour = colour.on_default();
        let path = printable(&change.path);
        let what = match sign {
            '+' => value(&change.after),
            '-' => value(&change.before),
            _ => format!("{} → {}", value(&change.before), value(&change.after)),
        };
        out.push_str(&format!(
            "      {colour}{sign}{colour:#} {path:width$}  {what}\n"
        ));
    }
}

fn push_list(
    out: &mut String,
    title: &str,
    style: Style,
    sign: char,
    rows: impl Iterator<Item = (String, String)>,
) {
    let rows: Vec<(String, String)> = rows.collect();
    if rows.is_empty() {
        return;
    }
    let bold = Style::new().bold();
    out.push_str(&format!("\n{bold}{title} ({}){bold:#}\n", rows.len()));
    for (resource, message) in rows {
        out.push_str(&format!(
            "  {style}{sign}{style:#} {resource}: {}\n",
            printable(&message)
        ));
    }
}
