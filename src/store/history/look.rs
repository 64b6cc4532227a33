//! Looks that found nothing new: counts and a small chart are all that is kept of them.
//!
//! A look by a schedule leaves no entry in the audit chain unless it found something new, or ended
//! in another way than by itself: nobody asked for it just then, and nothing changed.

use std::time::Duration;

use super::super::sql::{Connection, OptionalExtension, Row, params};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::super::Store;
use super::super::convert::{corrupt, get, moment, parsed, parsed_option, unsigned};
use super::super::error::Result;
use super::super::queue::job::Job;
use super::super::record::resource::StateChange;
use crate::core::drift::Differences;
use crate::core::history::Chart;
use crate::core::id::ResourceId;
use crate::core::job::{ErrorCode, JobOrigin, JobStatus, JobType};
use crate::core::recorded::JobId;
use crate::crash_point::reach;

/// What the looks of one type at one resource found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Looks {
    pub job_type: JobType,
    /// The last one that came to an end.
    pub job: JobId,
    pub status: JobStatus,
    pub error_code: Option<ErrorCode>,
    /// When what it found was found first,
    pub since: Timestamp,
    /// how often in a row,
    pub repeats: u64,
    /// and when last.
    pub last_at: Timestamp,
    /// How many there ever were.
    pub total: u64,
    /// How they went, by day.
    pub days: Chart,
}

/// How a look ended.
pub(in crate::store) struct Look<'a> {
    pub(in crate::store) status: JobStatus,
    pub(in crate::store) code: Option<ErrorCode>,
    /// What is recorded with it.
    pub(in crate::store) changes: &'a [StateChange],
    /// Whether that left its resource otherwise than it stood.
    pub(in crate::store) moved: bool,
}

/// Whether such a job has no entries in the audit chain while it goes as it went before.
pub(in crate::store) fn is_silent(job: &Job) -> bool {
    is_quiet(job.job_type, job.origin)
}

/// The same before it is a job.
pub(in crate::store) fn is_quiet(job_type: JobType, origin: JobOrigin) -> bool {
    job_type.only_looks() && origin == JobOrigin::Schedule
}

/// Counts the end of a look; whether it found nothing new. A look before it that found nothing new
/// either, and nobody asked for, is of no use any more.
pub(in crate::store) fn note(
    tx: &Connection,
    job: &Job,
    look: &Look<'_>,
    now: Timestamp,
) -> Result<bool> {
    let resource = job.resource.to_string();
    let key = (resource.as_str(), job.job_type.as_str());
    let differences = differences(look.changes);
    let found = json!(differences.map(|found| (&found.tasks, &found.by_hand))).to_string();
    let before = tx
        .prepare_cached("SELECT * FROM looks WHERE resource = ?1 AND job_type = ?2")?
        .query_and_then(params![key.0, key.1], before)?
        .next()
        .transpose()?;
    let is_repeat = before.as_ref().is_some_and(|before| {
        !look.moved
            && before.status == look.status
            && before.code == look.code
            && before.found == found
    });
    let is_good =
        look.status == JobStatus::Succeeded && differences.is_none_or(Differences::is_empty);
    let took = job
        .started_at
        .and_then(|from| Duration::try_from(now.duration_since(from)).ok())
        .unwrap_or_default();
    let mut chart = match &before {
        Some(before) => before.chart.clone(),
        None => Chart::default(),
    };
    chart.count(now, is_good, took);
    if let Some(before) = before.as_ref().filter(|before| before.is_repeat) {
        tx.prepare_cached(
            "UPDATE jobs SET folded = 1
             WHERE id = ?1 AND origin = 'schedule' AND finished_at IS NOT NULL",
        )?
        .execute([&before.job])?;
        reach("look: folded");
    }
    let at = now.as_microsecond();
    tx.prepare_cached(
        "INSERT INTO looks (resource, job_type, job, status, error_code, found, is_repeat, since,
             last_at, repeats, total, days)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, 1, 1, ?9)
         ON CONFLICT (resource, job_type) DO UPDATE SET
             job = excluded.job, status = excluded.status, error_code = excluded.error_code,
             found = excluded.found, is_repeat = excluded.is_repeat,
             since = CASE WHEN excluded.is_repeat = 1 THEN since ELSE excluded.since END,
             last_at = excluded.last_at,
             repeats = CASE WHEN excluded.is_repeat = 1 THEN repeats + 1 ELSE 1 END,
             total = total + 1,
             days = excluded.days",
    )?
    .execute(params![
        key.0,
        key.1,
        job.id.to_string(),
        look.status.as_str(),
        look.code.map(ErrorCode::as_str),
        found,
        is_repeat,
        at,
        json!(chart.rows()).to_string(),
    ])?;
    reach("look: counted");
    Ok(is_repeat)
}

/// What of a look matters to the next one.
struct Before {
    job: String,
    status: JobStatus,
    code: Option<ErrorCode>,
    found: String,
    is_repeat: bool,
    chart: Chart,
}

fn before(row: &Row<'_>) -> Result<Before> {
    Ok(Before {
        job: get(row, "job")?,
        status: parsed(row, "status")?,
        code: parsed_option(row, "error_code")?,
        found: get(row, "found")?,
        is_repeat: get(row, "is_repeat")?,
        chart: chart(row)?,
    })
}

fn chart(row: &Row<'_>) -> Result<Chart> {
    let days: String = get(row, "days")?;
    Ok(Chart::of_rows(
        serde_json::from_str(&days).map_err(corrupt)?,
    ))
}

fn differences(changes: &[StateChange]) -> Option<&Differences> {
    changes.iter().find_map(|change| match change {
        StateChange::Looked { found, .. } => Some(found),
        StateChange::Patch(_)
        | StateChange::Status { .. }
        | StateChange::Remove(_)
        | StateChange::Facts { .. }
        | StateChange::Release(_)
        | StateChange::Domain(_)
        | StateChange::RemoveDomain(_)
        | StateChange::Converged(_)
        | StateChange::UsedToken { .. } => None,
    })
}

/// Takes over a look by a schedule for a person who waits for it: it is theirs from now on.
pub(in crate::store) fn adopt(tx: &Connection, job: JobId, origin: JobOrigin) -> Result<()> {
    tx.prepare_cached("UPDATE jobs SET origin = ?2 WHERE id = ?1 AND origin = 'schedule'")?
        .execute(params![job.to_string(), origin.as_str()])?;
    Ok(())
}

/// The recorded status of a resource, and what is known to differ on its node, as they are written.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Standing {
    status: String,
    /// Tasks that would change something, and what is only put back by hand.
    drift: Option<(String, String)>,
}

/// How a resource stands, or none when it is not recorded.
pub(in crate::store) fn standing(
    tx: &Connection,
    resource: &ResourceId,
) -> Result<Option<Standing>> {
    Ok(tx
        .prepare_cached(
            "SELECT status, tasks, by_hand FROM resources
                 LEFT JOIN drift ON drift.resource = resources.id AND drifted_since IS NOT NULL
             WHERE resources.id = ?1",
        )?
        .query_row([resource.to_string()], |row| {
            let (tasks, by_hand): (Option<_>, Option<_>) = (row.get(1)?, row.get(2)?);
            Ok(Standing {
                status: row.get(0)?,
                drift: tasks.zip(by_hand),
            })
        })
        .optional()?)
}

impl Store {
    /// What the looks at a resource found, by type.
    ///
    /// # Errors
    /// When the database fails or holds something that cannot be read.
    pub fn looks(&self, id: &ResourceId) -> Result<Vec<Looks>> {
        self.connection
            .prepare_cached("SELECT * FROM looks WHERE resource = ?1 ORDER BY job_type")?
            .query_and_then([id.to_string()], |row| {
                Ok(Looks {
                    job_type: parsed(row, "job_type")?,
                    job: parsed(row, "job")?,
                    status: parsed(row, "status")?,
                    error_code: parsed_option(row, "error_code")?,
                    since: moment(row, "since")?,
                    repeats: unsigned(row, "repeats")?,
                    last_at: moment(row, "last_at")?,
                    total: unsigned(row, "total")?,
                    days: chart(row)?,
                })
            })?
            .collect()
    }
}
