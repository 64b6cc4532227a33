//! `pressluft jobs cancel` and `pressluft jobs retry`

use super::context::{Context, actor};
use super::error::CliError;
use super::exit::Exit;
use super::job_id::find;
use super::{execute, open, output};
use crate::clock;
use crate::core::job::JobStatus;
use crate::daemon;

#[derive(clap::Args, Debug)]
pub(crate) struct CancelArgs {
    /// The job's id, or its beginning or end
    id: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "cancelled on request")]
    reason: String,
}

#[derive(clap::Args, Debug)]
pub(crate) struct RetryArgs {
    /// The job's id, or its beginning or end
    id: String,
}

pub(crate) fn cancel(args: &CancelArgs, context: &Context) -> Result<Exit, CliError> {
    let mut store = open::for_writing(context)?;
    let job = find(&store, &args.id)?;
    if job.status.is_terminal() {
        return Err(
            CliError::new(format!("job `{}` is {} already", job.id, job.status))
                .hint("`pressluft jobs list --status queued` has those that have not begun"),
        );
    }
    let is_asked = execute::cancel_job(&mut store, job.id, &args.reason)?;
    output::print(&if is_asked {
        format!("the worker of job {} is asked to stop it\n", job.id)
    } else {
        format!("job {} is cancelled, and what waited for it\n", job.id)
    })?;
    Ok(Exit::Done)
}

pub(crate) fn retry(args: &RetryArgs, context: &Context) -> Result<Exit, CliError> {
    let mut store = open::for_writing(context)?;
    let job = find(&store, &args.id)?;
    let (actor, now) = (actor(), clock::now());
    match job.status {
        JobStatus::Queued => {
            store.hasten(job.id, &actor, now)?;
            output::print(&format!(
                "job {} runs as soon as its node is free\n",
                job.id
            ))?;
        }
        JobStatus::Failed | JobStatus::Cancelled => {
            for id in daemon::repeat(&mut store, &job, &actor, now)? {
                output::print(&format!("queued job {id}\n"))?;
            }
        }
        JobStatus::Running | JobStatus::Unknown | JobStatus::Succeeded => {
            return Err(CliError::new(format!("job `{}` is {}", job.id, job.status))
                .hint("only a job that failed, was cancelled or waits can be tried again"));
        }
    }
    if !daemon::role::is_held(&context.state_dir, daemon::role::Post::Worker, now)? {
        output::note("no worker runs; `pressluft worker` or the next `pressluft apply` runs it")?;
    }
    Ok(Exit::Done)
}
