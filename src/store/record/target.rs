//! What is wanted of resources that are not as they are wanted: kept from plan to plan, so that it
//! is known since when, and how often it failed.

use std::collections::{BTreeMap, BTreeSet};

use super::super::sql::{Connection, Row, params};
use jiff::Timestamp;
use serde_json::json;

use super::super::Store;
use super::super::audit::{NewEntry, append};
use super::super::convert::{corrupt, digest, get, moment, moment_option, parsed, parsed_option};
use super::super::error::Result;
use super::super::queue::job::{self, Job};
use crate::core::audit::AuditAction;
use crate::core::id::ResourceId;
use crate::core::job::{ErrorCode, JobStatus};
use crate::core::plan::BlockCode;
use crate::core::recorded::{JobId, ResourceStatus};
use crate::core::spec::SpecHash;

/// What a plan wants of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTarget {
    pub resource: ResourceId,
    /// A digest of the form that is asked for: of the spec and of what the files are made of besides.
    pub wanted: SpecHash,
    /// The job that makes it so.
    pub job: Option<JobId>,
    /// Why something of it has no job, each with a sentence; what can be let comes first.
    pub blocked: Vec<(BlockCode, String)>,
}

/// What is wanted of a resource and how the last try went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetState {
    pub resource: ResourceId,
    /// The digest of the form that was asked for when it was tried.
    pub wanted: SpecHash,
    /// How often jobs failed that were to make it so, in a row.
    pub failures: u32,
    /// When it is planned again, or never when that is none and `given_up`.
    pub retry_at: Option<Timestamp>,
    pub given_up: bool,
    /// The last job that failed, unless it was counted already.
    pub uncounted: Option<Job>,
}

/// How a resource that failed is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub resource: ResourceId,
    /// The failed job that is counted with this.
    pub job: JobId,
    pub failures: u32,
    /// None: for good.
    pub retry_at: Option<Timestamp>,
}

/// A row of the table, as far as plans change it.
struct Known {
    wanted: SpecHash,
    job: Option<JobId>,
    /// Whether the job has not ended.
    is_open: bool,
    blocked: Vec<(BlockCode, String)>,
}

impl Store {
    /// Records what a plan of `revision` wants. What is wanted already keeps its revision, its
    /// moment and its count of failures. A plan of the whole fleet (`is_whole`) also says that all
    /// others are as they are wanted, but for those whose job has not ended.
    ///
    /// # Errors
    /// When the database fails. Without a difference nothing is written.
    pub fn set_targets(
        &mut self,
        revision: &str,
        targets: &[NewTarget],
        is_whole: bool,
        now: Timestamp,
    ) -> Result<()> {
        let known = known(&self.connection)?;
        let named: BTreeSet<&ResourceId> = targets.iter().map(|target| &target.resource).collect();
        let is_new = |target: &&NewTarget| {
            known.get(&target.resource).is_none_or(|known| {
                known.wanted != target.wanted
                    || known.blocked != target.blocked
                    || (target.job.is_some() && known.job != target.job)
            })
        };
        let new: Vec<&NewTarget> = targets.iter().filter(is_new).collect();
        let over: Vec<&ResourceId> = known
            .iter()
            .filter(|(id, known)| is_whole && !known.is_open && !named.contains(id))
            .map(|(id, _)| id)
            .collect();
        if new.is_empty() && over.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            for id in over {
                tx.prepare_cached("DELETE FROM targets WHERE resource = ?1")?
                    .execute([id.to_string()])?;
            }
            for target in new {
                put(tx, revision, target, now)?;
            }
            Ok(())
        })
    }
}

impl Store {
    /// Since when what is wanted of a resource is what is wanted now; none when it is so, or nobody asks for it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn wanted_since(&self, id: &ResourceId) -> Result<Option<Timestamp>> {
        self.connection
            .prepare_cached("SELECT since FROM targets WHERE resource = ?1")?
            .query_and_then([id.to_string()], |row| moment(row, "since"))?
            .next()
            .transpose()
    }

    /// What is wanted of resources that were not as they are wanted, with the failures of their
    /// jobs, sorted by id.
    ///
    /// # Errors
    /// When the database fails or holds something that cannot be read.
    pub fn targets(&self) -> Result<Vec<TargetState>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT targets.*, status FROM targets
             LEFT JOIN resources ON resources.id = targets.resource",
        )?;
        let rows = statement.query_and_then([], |row| -> Result<(TargetState, _, _, _)> {
            let state = TargetState {
                resource: parsed(row, "resource")?,
                wanted: SpecHash(digest(row, "wanted")?),
                failures: get(row, "failures")?,
                retry_at: moment_option(row, "retry_at")?,
                given_up: get(row, "given_up")?,
                uncounted: None,
            };
            let status: Option<ResourceStatus> = parsed_option(row, "status")?;
            let job: Option<JobId> = parsed_option(row, "job")?;
            let counted: Option<JobId> = parsed_option(row, "failed_job")?;
            Ok((state, status, job, (counted, moment(row, "since")?)))
        })?;
        let mut targets = Vec::new();
        for row in rows {
            let (mut state, status, job, (counted, since)) = row?;
            let own = match job {
                Some(job) => job::find(&self.connection, job)?.filter(has_failed),
                None => None,
            };
            let left = match status {
                Some(ResourceStatus::Failed) => self.last_failed_job(&state.resource)?,
                Some(_) | None => None,
            };
            let last = own.into_iter().chain(left).max_by_key(|job| job.sequence);
            // One from before says nothing about what is wanted now.
            let counts = |job: &Job| Some(job.id) != counted && job.created_at >= since;
            state.uncounted = last.filter(counts);
            targets.push(state);
        }
        targets.sort_by(|left, right| left.resource.cmp(&right.resource));
        Ok(targets)
    }

    fn last_failed_job(&self, resource: &ResourceId) -> Result<Option<Job>> {
        self.connection
            .prepare_cached(
                "SELECT * FROM jobs WHERE resource = ?1 AND (status = 'failed'
                     OR (status = 'cancelled' AND started_at IS NOT NULL))
                 ORDER BY sequence DESC LIMIT 1",
            )?
            .query_and_then([resource.to_string()], job::read)?
            .next()
            .transpose()
    }

    /// Counts failures, and leaves the resources alone from now on.
    ///
    /// # Errors
    /// When the database fails.
    pub fn hold(&mut self, holds: &[Hold]) -> Result<()> {
        if holds.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            for hold in holds {
                tx.prepare_cached(
                    "UPDATE targets SET failures = ?2, failed_job = ?3, retry_at = ?4,
                         given_up = ?5 WHERE resource = ?1",
                )?
                .execute(params![
                    hold.resource.to_string(),
                    hold.failures,
                    hold.job.to_string(),
                    hold.retry_at.map(Timestamp::as_microsecond),
                    hold.retry_at.is_none(),
                ])?;
            }
            Ok(())
        })
    }

    /// Forgets the failures of all resources: they are planned again at once. How many were left
    /// alone.
    ///
    /// # Errors
    /// When the database fails.
    pub fn release_holds(&mut self, actor: &str, now: Timestamp) -> Result<usize> {
        self.write(|tx| {
            let held = tx.execute(
                "UPDATE targets SET failures = 0, retry_at = NULL, given_up = 0
                 WHERE retry_at IS NOT NULL OR given_up = 1",
                [],
            )?;
            // Those that are not counted yet are, so that they are not held for the old failure.
            tx.execute(
                "UPDATE targets SET failed_job = job WHERE EXISTS
                     (SELECT 1 FROM jobs WHERE id = targets.job
                         AND status IN ('failed', 'cancelled'))",
                [],
            )?;
            let entry = NewEntry {
                actor,
                action: AuditAction::RetryRequested,
                resource: None,
                job: None,
                detail: json!({ "resources": held }),
            };
            append(tx, now, &entry)?;
            Ok(held)
        })
    }
}

/// Whether the end of the job says something about what it was for.
fn has_failed(job: &Job) -> bool {
    let by_hand = job.error_code == Some(ErrorCode::CancelledByUser);
    match job.status {
        JobStatus::Failed => true,
        JobStatus::Cancelled => by_hand || job.started_at.is_some(),
        JobStatus::Queued | JobStatus::Running | JobStatus::Unknown | JobStatus::Succeeded => false,
    }
}

fn known(connection: &Connection) -> Result<BTreeMap<ResourceId, Known>> {
    let mut statement = connection.prepare_cached(
        "SELECT resource, wanted, job, blocks,
             CASE WHEN EXISTS (SELECT 1 FROM jobs WHERE id = targets.job
                 AND status IN ('queued', 'running', 'unknown')) THEN 1 ELSE 0 END AS is_open
         FROM targets",
    )?;
    let rows = statement.query_and_then([], |row| {
        let known = Known {
            wanted: SpecHash(digest(row, "wanted")?),
            job: parsed_option(row, "job")?,
            is_open: get(row, "is_open")?,
            blocked: blocks(row)?,
        };
        Ok((parsed(row, "resource")?, known))
    })?;
    rows.collect()
}

fn put(tx: &Connection, revision: &str, target: &NewTarget, now: Timestamp) -> Result<()> {
    let (code, reason) = target.blocked.first().cloned().unzip();
    let at = now.as_microsecond();
    // The right sides see the row as it was.
    tx.prepare_cached(
        "INSERT INTO targets (resource, revision, wanted, since, job, blocked_code,
             blocked_reason, blocked_since, blocks)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (resource) DO UPDATE SET
             attempted = coalesce((SELECT jobs.revision FROM jobs
                 WHERE jobs.id = targets.job AND jobs.started_at IS NOT NULL), attempted),
             job = CASE WHEN wanted = excluded.wanted THEN coalesce(excluded.job, job)
                 ELSE excluded.job END,
             blocked_code = excluded.blocked_code,
             blocked_reason = excluded.blocked_reason,
             blocked_since = CASE WHEN blocked_code IS NOT DISTINCT FROM excluded.blocked_code
                 AND blocked_reason IS NOT DISTINCT FROM excluded.blocked_reason
                 THEN blocked_since ELSE excluded.blocked_since END,
             blocks = excluded.blocks,
             revision = CASE WHEN wanted = excluded.wanted THEN revision
                 ELSE excluded.revision END,
             since = CASE WHEN wanted = excluded.wanted THEN since ELSE excluded.since END,
             failures = CASE WHEN wanted = excluded.wanted THEN failures ELSE 0 END,
             retry_at = CASE WHEN wanted = excluded.wanted THEN retry_at END,
             given_up = CASE WHEN wanted = excluded.wanted THEN given_up ELSE 0 END,
             wanted = excluded.wanted",
    )?
    .execute(params![
        target.resource.to_string(),
        revision,
        target.wanted.0,
        at,
        target.job.map(|job| job.to_string()),
        code.map(BlockCode::as_str),
        reason,
        code.as_ref().map(|_| at),
        json!(target.blocked).to_string(),
    ])?;
    Ok(())
}

/// Why something has no job, of a row with the column `blocks`.
pub(super) fn blocks(row: &Row<'_>) -> Result<Vec<(BlockCode, String)>> {
    let json: String = get(row, "blocks")?;
    serde_json::from_str(&json).map_err(corrupt)
}
