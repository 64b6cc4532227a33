//! Jobs that are asked for, of resources as they are recorded: looks, and what is done once.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::error::DaemonError;
use super::super::plan::payload::{Packer, Parts, QueuedPayload};
use super::super::run::wanted_jobs::Plans;
use crate::core::id::ResourceId;
use crate::core::job::{JobOrigin, JobType};
use crate::core::plan::{Action, PlannedJob};
use crate::core::recorded::RecordedResource;
use crate::store::{Joins, NewJob, NewPlan, Requested, Store, StoreError, new_job_id, new_plan_id};

/// One job that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// One that leaves its resource as it is recorded.
    pub job_type: JobType,
    pub resource: ResourceId,
    pub reason: String,
    pub origin: JobOrigin,
}

/// Queues jobs of recorded resources, as they are recorded. Each is tried once. One that would see
/// the same is waited for instead.
///
/// # Errors
/// [`DaemonError::UnknownResource`] when something that a job needs is not recorded.
pub fn queue_requests(
    store: &mut Store,
    requests: &[Request],
    actor: &str,
    now: Timestamp,
) -> Result<Plans, DaemonError> {
    let Some((plan, jobs)) = plan_requests(store, requests, now)? else {
        return Ok(Plans::default());
    };
    let Requested { queued, open } = store.enqueue_requests(&plan, &jobs, actor, now)?;
    Ok(Plans {
        own: (!queued.is_empty()).then_some(plan.id),
        joined: open,
        ..Plans::default()
    })
}

/// A plan of nothing but such jobs, and what they need kept; none where nothing is asked for.
///
/// # Errors
/// Those of [`queue_requests`].
pub(super) fn plan_requests(
    store: &mut Store,
    requests: &[Request],
    now: Timestamp,
) -> Result<Option<(NewPlan, Vec<NewJob>)>, DaemonError> {
    let Some((jobs, parts, revision)) = jobs(store, requests, now)? else {
        return Ok(None);
    };
    let mut digest = blake3::Hasher::new();
    for job in &jobs {
        digest.update(job.payload.as_bytes());
    }
    let plan = NewPlan {
        id: new_plan_id(now),
        revision,
        digest: digest.finalize().to_hex().to_string(),
        partial: true,
        joins: Joins::Nothing,
        expected: Vec::new(),
    };
    store.keep_parts(&parts.0)?;
    Ok(Some((plan, jobs)))
}

/// The jobs, what their payloads are made of, and the revision of the first.
fn jobs(
    store: &Store,
    requests: &[Request],
    now: Timestamp,
) -> Result<Option<(Vec<NewJob>, Parts, String)>, DaemonError> {
    let mut wanted = Vec::with_capacity(requests.len());
    for request in requests {
        wanted.push((request, Wanted::find(store, request)?));
    }
    let Some((_, first)) = wanted.first() else {
        return Ok(None);
    };
    let revision = first.recorded.revision.clone();
    let failed = RefCell::new(None);
    let lookup = |id: &ResourceId| match store.recorded(id) {
        Ok(found) => found.map(|found| found.spec),
        Err(error) => {
            failed.borrow_mut().get_or_insert(error);
            None
        }
    };
    let production_of = |_: &str| None;
    let mut packer = Packer::new(&lookup, &production_of, &BTreeMap::new())?;
    let mut jobs = Vec::with_capacity(wanted.len());
    for (request, wanted) in wanted {
        let packed = packer.pack(&wanted.planned(request));
        if let Some(error) = failed.borrow_mut().take() {
            return Err(StoreError::into(error));
        }
        let mut parts = packed?;
        let mut repo_secrets = BTreeMap::new();
        if let Some(last) = wanted.last {
            parts.templates = last.parts.templates;
            repo_secrets = last.repo_secrets;
            repo_secrets.retain(|name, _| parts.opened().any(|opened| opened == name));
        }
        let payload = QueuedPayload {
            parts,
            effects: Vec::new(),
            repo_secrets,
        };
        let kind = request.job_type.kind();
        jobs.push(NewJob {
            id: new_job_id(now),
            job_type: request.job_type,
            resource: request.resource.clone(),
            node: wanted.node,
            origin: request.origin,
            max_attempts: 1,
            run_after: now,
            status_on_start: None,
            status_on_failure: kind.and_then(|kind| kind.status_on_failure),
            reason: request.reason.clone(),
            changes: "[]".to_owned(),
            has_effects: false,
            payload: serde_json::to_string(&payload)?,
            depends_on: Vec::new(),
        });
    }
    Ok(Some((jobs, packer.take_parts(), revision)))
}

/// What a job is made from.
struct Wanted {
    recorded: RecordedResource,
    node: String,
    /// The payload of the job that made it what it is: what the record does not hold, its
    /// templates and the secrets of the fleet repo, are as they were then.
    last: Option<QueuedPayload>,
}

impl Wanted {
    fn find(store: &Store, request: &Request) -> Result<Self, DaemonError> {
        let id = &request.resource;
        let unknown = || DaemonError::UnknownResource(id.clone());
        let recorded = store.recorded(id)?.ok_or_else(unknown)?;
        let node = match id {
            ResourceId::Node(name) => name.clone(),
            ResourceId::Fleet | ResourceId::Site(_) | ResourceId::Env { .. } => {
                recorded.node.clone().ok_or_else(unknown)?
            }
        };
        let mut makers = vec![id.clone()];
        // The job of a site makes its production environment, too.
        makers.extend(id.site().map(|site| ResourceId::Site(site.to_owned())));
        let last = match store.last_converged(&makers)? {
            Some(job) => Some(serde_json::from_str(&store.job_content(job.id)?.payload)?),
            None => None,
        };
        Ok(Self {
            recorded,
            node,
            last,
        })
    }

    fn planned(&self, request: &Request) -> PlannedJob {
        PlannedJob {
            id: "j0".to_owned(),
            job_type: request.job_type,
            resource: request.resource.clone(),
            node: self.node.clone(),
            action: Action::Run,
            reason: request.reason.clone(),
            changes: Vec::new(),
            after: Vec::new(),
            effects: Vec::new(),
        }
    }
}
