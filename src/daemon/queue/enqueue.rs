//! Queueing a plan: its jobs with all that they need, and the changes that need no job.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::super::error::DaemonError;
use super::super::plan::payload::{PackedPayload, QueuedPayload};
use super::super::plan::prepared::{Payloads, PlannedRevision, Prepared};
use super::record;
use crate::core::id::ResourceId;
use crate::core::job::JobOrigin;
use crate::core::plan::rails::Closed;
use crate::core::plan::{BlockCode, Effect, Plan, PlannedJob};
use crate::core::recorded::{JobId, PlanId};
use crate::core::spec::SpecHash;
use crate::store::{
    Enqueued, Joins, NewJob, NewPlan, NewTarget, Revision, Store, new_job_id, new_plan_id,
};

/// So many parts of payloads are made before they are kept.
const PARTS: usize = 1_000;

/// What queueing did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// None when the plan has no jobs, or all of its work was there already.
    pub plan: Option<PlanId>,
    /// How many jobs were queued.
    pub jobs: usize,
    /// Jobs that are queued or run already and do the same, with their plans.
    pub joined: Vec<(JobId, PlanId)>,
    pub superseded: usize,
    /// How many resources were recorded without a job.
    pub recorded: usize,
}

/// Queues the plan, provided that nothing that it touches has moved since it was made. When
/// equal jobs are there for all of its jobs, those are joined and nothing is queued.
///
/// # Errors
/// [`crate::store::StoreError::StalePlan`] when something has; then nothing is written.
pub fn enqueue(
    store: &mut Store,
    prepared: &Prepared,
    actor: &str,
    now: Timestamp,
) -> Result<Queued, DaemonError> {
    enqueue_beside(store, prepared, Joins::Whole, actor, now)
}

/// The same with a choice of what is left out because it is queued or runs already.
pub(in crate::daemon) fn enqueue_beside(
    store: &mut Store,
    prepared: &Prepared,
    joins: Joins,
    actor: &str,
    now: Timestamp,
) -> Result<Queued, DaemonError> {
    let plan = &prepared.plan;
    let jobs = new_jobs(store, prepared, now)?;
    // First what needs no job: a job is refused when its resource moves after it was queued.
    let (mut queued, expected) = record_only(store, prepared, actor, now)?;
    let mut carried_by: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    // A plan of the whole fleet without jobs still says that nothing else is wanted.
    if !jobs.is_empty() || (!plan.partial && store.has_queued_changes()?) {
        let new = new_plan(prepared, joins, expected, now)?;
        let Enqueued { superseded, joined } = store.enqueue(&new, &jobs, actor, now)?;
        queued.superseded = superseded.len();
        queued.jobs = jobs.len() - joined.len();
        queued.plan = (queued.jobs > 0).then_some(new.id);
        queued.joined = joined.iter().map(|(_, joined)| *joined).collect();
        let joined: BTreeMap<JobId, (JobId, PlanId)> = joined.into_iter().collect();
        for carried_by in &mut carried_by {
            if let Some((job, _)) = joined.get(carried_by) {
                *carried_by = *job;
            }
        }
    }
    let targets = targets(prepared, &carried_by);
    store.set_targets(&prepared.revision.id, &targets, !plan.partial, now)?;
    Ok(queued)
}

/// Records what the plan wants and queues none of it, because windows are closed. What is queued
/// already and does the same is carried out; what the plan makes pointless is cancelled.
pub(in crate::daemon) fn put_off(
    store: &mut Store,
    prepared: &mut Prepared,
    closed: Closed,
    actor: &str,
    now: Timestamp,
) -> Result<Queued, DaemonError> {
    let jobs = new_jobs(store, prepared, now)?;
    let new = new_plan(prepared, Joins::Only, expected(&prepared.plan), now)?;
    let Enqueued { superseded, joined } = store.enqueue(&new, &jobs, actor, now)?;
    let queued = Queued {
        superseded: superseded.len(),
        joined: joined.iter().map(|(_, joined)| *joined).collect(),
        ..Queued::default()
    };
    let joined: BTreeMap<JobId, (JobId, PlanId)> = joined.into_iter().collect();
    let planned = prepared.plan.jobs.iter().zip(&jobs);
    let carried_by: BTreeMap<String, JobId> = planned
        .filter_map(|(planned, job)| Some((planned.id.clone(), joined.get(&job.id)?.0)))
        .collect();
    closed.hold_back(&mut prepared.plan, |job| carried_by.contains_key(&job.id));
    let kept = prepared.plan.jobs.iter();
    let carried_by: Vec<JobId> = kept
        .filter_map(|job| carried_by.get(&job.id).copied())
        .collect();
    let targets = targets(prepared, &carried_by);
    let is_whole = !prepared.plan.partial;
    store.set_targets(&prepared.revision.id, &targets, is_whole, now)?;
    Ok(queued)
}

/// The jobs of the plan as they are queued; what they refer to is kept from now on.
fn new_jobs(
    store: &mut Store,
    prepared: &Prepared,
    now: Timestamp,
) -> Result<Vec<NewJob>, DaemonError> {
    let plan = &prepared.plan;
    store.save_revision(&recorded_revision(&prepared.revision), now)?;
    let digests = keep_secrets(store, &prepared.repo_secrets)?;
    let ids: BTreeMap<&str, JobId> = plan
        .jobs
        .iter()
        .map(|job| (job.id.as_str(), new_job_id(now)))
        .collect();
    let payloads = prepared.payloads();
    let mut packer = payloads.packer()?;
    let mut jobs = Vec::with_capacity(plan.jobs.len());
    for job in &plan.jobs {
        let packed = packer.pack(job)?;
        jobs.push(new_job(job, (packed, &payloads), &digests, &ids, now)?);
        if packer.waiting() >= PARTS {
            store.keep_parts(&packer.take_parts().0)?;
        }
    }
    store.keep_parts(&packer.take_parts().0)?;
    Ok(jobs)
}

fn new_plan(
    prepared: &Prepared,
    joins: Joins,
    expected: Vec<(ResourceId, u64)>,
    now: Timestamp,
) -> Result<NewPlan, DaemonError> {
    Ok(NewPlan {
        id: new_plan_id(now),
        revision: prepared.revision.id.clone(),
        digest: prepared.digest()?,
        partial: prepared.plan.partial,
        joins,
        expected,
    })
}

/// The generations that the plan was made from.
fn expected(plan: &Plan) -> Vec<(ResourceId, u64)> {
    let generations = plan.generations.iter();
    generations
        .map(|(id, generation)| (id.clone(), *generation))
        .collect()
}

/// Records the changes that need no job. Also the generations to expect after that.
fn record_only(
    store: &mut Store,
    prepared: &Prepared,
    actor: &str,
    now: Timestamp,
) -> Result<(Queued, Vec<(ResourceId, u64)>), DaemonError> {
    let plan = &prepared.plan;
    let mut queued = Queued::default();
    let mut expected = expected(plan);
    let effects: Vec<Effect> = plan
        .records
        .iter()
        .map(|record| record.effect.clone())
        .collect();
    if effects.is_empty() {
        return Ok((queued, expected));
    }
    let changes = record::effects(effects.clone(), None, &prepared.revision.id);
    store.set_recorded(&changes, &expected, "recorded without a job", actor, now)?;
    queued.recorded = changes.len();
    for (id, generation) in &mut expected {
        let moved = |effect: &Effect| effect.resource == *id && !effect.patch.is_empty();
        *generation += u64::from(effects.iter().any(moved));
    }
    Ok((queued, expected))
}

/// What the plan wants of each resource that it has a job for or a reason why it has none;
/// `carried_by` has the queued job for each of its jobs. The first job of a resource is the one
/// that makes it so, the others follow.
fn targets(prepared: &Prepared, carried_by: &[JobId]) -> Vec<NewTarget> {
    let plan = &prepared.plan;
    let mut targets: BTreeMap<&ResourceId, NewTarget> = BTreeMap::new();
    let new = |id: &ResourceId| NewTarget {
        resource: id.clone(),
        wanted: prepared
            .wanted
            .get(id)
            .map_or(SpecHash::NOTHING, |hash| *hash),
        job: None,
        blocked: Vec::new(),
    };
    for (job, carried_by) in plan.jobs.iter().zip(carried_by) {
        for id in job.touched() {
            let target = targets.entry(id).or_insert_with(|| new(id));
            target.job.get_or_insert(*carried_by);
        }
    }
    for blocked in &plan.blocked {
        let id = &blocked.resource;
        let target = targets.entry(id).or_insert_with(|| new(id));
        target.blocked.push((blocked.code, blocked.message.clone()));
    }
    for removed in &plan.removed {
        let id = &removed.resource;
        let target = targets.entry(id).or_insert_with(|| new(id));
        let why = (BlockCode::Removed, removed.message.clone());
        target.blocked.push(why);
    }
    for target in targets.values_mut() {
        // What somebody can let says more than what takes another version.
        target.blocked.sort_by_key(|(code, _)| code.is_lasting());
    }
    targets.into_values().collect()
}

/// A revision as it is recorded.
pub(in crate::daemon) fn recorded_revision(revision: &PlannedRevision) -> Revision {
    Revision {
        id: revision.id.clone(),
        author: revision.author.clone(),
        message: revision.subject.clone(),
        committed_at: revision.committed_at,
        dirty: revision.dirty,
    }
}

/// Keeps the ciphertexts; their digests by name.
fn keep_secrets(
    store: &mut Store,
    secrets: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, DaemonError> {
    secrets
        .iter()
        .map(|(name, encoded)| {
            let ciphertext = data_encoding::BASE64
                .decode(encoded.as_bytes())
                .map_err(|_| DaemonError::DamagedSecret(name.clone()))?;
            Ok((name.clone(), store.keep_secret_blob(name, &ciphertext)?))
        })
        .collect()
}

/// What a job carries out, for people: the differences, or the parts of its payload that are made.
fn changes(
    job: &PlannedJob,
    packed: &PackedPayload,
    payloads: &Payloads<'_>,
) -> Result<String, DaemonError> {
    let made = job.effects.iter().map(|effect| {
        let part = packed.part_of(&effect.resource);
        let part = part.filter(|_| payloads.is_whole(job, effect))?;
        Some(json!({"resource": effect.resource, "part": part}))
    });
    let made: Option<Vec<_>> = made.collect();
    Ok(match made {
        Some(made) if !made.is_empty() => json!({ "made": made }).to_string(),
        _ => serde_json::to_string(&job.shown_changes())?,
    })
}

fn new_job(
    job: &PlannedJob,
    (packed, payloads): (PackedPayload, &Payloads<'_>),
    digests: &BTreeMap<String, String>,
    ids: &BTreeMap<&str, JobId>,
    now: Timestamp,
) -> Result<NewJob, DaemonError> {
    let changes = changes(job, &packed, payloads)?;
    let repo_secrets = packed
        .opened()
        .filter_map(|name| Some((name.clone(), digests.get(name)?.clone())))
        .collect();
    let payload = QueuedPayload {
        parts: packed,
        effects: job
            .effects
            .iter()
            .map(|effect| payloads.effect(job, effect))
            .collect(),
        repo_secrets,
    };
    let id = ids
        .get(job.id.as_str())
        .copied()
        .ok_or_else(|| DaemonError::UnknownResource(job.resource.clone()))?;
    let kind = job.job_type.kind();
    Ok(NewJob {
        id,
        job_type: job.job_type,
        resource: job.resource.clone(),
        node: job.node.clone(),
        origin: match job.job_type.only_looks() {
            true => JobOrigin::Job,
            false => JobOrigin::Plan,
        },
        max_attempts: kind.map_or(1, |kind| kind.attempts.most()),
        run_after: now,
        status_on_start: kind.and_then(|kind| kind.status_on_start),
        status_on_failure: kind.and_then(|kind| kind.status_on_failure),
        reason: job.reason.clone(),
        changes,
        has_effects: !job.effects.is_empty(),
        payload: serde_json::to_string(&payload)?,
        depends_on: job
            .after
            .iter()
            .filter_map(|need| ids.get(need.as_str()).copied())
            .collect(),
    })
}
