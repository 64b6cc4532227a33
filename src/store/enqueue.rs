//! Queueing a plan: all of its jobs or none, against the record that it was made from.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde_json::json;

use super::Store;
use super::audit::{NewEntry, append};
use super::claim::is_stale;
use super::convert::{get, parsed, signed};
use super::error::{Result, StoreError};
use super::finish::{Ending, cancel_dependents, end_queued};
use super::job::require;
use super::resource::{check_generations, generation};
use super::unreachable::wake;
use crate::core::audit::AuditAction;
use crate::core::id::ResourceId;
use crate::core::job::{ErrorCode, JobType};
use crate::core::recorded::{JobId, PlanId, ResourceStatus};
use crate::crash_point::reach;

/// A plan as it is queued.
#[derive(Clone, Debug)]
pub struct NewPlan {
    pub id: PlanId,
    /// The id of a saved revision.
    pub revision: String,
    pub digest: String,
    /// The plan as JSON, without secrets.
    pub json: String,
    /// Whether it covers only a part of the fleet (`--target`, `--exclude`).
    pub partial: bool,
    /// Whether nothing is queued when equal work is queued or runs for each of its jobs.
    pub joins: bool,
    /// The recorded generation of every resource that the plan touches; 0: not recorded.
    pub expected: Vec<(ResourceId, u64)>,
}

/// One job of a plan. Site and environment follow from its resource.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub id: JobId,
    pub job_type: JobType,
    pub resource: ResourceId,
    /// The name of the node that it works on: its lane.
    pub node: String,
    pub max_attempts: u32,
    /// Not claimed before this moment.
    pub run_after: Timestamp,
    /// The status of the resource while the job runs and after it failed, if it is recorded.
    pub status_on_start: Option<ResourceStatus>,
    pub status_on_failure: Option<ResourceStatus>,
    pub reason: String,
    /// A JSON array for people, secrets as `(sensitive)`.
    pub changes: String,
    /// A JSON object with all that the executor needs, without secrets.
    pub payload: String,
    /// Jobs of the same plan that have to succeed first.
    pub depends_on: Vec<JobId>,
}

/// What queueing a plan did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enqueued {
    Queued {
        /// Queued jobs of older plans that this plan made pointless.
        superseded: Vec<JobId>,
    },
    /// Nothing: all of its work is there already. The jobs that do it, in the order of the plan's.
    Joined { jobs: Vec<(JobId, PlanId)> },
}

impl Store {
    /// Queues `jobs` of `plan` in their order, in one transaction.
    ///
    /// Jobs of other plans that are still queued for the same resources are cancelled, and so
    /// is what depends on them. A plan of the whole fleet also cancels what would change other
    /// resources: they are as they should be, or their change is not wanted any more. Nodes that
    /// did not answer are tried again.
    ///
    /// # Errors
    /// [`StoreError::StalePlan`] with the resources whose generation is not the expected one,
    /// [`StoreError::BadDependencies`]; then nothing is written.
    pub fn enqueue(
        &mut self,
        plan: &NewPlan,
        jobs: &[NewJob],
        actor: &str,
        now: Timestamp,
    ) -> Result<Enqueued> {
        check_dependencies(jobs)?;
        self.write(|tx| {
            check_generations(tx, &plan.expected)?;
            reach("enqueue: begun");
            for node in jobs.iter().map(|job| &job.node).collect::<BTreeSet<_>>() {
                wake(tx, node, actor, now)?;
            }
            if plan.joins
                && let Some(jobs) = equal_work(tx, jobs, now)?
            {
                return Ok(Enqueued::Joined { jobs });
            }
            insert_plan(tx, plan, actor, now)?;
            reach("enqueue: plan inserted");
            let mut superseded = supersede(tx, plan, jobs, actor, now)?;
            if !plan.partial {
                superseded.extend(supersede_rest(tx, plan, actor, now)?);
            }
            reach("enqueue: superseded");
            audit_plan(tx, plan, jobs.len(), superseded.len(), actor, now)?;
            reach("enqueue: audited");
            insert_jobs(tx, plan, jobs, now)?;
            reach("enqueue: jobs inserted");
            Ok(Enqueued::Queued { superseded })
        })
    }
}

/// What queueing checks did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// The new jobs.
    pub queued: Vec<JobId>,
    /// Jobs that check one of the same resources and have not ended, with their plans.
    pub open: Vec<(JobId, PlanId)>,
}

impl Store {
    /// Queues jobs that look and change nothing, in their order. They take the place of no other
    /// job, and one that is open already for its resource is not queued again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn enqueue_checks(
        &mut self,
        plan: &NewPlan,
        jobs: Vec<NewJob>,
        actor: &str,
        now: Timestamp,
    ) -> Result<Checks> {
        self.write(|tx| {
            let mut checks = Checks::default();
            let mut new = Vec::with_capacity(jobs.len());
            for job in jobs {
                match open_job(tx, job.job_type, &job.resource)? {
                    Some(open) => checks.open.push(open),
                    None => new.push(job),
                }
            }
            if new.is_empty() {
                return Ok(checks);
            }
            insert_plan(tx, plan, actor, now)?;
            audit_plan(tx, plan, new.len(), 0, actor, now)?;
            insert_jobs(tx, plan, &new, now)?;
            checks.queued = new.iter().map(|job| job.id).collect();
            Ok(checks)
        })
    }
}

/// A job of this type for this resource that has not ended, and its plan.
fn open_job(
    tx: &Connection,
    job_type: JobType,
    resource: &ResourceId,
) -> Result<Option<(JobId, PlanId)>> {
    tx.prepare_cached(
        "SELECT id, plan_id FROM jobs INDEXED BY jobs_by_resource
         WHERE resource = ?1 AND job_type = ?2 AND status IN ('queued', 'running', 'unknown')
         ORDER BY sequence DESC LIMIT 1",
    )?
    .query_and_then(params![resource.to_string(), job_type.as_str()], |row| {
        Ok((parsed(row, "id")?, parsed(row, "plan_id")?))
    })?
    .next()
    .transpose()
}

fn audit_plan(
    tx: &Connection,
    plan: &NewPlan,
    jobs: usize,
    superseded: usize,
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    let detail = json!({
        "plan": plan.id, "revision": plan.revision, "digest": plan.digest,
        "partial": plan.partial, "jobs": jobs, "superseded": superseded,
    });
    let entry = NewEntry {
        actor,
        action: AuditAction::PlanQueued,
        resource: None,
        job: None,
        detail,
    };
    append(tx, now, &entry)
}

/// Jobs can be finished in some order: each dependency is among them and none leads back.
fn check_dependencies(jobs: &[NewJob]) -> Result<()> {
    let mut waiting: HashMap<JobId, usize> = HashMap::new();
    let mut dependents: HashMap<JobId, Vec<JobId>> = HashMap::new();
    for job in jobs {
        let distinct: HashSet<JobId> = job.depends_on.iter().copied().collect();
        waiting.insert(job.id, distinct.len());
        for dependency in distinct {
            dependents.entry(dependency).or_default().push(job.id);
        }
    }
    let mut ready: Vec<JobId> = waiting
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(id, _)| *id)
        .collect();
    let mut done = 0;
    while let Some(id) = ready.pop() {
        done += 1;
        for dependent in dependents.remove(&id).unwrap_or_default() {
            if let Some(count) = waiting.get_mut(&dependent) {
                *count -= 1;
                if *count == 0 {
                    ready.push(dependent);
                }
            }
        }
    }
    if done == jobs.len() {
        Ok(())
    } else {
        Err(StoreError::BadDependencies)
    }
}

fn insert_plan(tx: &Connection, plan: &NewPlan, actor: &str, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO plans (id, revision, digest, json, partial, created_by, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        plan.id.to_string(),
        plan.revision,
        plan.digest,
        plan.json,
        plan.partial,
        actor,
        now.as_microsecond(),
    ])?;
    Ok(())
}

fn supersede(
    tx: &Connection,
    plan: &NewPlan,
    jobs: &[NewJob],
    actor: &str,
    now: Timestamp,
) -> Result<Vec<JobId>> {
    let resources: BTreeSet<String> = jobs.iter().map(|job| job.resource.to_string()).collect();
    let mut superseded = Vec::new();
    for resource in resources {
        // One at a time: ending a job can end others of the same resource.
        loop {
            let found = tx
                .prepare_cached(
                    "SELECT id, job_type FROM jobs
                     WHERE status = 'queued' AND resource = ?1 ORDER BY sequence LIMIT 1",
                )?
                .query_and_then([&resource], |row| {
                    let job_type: String = get(row, "job_type")?;
                    Ok::<_, StoreError>((parsed::<JobId>(row, "id")?, job_type))
                })?
                .next()
                .transpose()?;
            let Some((job, job_type)) = found else { break };
            let message = format!("plan `{}` has jobs for `{resource}`", plan.id);
            let what = format!("`{job_type}` of `{resource}`");
            superseded.extend(end_superseded(tx, job, &what, message, actor, now)?);
        }
    }
    Ok(superseded)
}

/// Cancels what is queued by other plans and would change something. A job that waits for one
/// that runs is left alone: what that one does is not known yet.
fn supersede_rest(
    tx: &Connection,
    plan: &NewPlan,
    actor: &str,
    now: Timestamp,
) -> Result<Vec<JobId>> {
    let mut superseded = Vec::new();
    loop {
        let found = tx
            .prepare_cached(
                "SELECT id, job_type, resource FROM jobs INDEXED BY jobs_ready
                 WHERE status = 'queued' AND blocked_by = 0
                   AND (SELECT changes <> '[]' FROM job_payloads WHERE job = jobs.id)
                 ORDER BY node_id, sequence LIMIT 1",
            )?
            .query_and_then([], |row| {
                let what: (String, String) = (get(row, "job_type")?, get(row, "resource")?);
                Ok::<_, StoreError>((parsed::<JobId>(row, "id")?, what))
            })?
            .next()
            .transpose()?;
        let Some((job, (job_type, resource))) = found else {
            return Ok(superseded);
        };
        let message = format!("plan `{}` leaves `{resource}` as it is", plan.id);
        let what = format!("`{job_type}` of `{resource}`");
        superseded.extend(end_superseded(tx, job, &what, message, actor, now)?);
    }
}

/// Ends a queued job and what waits for it; all that ended. `what` names the job to a person.
fn end_superseded(
    tx: &Connection,
    job: JobId,
    what: &str,
    message: String,
    actor: &str,
    now: Timestamp,
) -> Result<Vec<JobId>> {
    let ending = Ending {
        code: ErrorCode::Superseded,
        message,
        actor,
        now,
    };
    end_queued(tx, job, &ending)?;
    reach("supersede: job ended");
    let cause = format!("job `{job}` ({what}) was superseded");
    let mut ended = vec![job];
    ended.extend(cancel_dependents(tx, job, &cause, actor, now)?);
    reach("supersede: dependents ended");
    Ok(ended)
}

/// For each of `jobs` one that does the same and will not be refused, or none when there is not
/// one for each. One that waits for its next attempt is none: whoever plans anew does not want
/// to wait.
fn equal_work(
    tx: &Connection,
    jobs: &[NewJob],
    now: Timestamp,
) -> Result<Option<Vec<(JobId, PlanId)>>> {
    let mut found = Vec::new();
    for job in jobs {
        let candidates: Vec<JobId> = tx
            .prepare_cached(
                "SELECT id FROM jobs INDEXED BY jobs_open_work
                 WHERE work = ?1 AND status IN ('queued', 'running', 'unknown')
                   AND (status <> 'queued' OR run_after <= ?2)
                 ORDER BY sequence",
            )?
            .query_and_then(params![work(job), now.as_microsecond()], |row| {
                parsed(row, "id")
            })?
            .collect::<Result<_>>()?;
        let mut equal = None;
        for id in candidates {
            let candidate = require(tx, id)?;
            let is_new = !found.iter().any(|(known, _)| *known == id);
            if is_new && !is_stale(tx, &candidate)? {
                equal = Some((id, candidate.plan_id));
                break;
            }
        }
        match equal {
            Some(equal) => found.push(equal),
            None => return Ok(None),
        }
    }
    Ok((!found.is_empty()).then_some(found))
}

/// A digest of what the job does, so that equal work is found by an index.
fn work(job: &NewJob) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for text in [
        job.job_type.as_str(),
        &job.resource.to_string(),
        &job.node,
        &job.changes,
        &job.payload,
    ] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

fn insert_jobs(tx: &Connection, plan: &NewPlan, jobs: &[NewJob], now: Timestamp) -> Result<()> {
    let first = next(tx, "job_sequence", jobs.len())?;
    let expected: HashMap<&ResourceId, u64> = plan
        .expected
        .iter()
        .map(|(id, generation)| (id, *generation))
        .collect();
    let plan_id = plan.id.to_string();
    for (sequence, job) in (first..).zip(jobs) {
        let resource = job.resource.to_string();
        let base = match expected.get(&job.resource) {
            Some(generation) => *generation,
            None => generation(tx, &resource)?.0,
        };
        let site = job.resource.site();
        let environment = match &job.resource {
            ResourceId::Env { .. } => Some(resource.as_str()),
            ResourceId::Fleet | ResourceId::Node(_) | ResourceId::Site(_) => None,
        };
        let dependencies: BTreeSet<JobId> = job.depends_on.iter().copied().collect();
        let id = job.id.to_string();
        tx.prepare_cached(
            "INSERT INTO jobs (id, sequence, plan_id, job_type, status, resource, node_id,
                 site_id, environment_id, blocked_by, max_attempts, run_after,
                 base_generation, status_on_start, status_on_failure, revision, reason,
                 created_at, updated_at, work)
             VALUES (?1, ?2, ?3, ?4, 'queued', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
                 ?16, ?17, ?17, ?18)",
        )?
        .execute(params![
            id,
            sequence,
            plan_id,
            job.job_type.as_str(),
            resource,
            job.node,
            site,
            environment,
            dependencies.len() as i64,
            job.max_attempts,
            job.run_after.as_microsecond(),
            signed(base),
            job.status_on_start.map(ResourceStatus::as_str),
            job.status_on_failure.map(ResourceStatus::as_str),
            plan.revision,
            job.reason,
            now.as_microsecond(),
            work(job),
        ])?;
        reach("enqueue: job row inserted");
        tx.prepare_cached("INSERT INTO job_payloads (job, changes, payload) VALUES (?1, ?2, ?3)")?
            .execute(params![id, job.changes, job.payload])?;
        reach("enqueue: payload inserted");
    }
    // After all jobs are there, so that the order of the slice does not matter here.
    for job in jobs {
        let dependencies: BTreeSet<JobId> = job.depends_on.iter().copied().collect();
        for dependency in dependencies {
            tx.prepare_cached("INSERT INTO job_dependencies (job, depends_on) VALUES (?1, ?2)")?
                .execute([job.id.to_string(), dependency.to_string()])?;
            reach("enqueue: dependency inserted");
        }
    }
    Ok(())
}

/// Takes `count` numbers of a counter; the first of them.
pub(super) fn next(tx: &Connection, counter: &str, count: usize) -> Result<i64> {
    let last: i64 = tx
        .prepare_cached("UPDATE counters SET value = value + ?2 WHERE name = ?1 RETURNING value")?
        .query_row(params![counter, count as i64], |row| row.get(0))?;
    reach("counter: taken");
    Ok(last - count as i64 + 1)
}
