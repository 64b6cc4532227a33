//! Taking a failed site or environment back, once it is proven healthy.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::error::DaemonError;
use super::payload::{PackedPayload, Packer, Parts, QueuedPayload};
use super::worker::Plans;
use crate::core::id::{ResourceId, ResourceKind};
use crate::core::job::JobType;
use crate::core::plan::{Action, PlannedJob};
use crate::core::recorded::ResourceStatus;
use crate::store::{
    Enqueued, Joins, NewJob, NewPlan, StateChange, Store, StoreError, new_job_id, new_plan_id,
};

/// The recorded environment whose health speaks for `id`: itself, or the production environment
/// of a site. None when none is recorded.
///
/// # Errors
/// When the database fails.
pub fn checked_environment(
    store: &Store,
    id: &ResourceId,
) -> Result<Option<ResourceId>, DaemonError> {
    match id {
        ResourceId::Fleet | ResourceId::Node(_) => Ok(None),
        ResourceId::Env { .. } => Ok(store.recorded(id)?.map(|env| env.id)),
        ResourceId::Site(site) => {
            let production = production_of(store, site)?;
            Ok(production.map(|name| ResourceId::env(site, &name)))
        }
    }
}

fn production_of(store: &Store, site: &str) -> Result<Option<String>, StoreError> {
    let environments = store.recorded_of_kind(ResourceKind::Env)?;
    Ok(environments.iter().find_map(|env| {
        let is_production = env.spec.str("type") == Some("production");
        let name = env.spec.str("name")?;
        (env.id.site() == Some(site) && is_production).then(|| name.to_owned())
    }))
}

/// Queues a health check of a recorded environment, as it is recorded. It is tried once.
///
/// # Errors
/// [`DaemonError::UnknownResource`] when something that it needs is not recorded.
pub fn check(
    store: &mut Store,
    environment: &ResourceId,
    reason: &str,
    actor: &str,
    now: Timestamp,
) -> Result<Plans, DaemonError> {
    let (plan, job) = health_check(store, environment, reason, now)?;
    match store.enqueue(&plan, &[job], actor, now)? {
        Enqueued::Queued { .. } => Ok(Plans {
            own: Some(plan.id),
            ..Plans::default()
        }),
        Enqueued::Joined { jobs } => Ok(Plans {
            joined: jobs,
            ..Plans::default()
        }),
    }
}

/// A plan of nothing but a health check of a recorded environment.
pub(super) fn health_check(
    store: &mut Store,
    environment: &ResourceId,
    reason: &str,
    now: Timestamp,
) -> Result<(NewPlan, NewJob), DaemonError> {
    let unknown = || DaemonError::UnknownResource(environment.clone());
    let recorded = store.recorded(environment)?.ok_or_else(unknown)?;
    let node = recorded.node.clone().ok_or_else(unknown)?;
    let job = PlannedJob {
        id: "j0".to_owned(),
        job_type: JobType::HealthCheck,
        resource: environment.clone(),
        node: node.clone(),
        action: Action::Run,
        reason: reason.to_owned(),
        changes: Vec::new(),
        after: Vec::new(),
        effects: Vec::new(),
    };
    let (packed, parts) = pack(store, &job)?;
    store.keep_parts(&parts.0)?;
    let mut repo_secrets = match store.last_job(environment)? {
        Some(last) => {
            let content = store.job_content(last.id)?;
            serde_json::from_str::<QueuedPayload>(&content.payload)?.repo_secrets
        }
        None => BTreeMap::new(),
    };
    repo_secrets.retain(|name, _| packed.secrets.contains(name));
    let payload = QueuedPayload {
        parts: packed,
        effects: Vec::new(),
        repo_secrets,
    };
    let job = NewJob {
        id: new_job_id(now),
        job_type: job.job_type,
        resource: job.resource,
        node,
        max_attempts: 1,
        run_after: now,
        status_on_start: None,
        status_on_failure: Some(ResourceStatus::Failed),
        reason: job.reason,
        changes: "[]".to_owned(),
        payload: serde_json::to_string(&payload)?,
        depends_on: Vec::new(),
    };
    let plan = NewPlan {
        id: new_plan_id(now),
        revision: recorded.revision,
        digest: blake3::hash(job.payload.as_bytes()).to_hex().to_string(),
        json: json!({ "check": environment }).to_string(),
        partial: true,
        joins: Joins::Nothing,
        expected: Vec::new(),
    };
    Ok((plan, job))
}

/// The payload of a job from what is recorded.
fn pack(store: &Store, job: &PlannedJob) -> Result<(PackedPayload, Parts), DaemonError> {
    // The packer asks for values; what cannot be read is the end of it.
    let failure: RefCell<Option<StoreError>> = RefCell::new(None);
    let lookup = |id: &ResourceId| match store.recorded(id) {
        Ok(known) => known.map(|known| known.spec),
        Err(error) => {
            failure.borrow_mut().get_or_insert(error);
            None
        }
    };
    let production_of = |_: &str| None;
    let mut packer = Packer::new(&lookup, &production_of, &BTreeMap::new())?;
    let packed = packer.pack(job);
    let parts = packer.into_parts();
    match failure.take() {
        Some(error) => Err(error.into()),
        None => Ok((packed?, parts)),
    }
}

/// Records that the resource is active; the caller has seen that it is healthy.
///
/// # Errors
/// When the database fails.
pub fn reset(
    store: &mut Store,
    id: &ResourceId,
    reason: &str,
    actor: &str,
    now: Timestamp,
) -> Result<(), DaemonError> {
    let changes = [StateChange::Status {
        id: id.clone(),
        status: ResourceStatus::Active,
    }];
    Ok(store.set_recorded(&changes, &[], reason, actor, now)?)
}
