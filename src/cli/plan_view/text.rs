//! The plan for a terminal: grouped by resource, before → after, counted.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::{Heading, mark, sentence, value};
use crate::cli::output::{Paint, printable};
use crate::core::change::Change;
use crate::core::id::ResourceId;
use crate::core::plan::{Action, Plan, PlannedJob, Shown};

/// How many fields of a new resource are shown where not all are asked for.
const FIELDS_SHOWN: usize = 8;

/// Writes the whole plan; `all` shows every field of new resources.
pub(crate) fn text(
    to: &mut dyn Write,
    plan: &Plan,
    heading: &Heading,
    all: bool,
    paint: Paint,
) -> io::Result<()> {
    let bold = paint.with(Style::new().bold());
    let dim = paint.with(Style::new().dimmed());
    push_header(to, heading, paint)?;
    if plan.partial {
        writeln!(
            to,
            "{dim}Part of the plan only: --target or --exclude is given{dim:#}"
        )?;
    }
    let most = (!all).then_some(FIELDS_SHOWN);
    let mut last = None;
    for job in &plan.jobs {
        if last != Some(&job.resource) {
            write!(to, "\n{bold}{}{bold:#}", job.resource)?;
            if job.resource.site().is_some() {
                write!(to, " {dim}on {}{dim:#}", job.node)?;
            }
            writeln!(to)?;
            last = Some(&job.resource);
        }
        push_job(to, job, most, paint)?;
    }
    if !plan.records.is_empty() {
        writeln!(to, "\n{bold}Recorded without a job{bold:#}")?;
        for record in &plan.records {
            writeln!(to, "  {}", record.resource)?;
            push_shown(to, &record.shown(most), paint)?;
        }
    }
    push_list(
        to,
        ("Blocked", '!'),
        (AnsiColor::Yellow.on_default(), paint),
        plan.blocked.iter().map(|b| {
            (
                b.resource.to_string(),
                format!("{} ({})", b.message, b.code),
            )
        }),
    )?;
    push_list(
        to,
        ("No longer asked for", '-'),
        (AnsiColor::Magenta.on_default(), paint),
        plan.removed
            .iter()
            .map(|r| (r.resource.to_string(), r.message.clone())),
    )?;
    if plan.has_changes() {
        return writeln!(to, "\n{bold}{}{bold:#}", sentence(plan.counts()));
    }
    let rest = plan.counts();
    let green = paint.with(AnsiColor::Green.on_default().bold());
    write!(
        to,
        "\n{green}No changes{green:#}: the record is what the documents ask for"
    )?;
    if rest.blocked + rest.removed > 0 {
        let (blocked, removed) = (rest.blocked, rest.removed);
        write!(to, "; {blocked} blocked, {removed} no longer asked for")?;
    }
    writeln!(to)
}

fn push_header(out: &mut dyn Write, heading: &Heading, paint: Paint) -> io::Result<()> {
    let bold = paint.with(Style::new().bold());
    let yellow = paint.with(AnsiColor::Yellow.on_default());
    write!(
        out,
        "{bold}Plan{bold:#} for `{}`",
        printable(&heading.fleet)
    )?;
    match &heading.commit {
        Some(commit) => {
            write!(out, " at {}", commit.get(..12).unwrap_or(commit))?;
            if let Some(subject) = &heading.subject {
                write!(out, " ({})", printable(subject))?;
            }
        }
        None => write!(out, ", which is not in a git repository")?,
    }
    if heading.dirty && heading.commit.is_some() {
        write!(
            out,
            " {yellow}with changes that are not committed{yellow:#}"
        )?;
    }
    writeln!(out)
}

fn style(action: Action) -> Style {
    match action {
        Action::Create => AnsiColor::Green.on_default(),
        Action::Update => AnsiColor::Yellow.on_default(),
        Action::Delete => AnsiColor::Red.on_default(),
        Action::Run => AnsiColor::Cyan.on_default(),
    }
}

fn push_job(
    out: &mut dyn Write,
    job: &PlannedJob,
    most: Option<usize>,
    paint: Paint,
) -> io::Result<()> {
    let style = paint.with(style(job.action));
    let dim = paint.with(Style::new().dimmed());
    write!(
        out,
        "  {style}{}{style:#} {} {} {dim}{}{dim:#}",
        mark(job.action),
        job.id,
        job.job_type,
        job.reason
    )?;
    if !job.after.is_empty() {
        write!(out, " {dim}(after {}){dim:#}", job.after.join(", "))?;
    }
    writeln!(out)?;
    for shown in job.shown(most) {
        push_shown(out, &shown, paint)?;
    }
    Ok(())
}

fn push_shown(out: &mut dyn Write, shown: &Shown<'_>, paint: Paint) -> io::Result<()> {
    let dim = paint.with(Style::new().dimmed());
    if shown.changes.is_empty() {
        push_name(out, shown.of, paint)?;
    }
    push_changes(out, &shown.changes, paint)?;
    let defaults = match shown.defaults {
        1 => "1 default".to_owned(),
        count => format!("{count} defaults"),
    };
    let left = match (shown.more, shown.defaults) {
        (0, 0) => return Ok(()),
        (more, 0) => format!("and {more} more"),
        (0, _) if shown.changes.is_empty() => defaults,
        (0, _) => format!("and {defaults}"),
        (more, _) => format!("and {more} more and {defaults}"),
    };
    writeln!(out, "      {dim}{left}, shown with --verbose{dim:#}")
}

/// Pushes the name above what is of another resource than the job's.
fn push_name(out: &mut dyn Write, of: Option<&ResourceId>, paint: Paint) -> io::Result<()> {
    let dim = paint.with(Style::new().dimmed());
    match of {
        Some(of) => writeln!(out, "      {dim}{of}{dim:#}"),
        None => Ok(()),
    }
}

/// Pushes a line for each change, below the name of the resource where that is another one than the job's.
pub(super) fn push_changes(
    out: &mut dyn Write,
    changes: &[Change],
    paint: Paint,
) -> io::Result<()> {
    let width = changes
        .iter()
        .map(|change| change.path.chars().count())
        .max();
    let width = width.unwrap_or(0).min(32);
    let mut last = None;
    for change in changes {
        let of = change.resource.as_ref();
        if of != last {
            push_name(out, of, paint)?;
            last = of;
        }
        let (sign, colour) = match (change.before.is_null(), change.after.is_null()) {
            (true, _) => ('+', AnsiColor::Green),
            (_, true) => ('-', AnsiColor::Red),
            _ => ('~', AnsiColor::Yellow),
        };
        let colour = paint.with(colour.on_default());
        let path = printable(&change.path);
        write!(out, "      {colour}{sign}{colour:#} {path:width$}  ")?;
        match sign {
            '+' => writeln!(out, "{}", value(&change.after))?,
            '-' => writeln!(out, "{}", value(&change.before))?,
            _ => writeln!(out, "{} → {}", value(&change.before), value(&change.after))?,
        }
    }
    Ok(())
}

fn push_list(
    out: &mut dyn Write,
    (title, sign): (&str, char),
    (style, paint): (Style, Paint),
    rows: impl ExactSizeIterator<Item = (String, String)>,
) -> io::Result<()> {
    if rows.len() == 0 {
        return Ok(());
    }
    let (bold, style) = (paint.with(Style::new().bold()), paint.with(style));
    writeln!(out, "\n{bold}{title} ({}){bold:#}", rows.len())?;
    for (resource, message) in rows {
        let message = printable(&message);
        writeln!(out, "  {style}{sign}{style:#} {resource}: {message}")?;
    }
    Ok(())
}
