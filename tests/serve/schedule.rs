//! What is due by a schedule becomes one job, on a real database.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use pressluft::core::change::SpecPatch;
use pressluft::core::job::{ErrorCode, JobType};
use pressluft::core::recorded::{ResourceStatus, Source};
use pressluft::core::spec::Spec;
use pressluft::daemon::{note_changes, run_due, sync_schedules};
use pressluft::store::{
    Channel, Finish, JobFilter, Outcome, RecordPatch, Revision, Scope, StateChange, Store,
};
use serde_json::{Value, json};

const REVISION: &str = "4f5c7f0d6f0f4c6c8a0b7b2f9f1d6a1e2b3c4d5e";
const ENV: &str = "env/acme/production";

fn at(seconds: i64) -> Timestamp {
    "2026-02-22T12:00:30Z".parse::<Timestamp>().expect("a time")
        + SignedDuration::from_secs(seconds)
}

fn record(id: &str, spec: &Value) -> StateChange {
    let spec: Spec = serde_json::from_value(spec.clone()).expect("a spec");
    StateChange::Patch(Box::new(RecordPatch {
        id: id.parse().expect("an id"),
        patch: SpecPatch {
            // What an earlier form had and this one has not.
            unset: [vec!["drift"], vec!["suspend"], vec!["health", "schedule"]]
                .map(|path| path.into_iter().map(str::to_owned).collect())
                .to_vec(),
            ..SpecPatch::of(&spec)
        },
        status: Some(ResourceStatus::Active),
        node: (!id.starts_with("node")).then(|| "web-1".to_owned()),
        revision: REVISION.to_owned(),
        source: Some(Source {
            file: "a.yaml".to_owned(),
            line: 1,
        }),
        fingerprints: BTreeMap::new(),
    }))
}

fn environment(schedule: Option<&str>) -> StateChange {
    let mut spec = json!({"site": "acme", "name": "production", "type": "production"});
    if let Some(schedule) = schedule {
        spec["health"] = json!({ "schedule": schedule });
    }
    record(ENV, &spec)
}

/// A fleet that is not looked at for drift.
fn fleet(directory: &tempfile::TempDir) -> Store {
    fleet_with(directory, "off")
}

fn fleet_with(directory: &tempfile::TempDir, drift: &str) -> Store {
    let mut store = Store::open(&directory.path().join("state.db")).expect("opened");
    let revision = Revision {
        id: REVISION.to_owned(),
        author: None,
        message: None,
        committed_at: None,
        dirty: false,
    };
    store.save_revision(&revision, at(0)).expect("revision");
    let changes = [
        record(
            "fleet",
            &json!({"name": "studio", "reconcile": {"drift": drift}}),
        ),
        record("node/web-1", &json!({"name": "web-1", "host": "192.0.2.1"})),
        record("site/acme", &json!({"name": "acme", "node": "web-1"})),
        environment(Some("*/10 * * * *")),
    ];
    store
        .set_recorded(&changes, &[], "adopted", "ops", at(0))
        .expect("recorded");
    store
}

fn jobs(store: &Store) -> usize {
    let filter = JobFilter {
        limit: 100,
        ..JobFilter::default()
    };
    let jobs = store.jobs(&filter).expect("read").jobs;
    assert!(jobs.iter().all(|job| job.job_type == JobType::HealthCheck));
    jobs.len()
}

fn run(store: &mut Store, seconds: i64) -> usize {
    sync_schedules(store, at(seconds)).expect("synced");
    run_due(store, "serve", at(seconds)).expect("run")
}

/// Claims the queued check and ends it.
fn end(store: &mut Store, seconds: i64, outcome: Outcome, status: ResourceStatus) {
    let claim = store.claim("worker", Scope::All, at(seconds));
    let claim = claim.expect("claimed").expect("a job");
    let changes = [StateChange::Status {
        id: ENV.parse().expect("an id"),
        status,
    }];
    let finish = Finish {
        job: claim.job.id,
        token: claim.token,
        outcome,
        changes: &changes,
    };
    store
        .finish(&finish, "worker", at(seconds + 1))
        .expect("ended");
}

#[test]
fn a_check_is_queued_once_whoever_looks_and_however_often_it_was_missed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = fleet(&directory);
    assert_eq!(run(&mut store, 0), 0, "the next one is at 12:10");
    assert_eq!(run(&mut store, 9 * 60), 0);
    // At most a minute later by chance, and always the same.
    let due = store.next_due().expect("read").expect("there is one");
    assert!(due >= at(9 * 60 + 30) && due <= at(10 * 60 + 30), "{due}");
    let mut other = Store::open(store.path()).expect("opened");
    assert_eq!(run(&mut store, 11 * 60) + run(&mut other, 11 * 60), 1);
    // It still waits when the next one comes: its turn counts as had.
    assert_eq!(run(&mut store, 21 * 60), 0);
    end(
        &mut store,
        22 * 60,
        Outcome::Succeeded,
        ResourceStatus::Active,
    );
    // Nobody looked for hours.
    assert_eq!(run(&mut other, 5 * 3600), 1);
    assert_eq!(run(&mut store, 5 * 3600), 0);
    assert_eq!(jobs(&store), 2);
    end(
        &mut store,
        5 * 3600,
        Outcome::Succeeded,
        ResourceStatus::Active,
    );
    // A clock that was set back does not leave it waiting for hours.
    assert_eq!(run(&mut store, 0), 0);
    assert_eq!(run(&mut store, 11 * 60), 1);
    end(
        &mut store,
        11 * 60,
        Outcome::Succeeded,
        ResourceStatus::Active,
    );
    let gone = [environment(None)];
    store
        .set_recorded(&gone, &[], "edited", "ops", at(12 * 60))
        .expect("recorded");
    assert_eq!(run(&mut store, 60 * 60), 0);
    assert_eq!(store.next_due().expect("read"), None);
    assert_eq!(store.violations().expect("checked"), []);
}

#[test]
fn a_failed_check_is_told_once_and_so_is_its_recovery() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = fleet(&directory);
    let channel = Channel {
        name: "notify/ops".to_owned(),
        format: "json".to_owned(),
        events: vec!["failed".to_owned(), "recovered".to_owned()],
        secret_digest: None,
    };
    store.set_channels(&[channel], at(0)).expect("set");
    let told = |store: &mut Store, seconds| note_changes(store, at(seconds)).expect("noted");
    assert_eq!(told(&mut store, 1), 0, "what is well is no news");
    run(&mut store, 2);
    run(&mut store, 11 * 60);
    let failure = Outcome::Failed {
        code: ErrorCode::HealthCheckFailed,
        message: "it answers with 500".to_owned(),
    };
    end(&mut store, 11 * 60, failure, ResourceStatus::Failed);
    assert_eq!(told(&mut store, 12 * 60), 1);
    assert_eq!(told(&mut store, 12 * 60), 0);
    // While it is tried again nothing is known.
    assert_eq!(run(&mut store, 21 * 60), 1);
    assert_eq!(told(&mut store, 21 * 60), 0);
    end(
        &mut store,
        21 * 60,
        Outcome::Succeeded,
        ResourceStatus::Active,
    );
    assert_eq!(told(&mut store, 22 * 60), 1);
    assert_eq!(told(&mut store, 22 * 60), 0);
    let messages = store.messages(10).expect("read");
    let events: Vec<&str> = messages.iter().map(|message| &*message.event).collect();
    assert_eq!(events, ["recovered", "failed"]);
    assert_eq!(messages[1].detail["code"], "HEALTH_CHECK_FAILED");
    // Failures of a delivery are kept, and end some day.
    let ids: Vec<u64> = messages.iter().map(|message| message.id).collect();
    let deliverable = |store: &Store, seconds| store.deliverable(at(seconds), 10).expect("read");
    assert_eq!(deliverable(&store, 22 * 60)[0].2.len(), 2);
    store
        .delivered(
            "notify/ops",
            &ids,
            Some("no"),
            false,
            at(23 * 60),
            at(22 * 60),
        )
        .expect("noted");
    assert_eq!(deliverable(&store, 22 * 60), []);
    assert_eq!(deliverable(&store, 23 * 60)[0].1, 1);
    store
        .delivered(
            "notify/ops",
            &ids,
            Some("no"),
            true,
            at(23 * 60),
            at(23 * 60),
        )
        .expect("noted");
    assert_eq!(deliverable(&store, 24 * 60), []);
    let ended = store.messages(1).expect("read");
    assert_eq!(ended[0].error.as_deref(), Some("no"));
}

#[test]
fn nodes_and_environments_are_looked_at_for_drift_each_at_its_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = fleet_with(&directory, "report");
    // What waits for another job is not looked at meanwhile.
    store
        .set_recorded(&[environment(None)], &[], "adopted", "ops", at(0))
        .expect("recorded");
    let checks = |store: &Store| {
        let filter = JobFilter {
            limit: 1_000,
            ..JobFilter::default()
        };
        let jobs = store.jobs(&filter).expect("read").jobs;
        let checks = jobs
            .into_iter()
            .filter(|job| job.job_type == JobType::DriftCheck);
        let mut resources: Vec<String> = checks.map(|job| job.resource.to_string()).collect();
        resources.sort();
        resources
    };
    run(&mut store, 0);
    assert_eq!(checks(&store), Vec::<String>::new());
    // Within six hours each comes once, and a second look at the same moment finds nothing.
    for minute in 1..=375 {
        run(&mut store, minute * 60);
        run(&mut store, minute * 60);
    }
    assert_eq!(checks(&store), [ENV, "node/web-1"]);
}
