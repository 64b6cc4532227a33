//! The end of jobs that never ran.

use super::super::sql::{Connection, params};
use jiff::Timestamp;
use serde_json::json;

use super::super::audit::{NewEntry, append};
use super::super::convert::parsed;
use super::super::error::Result;
use super::job::require;
use crate::core::audit::AuditAction;
use crate::core::job::{ErrorCode, JobEvent, next_status};
use crate::core::recorded::JobId;
use crate::crash_point::reach;

/// Why a queued job ends without having run.
pub(super) struct Ending<'a> {
    pub(super) code: ErrorCode,
    pub(super) message: String,
    pub(super) actor: &'a str,
    pub(super) now: Timestamp,
}

/// Cancels a job that never ran and audits it.
pub(super) fn end_queued(tx: &Connection, id: JobId, ending: &Ending<'_>) -> Result<()> {
    let job = require(tx, id)?;
    let status = next_status(job.status, JobEvent::Cancel)?;
    let at = ending.now.as_microsecond();
    tx.prepare_cached(
        "UPDATE jobs SET status = ?2, finished_at = ?3, updated_at = ?3, error_code = ?4,
             error_message = ?5
         WHERE id = ?1",
    )?
    .execute(params![
        id.to_string(),
        status.as_str(),
        at,
        ending.code.as_str(),
        ending.message
    ])?;
    reach("end-queued: moved");
    let entry = NewEntry {
        actor: ending.actor,
        action: AuditAction::JobCancelled,
        resource: Some(&job.resource),
        job: Some(id),
        detail: json!({ "error_code": ending.code, "message": ending.message }),
    };
    append(tx, ending.now, &entry)
}

/// Cancels all that waits for `job`, directly or not; which ones. `code` says what became of the job:
/// what waited for one that was only overtaken has nothing to be mended.
pub(super) fn cancel_dependents(
    tx: &Connection,
    job: JobId,
    (code, cause): (ErrorCode, &str),
    actor: &str,
    now: Timestamp,
) -> Result<Vec<JobId>> {
    let mut cancelled = Vec::new();
    let mut causes = vec![job];
    while let Some(cause_job) = causes.pop() {
        let dependents: Vec<JobId> = tx
            .prepare_cached(
                "SELECT jobs.id FROM job_dependencies JOIN jobs ON jobs.id = job_dependencies.job
                 WHERE depends_on = ?1 AND jobs.status = 'queued' ORDER BY jobs.sequence",
            )?
            .query_and_then([cause_job.to_string()], |row| parsed(row, "id"))?
            .collect::<Result<_>>()?;
        for dependent in dependents {
            let message = cause.to_owned();
            end_queued(
                tx,
                dependent,
                &Ending {
                    code,
                    message,
                    actor,
                    now,
                },
            )?;
            reach("dependents: one ended");
            cancelled.push(dependent);
            causes.push(dependent);
        }
    }
    Ok(cancelled)
}
