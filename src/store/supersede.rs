//! Cancelling queued jobs that a newer plan makes pointless.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;

use super::convert::{digest, get, parsed};
use super::enqueue::{NewJob, NewPlan, work};
use super::error::{Result, StoreError};
use super::finish::{Ending, cancel_dependents, end_queued};
use crate::core::job::ErrorCode;
use crate::core::recorded::JobId;
use crate::crash_point::reach;

/// Cancels what is queued by other plans for the resources of `jobs`.
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
                     WHERE status = 'queued' AND resource = ?1 ORDER BY sequence LIMIT 1",
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

/// Cancels what is queued by other plans and would change something, but for the `spared` jobs. A
/// job that waits for one that runs is left alone: what that one does is not known yet.
pub(super) fn supersede_rest(
    tx: &Connection,
    plan: &NewPlan,
    spared: &[JobId],
    actor: &str,
    now: Timestamp,
) -> Result<Vec<JobId>> {
    let spared = json!(spared).to_string();
    let mut superseded = Vec::new();
    loop {
        let found = tx
            .prepare_cached(
                "SELECT id, job_type, resource FROM jobs INDEXED BY jobs_ready
                 WHERE status = 'queued' AND blocked_by = 0
                   AND (SELECT changes <> '[]' FROM job_payloads WHERE job = jobs.id)
                   AND id NOT IN (SELECT value FROM json_each(?1))
                 ORDER BY node_id, sequence LIMIT 1",
            )?
            .query_and_then([&spared], |row| {
                let what: (String, String) = (get(row, "job_type")?, get(row, "resource")?);
                Ok::<_, StoreError>((parsed::<JobId>(row, "id")?, what))
            })?
            .next()
            .transpose()?;
        let Some((job, (job_type, resource))) = found else {
            return Ok(superseded);
        };
        let message = format!("plan `{}` leaves `{resource}` as it is", plan.id);
        let what = format!("`{job_type}` of `{resource}`");
        superseded.extend(end_superseded(tx, job, &what, message, actor, now)?);
    }
}

/// Cancels what is queued, would change something, and is not what one of `jobs` does. A job that
/// waits for one that runs is left alone: what that one does is not known yet.
pub(super) fn end_pointless(
    tx: &Connection,
    plan: &NewPlan,
    jobs: &[NewJob],
    actor: &str,
    now: Timestamp,
) -> Result<Vec<JobId>> {
    let wanted: HashSet<[u8; 32]> = jobs.iter().map(work).collect();
    let queued: Vec<(JobId, String, String, [u8; 32])> = tx
        .prepare_cached(
            "SELECT id, job_type, resource, work FROM jobs INDEXED BY jobs_by_status
             WHERE status = 'queued'
               AND (SELECT changes <> '[]' FROM job_payloads WHERE job = jobs.id)
             ORDER BY sequence",
        )?
        .query_and_then([], |row| {
            let what = (get(row, "job_type")?, get(row, "resource")?);
            Ok::<_, StoreError>((parsed(row, "id")?, what.0, what.1, digest(row, "work")?))
        })?
        .collect::<Result<_>>()?;
    let mut waits = tx.prepare_cached(
        "SELECT 1 FROM job_dependencies JOIN jobs ON jobs.id = depends_on
         WHERE job = ?1 AND status IN ('running', 'unknown')",
    )?;
    let mut superseded: Vec<JobId> = Vec::new();
    let mut ended: HashSet<JobId> = HashSet::new();
    for (job, job_type, resource, work) in queued {
        let is_left = wanted.contains(&work) || ended.contains(&job);
        if is_left || waits.exists([job.to_string()])? {
            continue;
        }
        let message = format!("plan `{}` leaves `{resource}` as it is", plan.id);
        let what = format!("`{job_type}` of `{resource}`");
        let with_dependents = end_superseded(tx, job, &what, message, actor, now)?;
        ended.extend(&with_dependents);
        superseded.extend(with_dependents);
    }
    Ok(superseded)
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
    ended.extend(cancel_dependents(tx, job, &cause, actor, now)?);
    reach("supersede: dependents ended");
    Ok(ended)
}
