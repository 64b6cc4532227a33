//! What other processes do with the jobs that this run waits for.

use super::{Dispatcher, Jobs, label};
use crate::core::job::{ErrorCode, JobStatus};
use crate::core::outcome;
use crate::core::recorded::JobId;
use crate::daemon::error::DaemonError;
use crate::daemon::run::progress::{JobEnd, Progress, Wait};
use crate::store::{Job, StepKind, StoreError};

impl Dispatcher<'_> {
    /// Tells what others do with the jobs that this run waits for.
    pub(super) fn follow_others(&mut self) -> Result<(), DaemonError> {
        const PAGE: u32 = 500;
        if matches!(self.jobs, Jobs::All) {
            return Ok(());
        }
        loop {
            let steps = self.store.steps_after(self.seq, PAGE)?;
            for step in &steps {
                self.seq = step.seq;
                if self.running.contains_key(&step.job) {
                    continue;
                }
                let is_ours = step.actor == self.worker || self.ended_here.contains(&step.job);
                match step.kind {
                    StepKind::Started if step.actor == self.worker => {}
                    StepKind::Started => self.began_elsewhere(step.job)?,
                    StepKind::Requeued | StepKind::Ended => {
                        self.ended_elsewhere(step.job, is_ours)?;
                    }
                }
            }
            if steps.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// The job, if this run waits for it.
    fn awaited(&self, id: JobId) -> Result<Option<Job>, DaemonError> {
        let Some(job) = self.store.job(id)? else {
            return Ok(None);
        };
        let is_awaited = match self.jobs {
            Jobs::All => false,
            Jobs::Plans(plans) => {
                Some(job.plan_id) == plans.own || plans.joined.iter().any(|(own, _)| *own == id)
            }
        };
        Ok(is_awaited.then_some(job))
    }

    pub(super) fn began_elsewhere(&mut self, id: JobId) -> Result<(), DaemonError> {
        if let Some(job) = self.awaited(id)?
            && self.elsewhere.insert(id)
        {
            self.ended_here.remove(&id);
            (self.watch)(Progress::JobStarted {
                job: label(&job),
                attempt: job.attempt_count,
                elsewhere: true,
            });
        }
        Ok(())
    }

    fn ended_elsewhere(&mut self, id: JobId, is_ours: bool) -> Result<(), DaemonError> {
        let Some(job) = self.awaited(id)? else {
            return Ok(());
        };
        // What never ran is told only when it is news and no consequence of other news.
        let is_news = matches!(
            job.error_code,
            Some(ErrorCode::Superseded | ErrorCode::CancelledByUser | ErrorCode::PlanStale)
        );
        let is_over = !matches!(job.status, JobStatus::Running | JobStatus::Unknown);
        let was_running = is_over && self.elsewhere.remove(&id);
        if was_running || (!is_ours && is_news && job.status == JobStatus::Cancelled) {
            self.ends.note(id, job.job_type, job.status, job.error_code);
            let end = self.end_of(&job)?;
            let job = label(&job);
            (self.watch)(Progress::JobFinished { job, end });
        }
        Ok(())
    }

    fn end_of(&self, job: &Job) -> Result<JobEnd, DaemonError> {
        let is_away = || -> Result<bool, StoreError> {
            let nodes = self.store.unreachable_nodes()?;
            Ok(nodes
                .iter()
                .any(|node| node.node == job.node_id && !node.answers))
        };
        let wait = match job.status {
            JobStatus::Queued if is_away()? => Some(Wait::Node),
            JobStatus::Queued => Some(Wait::Until(job.run_after)),
            JobStatus::Running
            | JobStatus::Unknown
            | JobStatus::Succeeded
            | JobStatus::Failed
            | JobStatus::Cancelled => None,
        };
        let took = match (job.started_at, job.finished_at) {
            (Some(from), Some(to)) => to.duration_since(from).as_millis(),
            _ => 0,
        };
        Ok(JobEnd {
            status: job.status,
            error_code: job.error_code,
            error_message: job.error_message.clone(),
            hint: job.error_code.map(outcome::hint),
            wait,
            milliseconds: u64::try_from(took).unwrap_or(0),
        })
    }
}
