//! Queueing a plan: all of its jobs or none, against the record that it was made from.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::super::sql::{Connection, Transaction, params};
use jiff::Timestamp;
use serde_json::json;

use super::super::Store;
use super::super::audit::{NewEntry, append, head};
use super::super::convert::{parsed, signed};
use super::super::error::{Result, StoreError};
use super::super::record::resource::{check_generations, generation};
use super::counter::next;
use super::job::require;
use super::new_plan::{Joins, NewJob, NewPlan};
use super::stale::is_stale;
use super::supersede::{supersede, supersede_rest};
use super::unreachable::wake;
use crate::core::audit::AuditAction;
use crate::core::id::ResourceId;
use crate::core::recorded::{JobId, PlanId, ResourceStatus};
use crate::crash_point::reach;

/// What queueing a plan did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enqueued {
    /// Queued jobs of older plans that this plan made pointless.
    pub superseded: Vec<JobId>,
    /// Jobs of the plan that were left out, each with the one that does the same, in the order of
    /// the plan.
    pub joined: Vec<(JobId, (JobId, PlanId))>,
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
        self.write(|tx| queue(tx, plan, jobs, actor, now))
    }
}

/// Queues jobs that can be finished in some order.
fn queue(
    tx: &Transaction<'_>,
    plan: &NewPlan,
    jobs: &[NewJob],
    actor: &str,
    now: Timestamp,
) -> Result<Enqueued> {
    check_generations(tx, &plan.expected)?;
    reach("enqueue: begun");
    // Whoever asks for a whole plan does not want to wait for a node's next probe.
    let wakes = |tx: &Transaction<'_>, jobs: &mut dyn Iterator<Item = &NewJob>| {
        for node in jobs.map(|job| &job.node).collect::<BTreeSet<_>>() {
            wake(tx, node, actor, now)?;
        }
        Ok::<(), StoreError>(())
    };
    if matches!(plan.joins, Joins::Nothing | Joins::Whole) {
        wakes(tx, &mut jobs.iter())?;
    }
    let joined = joined(tx, plan, jobs, now)?;
    let left: Vec<&NewJob> = match plan.joins {
        Joins::Only => Vec::new(),
        Joins::Nothing | Joins::Whole | Joins::Groups => jobs
            .iter()
            .filter(|job| !joined.contains_key(&job.id))
            .collect(),
    };
    if plan.joins == Joins::Groups {
        wakes(tx, &mut left.iter().copied())?;
    }
    let mut superseded = supersede(tx, plan, &left, actor, now)?;
    if !plan.partial {
        let spared: HashSet<JobId> = joined.values().map(|(job, _)| *job).collect();
        superseded.extend(supersede_rest(tx, plan, &spared, actor, now)?);
    }
    reach("enqueue: superseded");
    if !left.is_empty() || !superseded.is_empty() {
        insert_plan(tx, plan, actor, now)?;
        reach("enqueue: plan inserted");
        audit_plan(tx, plan, left.len(), superseded.len(), actor, now)?;
        reach("enqueue: audited");
        insert_jobs(tx, plan, &left, now)?;
        reach("enqueue: jobs inserted");
    }
    let joined = jobs
        .iter()
        .filter_map(|job| Some((job.id, *joined.get(&job.id)?)))
        .collect();
    Ok(Enqueued { superseded, joined })
}

impl Store {
    /// Whether any job has not ended.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_open_jobs(&self) -> Result<bool> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT 1 FROM jobs INDEXED BY jobs_open_work
                 WHERE status IN ('queued', 'running', 'unknown')",
            )?
            .exists([])?)
    }

    /// Whether a job is queued that a plan asked for and that would change what is recorded.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_queued_changes(&self) -> Result<bool> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT 1 FROM jobs INDEXED BY jobs_by_status
                 WHERE status = 'queued' AND origin = 'plan' AND has_effects",
            )?
            .exists([])?)
    }
}

pub(super) fn audit_plan(
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
    append(tx, now, &entry)?;
    tx.prepare_cached("UPDATE plans SET audit_seq = ?2 WHERE id = ?1")?
        .execute(params![plan.id.to_string(), signed(head(tx)?.seq)])?;
    Ok(())
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

pub(super) fn insert_plan(
    tx: &Connection,
    plan: &NewPlan,
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO plans (id, revision, digest, partial, created_by, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        plan.id.to_string(),
        plan.revision,
        plan.digest,
        plan.partial,
        actor,
        now.as_microsecond(),
    ])?;
    Ok(())
}

/// The jobs of the plan that are left out, each with one that does the same.
fn joined(
    tx: &Connection,
    plan: &NewPlan,
    jobs: &[NewJob],
    now: Timestamp,
) -> Result<BTreeMap<JobId, (JobId, PlanId)>> {
    let (groups, due) = match plan.joins {
        Joins::Nothing => return Ok(BTreeMap::new()),
        // Whoever plans anew by hand does not want to wait for a next attempt.
        Joins::Whole => (vec![jobs.iter().collect()], now),
        Joins::Groups => (groups(jobs), Timestamp::MAX),
        Joins::Only => (jobs.iter().map(|job| vec![job]).collect(), Timestamp::MAX),
    };
    let mut joined = BTreeMap::new();
    // What is spared when a plan of the whole fleet ends what is queued.
    let mut spared = (!plan.partial).then(HashSet::new);
    for group in groups {
        if let Some(equal) = equal_work(tx, &group, due, spared.as_ref())? {
            if let Some(spared) = &mut spared {
                spared.extend(equal.iter().map(|(job, _)| *job));
            }
            joined.extend(group.iter().map(|job| job.id).zip(equal));
        }
    }
    Ok(joined)
}

/// The jobs in groups, so that none waits for one of another group or is for the same resource.
fn groups(jobs: &[NewJob]) -> Vec<Vec<&NewJob>> {
    let mut number: HashMap<JobId, usize> = HashMap::new();
    let mut of_resource: HashMap<&ResourceId, usize> = HashMap::new();
    // Groups that turned out to be one have the same root.
    let mut parent: Vec<usize> = (0..jobs.len()).collect();
    for (index, job) in jobs.iter().enumerate() {
        number.insert(job.id, index);
        let same = *of_resource.entry(&job.resource).or_insert(index);
        let (a, b) = (root(&parent, same), root(&parent, index));
        parent[a.max(b)] = a.min(b);
    }
    for (index, job) in jobs.iter().enumerate() {
        for need in job.depends_on.iter().filter_map(|need| number.get(need)) {
            let (a, b) = (root(&parent, *need), root(&parent, index));
            parent[a.max(b)] = a.min(b);
        }
    }
    let mut groups: BTreeMap<usize, Vec<&NewJob>> = BTreeMap::new();
    for (index, job) in jobs.iter().enumerate() {
        groups.entry(root(&parent, index)).or_default().push(job);
    }
    groups.into_values().collect()
}

fn root(parent: &[usize], mut at: usize) -> usize {
    while parent[at] != at {
        at = parent[at];
    }
    at
}

/// For each of `jobs` one that does the same and will not be refused, or none when there is not
/// one for each. One whose next attempt comes after `due` is none, and with `spared` neither is one
/// that waits for a queued job that is neither spared nor one of those found: it would end with it.
fn equal_work(
    tx: &Connection,
    jobs: &[&NewJob],
    due: Timestamp,
    spared: Option<&HashSet<JobId>>,
) -> Result<Option<Vec<(JobId, PlanId)>>> {
    let mut found = Vec::new();
    let mut known = HashSet::new();
    for job in jobs {
        let candidates: Vec<JobId> = tx
            .prepare_cached(
                "SELECT id FROM jobs INDEXED BY jobs_open_work
                 WHERE work = ?1 AND status IN ('queued', 'running', 'unknown')
                   AND (status <> 'queued' OR run_after <= ?2)
                 ORDER BY sequence",
            )?
            .query_and_then(params![work_digest(job), due.as_microsecond()], |row| {
                parsed(row, "id")
            })?
            .collect::<Result<_>>()?;
        let mut equal = None;
        for id in candidates {
            let candidate = require(tx, id)?;
            if known.contains(&id) || is_stale(tx, &candidate)? {
                continue;
            }
            let stays = match spared {
                Some(spared) => queued_needs(tx, id)?
                    .iter()
                    .all(|need| known.contains(need) || spared.contains(need)),
                None => true,
            };
            if stays {
                equal = Some((id, candidate.plan_id));
                break;
            }
        }
        match equal {
            Some(equal) => {
                known.insert(equal.0);
                found.push(equal);
            }
            None => return Ok(None),
        }
    }
    Ok((!found.is_empty()).then_some(found))
}

/// The queued jobs that a job waits for.
fn queued_needs(tx: &Connection, job: JobId) -> Result<Vec<JobId>> {
    tx.prepare_cached(
        "SELECT depends_on FROM job_dependencies JOIN jobs ON jobs.id = depends_on
         WHERE job = ?1 AND status = 'queued'",
    )?
    .query_and_then([job.to_string()], |row| parsed(row, "depends_on"))?
    .collect()
}

/// A digest of what the job does, so that equal work is found by an index.
pub(super) fn work_digest(job: &NewJob) -> [u8; 32] {
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

pub(super) fn insert_jobs(
    tx: &Connection,
    plan: &NewPlan,
    jobs: &[&NewJob],
    now: Timestamp,
) -> Result<()> {
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
                 created_at, updated_at, work, origin, has_effects)
             VALUES (?1, ?2, ?3, ?4, 'queued', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
                 ?16, ?17, ?17, ?18, ?19, ?20)",
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
            work_digest(job),
            job.origin.as_str(),
            job.has_effects,
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
