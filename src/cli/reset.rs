//! `pressluft reset`

use super::context::{Context, actor};
use super::error::CliError;
use super::execute::{self, LimitArgs};
use super::exit::Exit;
use super::{open, output};
use crate::clock;
use crate::core::id::ResourceId;
use crate::core::job::{JobOrigin, JobType};
use crate::core::recorded::ResourceStatus;
use crate::daemon::{self, Request};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A site or an environment that is recorded as failed, such as env/acme/production
    id: ResourceId,
    #[command(flatten)]
    limits: LimitArgs,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let id = &args.id;
    if matches!(id, ResourceId::Fleet | ResourceId::Node(_)) {
        return Err(CliError::new(format!(
            "`{id}` has no health check that could speak for it"
        ))
        .exit(Exit::Usage)
        .hint("`pressluft apply --rerun ID` makes a node what it should be"));
    }
    let mut store = open::for_writing(context)?;
    execute::recover(&mut store, context, false)?;
    let Some(recorded) = store.recorded(id)? else {
        return Err(CliError::new(format!("`{id}` is not recorded"))
            .hint("`pressluft get` lists what is; `pressluft apply` makes what is planned"));
    };
    if recorded.status != ResourceStatus::Failed {
        output::note(&format!(
            "`{id}` is {}: there is nothing to reset",
            recorded.status
        ))?;
        return Ok(Exit::Done);
    }
    let Some(environment) = daemon::checked_environment(&store, id)? else {
        return Err(CliError::new(format!(
            "`{id}` has no recorded production environment that could be checked"
        ))
        .hint("apply again: that makes what is missing"));
    };
    let check = Request {
        job_type: JobType::HealthCheck,
        resource: environment.clone(),
        reason: format!("`{id}` is to be reset"),
        origin: JobOrigin::Person,
    };
    let since = clock::now();
    let summary = execute::run_requests(&mut store, context, &[check], &args.limits, false)?;
    if summary.succeeded == 0 {
        if summary.interrupted {
            return Ok(Exit::Interrupted);
        }
        return Err(CliError::new(format!(
            "`{id}` stays failed: `{environment}` is not healthy"
        ))
        .exit(Exit::Unhealthy)
        .hint("`pressluft jobs list` has the check; mend what it found, or apply again"));
    }
    if !store.reset(id, &environment, since, &actor(), clock::now())? {
        return Err(
            CliError::new(format!("`{id}` was left as it is: it has moved meanwhile")).hint(
                "`pressluft describe ID` says how it stands; run `reset` again if it is failed",
            ),
        );
    }
    output::print(&format!("`{id}` is active again\n"))?;
    Ok(Exit::Done)
}
