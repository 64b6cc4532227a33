//! The end of an attempt: its record, the job, the resource and the audit entry at once.

use super::super::sql::{Connection, params};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::Store;
use super::super::audit::{NewEntry, append};
use super::super::convert::parsed_option;
use super::super::error::{Result, StoreError};
use super::super::history::look::{self, Look};
use super::super::record::resource::{Author, StateChange, apply, set_status};
use super::ending::{Ending, cancel_dependents, end_queued};
use super::job::{AttemptEnd, Job, require};
use super::unreachable::{forget, park, wake};
use crate::core::audit::AuditAction;
use crate::core::job::{ErrorCode, JobEvent, JobStatus, next_status};
use crate::core::outcome::{LONGEST_MESSAGE, tail};
use crate::core::recorded::{JobId, ResourceStatus};
use crate::crash_point::reach;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    /// It failed and is not tried again.
    Failed {
        code: ErrorCode,
        message: String,
    },
    /// It failed and is tried again after a moment. What was not the job's fault (a host that
    /// cannot be reached) does not spend an attempt.
    Retry {
        code: ErrorCode,
        message: String,
        run_after: Timestamp,
        spend_attempt: bool,
    },
    /// The node could not be reached: the job is queued, has spent no attempt, and waits until
    /// the node answers there.
    Park {
        code: ErrorCode,
        message: String,
        host: String,
        port: u16,
        next_probe_at: Timestamp,
    },
    Cancelled {
        message: String,
    },
}

/// The end of the attempt that holds `job` with `token`.
#[derive(Clone, Debug)]
pub struct Finish<'a> {
    pub job: JobId,
    pub token: u64,
    pub outcome: Outcome,
    /// What is recorded with it.
    pub changes: &'a [StateChange],
}

impl Store {
    /// Records the end of an attempt and everything that follows from it in one transaction:
    /// the job, what is recorded of resources, the jobs that waited for it, the audit entry.
    /// The job's new status.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the job is no longer held with the token; then nothing is
    /// written but an audit entry about that.
    pub fn finish(
        &mut self,
        finish: &Finish<'_>,
        actor: &str,
        now: Timestamp,
    ) -> Result<JobStatus> {
        self.fenced(finish.job, finish.token, "finish", now, |tx| {
            let job = require(tx, finish.job)?;
            reach("finish: begun");
            let was = standing(tx, &job)?;
            let status = settle(tx, &job, &finish.outcome, None, actor, now)?;
            let author = Author {
                plan: Some(job.plan_id),
                job: Some(job.id),
            };
            reach("finish: settled");
            let applied = apply(tx, finish.changes, author, actor, now)?;
            reach("finish: state applied");
            let moved = was != standing(tx, &job)?;
            let found_nothing_new =
                note_look(tx, &job, &finish.outcome, (finish.changes, moved), now)?;
            if !(found_nothing_new && look::is_silent(&job)) {
                audit_end(tx, &job, &finish.outcome, &applied, actor, now)?;
            }
            reach("finish: audited");
            match &finish.outcome {
                Outcome::Park {
                    host,
                    port,
                    next_probe_at,
                    ..
                } => {
                    let address = (host.as_str(), *port);
                    park(tx, &job, address, *next_probe_at, actor, now)?;
                }
                Outcome::Succeeded
                | Outcome::Failed { .. }
                | Outcome::Retry { .. }
                | Outcome::Cancelled { .. } => forget(tx, &job.node_id)?,
            }
            let status = follow_up(tx, &job, status, actor, now)?;
            reach("finish: followed up");
            Ok(status)
        })
    }

    /// Cancels a job that is still queued, and what depends on it; the cancelled jobs.
    ///
    /// # Errors
    /// [`StoreError::IllegalMove`] when it is not queued, [`StoreError::NotFound`].
    pub fn cancel_queued(
        &mut self,
        id: JobId,
        message: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<Vec<JobId>> {
        self.write(|tx| {
            let job = require(tx, id)?;
            if job.status != JobStatus::Queued {
                let event = JobEvent::Cancel;
                let from = job.status;
                return Err(crate::core::job::IllegalMove { from, event }.into());
            }
            reach("cancel: begun");
            let code = ErrorCode::CancelledByUser;
            end_queued(
                tx,
                id,
                &Ending {
                    code,
                    message: message.to_owned(),
                    actor,
                    now,
                },
            )?;
            // One that is between two attempts has left its resource as it may be.
            if job.started_at.is_some() {
                leave_resource(tx, &job, now)?;
            }
            let cause = format!("job `{id}` ({}) was cancelled", describe(&job));
            reach("cancel: job ended");
            let mut cancelled = vec![id];
            let cause = (ErrorCode::DependencyFailed, cause.as_str());
            cancelled.extend(cancel_dependents(tx, id, cause, actor, now)?);
            reach("cancel: dependents ended");
            Ok(cancelled)
        })
    }
}

impl Store {
    /// Asks whoever runs the job to stop it. When its worker is gone by then, the job is
    /// cancelled in the place of its next attempt.
    ///
    /// # Errors
    /// [`StoreError::IllegalMove`] when it does not run, [`StoreError::NotFound`].
    pub fn request_cancel(
        &mut self,
        id: JobId,
        message: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| {
            let job = require(tx, id)?;
            match job.status {
                JobStatus::Running | JobStatus::Unknown => {}
                from @ (JobStatus::Queued
                | JobStatus::Succeeded
                | JobStatus::Failed
                | JobStatus::Cancelled) => {
                    let event = JobEvent::Cancel;
                    return Err(crate::core::job::IllegalMove { from, event }.into());
                }
            }
            tx.prepare_cached(
                "UPDATE jobs SET cancel_requested = ?2, updated_at = ?3 WHERE id = ?1",
            )?
            .execute(params![id.to_string(), message, now.as_microsecond()])?;
            reach("cancel request: noted");
            let entry = NewEntry {
                actor,
                action: AuditAction::JobCancelRequested,
                resource: Some(&job.resource),
                job: Some(id),
                detail: json!({ "message": message }),
            };
            append(tx, now, &entry)
        })
    }

    /// Lets a queued job run as soon as its lane is free: it does not wait for the moment of its
    /// next attempt, nor for its node to answer.
    ///
    /// # Errors
    /// [`StoreError::IllegalMove`] when it is not queued, [`StoreError::NotFound`].
    pub fn hasten(&mut self, id: JobId, actor: &str, now: Timestamp) -> Result<()> {
        self.write(|tx| {
            let job = require(tx, id)?;
            if job.status != JobStatus::Queued {
                let (from, event) = (job.status, JobEvent::Claim);
                return Err(crate::core::job::IllegalMove { from, event }.into());
            }
            tx.prepare_cached("UPDATE jobs SET run_after = ?2, updated_at = ?2 WHERE id = ?1")?
                .execute(params![id.to_string(), now.as_microsecond()])?;
            reach("hasten: moved");
            wake(tx, &job.node_id, actor, now)?;
            let entry = NewEntry {
                actor,
                action: AuditAction::JobHastened,
                resource: Some(&job.resource),
                job: Some(id),
                detail: json!({}),
            };
            append(tx, now, &entry)
        })
    }
}

/// How the resource stands that a job looks at; none for other jobs.
fn standing(tx: &Connection, job: &Job) -> Result<Option<look::Standing>> {
    match job.job_type.only_looks() {
        true => look::standing(tx, &job.resource),
        false => Ok(None),
    }
}

/// Counts a look that came to an end by itself, with what is recorded with it and whether that moved
/// its resource; whether it found nothing new.
pub(super) fn note_look(
    tx: &Connection,
    job: &Job,
    outcome: &Outcome,
    (changes, moved): (&[StateChange], bool),
    now: Timestamp,
) -> Result<bool> {
    if !job.job_type.only_looks() {
        return Ok(false);
    }
    let (status, code) = match outcome {
        Outcome::Succeeded => (JobStatus::Succeeded, None),
        Outcome::Failed { code, .. } => (JobStatus::Failed, Some(*code)),
        Outcome::Retry { .. } | Outcome::Park { .. } | Outcome::Cancelled { .. } => {
            return Ok(false);
        }
    };
    let look = Look {
        status,
        code,
        changes,
        moved,
    };
    look::note(tx, job, &look, now)
}

/// Ends the open attempt and moves the job; `interrupted` replaces the attempt's outcome.
pub(super) fn settle(
    tx: &Connection,
    job: &Job,
    outcome: &Outcome,
    interrupted: Option<AttemptEnd>,
    actor: &str,
    now: Timestamp,
) -> Result<JobStatus> {
    let (event, ended, error) = match outcome {
        Outcome::Succeeded => (JobEvent::Succeed, AttemptEnd::Succeeded, None),
        Outcome::Failed { code, message } => {
            (JobEvent::Fail, AttemptEnd::Failed, Some((*code, message)))
        }
        Outcome::Retry { code, message, .. } | Outcome::Park { code, message, .. } => {
            (JobEvent::Retry, AttemptEnd::Retried, Some((*code, message)))
        }
        Outcome::Cancelled { message } => {
            let code = ErrorCode::CancelledByUser;
            (
                JobEvent::Cancel,
                AttemptEnd::Cancelled,
                Some((code, message)),
            )
        }
    };
    let event = match (event, job.status) {
        (JobEvent::Retry, JobStatus::Unknown) => JobEvent::Recover,
        (event, _) => event,
    };
    let status = next_status(job.status, event)?;
    let code = error.map(|(code, _)| code.as_str());
    let message = error.map(|(_, message)| tail(message, LONGEST_MESSAGE));
    let at = now.as_microsecond();
    let closed = tx
        .prepare_cached(
            "UPDATE attempts SET finished_at = ?2, outcome = ?3, error_code = ?4,
                 error_message = ?5
             WHERE job = ?1 AND outcome IS NULL",
        )?
        .execute(params![
            job.id.to_string(),
            at,
            interrupted.unwrap_or(ended).as_str(),
            code,
            message
        ])?;
    reach("settle: attempt closed");
    if closed != 1 {
        return Err(StoreError::Corrupt(format!(
            "job `{}` has no open attempt",
            job.id
        )));
    }
    let (run_after, given_back) = match outcome {
        Outcome::Retry {
            run_after,
            spend_attempt,
            ..
        } => (run_after.as_microsecond(), i64::from(!spend_attempt)),
        Outcome::Park { .. } => (job.run_after.as_microsecond(), 1),
        Outcome::Succeeded | Outcome::Failed { .. } | Outcome::Cancelled { .. } => {
            (job.run_after.as_microsecond(), 0)
        }
    };
    tx.prepare_cached(
        "UPDATE jobs SET status = ?2, finished_at = ?3, error_code = ?4, error_message = ?5,
             run_after = ?6, attempt_count =
                 CASE WHEN attempt_count > ?7 THEN attempt_count - ?7 ELSE 0 END,
             lease_expires_at = NULL, locked_at = NULL, locked_by = NULL, token = NULL,
             updated_at = ?8
         WHERE id = ?1",
    )?
    .execute(params![
        job.id.to_string(),
        status.as_str(),
        status.is_terminal().then_some(at),
        code,
        message,
        run_after,
        given_back,
        at,
    ])?;
    reach("settle: job moved");
    let judges = !job.job_type.only_looks()
        || error.is_some_and(|(code, _)| code == ErrorCode::HealthCheckFailed);
    if judges && matches!(status, JobStatus::Failed | JobStatus::Cancelled) {
        fail_resource(tx, job, now)?;
        reach("settle: resource failed");
    }
    tracing::debug!(job = %job.id, %status, actor, "attempt ended");
    Ok(status)
}

/// The resource's status after a job that ran did not succeed, where the plan names one. A look
/// says something about it only when it came to a verdict.
fn fail_resource(tx: &Connection, job: &Job, now: Timestamp) -> Result<()> {
    let status: Option<ResourceStatus> = tx
        .prepare_cached("SELECT status_on_failure FROM jobs WHERE id = ?1")?
        .query_and_then([job.id.to_string()], |row| {
            parsed_option(row, "status_on_failure")
        })?
        .next()
        .transpose()?
        .flatten();
    match status {
        Some(status) => set_status(tx, &job.resource.to_string(), status, now),
        None => Ok(()),
    }
}

/// The resource's status when no attempt follows on one that left it in the middle.
fn leave_resource(tx: &Connection, job: &Job, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "UPDATE resources SET status = jobs.status_on_failure, updated_at = ?3
         FROM jobs WHERE jobs.id = ?1 AND resources.id = ?2
             AND resources.status = jobs.status_on_start AND jobs.status_on_failure IS NOT NULL",
    )?
    .execute(params![
        job.id.to_string(),
        job.resource.to_string(),
        now.as_microsecond()
    ])?;
    Ok(())
}

/// The audit entry about the end of an attempt, with what it changed of the record.
pub(super) fn audit_end(
    tx: &Connection,
    job: &Job,
    outcome: &Outcome,
    changes: &[Value],
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    let (action, code) = match outcome {
        Outcome::Succeeded => (AuditAction::JobSucceeded, None),
        Outcome::Failed { code, .. } => (AuditAction::JobFailed, Some(*code)),
        Outcome::Retry { code, .. } | Outcome::Park { code, .. } => {
            (AuditAction::JobRequeued, Some(*code))
        }
        Outcome::Cancelled { .. } => (AuditAction::JobCancelled, Some(ErrorCode::CancelledByUser)),
    };
    // The message of a failure stays in the job: it quotes what a node printed.
    let detail = json!({
        "job_type": job.job_type, "error_code": code, "changes": changes,
    });
    let resource = Some(&job.resource);
    append(
        tx,
        now,
        &NewEntry {
            actor,
            action,
            resource,
            job: Some(job.id),
            detail,
        },
    )
}

/// What the end of an attempt means for the jobs that wait for it, and for the job itself when
/// somebody had asked for its end. The job's status after that.
pub(super) fn follow_up(
    tx: &Connection,
    job: &Job,
    status: JobStatus,
    actor: &str,
    now: Timestamp,
) -> Result<JobStatus> {
    match status {
        JobStatus::Succeeded => {
            tx.prepare_cached(
                "UPDATE jobs SET blocked_by = blocked_by - 1 WHERE id IN
                     (SELECT job FROM job_dependencies WHERE depends_on = ?1)",
            )?
            .execute([job.id.to_string()])?;
            reach("follow-up: dependents unblocked");
        }
        JobStatus::Failed | JobStatus::Cancelled => {
            let cause = format!("job `{}` ({}) {}", job.id, describe(job), ended(status));
            let cause = (ErrorCode::DependencyFailed, cause.as_str());
            cancel_dependents(tx, job.id, cause, actor, now)?;
            reach("follow-up: dependents ended");
        }
        JobStatus::Queued => {
            if let Some(message) = cancel_requested(tx, job.id)? {
                let code = ErrorCode::CancelledByUser;
                let ending = Ending {
                    code,
                    message,
                    actor,
                    now,
                };
                end_queued(tx, job.id, &ending)?;
                reach("follow-up: cancelled as asked");
                if !job.job_type.only_looks() {
                    fail_resource(tx, job, now)?;
                }
                return follow_up(tx, job, JobStatus::Cancelled, actor, now);
            }
        }
        JobStatus::Running | JobStatus::Unknown => {}
    }
    Ok(status)
}

/// Why the job is to stop, when somebody asked for that while it ran.
fn cancel_requested(tx: &Connection, id: JobId) -> Result<Option<String>> {
    Ok(tx
        .prepare_cached("SELECT cancel_requested FROM jobs WHERE id = ?1")?
        .query_row([id.to_string()], |row| row.get(0))?)
}

fn ended(status: JobStatus) -> &'static str {
    if status == JobStatus::Failed {
        "failed"
    } else {
        "was cancelled"
    }
}

fn describe(job: &Job) -> String {
    format!("`{}` of `{}`", job.job_type, job.resource)
}
