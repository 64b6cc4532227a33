//! What is wanted of resources that are not as they are wanted: kept from plan to plan, so that it
//! is known since when, and how often it failed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::Store;
use super::convert::{digest, get, parsed, parsed_option};
use super::error::Result;
use crate::core::id::ResourceId;
use crate::core::recorded::JobId;
use crate::core::spec::SpecHash;
use crate::crash_point::reach;

/// What a plan wants of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTarget {
    pub resource: ResourceId,
    /// The hash of the spec that is asked for.
    pub wanted: SpecHash,
    /// The job that makes it so.
    pub job: Option<JobId>,
    /// A stable word and a sentence for why something of it has no job.
    pub blocked: Option<(String, String)>,
}

/// A row of the table, as far as plans change it.
struct Known {
    wanted: SpecHash,
    job: Option<JobId>,
    /// Whether the job has not ended.
    is_open: bool,
    blocked: Option<(String, String)>,
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
                reach("targets: one written");
            }
            Ok(())
        })
    }
}

fn known(connection: &Connection) -> Result<BTreeMap<ResourceId, Known>> {
    let mut statement = connection.prepare_cached(
        "SELECT resource, wanted, job, blocked_code, blocked_reason,
             coalesce((SELECT status IN ('queued', 'running', 'unknown') FROM jobs
                 WHERE id = targets.job), 0) AS is_open
         FROM targets",
    )?;
    let rows = statement.query_and_then([], |row| {
        let code: Option<String> = get(row, "blocked_code")?;
        let reason: Option<String> = get(row, "blocked_reason")?;
        let known = Known {
            wanted: SpecHash(digest(row, "wanted")?),
            job: parsed_option(row, "job")?,
            is_open: get(row, "is_open")?,
            blocked: code.zip(reason),
        };
        Ok((parsed(row, "resource")?, known))
    })?;
    rows.collect()
}

fn put(tx: &Connection, revision: &str, target: &NewTarget, now: Timestamp) -> Result<()> {
    let (code, reason) = target.blocked.clone().unzip();
    let at = now.as_microsecond();
    // The right sides see the row as it was.
    tx.prepare_cached(
        "INSERT INTO targets (resource, revision, wanted, since, job, blocked_code,
             blocked_reason, blocked_since)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (resource) DO UPDATE SET
             attempted = coalesce((SELECT jobs.revision FROM jobs
                 WHERE jobs.id = targets.job AND jobs.started_at IS NOT NULL), attempted),
             job = CASE WHEN wanted = excluded.wanted THEN coalesce(excluded.job, job)
                 ELSE excluded.job END,
             blocked_code = excluded.blocked_code,
             blocked_reason = excluded.blocked_reason,
             blocked_since = CASE WHEN blocked_code IS excluded.blocked_code
                 AND blocked_reason IS excluded.blocked_reason
                 THEN blocked_since ELSE excluded.blocked_since END,
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
        code,
        reason,
        code.as_ref().map(|_| at),
    ])?;
    Ok(())
}
