//! Queueing jobs that leave their resource as it is recorded.

use super::super::sql::{Connection, params};
use jiff::Timestamp;

use super::super::Store;
use super::super::convert::parsed;
use super::super::error::Result;
use super::super::history::look::{adopt, is_quiet};
use super::enqueue::{audit_plan, insert_jobs, insert_plan};
use super::new_plan::{NewJob, NewPlan};
use crate::core::id::ResourceId;
use crate::core::job::JobType;
use crate::core::recorded::{JobId, PlanId};

/// What queueing them did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requested {
    /// The new jobs.
    pub queued: Vec<JobId>,
    /// Jobs that do the same and have not ended, with their plans.
    pub open: Vec<(JobId, PlanId)>,
}

impl Store {
    /// Queues jobs that leave their resource as it is recorded, in their order. They take the place of no other job. One
    /// that is open already is not queued again, but for one that runs and does more than look: what was asked for since
    /// it began may come too late for it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn enqueue_requests(
        &mut self,
        plan: &NewPlan,
        jobs: &[NewJob],
        actor: &str,
        now: Timestamp,
    ) -> Result<Requested> {
        self.write(|tx| queue_requests(tx, plan, jobs, actor, now))
    }
}

/// Queues those that are not open already.
pub(in crate::store) fn queue_requests(
    tx: &Connection,
    plan: &NewPlan,
    jobs: &[NewJob],
    actor: &str,
    now: Timestamp,
) -> Result<Requested> {
    let mut requested = Requested::default();
    let mut new = Vec::with_capacity(jobs.len());
    for job in jobs {
        match open_job(tx, job.job_type, &job.resource)? {
            Some(open) => {
                // Whoever waits for it follows what the audit chain says of it.
                if !is_quiet(job.job_type, job.origin) {
                    adopt(tx, open.0, job.origin)?;
                }
                requested.open.push(open);
            }
            None => new.push(job),
        }
    }
    if new.is_empty() {
        return Ok(requested);
    }
    insert_plan(tx, plan, actor, now)?;
    // Looks by a schedule have an entry when they find something new.
    if !new.iter().all(|job| is_quiet(job.job_type, job.origin)) {
        audit_plan(tx, plan, new.len(), 0, actor, now)?;
    }
    insert_jobs(tx, plan, &new, now)?;
    requested.queued = new.iter().map(|job| job.id).collect();
    Ok(requested)
}

/// A job of this type for this resource that would see the present, and its plan.
fn open_job(
    tx: &Connection,
    job_type: JobType,
    resource: &ResourceId,
) -> Result<Option<(JobId, PlanId)>> {
    tx.prepare_cached(
        "SELECT id, plan_id FROM jobs INDEXED BY jobs_by_resource
         WHERE resource = ?1 AND job_type = ?2
           AND (status = 'queued' OR ?3 AND status IN ('running', 'unknown'))
         ORDER BY sequence DESC LIMIT 1",
    )?
    .query_and_then(
        params![
            resource.to_string(),
            job_type.as_str(),
            job_type.only_looks()
        ],
        |row| Ok((parsed(row, "id")?, parsed(row, "plan_id")?)),
    )?
    .next()
    .transpose()
}
