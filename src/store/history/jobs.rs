//! Taking away ended jobs.
//!
//! A job stays while anything names it, while its plan has jobs that have not ended, and while it
//! is the last of its type and status at a resource that is recorded or asked for: checks are made
//! from the last job that succeeded, and conditions tell of the last one that failed.

use super::super::sql::{Connection, OptionalExtension, params};
use jiff::Timestamp;

use super::super::Store;
use super::super::convert::{parsed, signed, unsigned};
use super::super::error::Result;
use crate::core::history::{GRACE, HistoryKind, HistoryPolicy};
use crate::core::job::JobType;
use crate::core::recorded::JobId;
use crate::crash_point::reach;

/// The most tasks of one transaction: each may have a diff of 64 KiB.
const MOST_TASKS: usize = 256;

/// Nothing names the job. A new column that refers to jobs belongs here, too; a test compares.
const UNNAMED: &str = "NOT EXISTS (SELECT 1 FROM releases WHERE releases.job = jobs.id)
    AND NOT EXISTS (SELECT 1 FROM backups WHERE backups.job = jobs.id)
    AND NOT EXISTS (SELECT 1 FROM tokens WHERE tokens.job = jobs.id)
    AND NOT EXISTS (SELECT 1 FROM targets WHERE targets.job = jobs.id)
    AND NOT EXISTS (SELECT 1 FROM targets WHERE targets.failed_job = jobs.id)
    AND NOT EXISTS (SELECT 1 FROM schedules WHERE schedules.last_job = jobs.id)
    AND NOT EXISTS (SELECT 1 FROM drift WHERE drift.job = jobs.id)
    AND NOT EXISTS (SELECT 1 FROM looks WHERE looks.job = jobs.id)";

/// It has ended, and so has all of its plan: whoever follows the plan counts its jobs.
const OVER: &str = "jobs.finished_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM jobs AS open INDEXED BY jobs_open_of_plan
        WHERE open.plan_id = jobs.plan_id AND open.status IN ('queued', 'running', 'unknown'))";

/// A later one of its resource is like it, or the resource is gone.
const OUTLIVED: &str = "(EXISTS (SELECT 1 FROM jobs AS later INDEXED BY jobs_by_resource
        WHERE later.resource = jobs.resource AND later.sequence > jobs.sequence
          AND later.job_type = jobs.job_type AND later.status = jobs.status)
    OR (NOT EXISTS (SELECT 1 FROM resources WHERE resources.id = jobs.resource)
        AND NOT EXISTS (SELECT 1 FROM targets WHERE targets.resource = jobs.resource)))";

/// What was taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Removed {
    pub jobs: u64,
    pub plans: u64,
    pub tasks: u64,
    /// Whether a job has more tasks than one transaction takes: the rest comes with the next.
    #[serde(skip)]
    pub is_partial: bool,
}

impl std::ops::AddAssign for Removed {
    fn add_assign(&mut self, other: Self) {
        self.jobs += other.jobs;
        self.plans += other.plans;
        self.tasks += other.tasks;
        self.is_partial = other.is_partial;
    }
}

/// Which ended jobs are beyond the limits, found once for a walk over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    jobs: Limit,
    looks: Limit,
    tasks: Limit,
    /// What ended later stays in any case.
    grace: Timestamp,
}

/// What ended before a moment, or has a place in the order of all jobs up to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    before: Timestamp,
    upto: i64,
}

/// A job that goes, or whose tasks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub id: JobId,
    /// Its place in the order of all jobs: where the walk goes on.
    pub sequence: u64,
}

/// The types that only look, as a list in SQL.
fn looks() -> String {
    let looks = JobType::ALL.iter().filter(|kind| kind.only_looks());
    let words: Vec<String> = looks.map(|kind| format!("'{kind}'")).collect();
    format!("({})", words.join(", "))
}

impl Store {
    /// What of the ended jobs is beyond the limits of `policy` at `now`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn excess(&self, policy: &HistoryPolicy, now: Timestamp) -> Result<Excess> {
        let looks = looks();
        let limit = |kind: HistoryKind, condition: &str| -> Result<Limit> {
            let query = format!(
                "SELECT sequence FROM jobs WHERE finished_at IS NOT NULL AND {condition}
                 ORDER BY sequence DESC LIMIT 1 OFFSET ?1"
            );
            let upto: Option<i64> = self
                .connection
                .prepare_cached(&query)?
                .query_row([signed(policy.of(kind).count)], |row| row.get(0))
                .optional()?;
            Ok(Limit {
                before: policy.cutoff(kind, now),
                upto: upto.unwrap_or(0),
            })
        };
        Ok(Excess {
            jobs: limit(HistoryKind::Jobs, &format!("job_type NOT IN {looks}"))?,
            looks: limit(HistoryKind::Looks, &format!("job_type IN {looks}"))?,
            tasks: limit(HistoryKind::Tasks, "1")?,
            grace: now.saturating_sub(GRACE).unwrap_or(Timestamp::MIN),
        })
    }

    /// Jobs beyond the limits that can go, after the one with the place `after`, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn removable_jobs(&self, excess: &Excess, after: u64, limit: usize) -> Result<Vec<Ended>> {
        let looks = looks();
        let query = format!(
            "SELECT id, sequence FROM jobs
             WHERE sequence > ?1 AND finished_at < ?2
               AND CASE WHEN job_type IN {looks} THEN finished_at < ?3 OR sequence <= ?4
                   ELSE finished_at < ?5 OR sequence <= ?6 END
               AND {OVER} AND {OUTLIVED} AND {UNNAMED}
             ORDER BY sequence LIMIT ?7"
        );
        let values = params![
            signed(after),
            excess.grace.as_microsecond(),
            excess.looks.before.as_microsecond(),
            excess.looks.upto,
            excess.jobs.before.as_microsecond(),
            excess.jobs.upto,
            limit as i64,
        ];
        self.ended(&query, values)
    }

    /// Looks that were folded and ended before `before`, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn removable_looks(&self, before: Timestamp, limit: usize) -> Result<Vec<Ended>> {
        let query = format!(
            "SELECT id, sequence FROM jobs INDEXED BY jobs_folded
             WHERE folded = 1 AND finished_at < ?1 AND {OVER} AND {UNNAMED}
             ORDER BY finished_at LIMIT ?2"
        );
        self.ended(&query, params![before.as_microsecond(), limit as i64])
    }

    /// Jobs whose tasks are beyond the limits, after the one with the place `after`, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn removable_tasks(&self, excess: &Excess, after: u64, limit: usize) -> Result<Vec<Ended>> {
        let query = format!(
            "SELECT id, sequence FROM jobs
             WHERE sequence > ?1 AND finished_at < ?2 AND (finished_at < ?3 OR sequence <= ?4)
               AND EXISTS (SELECT 1 FROM task_events WHERE task_events.job = jobs.id)
               AND {OVER} AND {OUTLIVED}
             ORDER BY sequence LIMIT ?5"
        );
        let values = params![
            signed(after),
            excess.grace.as_microsecond(),
            excess.tasks.before.as_microsecond(),
            excess.tasks.upto,
            limit as i64,
        ];
        self.ended(&query, values)
    }

    fn ended(&self, query: &str, values: &[&dyn super::super::sql::ToSql]) -> Result<Vec<Ended>> {
        self.connection
            .prepare_cached(query)?
            .query_and_then(values, |row| {
                Ok(Ended {
                    id: parsed(row, "id")?,
                    sequence: unsigned(row, "sequence")?,
                })
            })?
            .collect()
    }

    /// Takes jobs away with all that belongs to them, and plans of which nothing is left, in one
    /// transaction. One that may not go by now stays; of one with very many tasks only some go, and
    /// what follows it is left for the next call.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove_jobs(&mut self, jobs: &[Ended]) -> Result<Removed> {
        if jobs.is_empty() {
            return Ok(Removed::default());
        }
        self.write(|tx| {
            let mut removed = Removed::default();
            for job in jobs {
                let id = job.id.to_string();
                let Some(plan) = plan_of(tx, &id)? else {
                    continue;
                };
                let room = MOST_TASKS.saturating_sub(removed.tasks as usize);
                removed.tasks += remove_tasks(tx, &id, room)?;
                if has_tasks(tx, &id)? {
                    removed.is_partial = true;
                    break;
                }
                reach("history: tasks removed");
                remove_job(tx, &id)?;
                reach("history: job removed");
                removed.jobs += 1;
                tx.prepare_cached("UPDATE plans SET removed = removed + 1 WHERE id = ?1")?
                    .execute([&plan])?;
                removed.plans += u64::from(remove_plan(tx, &plan)?);
                reach("history: plan settled");
            }
            Ok(removed)
        })
    }

    /// Takes the tasks of jobs away, in one transaction and no more than it takes. How many were
    /// not kept stands in the attempts.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove_tasks(&mut self, jobs: &[Ended]) -> Result<Removed> {
        if jobs.is_empty() {
            return Ok(Removed::default());
        }
        self.write(|tx| {
            let mut removed = Removed::default();
            for job in jobs {
                let id = job.id.to_string();
                let room = MOST_TASKS.saturating_sub(removed.tasks as usize);
                removed.tasks += remove_tasks(tx, &id, room)?;
                if has_tasks(tx, &id)? {
                    removed.is_partial = true;
                    break;
                }
                reach("history: old tasks removed");
            }
            Ok(removed)
        })
    }

    /// Takes plans away that were made before `before` and have no jobs, at most `limit`; how many.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove_plans(&mut self, before: Timestamp, limit: usize) -> Result<u64> {
        let empty: Vec<String> = self
            .connection
            .prepare_cached(
                "SELECT id FROM plans INDEXED BY plans_by_age WHERE created_at < ?1
                   AND NOT EXISTS (SELECT 1 FROM jobs WHERE plan_id = plans.id)
                   AND NOT EXISTS (SELECT 1 FROM sightings WHERE plan_id = plans.id)
                 ORDER BY created_at LIMIT ?2",
            )?
            .query_map(params![before.as_microsecond(), limit as i64], |row| {
                row.get(0)
            })?
            .collect::<super::super::sql::Result<_>>()?;
        if empty.is_empty() {
            return Ok(0);
        }
        self.write(|tx| {
            let mut removed = 0;
            for plan in &empty {
                removed += u64::from(remove_plan(tx, plan)?);
                reach("history: empty plan removed");
            }
            Ok(removed)
        })
    }
}

/// The plan of a job that can go, or none when it cannot.
fn plan_of(tx: &Connection, id: &str) -> Result<Option<String>> {
    let query = format!(
        "SELECT plan_id FROM jobs
         WHERE id = ?1 AND (folded = 1 OR {OUTLIVED}) AND {OVER} AND {UNNAMED}"
    );
    Ok(tx
        .prepare_cached(&query)?
        .query_row([id], |row| row.get(0))
        .optional()?)
}

fn has_tasks(tx: &Connection, id: &str) -> Result<bool> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM task_events WHERE job = ?1")?
        .exists([id])?)
}

fn remove_tasks(tx: &Connection, id: &str, most: usize) -> Result<u64> {
    let mut removed = 0;
    let found: Vec<(i64, i64)> = tx
        .prepare_cached(
            "SELECT attempt, seq FROM task_events WHERE job = ?1 ORDER BY attempt, seq LIMIT ?2",
        )?
        .query_map(params![id, most as i64], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<super::super::sql::Result<_>>()?;
    for (attempt, seq) in found {
        tx.prepare_cached("DELETE FROM task_events WHERE job = ?1 AND attempt = ?2 AND seq = ?3")?
            .execute(params![id, attempt, seq])?;
        tx.prepare_cached(
            "UPDATE attempts SET events_dropped = events_dropped + 1
             WHERE job = ?1 AND number = ?2",
        )?
        .execute(params![id, attempt])?;
        removed += 1;
    }
    Ok(removed)
}

fn remove_job(tx: &Connection, id: &str) -> Result<()> {
    for table in [
        "DELETE FROM attempts WHERE job = ?1",
        "DELETE FROM job_payloads WHERE job = ?1",
        "DELETE FROM job_dependencies WHERE job = ?1",
        "DELETE FROM job_dependencies WHERE depends_on = ?1",
        "DELETE FROM jobs WHERE id = ?1",
    ] {
        tx.prepare_cached(table)?.execute([id])?;
    }
    Ok(())
}

/// Takes the plan away when nothing is left of it; whether it did.
fn remove_plan(tx: &Connection, plan: &str) -> Result<bool> {
    let audited: Option<Option<i64>> = tx
        .prepare_cached(
            "DELETE FROM plans WHERE id = ?1
               AND NOT EXISTS (SELECT 1 FROM jobs WHERE plan_id = plans.id)
               AND NOT EXISTS (SELECT 1 FROM sightings WHERE plan_id = plans.id)
             RETURNING audit_seq",
        )?
        .query_row([plan], |row| row.get(0))
        .optional()?;
    // While the entry about it is in the database, that it is gone has to be known.
    if let Some(Some(seq)) = audited {
        tx.prepare_cached(
            "INSERT INTO removed_plans (audit_seq)
             SELECT ?1 WHERE ?1 > coalesce((SELECT max(last) FROM audit_segments), 0)",
        )?
        .execute([seq])?;
    }
    Ok(audited.is_some())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn whatever_refers_to_a_job_keeps_it_or_goes_with_it() {
        let directory = tempfile::tempdir().expect("directory");
        let store = Store::open(&directory.path().join("state.db")).expect("opened");
        let found: BTreeSet<String> = store
            .connection
            .prepare(
                "SELECT tables.name || '.' || keys.\"from\" FROM sqlite_schema AS tables
                 JOIN pragma_foreign_key_list(tables.name) AS keys
                 WHERE tables.type = 'table' AND keys.\"table\" = 'jobs'",
            )
            .and_then(|mut rows| rows.query_map([], |row| row.get(0))?.collect())
            .expect("read");
        let belong = [
            "attempts.job",
            "job_payloads.job",
            "job_dependencies.job",
            "job_dependencies.depends_on",
        ];
        for column in &found {
            let names = UNNAMED.contains(&format!("{column} = jobs.id"));
            assert_ne!(names, belong.contains(&column.as_str()), "{column}");
        }
        assert!(found.len() > belong.len());
    }
}
