//! Jobs and attempts as they are shown, and the lists of them.

use std::fmt;
use std::str::FromStr;

use super::super::sql::Value;
use super::super::sql::{Connection, OptionalExtension, Row, params_from_iter};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Store;
use super::super::convert::{
    corrupt, get, moment, moment_option, parsed, parsed_option, signed, unsigned,
};
use super::super::error::{Result, StoreError};
use super::super::filter::{Conditions, text};
use crate::core::change::{Change, SpecPatch};
use crate::core::id::ResourceId;
use crate::core::job::{ErrorCode, JobOrigin, JobStatus, JobType, UnknownWord, words};
use crate::core::plan::changes_of_new;
use crate::core::recorded::{JobId, PlanId, ResourceStatus};

/// What a job makes all of: parts of its payload by their digests.
#[derive(Deserialize)]
struct Made {
    made: Vec<MadeOf>,
}

/// A resource that a job makes all of, and the part of its payload that says how.
#[derive(Deserialize)]
struct MadeOf {
    resource: ResourceId,
    part: String,
}

words! {
    /// How an attempt ended.
    AttemptEnd, "attempt end" {
        Succeeded = "succeeded",
        Failed = "failed",
        /// It failed and the job went back into the queue.
        Retried = "retried",
        Cancelled = "cancelled",
        /// Its worker died or lost its lease.
        Interrupted = "interrupted",
    }
}

/// One job, in the shape of its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Job {
    pub id: JobId,
    pub job_type: JobType,
    pub status: JobStatus,
    pub resource: ResourceId,
    /// The name of the site.
    pub site_id: Option<String>,
    /// The id of the environment.
    pub environment_id: Option<ResourceId>,
    /// The name of the node.
    pub node_id: String,
    pub plan_id: PlanId,
    pub origin: JobOrigin,
    pub attempt_count: u32,
    pub max_attempts: u32,
    pub run_after: Timestamp,
    pub locked_at: Option<Timestamp>,
    pub locked_by: Option<String>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub error_code: Option<ErrorCode>,
    pub error_message: Option<String>,
    pub revision: String,
    pub reason: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The place in the order of all jobs ever; the cursor of lists.
    #[serde(skip)]
    pub sequence: u64,
}

/// What a job carries out, as it was queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobContent {
    /// A JSON array.
    pub changes: String,
    pub has_effects: bool,
    /// A JSON object.
    pub payload: String,
    pub status_on_start: Option<ResourceStatus>,
    pub status_on_failure: Option<ResourceStatus>,
}

/// One attempt at a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Attempt {
    pub number: u32,
    pub worker: String,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// None while it runs.
    pub outcome: Option<AttemptEnd>,
    pub error_code: Option<ErrorCode>,
    pub error_message: Option<String>,
    /// How many events were not kept because there were too many.
    pub events_dropped: u64,
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub status: Option<JobStatus>,
    pub resource: Option<ResourceId>,
    pub node: Option<String>,
    pub site: Option<String>,
    pub plan: Option<PlanId>,
    /// The cursor of the page before.
    pub cursor: Option<u64>,
    pub limit: u32,
}

/// Jobs, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPage {
    pub jobs: Vec<Job>,
    /// Leads to the next page, if there is one.
    pub cursor: Option<u64>,
}

impl Store {
    /// The job with this id, or none.
    ///
    /// # Errors
    /// When the database fails or holds a job that cannot be read.
    pub fn job(&self, id: JobId) -> Result<Option<Job>> {
        find(&self.connection, id)
    }

    /// A page of the jobs that `filter` lets through.
    ///
    /// # Errors
    /// When the database fails or holds a job that cannot be read.
    pub fn jobs(&self, filter: &JobFilter) -> Result<JobPage> {
        let mut conditions = Conditions::default()
            .and("status =", filter.status.as_ref().map(text))
            .and("resource =", filter.resource.as_ref().map(text))
            .and("node_id =", filter.node.as_ref().map(text))
            .and("site_id =", filter.site.as_ref().map(text))
            .and("plan_id =", filter.plan.as_ref().map(text))
            .and(
                "sequence <",
                filter.cursor.map(|n| Value::Integer(signed(n))),
            );
        let limit = i64::from(filter.limit) + 1;
        let query = conditions.query("SELECT * FROM jobs", "sequence DESC", limit);
        let mut statement = self.connection.prepare_cached(&query)?;
        let rows = statement.query_and_then(params_from_iter(conditions.values), read)?;
        let mut jobs = rows.collect::<Result<Vec<_>>>()?;
        let more = jobs.len() > filter.limit as usize;
        jobs.truncate(filter.limit as usize);
        let cursor = jobs.last().filter(|_| more).map(|job| job.sequence);
        Ok(JobPage { jobs, cursor })
    }

    /// Jobs whose id begins or ends with `text`, the newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails or holds a job that cannot be read.
    pub fn jobs_like(&self, text: &str, limit: u32) -> Result<Vec<Job>> {
        // What an id is not made of is none of its ends.
        let is_part = |c: char| c.is_ascii_hexdigit() || c == '-';
        if !text.chars().all(is_part) {
            return Ok(Vec::new());
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT * FROM jobs WHERE id LIKE ?1 OR id LIKE ?2 ORDER BY sequence DESC LIMIT ?3",
        )?;
        let ends = [format!("{text}%"), format!("%{text}")];
        let rows = statement.query_and_then((&ends[0], &ends[1], limit), read)?;
        rows.collect()
    }

    /// How many jobs of a plan are in each status; statuses without jobs are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub fn job_counts(&self, plan: PlanId) -> Result<Vec<(JobStatus, u64)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT status, count(*) AS jobs FROM jobs WHERE plan_id = ?1 GROUP BY status",
        )?;
        let rows = statement.query_and_then([plan.to_string()], |row| {
            Ok((parsed(row, "status")?, unsigned(row, "jobs")?))
        })?;
        rows.collect()
    }

    /// The newest job of a resource, or none.
    ///
    /// # Errors
    /// When the database fails or holds a job that cannot be read.
    pub fn last_job(&self, resource: &ResourceId) -> Result<Option<Job>> {
        let row = self
            .connection
            .prepare_cached(
                "SELECT * FROM jobs WHERE resource = ?1 ORDER BY sequence DESC LIMIT 1",
            )?
            .query_row([resource.to_string()], |row| Ok(read(row)))
            .optional()?;
        row.transpose()
    }

    /// The last job that made one of `resources` what it should be, or none.
    ///
    /// # Errors
    /// When the database fails or holds a job that cannot be read.
    pub fn last_converged(&self, resources: &[ResourceId]) -> Result<Option<Job>> {
        let mut last: Option<Job> = None;
        for resource in resources {
            let mut statement = self.connection.prepare_cached(
                "SELECT * FROM jobs INDEXED BY jobs_by_resource
                 WHERE resource = ?1 AND status = 'succeeded' ORDER BY sequence DESC",
            )?;
            let jobs = statement.query_and_then([resource.to_string()], read)?;
            for job in jobs {
                let job = job?;
                if job.job_type.converges() {
                    if last
                        .as_ref()
                        .is_none_or(|last| last.sequence < job.sequence)
                    {
                        last = Some(job);
                    }
                    break;
                }
            }
        }
        Ok(last)
    }

    /// The differences that a job carries out, secrets as `(sensitive)`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without such a job, and when they cannot be read.
    pub fn job_changes(&self, id: JobId) -> Result<Vec<Change>> {
        let text: String = self
            .connection
            .prepare_cached("SELECT changes FROM job_payloads WHERE job = ?1")?
            .query_row([id.to_string()], |row| row.get(0))
            .optional()?
            .ok_or_else(|| not_found(id))?;
        if !text.starts_with('{') {
            return serde_json::from_str(&text).map_err(corrupt);
        }
        let Made { made } = serde_json::from_str(&text).map_err(corrupt)?;
        let own = require(&self.connection, id)?.resource;
        let mut changes = Vec::new();
        for MadeOf { resource, part } in made {
            let text = self.part(&part)?;
            let text = text.ok_or_else(|| corrupt(format!("the part `{part}` is missing")))?;
            let spec = serde_json::from_str(&text).map_err(corrupt)?;
            let other = Some(&resource).filter(|of| **of != own);
            changes.extend(changes_of_new(&SpecPatch::of(&spec), other));
        }
        Ok(changes)
    }

    /// What a job was queued with: its changes, its payload, and the status of its resource
    /// while it runs and after it failed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without such a job.
    pub fn job_content(&self, id: JobId) -> Result<JobContent> {
        self.connection
            .prepare_cached(
                "SELECT changes, has_effects, payload, status_on_start, status_on_failure FROM jobs
                 JOIN job_payloads ON job_payloads.job = jobs.id WHERE jobs.id = ?1",
            )?
            .query_and_then([id.to_string()], |row| {
                Ok(JobContent {
                    changes: get(row, "changes")?,
                    has_effects: get(row, "has_effects")?,
                    payload: get(row, "payload")?,
                    status_on_start: parsed_option(row, "status_on_start")?,
                    status_on_failure: parsed_option(row, "status_on_failure")?,
                })
            })?
            .next()
            .unwrap_or_else(|| Err(not_found(id)))
    }

    /// The jobs that wait or waited for `id`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn job_dependents(&self, id: JobId) -> Result<Vec<JobId>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT job FROM job_dependencies WHERE depends_on = ?1 ORDER BY job",
        )?;
        let rows = statement.query_and_then([id.to_string()], |row| parsed(row, "job"))?;
        rows.collect()
    }

    /// The jobs that `id` waits for or waited for.
    ///
    /// # Errors
    /// When the database fails.
    pub fn job_dependencies(&self, id: JobId) -> Result<Vec<JobId>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT depends_on FROM job_dependencies WHERE job = ?1 ORDER BY depends_on",
        )?;
        let rows = statement.query_and_then([id.to_string()], |row| parsed(row, "depends_on"))?;
        rows.collect()
    }

    /// The attempts at a job, the first one first.
    ///
    /// # Errors
    /// When the database fails or holds an attempt that cannot be read.
    pub fn attempts(&self, id: JobId) -> Result<Vec<Attempt>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT * FROM attempts WHERE job = ?1 ORDER BY number")?;
        let rows = statement.query_and_then([id.to_string()], |row| {
            Ok(Attempt {
                number: get(row, "number")?,
                worker: get(row, "worker")?,
                started_at: moment(row, "started_at")?,
                finished_at: moment_option(row, "finished_at")?,
                outcome: parsed_option(row, "outcome")?,
                error_code: parsed_option(row, "error_code")?,
                error_message: get(row, "error_message")?,
                events_dropped: unsigned(row, "events_dropped")?,
            })
        })?;
        rows.collect()
    }
}

pub(in crate::store) fn find(connection: &Connection, id: JobId) -> Result<Option<Job>> {
    let row = connection
        .prepare_cached("SELECT * FROM jobs WHERE id = ?1")?
        .query_row([id.to_string()], |row| Ok(read(row)))
        .optional()?;
    row.transpose()
}

/// The job, which has to exist.
pub(super) fn require(connection: &Connection, id: JobId) -> Result<Job> {
    find(connection, id)?.ok_or_else(|| not_found(id))
}

fn not_found(id: JobId) -> StoreError {
    StoreError::NotFound {
        what: "job",
        name: id.to_string(),
    }
}

pub(in crate::store) fn read(row: &Row<'_>) -> Result<Job> {
    Ok(Job {
        id: parsed(row, "id")?,
        job_type: parsed(row, "job_type")?,
        status: parsed(row, "status")?,
        resource: parsed(row, "resource")?,
        site_id: get(row, "site_id")?,
        environment_id: parsed_option(row, "environment_id")?,
        node_id: get(row, "node_id")?,
        plan_id: parsed(row, "plan_id")?,
        origin: parsed(row, "origin")?,
        attempt_count: get(row, "attempt_count")?,
        max_attempts: get(row, "max_attempts")?,
        run_after: moment(row, "run_after")?,
        locked_at: moment_option(row, "locked_at")?,
        locked_by: get(row, "locked_by")?,
        started_at: moment_option(row, "started_at")?,
        finished_at: moment_option(row, "finished_at")?,
        error_code: parsed_option(row, "error_code")?,
        error_message: get(row, "error_message")?,
        revision: get(row, "revision")?,
        reason: get(row, "reason")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
        sequence: unsigned(row, "sequence")?,
    })
}
