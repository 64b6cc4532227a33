//! How much the past takes, and how that grows.

use super::super::sql::params;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::Store;
use super::super::convert::{parsed, unsigned};
use super::super::error::Result;
use super::close::closed_upto;
use crate::core::history::DAY;
use crate::core::job::JobType;
use crate::crash_point::reach;

/// The days that growth is taken over, and after which the size of a day is of no use.
const GROWTH_DAYS: i64 = 7;
const KEPT_DAYS: i64 = 400;

/// How much there is of the past, and what it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HistorySize {
    /// Bytes of the database file,
    pub bytes: u64,
    /// and how many of them are free for what comes.
    pub free: u64,
    /// Jobs in the database that change something, and those that only look.
    pub jobs: u64,
    pub looks: u64,
    /// Jobs that were taken away, ever.
    pub removed_jobs: u64,
    pub removed_looks: u64,
    /// Entries of the audit chain in the database, and those in closed segments.
    pub audit_entries: u64,
    pub closed_entries: u64,
    /// Closed segments, and their bytes.
    pub segments: u64,
    pub segment_bytes: u64,
    /// None before there was a day to compare with.
    pub growth: Option<Growth>,
}

/// How the size has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Growth {
    /// Over how many days.
    pub days: i64,
    /// Bytes in use of the database file more than then; less than 0 when it shrank.
    pub bytes: i64,
    /// Bytes of the segments more than then.
    pub segment_bytes: i64,
}

impl Store {
    /// How much of the past there is at `now`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn history_size(&self, now: Timestamp) -> Result<HistorySize> {
        let mut size = HistorySize {
            bytes: self.size()?,
            free: self.free()?,
            ..HistorySize::default()
        };
        for (job_type, jobs, removed) in self.kinds()? {
            if job_type.only_looks() {
                size.looks += jobs;
                size.removed_looks += removed;
            } else {
                size.jobs += jobs;
                size.removed_jobs += removed;
            }
        }
        let closed = closed_upto(&self.connection)?.seq;
        size.closed_entries = closed;
        size.audit_entries = self.audit_head()?.seq - closed;
        (size.segments, size.segment_bytes) = self.segments()?;
        size.growth = self.growth(&size, now)?;
        Ok(size)
    }

    /// How many entries of the audit chain are in closed segments.
    ///
    /// # Errors
    /// When the database fails.
    pub fn closed_entries(&self) -> Result<u64> {
        Ok(closed_upto(&self.connection)?.seq)
    }

    /// How many closed segments there are, and their bytes.
    fn segments(&self) -> Result<(u64, u64)> {
        let (count, bytes): (i64, i64) = self
            .connection
            .prepare_cached("SELECT count(*), coalesce(sum(bytes), 0) FROM audit_segments")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((count.unsigned_abs(), bytes.unsigned_abs()))
    }

    /// Of each job type how many jobs there are, and how many were taken away.
    fn kinds(&self) -> Result<Vec<(JobType, u64, u64)>> {
        self.connection
            .prepare_cached(
                "SELECT job_type, sum(jobs) AS jobs, sum(removed) AS removed FROM job_totals
                 GROUP BY job_type",
            )?
            .query_and_then([], |row| {
                Ok((
                    parsed(row, "job_type")?,
                    unsigned(row, "jobs")?,
                    unsigned(row, "removed")?,
                ))
            })?
            .collect()
    }

    fn growth(&self, size: &HistorySize, now: Timestamp) -> Result<Option<Growth>> {
        let today = now.as_second().div_euclid(DAY);
        let then = self
            .connection
            .prepare_cached(
                "SELECT day, bytes - free, segments FROM sizes WHERE day BETWEEN ?1 AND ?2
                 ORDER BY day LIMIT 1",
            )?
            .query_map([today - GROWTH_DAYS, today - 1], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, i64>(2)?,
                ))
            })?
            .next()
            .transpose()?;
        let signed = super::super::convert::signed;
        Ok(then.map(|(day, bytes, segments)| Growth {
            days: today - day,
            bytes: signed(size.bytes) - signed(size.free) - bytes,
            segment_bytes: signed(size.segment_bytes) - segments,
        }))
    }

    /// Notes the size of today, once a day; whether it did.
    ///
    /// # Errors
    /// When the database fails.
    pub fn note_size(&mut self, now: Timestamp) -> Result<bool> {
        let today = now.as_second().div_euclid(DAY);
        let is_known = self
            .connection
            .prepare_cached("SELECT 1 FROM sizes WHERE day = ?1")?
            .exists([today])?;
        if is_known {
            return Ok(false);
        }
        let signed = super::super::convert::signed;
        let (bytes, free) = (signed(self.size()?), signed(self.free()?));
        let segments = signed(self.segments()?.1);
        self.write(|tx| {
            tx.prepare_cached(
                "INSERT INTO sizes (day, bytes, free, segments) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (day) DO NOTHING",
            )?
            .execute(params![today, bytes, free, segments])?;
            tx.prepare_cached("DELETE FROM sizes WHERE day < ?1 OR day > ?2")?
                .execute([today - KEPT_DAYS, today])?;
            reach("history: size noted");
            Ok(true)
        })
    }
}
