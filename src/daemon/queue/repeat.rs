//! Running the work of an ended job once more.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::error::DaemonError;
use super::super::plan::payload::{QueuedEffect, QueuedPayload};
use crate::core::job::{ErrorCode, JobStatus};
use crate::core::recorded::JobId;
use crate::store::{Enqueued, Job, Joins, NewJob, NewPlan, Store, new_job_id, new_plan_id};

/// Queues the work of `job`, which has failed or was cancelled, as a new job. So for what it
/// needs and that did not succeed either, and for all that was cancelled only because it waited
/// for one of these. The new jobs, in the order of the old ones.
///
/// # Errors
/// [`DaemonError::Moved`] when something else was recorded since of what they change, and
/// [`DaemonError::Outdated`] when something else is wanted since;
/// [`DaemonError::NotEnded`] when the job did not fail; [`DaemonError::Needs`] when it needs one
/// that is still to come.
pub fn repeat(
    store: &mut Store,
    job: &Job,
    actor: &str,
    now: Timestamp,
) -> Result<Vec<JobId>, DaemonError> {
    if !matches!(job.status, JobStatus::Failed | JobStatus::Cancelled) {
        return Err(DaemonError::NotEnded(job.id, job.status));
    }
    let old = related(store, job)?;
    let ids: BTreeMap<JobId, JobId> = old.iter().map(|old| (old.id, new_job_id(now))).collect();
    let mut jobs = Vec::new();
    for old in &old {
        if store.job_is_stale(old.id)? {
            return Err(DaemonError::Moved(old.resource.clone()));
        }
        let content = store.job_content(old.id)?;
        let queued: QueuedPayload = serde_json::from_str(&content.payload)?;
        if !is_wanted(store, old, &queued.effects)? {
            return Err(DaemonError::Outdated(old.id, old.resource.clone()));
        }
        jobs.push(NewJob {
            id: ids[&old.id],
            job_type: old.job_type,
            resource: old.resource.clone(),
            node: old.node_id.clone(),
            // Who wanted it still does: a plan that makes it pointless ends it as it would the old one.
            origin: old.origin,
            max_attempts: old.max_attempts,
            run_after: now,
            status_on_start: content.status_on_start,
            status_on_failure: content.status_on_failure,
            reason: old.reason.clone(),
            changes: content.changes,
            has_effects: content.has_effects,
            payload: content.payload,
            depends_on: store
                .job_dependencies(old.id)?
                .iter()
                .filter_map(|need| ids.get(need).copied())
                .collect(),
        });
    }
    let plan = NewPlan {
        id: new_plan_id(now),
        revision: job.revision.clone(),
        digest: blake3::hash(format!("again: {}", job.id).as_bytes())
            .to_hex()
            .to_string(),
        partial: true,
        joins: Joins::Whole,
        expected: Vec::new(),
    };
    let Enqueued { joined, .. } = store.enqueue(&plan, &jobs, actor, now)?;
    Ok(if joined.is_empty() {
        jobs.iter().map(|job| job.id).collect()
    } else {
        joined.into_iter().map(|(_, (job, _))| job).collect()
    })
}

/// Whether what the job brings about is what the last plan wanted. A check brings nothing about.
fn is_wanted(store: &Store, job: &Job, effects: &[QueuedEffect]) -> Result<bool, DaemonError> {
    if job.error_code == Some(ErrorCode::Superseded) {
        return Ok(false);
    }
    let mut is_wanted = effects.is_empty();
    for effect in effects {
        match store.wanted_since(&effect.resource)? {
            Some(since) if since > job.created_at => return Ok(false),
            Some(_) => is_wanted = true,
            // As it is wanted by now, by another job perhaps.
            None if store.is_recorded(&effect.resource)? => {}
            // Nobody asks for it any more.
            None => return Ok(false),
        }
    }
    Ok(is_wanted)
}

/// The job, what it needs of what did not succeed, and what waited for nothing but these, in
/// their order.
fn related(store: &Store, job: &Job) -> Result<Vec<Job>, DaemonError> {
    let mut found: BTreeMap<JobId, Job> = BTreeMap::from([(job.id, job.clone())]);
    let mut next = vec![job.id];
    while let Some(id) = next.pop() {
        for need in store.job_dependencies(id)? {
            let Some(needed) = store.job(need)? else {
                continue;
            };
            match needed.status {
                JobStatus::Succeeded => {}
                JobStatus::Failed | JobStatus::Cancelled => {
                    found.insert(need, needed);
                    next.push(need);
                }
                JobStatus::Queued | JobStatus::Running | JobStatus::Unknown => {
                    return Err(DaemonError::Needs(id, need, needed.status));
                }
            }
        }
    }
    let mut next: Vec<JobId> = found.keys().copied().collect();
    while let Some(id) = next.pop() {
        for dependent in store.job_dependents(id)? {
            let Some(waiting) = store.job(dependent)? else {
                continue;
            };
            let only_waited = waiting.status == JobStatus::Cancelled
                && waiting.error_code == Some(ErrorCode::DependencyFailed);
            let mut is_ready = only_waited && !found.contains_key(&dependent);
            for need in store.job_dependencies(dependent)? {
                let has_succeeded = store
                    .job(need)?
                    .is_some_and(|job| job.status == JobStatus::Succeeded);
                is_ready &= has_succeeded || found.contains_key(&need);
            }
            if is_ready {
                found.insert(dependent, waiting);
                // Once more from all, for one that needed several of them.
                next = found.keys().copied().collect();
            }
        }
    }
    let mut jobs: Vec<Job> = found.into_values().collect();
    jobs.sort_by_key(|job| job.sequence);
    Ok(jobs)
}
