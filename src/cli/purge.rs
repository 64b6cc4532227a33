//! `pressluft purge`

use super::context::Context;
use super::error::CliError;
use super::execute::{self, LimitArgs};
use super::exit::Exit;
use super::open;
use super::output;
use crate::core::id::ResourceId;
use crate::core::job::{JobOrigin, JobType};
use crate::daemon::Request;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Environments whose cached pages and objects go, such as env/acme/production
    #[arg(value_name = "ENV", required = true)]
    environments: Vec<ResourceId>,
    #[command(flatten)]
    limits: LimitArgs,
    /// JSON lines on standard output
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    if args.json {
        output::json_version()?;
    }
    let mut store = open::for_writing(context)?;
    store.require_not_paused()?;
    execute::recover(&mut store, context, args.json)?;
    let mut requests: Vec<Request> = Vec::new();
    for id in &args.environments {
        if !matches!(id, ResourceId::Env { .. }) {
            return Err(CliError::new(format!("`{id}` has no caches"))
                .exit(Exit::Usage)
                .hint("give an environment, such as env/acme/production"));
        }
        if store.recorded(id)?.is_none() {
            return Err(CliError::new(format!("`{id}` is not recorded"))
                .hint("`pressluft get` lists what is; `pressluft apply` makes what is planned"));
        }
        if !requests.iter().any(|request| request.resource == *id) {
            requests.push(Request {
                job_type: JobType::CachePurge,
                resource: id.clone(),
                reason: "somebody asked for it".to_owned(),
                origin: JobOrigin::Person,
            });
        }
    }
    let summary = execute::run_requests(&mut store, context, &requests, &args.limits, args.json)?;
    Ok(if summary.interrupted {
        Exit::Interrupted
    } else if summary.failed + summary.cancelled + summary.open > 0 {
        Exit::SomeJobsFailed
    } else {
        Exit::Done
    })
}
