//! Counts and durations that are kept while things happen, so that nobody has to count later.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::sql::{OptionalExtension, params};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Store;
use super::convert::{get, parsed, timestamp, unsigned};
use super::error::Result;
use crate::core::id::ResourceKind;
use crate::core::job::{JobStatus, JobType, UnknownWord, words};
use crate::core::recorded::ResourceStatus;
use crate::crash_point::reach;

words! {
    /// A kind of duration that is counted over the whole life of the database.
    Measure, "measure" {
        /// From the moment that a job was queued to its first attempt, by job type.
        QueueWait = "queue_wait",
        /// Of an attempt at a job, by job type.
        Job = "job",
        /// Of one pass over the fleet repo, by its result.
        Reconcile = "reconcile",
        /// From a commit to the end of the last job that it needed.
        CommitToConverged = "commit_to_converged",
    }
}

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// By the limit of each bucket: how many durations were within it and above the one before.
    pub buckets: BTreeMap<Duration, u64>,
    /// How many were above all limits.
    pub above: u64,
    pub sum: Duration,
}

impl Store {
    /// How many jobs in the database have each status and type; those without jobs are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub fn job_totals(&self) -> Result<Vec<(JobStatus, JobType, u64)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT status, job_type, jobs FROM job_totals WHERE jobs > 0
             ORDER BY status, job_type",
        )?;
        let rows = statement.query_and_then([], |row| {
            Ok((
                parsed(row, "status")?,
                parsed(row, "job_type")?,
                unsigned(row, "jobs")?,
            ))
        })?;
        rows.collect()
    }

    /// How many jobs there ever were of each status and type, those included that history took
    /// away.
    ///
    /// # Errors
    /// When the database fails.
    pub fn job_totals_ever(&self) -> Result<Vec<(JobStatus, JobType, u64)>> {
        self.connection
            .prepare_cached(
                "SELECT status, job_type, jobs + removed AS jobs FROM job_totals
                 WHERE jobs + removed > 0 ORDER BY status, job_type",
            )?
            .query_and_then([], |row| {
                Ok((
                    parsed(row, "status")?,
                    parsed(row, "job_type")?,
                    unsigned(row, "jobs")?,
                ))
            })?
            .collect()
    }

    /// How many resources have each kind and recorded status.
    ///
    /// # Errors
    /// When the database fails.
    pub fn resource_totals(&self) -> Result<Vec<(ResourceKind, ResourceStatus, u64)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT kind, status, resources FROM resource_totals WHERE resources > 0
             ORDER BY kind, status",
        )?;
        let rows = statement.query_and_then([], |row| {
            let kind: String = get(row, "kind")?;
            let kind = serde_json::from_value(kind.into()).map_err(super::convert::corrupt)?;
            Ok((kind, parsed(row, "status")?, unsigned(row, "resources")?))
        })?;
        rows.collect()
    }

    /// When the oldest of the jobs that are queued was queued, or none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn oldest_queued(&self) -> Result<Option<Timestamp>> {
        let micros: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT created_at FROM jobs INDEXED BY jobs_by_status
                 WHERE status = 'queued' ORDER BY sequence LIMIT 1",
            )?
            .query_row([], |row| row.get(0))
            .optional()?;
        micros.map(timestamp).transpose()
    }

    /// What was measured, by label.
    ///
    /// # Errors
    /// When the database fails.
    pub fn histograms(&self, measure: Measure) -> Result<BTreeMap<String, Histogram>> {
        let mut limits = BTreeMap::new();
        let mut statement = self
            .connection
            .prepare_cached("SELECT limit_us FROM duration_limits WHERE name = ?1")?;
        for limit in statement.query_map([measure.as_str()], |row| row.get::<_, i64>(0))? {
            limits.insert(Duration::from_micros(limit?.unsigned_abs()), 0);
        }
        let mut histograms: BTreeMap<String, Histogram> = BTreeMap::new();
        let mut statement = self.connection.prepare_cached(
            "SELECT label, limit_us, count, sum_us FROM durations WHERE name = ?1",
        )?;
        let mut rows = statement.query([measure.as_str()])?;
        while let Some(row) = rows.next()? {
            let histogram = histograms
                .entry(get(row, "label")?)
                .or_insert_with(|| Histogram {
                    buckets: limits.clone(),
                    ..Histogram::default()
                });
            let count = unsigned(row, "count")?;
            match unsigned(row, "limit_us")? {
                0 => histogram.above += count,
                limit => {
                    *histogram
                        .buckets
                        .entry(Duration::from_micros(limit))
                        .or_default() += count;
                }
            }
            histogram.sum += Duration::from_micros(unsigned(row, "sum_us")?);
        }
        if histograms.is_empty() {
            let buckets = limits;
            let empty = Histogram {
                buckets,
                ..Histogram::default()
            };
            histograms.insert(String::new(), empty);
        }
        Ok(histograms)
    }

    /// Counts one duration. Those of jobs are counted by the database itself.
    ///
    /// # Errors
    /// When the database fails.
    pub fn measure(&mut self, measure: Measure, label: &str, took: Duration) -> Result<()> {
        let micros = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        self.write(|tx| {
            tx.prepare_cached(
                "INSERT INTO durations (name, label, limit_us, count, sum_us)
                 VALUES (?1, ?2, coalesce((SELECT min(limit_us) FROM duration_limits
                     WHERE name = ?1 AND limit_us >= ?3), 0), 1, ?3)
                 ON CONFLICT (name, label, limit_us) DO UPDATE
                     SET count = count + 1, sum_us = sum_us + excluded.sum_us",
            )?
            .execute(params![measure.as_str(), label, micros])?;
            reach("measure: counted");
            Ok(())
        })
    }
}
