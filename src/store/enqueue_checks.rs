//! Queueing jobs that look and change nothing.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::Store;
use super::convert::parsed;
use super::enqueue::{NewJob, NewPlan, audit_plan, insert_jobs, insert_plan};
use super::error::Result;
use crate::core::id::ResourceId;
use crate::core::job::JobType;
use crate::core::recorded::{JobId, PlanId};

/// What queueing checks did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// The new jobs.
    pub queued: Vec<JobId>,
    /// Jobs that check one of the same resources and have not ended, with their plans.
    pub open: Vec<(JobId, PlanId)>,
}

impl Store {
    /// Queues jobs that look and change nothing, in their order. They take the place of no other
    /// job, and one that is open already for its resource is not queued again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn enqueue_checks(
        &mut self,
        plan: &NewPlan,
        jobs: &[NewJob],
        actor: &str,
        now: Timestamp,
    ) -> Result<Checks> {
        self.write(|tx| queue_checks(tx, plan, jobs, actor, now))
    }
}

/// Queues those checks that are not open already.
pub(super) fn queue_checks(
    tx: &Connection,
    plan: &NewPlan,
    jobs: &[NewJob],
    actor: &str,
    now: Timestamp,
) -> Result<Checks> {
    let mut checks = Checks::default();
    let mut new = Vec::with_capacity(jobs.len());
    for job in jobs {
        match open_job(tx, job.job_type, &job.resource)? {
            Some(open) => checks.open.push(open),
            None => new.push(job),
        }
    }
    if new.is_empty() {
        return Ok(checks);
    }
    insert_plan(tx, plan, actor, now)?;
    audit_plan(tx, plan, new.len(), 0, actor, now)?;
    insert_jobs(tx, plan, &new, now)?;
    checks.queued = new.iter().map(|job| job.id).collect();
    Ok(checks)
}

/// A job of this type for this resource that has not ended, and its plan.
fn open_job(
    tx: &Connection,
    job_type: JobType,
    resource: &ResourceId,
) -> Result<Option<(JobId, PlanId)>> {
    tx.prepare_cached(
        "SELECT id, plan_id FROM jobs INDEXED BY jobs_by_resource
         WHERE resource = ?1 AND job_type = ?2 AND status IN ('queued', 'running', 'unknown')
         ORDER BY sequence DESC LIMIT 1",
    )?
    .query_and_then(params![resource.to_string(), job_type.as_str()], |row| {
        Ok((parsed(row, "id")?, parsed(row, "plan_id")?))
    })?
    .next()
    .transpose()
}
