//! After a death: which jobs are held by whom, and what becomes of the interrupted ones.

use super::super::sql::{Connection, Row, params};
use jiff::Timestamp;

use super::super::Store;
use super::super::convert::{get, moment, signed, unsigned};
use super::super::error::{Result, StoreError};
use super::finish::{Outcome, audit_end, follow_up, note_look, settle};
use super::job::{AttemptEnd, Job, read, require};
use super::lease::{Process, lose};
use crate::core::job::{ErrorCode, JobStatus};
use crate::core::outcome::hint;
use crate::core::recorded::JobId;
use crate::core::retry;
use crate::crash_point::reach;

/// A job that is `running` or `unknown`, with its open attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedJob {
    pub job: Job,
    pub attempt: u32,
    pub token: u64,
    pub worker: String,
    /// None when the worker died before it started one.
    pub process: Option<Process>,
    pub lease_expires_at: Timestamp,
}

impl Store {
    /// The jobs that are held, the oldest first.
    ///
    /// # Errors
    /// When the database fails or holds a job that cannot be read.
    pub fn leased_jobs(&self) -> Result<Vec<LeasedJob>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT jobs.*, attempts.number, attempts.token AS attempt_token, attempts.worker,
                 attempts.pid, attempts.pid_start, attempts.boot_id
             FROM jobs JOIN attempts ON attempts.job = jobs.id AND attempts.outcome IS NULL
             WHERE jobs.status IN ('running', 'unknown') ORDER BY jobs.sequence",
        )?;
        let rows = statement.query_and_then([], held)?;
        rows.collect()
    }

    /// Settles an attempt whose process group is proven dead, or whose time is over: the job is
    /// queued again and has spent no attempt, or failed when it was interrupted too often. Its
    /// new status.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when another attempt holds the job by now.
    pub fn mark_interrupted(
        &mut self,
        id: JobId,
        token: u64,
        message: &str,
        run_after: Timestamp,
        actor: &str,
        now: Timestamp,
    ) -> Result<JobStatus> {
        self.write(|tx| {
            let held = tx
                .prepare_cached(
                    "SELECT 1 FROM jobs WHERE id = ?1 AND token = ?2
                         AND status IN ('running', 'unknown')",
                )?
                .exists(params![id.to_string(), signed(token)])?;
            if !held {
                return Err(StoreError::Stale { job: id, token });
            }
            interrupt(tx, (id, token), message, run_after, actor, now)
        })
    }

    /// The same for the attempt of another worker, provided that `held` still says all: a process
    /// that was recorded since may be at work, whatever was proven before.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it does not, or another attempt holds the job by now.
    pub fn settle_interrupted(
        &mut self,
        held: &LeasedJob,
        message: &str,
        run_after: Timestamp,
        actor: &str,
        now: Timestamp,
    ) -> Result<JobStatus> {
        let (id, token) = (held.job.id, held.token);
        let process = held.process.as_ref();
        self.write(|tx| {
            let same = tx
                .prepare_cached(
                    "SELECT 1 FROM jobs JOIN attempts
                         ON attempts.job = jobs.id AND attempts.token = jobs.token
                     WHERE jobs.id = ?1 AND jobs.token = ?2
                         AND jobs.status IN ('running', 'unknown')
                         AND attempts.pid IS NOT DISTINCT FROM ?3
                         AND attempts.pid_start IS NOT DISTINCT FROM ?4",
                )?
                .exists(params![
                    id.to_string(),
                    signed(token),
                    process.map(|process| process.pid),
                    process.map(|process| signed(process.start)),
                ])?;
            if !same {
                return Err(StoreError::Stale { job: id, token });
            }
            interrupt(tx, (id, token), message, run_after, actor, now)
        })
    }
}

/// Settles a job that is held with the token.
fn interrupt(
    tx: &Connection,
    (id, token): (JobId, u64),
    message: &str,
    run_after: Timestamp,
    actor: &str,
    now: Timestamp,
) -> Result<JobStatus> {
    reach("interrupt: begun");
    if require(tx, id)?.status == JobStatus::Running {
        lose(tx, id, message, actor, now)?;
        reach("interrupt: lost");
    }
    let job = require(tx, id)?;
    let count = interruptions(tx, id)? + 1;
    // An interruption is no verdict about what the job does, and spends no attempt.
    let outcome = match retry::pause(count, token) {
        Some(pause) => Outcome::Retry {
            code: ErrorCode::JobInterrupted,
            message: message.to_owned(),
            run_after: run_after.saturating_add(pause).unwrap_or(run_after),
            spend_attempt: false,
        },
        None => Outcome::Failed {
            code: ErrorCode::WorkerDied,
            message: format!(
                "what ran the job ended before the job did, {count} times: {message}\nhint: {}",
                hint(ErrorCode::WorkerDied)
            ),
        },
    };
    let interrupted = Some(AttemptEnd::Interrupted);
    let status = settle(tx, &job, &outcome, interrupted, actor, now)?;
    reach("interrupt: settled");
    note_look(tx, &job, &outcome, (&[], false), now)?;
    audit_end(tx, &job, &outcome, &[], actor, now)?;
    reach("interrupt: audited");
    let status = follow_up(tx, &job, status, actor, now)?;
    reach("interrupt: followed up");
    Ok(status)
}

/// How many attempts of the job were interrupted.
fn interruptions(tx: &Connection, id: JobId) -> Result<u32> {
    Ok(tx
        .prepare_cached("SELECT count(*) FROM attempts WHERE job = ?1 AND outcome = 'interrupted'")?
        .query_row([id.to_string()], |row| row.get(0))?)
}

fn held(row: &Row<'_>) -> Result<LeasedJob> {
    let process = match get::<Option<i32>>(row, "pid")? {
        None => None,
        Some(pid) => Some(Process {
            pid,
            start: unsigned(row, "pid_start")?,
            boot_id: get(row, "boot_id")?,
        }),
    };
    Ok(LeasedJob {
        job: read(row)?,
        attempt: get(row, "number")?,
        token: unsigned(row, "attempt_token")?,
        worker: get(row, "worker")?,
        process,
        lease_expires_at: moment(row, "lease_expires_at")?,
    })
}
