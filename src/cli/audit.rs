//! `pressluft audit`

use std::path::PathBuf;
use std::str::FromStr;

use clap::Subcommand;
use serde_json::Value;

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::open;
use super::output::{self, Format, Layout};
use crate::core::audit::{AuditAction, Break, EMPTY, Head};
use crate::core::id::ResourceId;
use crate::core::recorded::JobId;
use crate::daemon::WorkerId;
use crate::store::{AuditEntry, AuditFilter, Store, StoreError, Verification};

/// Each entry holds a hash of its content and of the entry before it, so that a change of an
/// earlier one shows.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// List entries, the newest first
    List(ListArgs),
    /// Check every hash of the chain; exit code 1 when it is broken
    Verify(VerifyArgs),
}

#[derive(clap::Args, Debug)]
struct ListArgs {
    /// Only entries about this resource, for example `env/acme/production`
    #[arg(long, value_name = "ID")]
    resource: Option<ResourceId>,
    /// Only entries about this job
    #[arg(long, value_name = "ID")]
    job: Option<JobId>,
    /// Only entries with this action, for example `secret_revealed`
    #[arg(long, value_name = "ACTION")]
    action: Option<AuditAction>,
    /// Only entries with a smaller number: the last one of the page before
    #[arg(long, value_name = "NUMBER", value_parser = output::whole::<u64>)]
    before: Option<u64>,
    /// The most entries to list
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = output::whole::<u32>)]
    limit: u32,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(clap::Args, Debug)]
struct VerifyArgs {
    /// The head of an earlier check that was kept elsewhere: the chain has to contain it
    #[arg(long, value_name = "NUMBER:HASH", value_parser = parse_head)]
    expect: Option<Head>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    match &args.command {
        Command::List(args) => list(args, context),
        Command::Verify(args) => verify(args, context),
    }
}

fn list(args: &ListArgs, context: &Context) -> Result<Exit, CliError> {
    let filter = AuditFilter {
        resource: args.resource.clone(),
        job: args.job,
        action: args.action,
        before: args.before,
        limit: args.limit,
    };
    let mut lost = Vec::new();
    let entries = match open::if_there(context)? {
        Some(store) => entries(&store, filter, &mut lost)?,
        None => Vec::new(),
    };
    output::show(args.output, &entries, |entries| {
        let layout = Layout {
            heading: &["no", "time", "action", "about", "actor", "detail"],
            spare: &[],
            below: &["detail", "actor"],
        };
        let rows: Vec<_> = entries.iter().map(row).collect();
        layout.table(context.width(), &rows)
    })?;
    if let Some((path, broken)) = lost.first() {
        output::note(&format!(
            "entries of {} are not listed; of the newest, `{}`: {broken}",
            output::counted(lost.len(), "closed segment"),
            path.display()
        ))?;
    }
    Ok(Exit::Done)
}

/// Entries of the database, and older ones of closed segments where those are too few. Segments that
/// are missing or do not hold go into `lost`.
fn entries(
    store: &Store,
    mut filter: AuditFilter,
    lost: &mut Vec<(PathBuf, Break)>,
) -> Result<Vec<AuditEntry>, StoreError> {
    let mut entries = store.audit_entries(&filter)?;
    let left = filter.limit as usize - entries.len().min(filter.limit as usize);
    if left > 0 {
        // An entry that is about to leave the database is in both.
        filter.before = entries.last().map(|last| last.seq).or(filter.before);
        filter.limit = u32::try_from(left).unwrap_or(u32::MAX);
        let mut note = |path, broken| lost.push((path, broken));
        entries.extend(store.closed_audit_entries(&filter, &mut note)?);
    }
    Ok(entries)
}

fn row(entry: &AuditEntry) -> Vec<String> {
    let about = match (&entry.resource, entry.job) {
        (Some(resource), _) => resource.to_string(),
        (None, Some(job)) => job.to_string(),
        (None, None) => "-".to_owned(),
    };
    vec![
        entry.seq.to_string(),
        output::seconds(entry.at),
        entry.action.to_string(),
        about,
        who(&entry.actor),
        summary(&entry.detail),
    ]
}

/// An actor for people; a worker's id is long because it tells two processes apart for ever.
fn who(actor: &str) -> String {
    match actor.parse::<WorkerId>() {
        Ok(worker) => format!("worker {}", worker.pid),
        Err(_) => actor.to_owned(),
    }
}

/// The plain values of an entry's detail in one line; `-o json` has all of it.
fn summary(detail: &Value) -> String {
    let Value::Object(fields) = detail else {
        return String::new();
    };
    let words = fields.iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some(format!("{name}={}", shortened(text))),
        Value::Number(number) => Some(format!("{name}={number}")),
        Value::Bool(flag) => Some(format!("{name}={flag}")),
        Value::Array(items) if !items.is_empty() => Some(format!("{name}={}", items.len())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn verify(args: &VerifyArgs, context: &Context) -> Result<Exit, CliError> {
    let verification = match (open::if_there(context)?, args.expect) {
        (Some(store), expect) => store.verify_audit(expect)?,
        (None, Some(_)) => return Err(StoreError::Missing(context.db_path.clone()).into()),
        (None, None) => Verification {
            head: EMPTY,
            closed: 0,
            segments: 0,
            noted: None,
            broken: None,
        },
    };
    output::show(args.output, &verification, |verification| {
        let Head { seq, hash } = verification.head;
        match &verification.broken {
            None => format!(
                "{seq} entries{}, the chain is whole\nhead {seq}:{hash}\n",
                closed(verification)
            ),
            Some(broken) => format!("{seq} entries verified\n{broken}\n"),
        }
    })?;
    match verification.broken {
        None => Ok(Exit::Done),
        Some(broken) => Err(
            CliError::new(format!("the audit chain is broken: {broken}")).hint(format!(
                "compare the database, and its segments in `{}.audit`, with their backups from \
                 before and after that entry",
                context.db_path.display()
            )),
        ),
    }
}

/// How many of the entries are in files.
fn closed(verification: &Verification) -> String {
    match verification.segments {
        0 => String::new(),
        segments => format!(
            " ({} of them in {})",
            verification.closed,
            output::counted(
                usize::try_from(segments).unwrap_or(usize::MAX),
                "closed segment"
            )
        ),
    }
}

fn parse_head(text: &str) -> Result<Head, String> {
    let wrong = || "write NUMBER:HASH as `audit verify` prints it".to_owned();
    let (seq, hash) = text.split_once(':').ok_or_else(wrong)?;
    match (u64::from_str(seq), hash.parse()) {
        (Ok(seq), Ok(hash)) if seq > 0 => Ok(Head { seq, hash }),
        _ => Err(wrong()),
    }
}
