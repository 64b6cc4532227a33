//! Cancelling queued jobs that a newer plan makes pointless.

use std::collections::{BTreeSet, HashSet};

use super::super::sql::Connection;
use jiff::Timestamp;

use super::super::convert::{get, parsed};
use super::super::error::{Result, StoreError};
use super::ending::{Ending, cancel_dependents, end_queued};
use super::new_plan::{NewJob, NewPlan};
use crate::core::job::ErrorCode;
use crate::core::recorded::JobId;
use crate::crash_point::reach;

/// Cancels what other plans have queued for the resources of `jobs`, and what looks at them: it would compare them with
/// what they are not any more. What a person or a schedule wants changed is not
/// ended by this.
pub(super) fn supersede(
    tx: &Connection,
    plan: &NewPlan,
    jobs: &[&NewJob],
    actor: &str,
    now: Timestamp,
) -> Result<Vec<JobId>> {
    let resources: BTreeSet<String> = jobs.iter().map(|job| job.resource.to_string()).collect();
    let mut superseded = Vec::new();
    for resource in resources {
        // One at a time: ending a job can end others of the same resource.
        loop {
            let found = tx
                .prepare_cached(
                    "SELECT id, job_type FROM jobs INDEXED BY jobs_queued_resource
                     WHERE status = 'queued' AND resource = ?1
                       AND (origin IN ('plan', 'job') OR NOT has_effects)
                     ORDER BY sequence LIMIT 1",
                )?
                .query_and_then([&resource], |row| {
                    let job_type: String = get(row, "job_type")?;
                    Ok::<_, StoreError>((parsed::<JobId>(row, "id")?, job_type))
                })?
                .next()
                .transpose()?;
            let Some((job, job_type)) = found else { break };
            let message = format!("plan `{}` has jobs for `{resource}`", plan.id);
            let what = format!("`{job_type}` of `{resource}`");
            superseded.extend(end_superseded(tx, job, &what, message, actor, now)?);
        }
    }
    Ok(superseded)
}

/// Cancels what plans have queued and would change something, but for the `spared` jobs. A job that waits
/// for one that runs, directly or not, is left alone: what that one does is not known yet.
pub(super) fn supersede_rest(
    tx: &Connection,
    plan: &NewPlan,
    spared: &HashSet<JobId>,
    actor: &str,
    now: Timestamp,
) -> Result<Vec<JobId>> {
    let queued: Vec<(JobId, String, String)> = tx
        .prepare_cached(
            "SELECT id, job_type, resource FROM jobs INDEXED BY jobs_by_status
             WHERE status = 'queued' AND origin = 'plan' AND has_effects
             ORDER BY sequence",
        )?
        .query_and_then([], |row| {
            Ok::<_, StoreError>((
                parsed(row, "id")?,
                get(row, "job_type")?,
                get(row, "resource")?,
            ))
        })?
        .collect::<Result<_>>()?;
    let mut done = waiting_for_running(tx)?;
    done.extend(spared);
    let mut superseded: Vec<JobId> = Vec::new();
    for (job, job_type, resource) in queued {
        if done.contains(&job) {
            continue;
        }
        let message = format!("plan `{}` leaves `{resource}` as it is", plan.id);
        let what = format!("`{job_type}` of `{resource}`");
        let ended = end_superseded(tx, job, &what, message, actor, now)?;
        done.extend(&ended);
        superseded.extend(ended);
    }
    Ok(superseded)
}

/// The queued jobs that wait, directly or not, for one that runs.
fn waiting_for_running(tx: &Connection) -> Result<HashSet<JobId>> {
    tx.prepare_cached(
        "WITH RECURSIVE waiting (id) AS (
             SELECT job FROM jobs INDEXED BY jobs_by_status
                 JOIN job_dependencies ON depends_on = jobs.id
             WHERE status IN ('running', 'unknown')
             UNION
             SELECT job FROM waiting JOIN job_dependencies ON depends_on = waiting.id
         )
         SELECT id FROM waiting",
    )?
    .query_and_then([], |row| parsed(row, "id"))?
    .collect()
}

/// Ends a queued job and what waits for it; all that ended. `what` names the job to a person.
fn end_superseded(
    tx: &Connection,
    job: JobId,
    what: &str,
    message: String,
    actor: &str,
    now: Timestamp,
) -> Result<Vec<JobId>> {
    let ending = Ending {
        code: ErrorCode::Superseded,
        message,
        actor,
        now,
    };
    end_queued(tx, job, &ending)?;
    reach("supersede: job ended");
    let cause = format!("job `{job}` ({what}) was superseded");
    let mut ended = vec![job];
    let cause = (ErrorCode::Superseded, cause.as_str());
    ended.extend(cancel_dependents(tx, job, cause, actor, now)?);
    reach("supersede: dependents ended");
    Ok(ended)
}
