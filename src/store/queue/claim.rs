//! Claiming: an idle lane first, then the first job that may run in it.
//!
//! A claim never scans the queue: it steps from node to node along an index and skips the busy
//! ones, of which there are at most as many as there are workers' slots. So half of the queue
//! waiting for one busy site costs nothing.

use super::super::sql::{Connection, OptionalExtension, params};
use jiff::Timestamp;
use serde_json::json;

use super::super::Store;
use super::super::audit::{NewEntry, append};
use super::super::convert::{get, parse, parsed_option};
use super::super::error::Result;
use super::super::history::look::is_silent;
use super::super::record::resource::set_status;
use super::counter::next;
use super::ending::{Ending, cancel_dependents, end_queued};
use super::job::{Job, require};
use super::lease::LEASE;
use super::stale::is_stale;
use crate::core::audit::AuditAction;
use crate::core::job::{ErrorCode, JobEvent, next_status};
use crate::core::recorded::{JobId, PlanId, ResourceStatus};
use crate::core::retry::FARTHEST_ATTEMPT;
use crate::crash_point::reach;

/// Which jobs a worker takes.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    All,
    Plans(&'a [PlanId]),
}

/// A job that this worker holds until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub job: Job,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// Fences every later write about the job.
    pub token: u64,
    pub lease_expires_at: Timestamp,
    /// A JSON array.
    pub changes: String,
    /// A JSON object.
    pub payload: String,
}

/// Where the time of a claim comes from. It is asked for again while the database is held for writing:
/// a time from before that may be earlier than the end of the job that made the lane idle.
pub trait Clock: Copy {
    fn now(&self) -> Timestamp;
}

impl Clock for fn() -> Timestamp {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// A clock that stands still.
impl Clock for Timestamp {
    fn now(&self) -> Timestamp {
        *self
    }
}

impl Store {
    /// The first job of an idle lane that may run now, which from now on is `worker`'s, or none.
    ///
    /// Jobs that come up but were planned from a record that moved since are cancelled.
    ///
    /// # Errors
    /// When the database fails, or is paused.
    pub fn claim(
        &mut self,
        worker: &str,
        scope: Scope<'_>,
        clock: impl Clock,
    ) -> Result<Option<Claim>> {
        super::pause::refuse(&self.connection)?;
        // An idle worker must not take the writing lock each time that it looks.
        if find(&self.connection, scope, &self.last_node, clock.now())?.is_none() {
            return Ok(None);
        }
        reach("claim: candidate seen");
        let last_node = self.last_node.clone();
        let claim = self.write(|tx| {
            super::pause::refuse(tx)?;
            let now = clock.now();
            while let Some(id) = find(tx, scope, &last_node, now)? {
                if let Some(claim) = take(tx, id, worker, now)? {
                    return Ok(Some(claim));
                }
            }
            Ok(None)
        })?;
        reach("claim: committed");
        if let Some(claim) = &claim {
            self.last_node.clone_from(&claim.job.node_id);
        }
        Ok(claim)
    }
}

fn find(
    connection: &Connection,
    scope: Scope<'_>,
    after: &str,
    now: Timestamp,
) -> Result<Option<JobId>> {
    match scope {
        Scope::All => find_in(connection, None, after, now),
        Scope::Plans(plans) => {
            for plan in plans {
                let plan = plan.to_string();
                if let Some(id) = find_in(connection, Some(&plan), after, now)? {
                    return Ok(Some(id));
                }
            }
            Ok(None)
        }
    }
}

/// Round the nodes, from the one after `after`, so that none of them starves.
fn find_in(
    connection: &Connection,
    plan: Option<&str>,
    after: &str,
    now: Timestamp,
) -> Result<Option<JobId>> {
    if let Some(id) = find_between(connection, plan, after, None, now)? {
        return Ok(Some(id));
    }
    find_between(connection, plan, "", Some(after), now)
}

fn find_between(
    connection: &Connection,
    plan: Option<&str>,
    after: &str,
    until: Option<&str>,
    now: Timestamp,
) -> Result<Option<JobId>> {
    let mut node = after.to_owned();
    while let Some(next) = next_node(connection, plan, &node)? {
        if until.is_some_and(|until| next.as_str() > until) {
            break;
        }
        if !is_busy(connection, &next)?
            && let Some(id) = first_on_node(connection, plan, &next, now)?
        {
            return Ok(Some(id));
        }
        node = next;
    }
    Ok(None)
}

fn next_node(connection: &Connection, plan: Option<&str>, after: &str) -> Result<Option<String>> {
    Ok(connection
        .prepare_cached(
            "SELECT node_id FROM jobs INDEXED BY jobs_ready
             WHERE status = 'queued' AND blocked_by = 0 AND node_id > ?1
               AND (?2 IS NULL OR plan_id = ?2)
             ORDER BY node_id LIMIT 1",
        )?
        .query_row(params![after, plan], |row| row.get(0))
        .optional()?)
}

/// Whether a job works on the node, or nobody can because it does not answer.
fn is_busy(connection: &Connection, node: &str) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT 1 FROM jobs WHERE node_id = ?1 AND status IN ('running', 'unknown')
             UNION ALL
             SELECT 1 FROM unreachable_nodes WHERE node = ?1 AND answers = 0",
        )?
        .exists([node])?)
}

/// The oldest job of the node whose time has come and whose site is idle: a site can be busy
/// on another node.
fn first_on_node(
    connection: &Connection,
    plan: Option<&str>,
    node: &str,
    now: Timestamp,
) -> Result<Option<JobId>> {
    let id: Option<String> = connection
        .prepare_cached(
            "SELECT id FROM jobs INDEXED BY jobs_ready
             WHERE status = 'queued' AND blocked_by = 0 AND node_id = ?1
               AND (run_after <= ?2 OR run_after > ?4)
               AND NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.site_id = jobs.site_id
                                   AND other.status IN ('running', 'unknown'))
               AND (?3 IS NULL OR plan_id = ?3)
             ORDER BY sequence LIMIT 1",
        )?
        .query_row(
            params![
                node,
                now.as_microsecond(),
                plan,
                farthest_attempt(now).as_microsecond()
            ],
            |row| row.get(0),
        )
        .optional()?;
    id.map(|id| parse(&id)).transpose()
}

/// The last moment at `now` that a next attempt can have been planned for.
pub(super) fn farthest_attempt(now: Timestamp) -> Timestamp {
    now.saturating_add(FARTHEST_ATTEMPT)
        .unwrap_or(Timestamp::MAX)
}

/// Takes the job, or cancels it where its plan is stale.
fn take(tx: &Connection, id: JobId, worker: &str, now: Timestamp) -> Result<Option<Claim>> {
    let before = require(tx, id)?;
    reach("claim: begun");
    if is_stale(tx, &before)? {
        let message = format!(
            "the record of `{}` moved since the plan was made",
            before.resource
        );
        let ending = Ending {
            code: ErrorCode::PlanStale,
            message,
            actor: worker,
            now,
        };
        end_queued(tx, id, &ending)?;
        reach("claim: stale job ended");
        let cause = format!(
            "job `{id}` (`{}` of `{}`) was cancelled as stale",
            before.job_type, before.resource
        );
        let cause = (ErrorCode::PlanStale, cause.as_str());
        cancel_dependents(tx, id, cause, worker, now)?;
        reach("claim: dependents of a stale job ended");
        return Ok(None);
    }
    let status = next_status(before.status, JobEvent::Claim)?;
    let token = next(tx, "fencing_token", 1)?;
    let lease_expires_at = now.saturating_add(LEASE).unwrap_or(Timestamp::MAX);
    tx.prepare_cached(
        "UPDATE jobs SET status = ?2, attempt_count = attempt_count + 1, locked_at = ?3,
             locked_by = ?4, token = ?5, lease_expires_at = ?6, error_code = NULL,
             error_message = NULL, started_at = coalesce(started_at, ?3), updated_at = ?3
         WHERE id = ?1",
    )?
    .execute(params![
        id.to_string(),
        status.as_str(),
        now.as_microsecond(),
        worker,
        token,
        lease_expires_at.as_microsecond(),
    ])?;
    reach("claim: job taken");
    let attempt: u32 = tx
        .prepare_cached(
            "INSERT INTO attempts (job, number, token, worker, started_at)
             VALUES (?1, 1 + (SELECT count(*) FROM attempts WHERE job = ?1), ?2, ?3, ?4)
             RETURNING number",
        )?
        .query_row(
            params![id.to_string(), token, worker, now.as_microsecond()],
            |row| row.get(0),
        )?;
    reach("claim: attempt inserted");
    let (changes, payload, on_start) = tx
        .prepare_cached(
            "SELECT changes, payload, status_on_start FROM job_payloads
             JOIN jobs ON jobs.id = job_payloads.job WHERE job = ?1",
        )?
        .query_and_then([id.to_string()], |row| {
            let on_start: Option<ResourceStatus> = parsed_option(row, "status_on_start")?;
            Ok::<_, super::super::StoreError>((
                get(row, "changes")?,
                get(row, "payload")?,
                on_start,
            ))
        })?
        .next()
        .transpose()?
        .ok_or_else(|| super::super::convert::corrupt(format!("job `{id}` has no payload")))?;
    if let Some(status) = on_start {
        set_status(tx, &before.resource.to_string(), status, now)?;
        reach("claim: resource marked");
    }
    if !is_silent(&before) {
        let entry = NewEntry {
            actor: worker,
            action: AuditAction::JobStarted,
            resource: Some(&before.resource),
            job: Some(id),
            detail: json!({ "attempt": attempt, "token": token, "job_type": before.job_type }),
        };
        append(tx, now, &entry)?;
    }
    reach("claim: audited");
    let job = require(tx, id)?;
    let token = token.unsigned_abs();
    Ok(Some(Claim {
        job,
        attempt,
        token,
        lease_expires_at,
        changes,
        payload,
    }))
}
