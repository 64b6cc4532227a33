//! How a run ended, in numbers.

use std::collections::BTreeMap;

use super::wanted_jobs::{Jobs, Plans};
use crate::core::job::{ErrorCode, JobStatus, JobType};
use crate::core::recorded::JobId;
use crate::store::{Store, StoreError};

/// How many jobs that somebody waited for ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// Not ended: they wait for a node, for their next attempt, or for such a job.
    pub open: u64,
    /// Whether all that went wrong were health checks of what was applied.
    pub only_unhealthy: bool,
    pub interrupted: bool,
}

/// How the jobs of a run ended, whoever ran them.
#[derive(Debug, Default)]
pub(super) struct Ends(BTreeMap<JobId, (JobStatus, bool)>);

impl Summary {
    fn count(&mut self, status: JobStatus, jobs: u64) {
        match status {
            JobStatus::Succeeded => self.succeeded += jobs,
            JobStatus::Failed => self.failed += jobs,
            JobStatus::Cancelled => self.cancelled += jobs,
            JobStatus::Queued | JobStatus::Running | JobStatus::Unknown => self.open += jobs,
        }
    }
}

impl Ends {
    pub(in crate::daemon) fn note(
        &mut self,
        job: JobId,
        job_type: JobType,
        status: JobStatus,
        code: Option<ErrorCode>,
    ) {
        // What a change broke was not applied; what a check found was.
        let is_unhealthy = job_type.only_looks() && code == Some(ErrorCode::HealthCheckFailed);
        self.0.insert(job, (status, is_unhealthy));
    }

    /// The summary of a run that waited for `jobs`: for the plan that was queued and the jobs
    /// that were joined what the database says; of plans that were taken over what ended and what
    /// is left.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) fn summary(
        &self,
        jobs: &Jobs,
        store: &Store,
        interrupted: bool,
    ) -> Result<Summary, StoreError> {
        let mut went_wrong = self
            .0
            .values()
            .filter(|(status, _)| matches!(status, JobStatus::Failed | JobStatus::Queued))
            .peekable();
        let mut summary = Summary {
            only_unhealthy: went_wrong.peek().is_some()
                && went_wrong.all(|(_, is_unhealthy)| *is_unhealthy),
            interrupted,
            ..Summary::default()
        };
        let none = Plans::default();
        let plans = match jobs {
            Jobs::All => &none,
            Jobs::Plans(plans) => plans,
        };
        if let Some(plan) = plans.own {
            for (status, count) in store.job_counts(plan)? {
                summary.count(status, count);
            }
        }
        let mut counted: Vec<JobId> = Vec::new();
        for (id, _) in &plans.joined {
            counted.push(*id);
            if let Some(job) = store.job(*id)? {
                summary.count(job.status, 1);
            }
        }
        for (id, (status, _)) in &self.0 {
            let is_own = match store.job(*id)? {
                Some(job) => Some(job.plan_id) == plans.own,
                None => true,
            };
            if !is_own && !counted.contains(id) && status.is_terminal() {
                summary.count(*status, 1);
            }
        }
        for plan in &plans.adopted {
            for (status, count) in store.job_counts(*plan)? {
                if !status.is_terminal() {
                    summary.count(status, count);
                }
            }
        }
        Ok(summary)
    }
}
