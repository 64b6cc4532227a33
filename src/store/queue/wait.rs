//! For those who wait: what is left of a plan, what others did to its jobs, whether anything
//! happened at all.

use super::super::sql::params;
use jiff::Timestamp;

use super::super::Store;
use super::super::convert::{get, moment_option, parsed, signed, unsigned};
use super::super::error::Result;
use super::claim::farthest_attempt;
use crate::core::audit::AuditAction;
use crate::core::recorded::{JobId, PlanId};

/// The jobs of a plan that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenJobs {
    /// Running, or held by a worker that may be gone.
    pub held: u64,
    /// They could run at once, or as soon as their lane is free.
    pub due: u64,
    /// They wait for a node that does not answer.
    pub parked: u64,
    /// They wait for the moment of their next attempt.
    pub waiting: u64,
    /// The first of these moments.
    pub next: Option<Timestamp>,
    /// They wait for other jobs.
    pub blocked: u64,
}

impl OpenJobs {
    /// These and the others.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            held: self.held + other.held,
            due: self.due + other.due,
            parked: self.parked + other.parked,
            waiting: self.waiting + other.waiting,
            next: [self.next, other.next].into_iter().flatten().min(),
            blocked: self.blocked + other.blocked,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u64 {
        self.held + self.due + self.parked + self.waiting + self.blocked
    }
}

/// What happened to a job, whoever did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    Started,
    Requeued,
    Ended,
}

/// One thing that happened to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Grows from one to the next.
    pub seq: u64,
    pub job: JobId,
    pub kind: StepKind,
    /// Who started it, or whoever else wrote this down.
    pub actor: String,
}

impl Store {
    /// What is left of a plan at `now`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_jobs(&self, plan: PlanId, now: Timestamp) -> Result<OpenJobs> {
        let mut statement = self.connection.prepare_cached(
            "SELECT count(*) FILTER (WHERE status <> 'queued') AS held,
                 count(*) FILTER (WHERE status = 'queued' AND blocked_by > 0) AS blocked,
                 count(*) FILTER (WHERE status = 'queued' AND blocked_by = 0
                     AND away.node IS NOT NULL) AS parked,
                 count(*) FILTER (WHERE status = 'queued' AND blocked_by = 0
                     AND away.node IS NULL AND (run_after <= ?2 OR run_after > ?3)) AS due,
                 count(*) FILTER (WHERE status = 'queued' AND blocked_by = 0
                     AND away.node IS NULL AND run_after > ?2 AND run_after <= ?3) AS waiting,
                 min(run_after) FILTER (WHERE status = 'queued' AND blocked_by = 0
                     AND away.node IS NULL AND run_after > ?2 AND run_after <= ?3) AS next
             FROM jobs LEFT JOIN unreachable_nodes AS away
                 ON away.node = jobs.node_id AND away.answers = 0
             WHERE plan_id = ?1 AND status IN ('queued', 'running', 'unknown')",
        )?;
        let mut rows = statement.query_and_then(
            params![
                plan.to_string(),
                now.as_microsecond(),
                farthest_attempt(now).as_microsecond()
            ],
            |row| -> Result<OpenJobs> {
                Ok(OpenJobs {
                    held: unsigned(row, "held")?,
                    due: unsigned(row, "due")?,
                    parked: unsigned(row, "parked")?,
                    waiting: unsigned(row, "waiting")?,
                    next: moment_option(row, "next")?,
                    blocked: unsigned(row, "blocked")?,
                })
            },
        )?;
        rows.next().unwrap_or_else(|| Ok(OpenJobs::default()))
    }

    /// What happened to jobs after the step `after`, at most `limit` steps.
    ///
    /// # Errors
    /// When the database fails.
    pub fn steps_after(&self, after: u64, limit: u32) -> Result<Vec<Step>> {
        self.connection
            .prepare_cached(
                "SELECT seq, job, action, actor FROM audit
                 WHERE seq > ?1 AND job IS NOT NULL AND action IN ('job_started',
                     'job_requeued', 'job_succeeded', 'job_failed', 'job_cancelled')
                 ORDER BY seq LIMIT ?2",
            )?
            .query_and_then(params![signed(after), limit], |row| {
                let action: AuditAction = parsed(row, "action")?;
                Ok(Step {
                    seq: unsigned(row, "seq")?,
                    job: parsed(row, "job")?,
                    kind: match action {
                        AuditAction::JobStarted => StepKind::Started,
                        AuditAction::JobRequeued => StepKind::Requeued,
                        _ => StepKind::Ended,
                    },
                    actor: get(row, "actor")?,
                })
            })?
            .collect()
    }

    /// The number of the last step, whatever it was about.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_step(&self) -> Result<u64> {
        Ok(super::super::audit::head(&self.connection)?.seq)
    }
}
