//! A database with many queued jobs.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use pressluft::core::change::SpecPatch;
use pressluft::core::id::ResourceId;
use pressluft::core::job::{JobOrigin, JobType};
use pressluft::core::recorded::{JobId, ResourceStatus, Source};
use pressluft::store::{
    Joins, NewJob, NewPlan, RecordPatch, Revision, StateChange, Store, StoreError, new_job_id,
    new_plan_id,
};

const REVISION: &str = "4f5c7f0d6f0f4c6c8a0b7b2f9f1d6a1e2b3c4d5e";
/// Jobs of one plan.
const PLAN: usize = 10_000;
const SITES: usize = 20_000;

/// A moment that comes after every `run_after`.
pub(crate) fn at(n: usize) -> Timestamp {
    let start = Timestamp::from_second(1_771_761_600).unwrap_or(Timestamp::UNIX_EPOCH);
    start + SignedDuration::from_millis(i64::try_from(n).unwrap_or(0))
}

/// Queues `count` jobs over [`SITES`] sites; half of them for one site when `is_hot`.
pub(crate) fn fill(
    path: &Path,
    count: usize,
    nodes: usize,
    is_hot: bool,
) -> Result<(), StoreError> {
    let mut store = Store::open(path)?;
    let revision = Revision {
        id: REVISION.to_owned(),
        author: None,
        message: None,
        committed_at: None,
        dirty: false,
    };
    store.save_revision(&revision, at(0))?;
    for first in (0..count).step_by(PLAN) {
        let jobs: Vec<NewJob> = (first..count.min(first + PLAN))
            .map(|n| job(n, nodes, is_hot))
            .collect();
        let plan = NewPlan {
            id: new_plan_id(at(0)),
            revision: REVISION.to_owned(),
            digest: "digest".to_owned(),
            partial: true,
            joins: Joins::Nothing,
            expected: vec![],
        };
        store.enqueue(&plan, &jobs, "ops", at(0))?;
    }
    Ok(())
}

fn job(n: usize, nodes: usize, is_hot: bool) -> NewJob {
    let site = if is_hot && n.is_multiple_of(2) {
        0
    } else {
        n % SITES
    };
    let id: JobId = new_job_id(at(0));
    NewJob {
        id,
        job_type: JobType::EnvConfigure,
        resource: ResourceId::Env {
            site: format!("site-{site}"),
            name: format!("env-{n}"),
        },
        node: format!("node-{:04}", site % nodes),
        origin: JobOrigin::Plan,
        max_attempts: 3,
        run_after: at(0),
        status_on_start: Some(ResourceStatus::Deploying),
        status_on_failure: Some(ResourceStatus::Failed),
        reason: "php.memory changes".to_owned(),
        changes: r#"[{"path":"php.memory","before":"256M","after":"512M"}]"#.to_owned(),
        has_effects: true,
        payload: r#"{"spec":{"php":{"memory":"512M"}}}"#.to_owned(),
        depends_on: vec![],
    }
}

/// What the success of a job records.
pub(crate) fn record(id: &ResourceId, node: &str) -> StateChange {
    StateChange::Patch(Box::new(RecordPatch {
        id: id.clone(),
        patch: SpecPatch::default(),
        status: Some(ResourceStatus::Active),
        node: Some(node.to_owned()),
        revision: REVISION.to_owned(),
        source: Some(Source {
            file: "sites/a.yaml".to_owned(),
            line: 1,
        }),
        fingerprints: BTreeMap::new(),
    }))
}
