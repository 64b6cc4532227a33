//! `pressluft worker`

use super::context::Context;
use super::error::CliError;
use super::execute::{self, LimitArgs};
use super::exit::Exit;
use super::history_settings::ClearingThread;
use super::progress_view::ProgressView;
use super::{open, output};
use crate::clock;
use crate::daemon::role::{self, Post};
use crate::daemon::{self, Jobs, Urgency};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    limits: LimitArgs,
    /// JSON lines on standard output
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    context.ensure_state_dir()?;
    let role = match role::take(&context.state_dir, Post::Worker, clock::now())? {
        role::Taken::Held(role) => role,
        role::Taken::By(holder) => return Err(taken(context, holder.as_ref())),
    };
    let mut store = open::for_writing(context)?;
    store.require_not_paused()?;
    let stop = execute::stop_on_signals([Urgency::Drain, Urgency::Requeue])?;
    let runner = execute::runner(context, &store)?;
    if args.json {
        output::json_version()?;
    }
    let mut view = ProgressView::new(args.json, false);
    let mut watch = |progress| {
        // The jobs go on when nobody can be told about them any more.
        if let Err(error) = view.show(&progress) {
            tracing::debug!(error = %error.message, "nobody reads what is told");
        }
    };
    let limits = args.limits.limits(context, None);
    let clearing = ClearingThread::start(context)?;
    daemon::run(
        &runner,
        &mut store,
        &Jobs::All,
        &limits,
        &|| {
            role.keep(clock::now());
            true
        },
        &stop,
        &mut watch,
    )?;
    drop(clearing);
    Ok(if stop.urgency() > Urgency::Drain {
        Exit::Interrupted
    } else {
        Exit::Done
    })
}

/// Says who has the post that this process wants.
pub(super) fn taken(context: &Context, holder: Option<&role::Holder>) -> CliError {
    let who = holder.map_or_else(
        || "another process".to_owned(),
        |holder| {
            format!(
                "the process with pid {} on `{}`, since {}",
                holder.pid,
                holder.host,
                output::seconds(holder.since)
            )
        },
    );
    CliError::new(format!(
        "`{}` is held by {who}",
        context.state_dir.display()
    ))
    .exit(Exit::LockTimeout)
    .hint("one worker is enough: `--parallel` says how much it does at once; to replace it, end it with SIGTERM first")
}
