//! Whether resources are on their nodes what was applied to them.

use super::super::sql::{Connection, OptionalExtension, Row, params};
use jiff::Timestamp;
use serde_json::json;

use super::super::Store;
use super::super::convert::{corrupt, get, moment, moment_option, parsed, parsed_option};
use super::super::error::Result;
use crate::core::drift::Differences;
use crate::core::id::ResourceId;
use crate::core::recorded::JobId;

/// Of a row of `resources`: neither its own `drift` nor, without that, the fleet's is `off`.
pub(super) const IS_LOOKED_AT: &str = "coalesce(resources.drift_mode,
    (SELECT fleet.drift_mode FROM resources AS fleet WHERE fleet.kind = 'fleet'),
    'report') <> 'off'";

/// What the last look at a resource found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Drift {
    pub resource: ResourceId,
    /// The job that looked, or that made the resource what it should be.
    pub job: Option<JobId>,
    pub checked_at: Timestamp,
    /// When it was first seen to differ; none while it is what was applied.
    pub since: Option<Timestamp>,
    /// None while `since` is none.
    #[serde(flatten)]
    pub found: Differences,
}

impl Store {
    /// What is known of one resource, or none before anything looked at it.
    ///
    /// # Errors
    /// When the database fails or holds a row that cannot be read.
    pub fn drift(&self, id: &ResourceId) -> Result<Option<Drift>> {
        let row = self
            .connection
            .prepare_cached("SELECT * FROM drift WHERE resource = ?1")?
            .query_row([id.to_string()], |row| Ok(drift(row)))
            .optional()?;
        row.transpose()
    }

    /// Every recorded node and environment that is looked at for drift: it is active, is not
    /// suspended, and neither its own `drift` nor, without that, the fleet's is `off`.
    ///
    /// # Errors
    /// When the database fails or holds a resource that cannot be read.
    pub fn watched_for_drift(&self) -> Result<Vec<ResourceId>> {
        self.of_drift("status = 'active'")
    }

    /// Those that would be looked at, were their last job not to have left them otherwise than they are recorded.
    ///
    /// # Errors
    /// When the database fails or holds a resource that cannot be read.
    pub fn passed_over_for_drift(&self) -> Result<Vec<ResourceId>> {
        self.of_drift("status <> 'active'")
    }

    fn of_drift(&self, status: &str) -> Result<Vec<ResourceId>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT id FROM resources
             WHERE kind IN ('node', 'env') AND {status}
               AND suspended = 0 AND {IS_LOOKED_AT}
             ORDER BY kind DESC, id",
        ))?;
        let rows = statement.query_and_then([], |row| parsed(row, "id"))?;
        rows.collect()
    }

    /// Every resource that differs, the longest first.
    ///
    /// # Errors
    /// When the database fails or holds a row that cannot be read.
    pub fn drifted(&self) -> Result<Vec<Drift>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT * FROM drift INDEXED BY drift_found WHERE drifted_since IS NOT NULL
             ORDER BY drifted_since, resource",
        )?;
        let rows = statement.query_and_then([], drift)?;
        rows.collect()
    }
}

/// Records what a look found.
pub(in crate::store) fn found(
    tx: &Connection,
    resource: &ResourceId,
    found: &Differences,
    job: Option<JobId>,
    now: Timestamp,
) -> Result<()> {
    let at = now.as_microsecond();
    tx.prepare_cached(
        "INSERT INTO drift (resource, job, checked_at, drifted_since, tasks, by_hand)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (resource) DO UPDATE SET
             job = excluded.job, checked_at = excluded.checked_at, tasks = excluded.tasks,
             by_hand = excluded.by_hand,
             drifted_since = CASE WHEN excluded.drifted_since IS NULL THEN NULL
                 ELSE coalesce(drifted_since, excluded.drifted_since) END",
    )?
    .execute(params![
        resource.to_string(),
        job.map(|job| job.to_string()),
        at,
        (!found.is_empty()).then_some(at),
        json!(found.tasks).to_string(),
        json!(found.by_hand).to_string(),
    ])?;
    Ok(())
}

/// Records that a job made the resource what it should be. What only a look sees was not looked at
/// by that job, so what was found of it, when and by whom, stays.
pub(super) fn converged(
    tx: &Connection,
    resource: &ResourceId,
    job: Option<JobId>,
    now: Timestamp,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO drift (resource, job, checked_at, drifted_since, tasks)
         VALUES (?1, ?2, ?3, NULL, '[]')
         ON CONFLICT (resource) DO UPDATE SET
             job = CASE WHEN by_hand = '[]' THEN excluded.job ELSE job END,
             checked_at = CASE WHEN by_hand = '[]' THEN excluded.checked_at ELSE checked_at END,
             drifted_since = CASE WHEN by_hand = '[]' THEN NULL ELSE drifted_since END,
             tasks = by_hand",
    )?
    .execute(params![
        resource.to_string(),
        job.map(|job| job.to_string()),
        now.as_microsecond(),
    ])?;
    Ok(())
}

fn drift(row: &Row<'_>) -> Result<Drift> {
    Ok(Drift {
        resource: parsed(row, "resource")?,
        job: parsed_option(row, "job")?,
        checked_at: moment(row, "checked_at")?,
        since: moment_option(row, "drifted_since")?,
        found: differences(row)?,
    })
}

/// What was found, of a row with the columns `tasks` and `by_hand`.
pub(in crate::store) fn differences(row: &Row<'_>) -> Result<Differences> {
    let names = |column| -> Result<Vec<String>> {
        let json: String = get(row, column)?;
        serde_json::from_str(&json).map_err(corrupt)
    };
    Ok(Differences {
        tasks: names("tasks")?,
        by_hand: names("by_hand")?,
    })
}
