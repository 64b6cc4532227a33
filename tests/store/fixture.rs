//! A database in a directory of its own, and short ways to fill it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use pressluft::core::change::SpecPatch;
use pressluft::core::id::ResourceId;
use pressluft::core::job::{JobOrigin, JobType};
use pressluft::core::recorded::{JobId, PlanId, ResourceStatus, Source};
use pressluft::core::spec::Spec;
use pressluft::store::{
    Finish, Joins, NewJob, NewPlan, Outcome, RecordPatch, Revision, StateChange, Store, new_job_id,
    new_plan_id,
};

pub(crate) const REVISION: &str = "4f5c7f0d6f0f4c6c8a0b7b2f9f1d6a1e2b3c4d5e";

pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) directory: tempfile::TempDir,
}

/// The moment `seconds` after a fixed one.
pub(crate) fn at(seconds: i64) -> Timestamp {
    "2026-02-22T12:00:00Z".parse::<Timestamp>().expect("time") + SignedDuration::from_secs(seconds)
}

pub(crate) fn id(text: &str) -> ResourceId {
    text.parse().expect("resource id")
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let mut store = Store::open(&directory.path().join("state.db")).expect("opened");
        let revision = Revision {
            id: REVISION.to_owned(),
            author: Some("Ops <ops@example.com>".to_owned()),
            message: Some("first".to_owned()),
            committed_at: Some(at(-60)),
            dirty: false,
        };
        store.save_revision(&revision, at(0)).expect("revision");
        Self { store, directory }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("state.db")
    }

    pub(crate) fn enqueue(&mut self, jobs: &[NewJob]) -> PlanId {
        let plan = plan(&[]);
        self.store
            .enqueue(&plan, jobs, "ops", at(0))
            .expect("enqueued");
        plan.id
    }

    pub(crate) fn assert_sound(&self) {
        assert_eq!(self.store.violations().expect("checked"), []);
    }
}

pub(crate) fn plan(expected: &[(ResourceId, u64)]) -> NewPlan {
    NewPlan {
        id: new_plan_id(at(0)),
        revision: REVISION.to_owned(),
        digest: "digest".to_owned(),
        partial: true,
        joins: Joins::Nothing,
        expected: expected.to_vec(),
    }
}

pub(crate) fn job(job_type: JobType, resource: &str, node: &str, after: &[JobId]) -> NewJob {
    NewJob {
        id: new_job_id(at(0)),
        job_type,
        resource: id(resource),
        node: node.to_owned(),
        origin: JobOrigin::Plan,
        max_attempts: 3,
        run_after: at(0),
        status_on_start: Some(ResourceStatus::Deploying),
        status_on_failure: Some(ResourceStatus::Failed),
        reason: "it is new".to_owned(),
        changes: r#"[{"path":"php.memory"}]"#.to_owned(),
        has_effects: true,
        payload: r#"{"spec":{}}"#.to_owned(),
        depends_on: after.to_vec(),
    }
}

pub(crate) fn spec(memory: &str) -> Spec {
    serde_json::from_value(serde_json::json!({ "php": { "memory": memory } })).expect("spec")
}

pub(crate) fn record(resource: &str, memory: &str) -> StateChange {
    StateChange::Patch(Box::new(RecordPatch {
        id: id(resource),
        patch: SpecPatch::of(&spec(memory)),
        status: Some(ResourceStatus::Active),
        node: Some("web-1".to_owned()),
        revision: REVISION.to_owned(),
        source: Some(Source {
            file: "sites/acme.yaml".to_owned(),
            line: 3,
        }),
        fingerprints: BTreeMap::new(),
    }))
}

pub(crate) fn succeed(job: JobId, token: u64, changes: &[StateChange]) -> Finish<'_> {
    Finish {
        job,
        token,
        outcome: Outcome::Succeeded,
        changes,
    }
}
