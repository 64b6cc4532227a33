//! `pressluft db prune`

use serde_json::json;

use super::super::context::{Context, actor};
use super::super::error::CliError;
use super::super::exit::Exit;
use super::super::history_settings::history;
use super::super::open;
use super::super::output::{self, Format};
use super::size;
use crate::clock;
use crate::core::audit::AuditAction;
use crate::daemon::{self, Cleared, Pace};

/// Takes away what is beyond the limits of `[history]` in `pressluft.toml`, now. `serve` and
/// `worker` do the same by themselves, `apply` a little of it at its end. What has not ended, is in
/// force, is the last of its resource or is named by something that stays is kept. Workers may run
/// meanwhile.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let mut store = open::for_writing(context)?;
    store.require_not_paused()?;
    let (settings, actor) = (history(context), actor());
    let pace = (Pace::Brisk, true);
    let cleared = daemon::clear_up(&mut store, &settings, pace, &actor, &|| true, clock::now())?;
    let Some(cleared) = cleared else {
        return Err(CliError::new("another process clears up the past just now")
            .exit(Exit::LockTimeout)
            .hint("let it; it goes on by itself"));
    };
    if cleared.has_removed() {
        let action = AuditAction::HistoryPruned;
        store.record_audit(&actor, action, json!(cleared), clock::now())?;
    }
    let now = store.history_size(clock::now())?;
    output::show(args.output, &cleared, |cleared| {
        format!(
            "{}the database has {}, of which {} are free for what comes\n",
            text(cleared),
            size(now.bytes),
            size(now.free)
        )
    })?;
    Ok(Exit::Done)
}

fn text(cleared: &Cleared) -> String {
    let rows = cleared.rows.iter().map(|(name, count)| (*count, *name));
    let (folded, removed) = (&cleared.folded, &cleared.removed);
    let lines = [
        (folded.jobs, "looks that found nothing new"),
        (removed.jobs, "jobs beyond the limits"),
        (folded.plans + removed.plans, "plans without jobs"),
        (folded.tasks + removed.tasks, "tasks of jobs"),
        (cleared.parts, "parts of payloads and ciphertexts"),
    ];
    let more = [
        (cleared.segments, "segments of the audit chain closed"),
        (
            cleared.entries,
            "audit entries that left the database for a segment",
        ),
        (cleared.logs, "logs"),
    ];
    let mut out = String::new();
    for (count, what) in lines.into_iter().chain(rows).chain(more) {
        if count > 0 {
            out.push_str(&format!("{count:>8}  {what}\n"));
        }
    }
    if out.is_empty() {
        out.push_str("nothing is beyond the limits\n");
    }
    out
}
