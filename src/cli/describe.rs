//! `pressluft describe`

use anstyle::Style;
use serde_json::{Value, json};

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::jobs::moment;
use super::output::lasting;
use super::output::{self, Format, printable};
use super::times_view::Times;
use super::{get, open};
use crate::clock;
use crate::core::condition::{ConditionSince, Standing};
use crate::core::drift::Differences;
use crate::core::id::ResourceId;
use crate::core::leaf::leaves;
use crate::core::recorded::RecordedResource;
use crate::store::{Drift, Job, Looks, Revision};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The resource, such as env/acme/production
    id: ResourceId,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let store = open::for_reading(context)?;
    let last_job = store.last_job(&args.id)?;
    let now = clock::now();
    let standing = store.standing(&args.id, now)?;
    let recorded = get::with_reach(&store, store.recorded(&args.id)?.into_iter().collect())?;
    let Some(resource) = recorded.into_iter().next() else {
        return not_recorded(args, last_job.as_ref(), standing.as_ref());
    };
    let revision = store.revision(&resource.revision)?;
    let url = store.preview_url(&resource.id, resource.node.as_deref())?;
    let release = store
        .releases(&args.id)?
        .into_iter()
        .find(|release| release.active);
    let drift = store.drift(&args.id)?;
    let mut times = Times::default();
    times.add(&resource.id, &resource.spec);
    let looks = store.looks(&args.id)?;
    let mut whole = get::element(&resource, standing.as_ref());
    if let Value::Object(map) = &mut whole {
        map.insert("url".to_owned(), json!(url));
        map.insert(
            "release".to_owned(),
            json!(release.as_ref().map(|release| &release.name)),
        );
        map.insert("last_job".to_owned(), json!(last_job));
        map.insert("source".to_owned(), json!(resource.source));
        map.insert("drift".to_owned(), json!(drift));
        map.insert("looks".to_owned(), json!(looks));
        map.insert("commit".to_owned(), json!(revision));
        map.insert("times".to_owned(), json!(times.elements(now)));
        if let ResourceId::Node(name) = &args.id {
            map.insert("facts".to_owned(), json!(store.node_facts(name)?));
            map.insert("host_keys".to_owned(), json!(store.host_keys(name)?));
        }
    }
    output::show(args.output, &whole, |_| {
        let release = release.as_ref().map(|release| release.name.clone());
        let mut text = text(
            &resource,
            url.as_deref(),
            release,
            last_job.as_ref(),
            revision.as_ref(),
            standing.as_ref(),
        );
        let times = times.text(now, false);
        text.extend((!times.is_empty()).then(|| format!("\n{times}")));
        text.extend(drift.iter().map(drift_text));
        if !looks.is_empty() {
            text.push_str("\nLooks\n");
        }
        text.extend(looks.iter().map(look_text));
        text
    })?;
    Ok(Exit::Done)
}

/// The name of a task that found something, with a mark when no job of Pressluft puts that back.
pub(super) fn found_by(task: &str, found: &Differences) -> String {
    let by_hand = found.by_hand.iter().any(|only| only == task);
    let mark = if by_hand {
        " (only by hand to put back)"
    } else {
        ""
    };
    format!("{}{mark}", printable(task))
}

/// What the last look at the resource found.
fn drift_text(drift: &Drift) -> String {
    let checked = moment(drift.checked_at);
    let Some(since) = drift.since else {
        return format!("\nDrift: none, as of {checked}\n");
    };
    let mut text = format!("\nDrift, seen since {}\n", moment(since));
    for task in &drift.found.tasks {
        text.push_str(&format!("  {}\n", found_by(task, &drift.found)));
    }
    text
}

/// What the looks of one type found.
fn look_text(looks: &Looks) -> String {
    let code = looks
        .error_code
        .map_or_else(String::new, |code| format!(" with {code}"));
    format!(
        "  {} {}{code}: {} in a row since {}, last {}, {} in all\n",
        looks.job_type,
        looks.status,
        looks.repeats,
        moment(looks.since),
        moment(looks.last_at),
        looks.total
    )
}

/// A resource that no job has finished yet is not recorded; its last job says why.
fn not_recorded(
    args: &Args,
    last_job: Option<&Job>,
    standing: Option<&Standing>,
) -> Result<Exit, CliError> {
    match (last_job, standing) {
        (None, None) => Err(CliError::new(format!("`{}` is not recorded", args.id))
            .hint("`pressluft get` lists what is; `pressluft apply` makes what is planned")),
        (job, standing) => {
            let mut whole = json!({"id": args.id, "status": "new", "last_job": job});
            if let (Value::Object(map), Some(standing)) = (&mut whole, standing) {
                map.extend(get::condition_fields(standing));
            }
            output::show(args.output, &whole, |_| {
                let mut out = format!("{} is not recorded yet\n", args.id);
                if let Some(standing) = standing {
                    push_standing(&mut out, standing);
                }
                if let Some(job) = job {
                    push_job(&mut out, job);
                }
                out
            })?;
            Ok(Exit::Done)
        }
    }
}

fn text(
    resource: &RecordedResource,
    url: Option<&str>,
    release: Option<String>,
    last_job: Option<&Job>,
    revision: Option<&Revision>,
    standing: Option<&Standing>,
) -> String {
    let bold = Style::new().bold();
    let mut out = format!("{bold}{}{bold:#}: {}\n", resource.id, resource.status);
    if let Some(standing) = standing {
        push_standing(&mut out, standing);
    }
    let mut line = |name: &str, value: String| {
        out.push_str(&format!("  {name:10} {}\n", printable(&value)));
    };
    if let Some(url) = url {
        line("url", url.to_owned());
    }
    if let Some(release) = release {
        line("release", release);
    }
    if let Some(node) = &resource.node {
        line("node", node.clone());
    }
    line("revision", resource.revision.clone());
    if let Some(message) = revision.and_then(|revision| revision.message.as_ref()) {
        line("", message.clone());
    }
    if let Some(author) = revision.and_then(|revision| revision.author.as_ref()) {
        line("author", author.clone());
    }
    line(
        "document",
        format!("{}:{}", resource.source.file, resource.source.line),
    );
    line(
        "generation",
        format!(
            "{}, recorded {}",
            resource.generation,
            moment(resource.updated_at)
        ),
    );
    if let Some(job) = last_job {
        push_job(&mut out, job);
    }
    out.push_str("\nRecorded fields\n");
    let leaves = leaves(resource.spec.fields());
    let width = leaves
        .iter()
        .map(|(path, _)| path.join(".").len())
        .max()
        .unwrap_or(0)
        .min(32);
    for (path, value) in leaves {
        out.push_str(&format!(
            "  {:width$}  {}\n",
            path.join("."),
            printable(&value.to_string())
        ));
    }
    out
}

/// How it stands, and which revision is meant where that is not the recorded one.
fn push_standing(out: &mut String, standing: &Standing) {
    let mut before = String::new();
    for ConditionSince { condition, since } in standing.conditions() {
        let name = if before.is_empty() { "condition" } else { "" };
        let (word, since) = (get::word(&condition), output::seconds(since));
        let line = format!("{word} since {since}");
        // Several reasons for one word stand below it.
        if line != before {
            out.push_str(&format!("  {name:10} {line}\n"));
            before = line;
        }
        if let Some(reason) = condition.reason() {
            out.push_str(&format!("             {}\n", printable(reason)));
        }
    }
    let applied = &standing.applied_revision;
    for (name, revision) in [
        ("desired", &standing.desired_revision),
        ("attempted", &standing.attempted_revision),
    ] {
        if let Some(revision) = revision
            && Some(revision) != applied.as_ref()
        {
            out.push_str(&format!("  {name:10} {revision}\n"));
        }
    }
}

fn push_job(out: &mut String, job: &Job) {
    let took = match (job.started_at, job.finished_at) {
        (Some(from), Some(to)) => {
            format!(" in {}", lasting(to.duration_since(from).as_secs_f64()))
        }
        _ => String::new(),
    };
    let error = job
        .error_code
        .map_or_else(String::new, |code| format!(", {code}"));
    out.push_str(&format!(
        "  last job   {} {}{took}{error}\n             {}\n",
        job.job_type, job.status, job.id
    ));
    if let Some(first) = job
        .error_message
        .as_ref()
        .and_then(|message| message.lines().next())
    {
        out.push_str(&format!("             {}\n", printable(first)));
    }
}
