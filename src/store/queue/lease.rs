//! Holding a job: the process that runs it, heartbeats, and losing it.

use super::super::sql::{Connection, params};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::Store;
use super::super::audit::{NewEntry, append};
use super::super::convert::{get, parsed, signed};
use super::super::error::{Result, StoreError};
use super::job::find;
use crate::core::audit::AuditAction;
use crate::core::job::{JobEvent, JobStatus, next_status};
use crate::core::recorded::JobId;
use crate::crash_point::reach;

/// How long a claim holds without a heartbeat.
pub const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// A process, told apart from later ones with the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    /// Its start time in clock ticks since boot.
    pub start: u64,
    pub boot_id: String,
}

impl Store {
    /// Records which process runs the attempt, so that it can be proven dead later.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the job is no longer held with `token`.
    pub fn set_attempt_process(
        &mut self,
        job: JobId,
        token: u64,
        process: &Process,
        now: Timestamp,
    ) -> Result<()> {
        self.fenced(job, token, "process", now, |tx| {
            tx.prepare_cached(
                "UPDATE attempts SET pid = ?2, pid_start = ?3, boot_id = ?4 WHERE token = ?1",
            )?
            .execute(params![
                signed(token),
                process.pid,
                signed(process.start),
                process.boot_id
            ])?;
            reach("process: recorded");
            Ok(())
        })
    }

    /// Extends the lease to [`LEASE`] from `now`; its new end.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the job is no longer held with `token`: stop working on it.
    pub fn heartbeat(&mut self, job: JobId, token: u64, now: Timestamp) -> Result<Timestamp> {
        let until = now.saturating_add(LEASE).unwrap_or(Timestamp::MAX);
        self.fenced(job, token, "heartbeat", now, |tx| {
            tx.prepare_cached("UPDATE jobs SET lease_expires_at = ?2 WHERE token = ?1")?
                .execute(params![signed(token), until.as_microsecond()])?;
            reach("heartbeat: extended");
            Ok(until)
        })
    }

    /// The jobs that `worker` runs and that somebody wants to stop, each with the reason.
    ///
    /// # Errors
    /// When the database fails.
    pub fn cancel_requests(&self, worker: &str) -> Result<Vec<(JobId, String)>> {
        self.connection
            .prepare_cached(
                "SELECT id, cancel_requested FROM jobs INDEXED BY jobs_leases
                 WHERE status IN ('running', 'unknown') AND status = 'running'
                   AND cancel_requested IS NOT NULL AND locked_by = ?1",
            )?
            .query_and_then([worker], |row| {
                Ok((parsed(row, "id")?, get(row, "cancel_requested")?))
            })?
            .collect()
    }

    /// Marks the running jobs whose lease ended before `now` as `unknown`; which ones.
    ///
    /// They keep their lanes until [`Store::mark_interrupted`] settles them.
    ///
    /// # Errors
    /// When the database fails.
    pub fn expire_leases(&mut self, actor: &str, now: Timestamp) -> Result<Vec<JobId>> {
        let expired = |connection: &Connection| -> Result<Vec<JobId>> {
            connection
                .prepare_cached(
                    "SELECT id FROM jobs INDEXED BY jobs_leases
                     WHERE status IN ('running', 'unknown') AND lease_expires_at < ?1
                       AND status = 'running'
                     ORDER BY lease_expires_at",
                )?
                .query_and_then([now.as_microsecond()], |row| parsed(row, "id"))?
                .collect()
        };
        if expired(&self.connection)?.is_empty() {
            return Ok(Vec::new());
        }
        reach("expire: candidate seen");
        self.write(|tx| {
            let jobs = expired(tx)?;
            reach("expire: begun");
            for job in &jobs {
                lose(tx, *job, "its lease ended", actor, now)?;
                reach("expire: job lost");
            }
            Ok(jobs)
        })
    }

    /// Runs `work` if the job is running and held with `token`, else audits the refusal. On a
    /// full disk it takes the room that was held back for this.
    pub(in crate::store) fn fenced<T>(
        &mut self,
        job: JobId,
        token: u64,
        what: &str,
        now: Timestamp,
        mut work: impl FnMut(&Connection) -> Result<T>,
    ) -> Result<T> {
        match self.fenced_once(job, token, what, now, &mut work) {
            Err(StoreError::Full(_)) if self.ballast().release() => {
                self.fenced_once(job, token, what, now, &mut work)
            }
            other => other,
        }
    }

    pub(in crate::store) fn fenced_once<T>(
        &mut self,
        job: JobId,
        token: u64,
        what: &str,
        now: Timestamp,
        work: &mut impl FnMut(&Connection) -> Result<T>,
    ) -> Result<T> {
        let done = self.write(|tx| {
            if is_held(tx, job, token)? {
                reach("fence: held");
                return work(tx).map(Some);
            }
            let known = find(tx, job)?;
            let entry = NewEntry {
                actor: "store",
                action: AuditAction::StaleWriteRefused,
                resource: known.as_ref().map(|job| &job.resource),
                job: Some(job),
                detail: json!({ "token": token, "write": what }),
            };
            append(tx, now, &entry)?;
            reach("fence: refusal audited");
            Ok(None)
        })?;
        reach("fence: committed");
        done.ok_or(StoreError::Stale { job, token })
    }
}

/// Whether the attempt with this token is the one that runs the job.
fn is_held(tx: &Connection, job: JobId, token: u64) -> Result<bool> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM jobs WHERE id = ?1 AND token = ?2 AND status = 'running'")?
        .exists(params![job.to_string(), signed(token)])?)
}

/// Moves a running job to `unknown`.
pub(super) fn lose(
    tx: &Connection,
    job: JobId,
    why: &str,
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    let before = super::job::require(tx, job)?;
    let status = next_status(before.status, JobEvent::LoseLease)?;
    debug_assert_eq!(status, JobStatus::Unknown);
    tx.prepare_cached("UPDATE jobs SET status = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute(params![
            job.to_string(),
            status.as_str(),
            now.as_microsecond()
        ])?;
    reach("lose: moved");
    let entry = NewEntry {
        actor,
        action: AuditAction::JobLost,
        resource: Some(&before.resource),
        job: Some(job),
        detail: json!({ "reason": why, "worker": before.locked_by }),
    };
    append(tx, now, &entry)
}
