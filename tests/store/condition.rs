//! How resources stand, from what is in the database.

use pressluft::core::condition::{Condition, ConditionKind, Standing};
use pressluft::core::job::{ErrorCode, JobType};
use pressluft::core::plan::BlockCode;
use pressluft::core::recorded::JobId;
use pressluft::core::spec::SpecHash;
use pressluft::store::{
    Claim, Finish, NewTarget, Outcome, Revision, Scope, StateChange, new_job_id,
};

use crate::fixture::{Fixture, REVISION, at, id, job, record, spec, succeed};

const ENV: &str = "env/acme/production";
const NEXT: &str = "0f5c7f0d6f0f4c6c8a0b7b2f9f1d6a1e2b3c4d50";

fn target(resource: &str, memory: &str, job: Option<JobId>) -> NewTarget {
    NewTarget {
        resource: id(resource),
        wanted: spec(memory).hash(),
        job,
        blocked: Vec::new(),
    }
}

/// A recorded environment on a recorded node, and a second revision.
fn recorded() -> Fixture {
    let mut fixture = Fixture::new();
    let next = Revision {
        id: NEXT.to_owned(),
        author: None,
        message: None,
        committed_at: None,
        dirty: false,
    };
    let store = &mut fixture.store;
    store.save_revision(&next, at(1)).expect("revision");
    let records = [record("node/web-1", "1M"), record(ENV, "256M")];
    store
        .set_recorded(&records, &[], "adopted", "ops", at(1))
        .expect("recorded");
    fixture
}

fn standing(fixture: &Fixture, resource: &str) -> Standing {
    let store = &fixture.store;
    let all = store.standings(at(900)).expect("read");
    let one = store.standing(&id(resource), at(900)).expect("read");
    let found = all.into_iter().find(|found| found.id == id(resource));
    assert_eq!(found, one, "one by one and all together say the same");
    one.expect("it is known")
}

fn kind(fixture: &Fixture, resource: &str) -> ConditionKind {
    standing(fixture, resource).condition.kind()
}

fn claim(fixture: &mut Fixture, seconds: i64) -> Claim {
    let claim = fixture.store.claim("worker", Scope::All, at(seconds));
    claim.expect("claimed").expect("there is a job")
}

fn revisions(standing: &Standing) -> [Option<&str>; 3] {
    [
        standing.desired_revision.as_deref(),
        standing.attempted_revision.as_deref(),
        standing.applied_revision.as_deref(),
    ]
}

#[test]
fn a_change_is_wanted_tried_and_applied() {
    let mut fixture = recorded();
    assert_eq!(kind(&fixture, ENV), ConditionKind::Ready);
    let change = job(JobType::EnvConfigure, ENV, "web-1", &[]);
    let (first, second) = (change.id, new_job_id(at(60)));
    fixture.enqueue(&[change]);
    let wanted = target(ENV, "512M", Some(first));
    let set = |fixture: &mut Fixture, wanted: &[NewTarget], seconds| {
        let store = &mut fixture.store;
        store
            .set_targets(NEXT, wanted, true, at(seconds))
            .expect("set");
    };
    set(&mut fixture, &[wanted], 10);
    let queued = standing(&fixture, ENV);
    assert_eq!(queued.condition, Condition::Reconciling);
    assert_eq!(
        revisions(&queued),
        [Some(NEXT), Some(REVISION), Some(REVISION)]
    );
    let claimed = claim(&mut fixture, 11);
    let failed = Finish {
        job: first,
        token: claimed.token,
        outcome: Outcome::Failed {
            code: ErrorCode::AnsibleHostFailed,
            message: "disk full".to_owned(),
        },
        changes: &[],
    };
    fixture
        .store
        .finish(&failed, "worker", at(20))
        .expect("failed");
    let failed = standing(&fixture, ENV);
    assert_eq!(
        failed.condition,
        Condition::Failed {
            error_code: ErrorCode::AnsibleHostFailed,
            reason: "disk full".to_owned()
        }
    );
    assert_eq!((failed.changed_at, failed.job), (at(20), Some(first)));

    let mut again = job(JobType::EnvConfigure, ENV, "web-1", &[]);
    again.id = second;
    fixture.enqueue(&[again]);
    set(&mut fixture, &[target(ENV, "512M", Some(second))], 61);
    let claimed = claim(&mut fixture, 62);
    assert_eq!(kind(&fixture, ENV), ConditionKind::Reconciling);
    let mut changed = record(ENV, "512M");
    if let StateChange::Patch(record) = &mut changed {
        record.revision = NEXT.to_owned();
    }
    let changes = [changed];
    fixture
        .store
        .finish(&succeed(second, claimed.token, &changes), "worker", at(70))
        .expect("succeeded");
    let done = standing(&fixture, ENV);
    assert_eq!(done.condition, Condition::Ready);
    assert_eq!(revisions(&done), [Some(NEXT); 3]);
    assert_eq!(done.changed_at, at(70));
    fixture.assert_sound();
}

#[test]
fn blocked_and_new_and_not_wanted_any_more() {
    let mut fixture = recorded();
    let mut blocked = target(ENV, "512M", None);
    let more = (BlockCode::FixedField, "`from`".to_owned());
    blocked.blocked = vec![(BlockCode::NotSupported, "no playbook".to_owned()), more];
    let mut removed = target("node/web-1", "1M", None);
    removed.wanted = SpecHash::NOTHING;
    removed.blocked = vec![(BlockCode::Removed, "kept".to_owned())];
    let all = [blocked, removed, target("site/new", "1M", None)];
    let store = &mut fixture.store;
    store.set_targets(NEXT, &all, true, at(10)).expect("set");
    store
        .set_targets(NEXT, &all, true, at(50))
        .expect("set again");
    assert_eq!(standing(&fixture, ENV).changed_at, at(10));
    assert_eq!(
        standing(&fixture, "node/web-1").condition.code(),
        Some("removed")
    );
    let new = standing(&fixture, "site/new");
    assert_eq!(new.condition, Condition::Reconciling);
    assert_eq!(new.node, None);
    assert_eq!(revisions(&new), [Some(NEXT), None, None]);
    // A plan of a part leaves the others as they are, one of the whole fleet does not.
    let store = &mut fixture.store;
    store.set_targets(NEXT, &[], false, at(60)).expect("set");
    assert_eq!(kind(&fixture, ENV), ConditionKind::Blocked);
    let store = &mut fixture.store;
    store.set_targets(NEXT, &[], true, at(61)).expect("set");
    assert_eq!(kind(&fixture, ENV), ConditionKind::Ready);
    let gone = fixture.store.standing(&id("site/new"), at(62));
    assert_eq!(gone.expect("read"), None);
}

#[test]
fn what_is_suspended_holds_what_is_on_it() {
    let mut fixture = recorded();
    let mut node = record("node/web-1", "1M");
    if let StateChange::Patch(record) = &mut node {
        let suspend = vec!["suspend".to_owned()];
        let suspend = (suspend, serde_json::json!(true));
        record.patch.set.push(suspend.into());
    }
    fixture
        .store
        .set_recorded(&[node], &[], "edited", "ops", at(2))
        .expect("recorded");
    for resource in ["node/web-1", ENV] {
        assert_eq!(kind(&fixture, resource), ConditionKind::Suspended);
    }
}

#[test]
fn a_node_that_does_not_answer_stalls_what_waits_for_it() {
    let mut fixture = recorded();
    let check = job(JobType::HealthCheck, ENV, "web-1", &[]);
    let check_id = check.id;
    fixture.enqueue(&[check]);
    let claimed = claim(&mut fixture, 5);
    let parked = Finish {
        job: check_id,
        token: claimed.token,
        outcome: Outcome::Park {
            code: ErrorCode::AnsibleHostUnreachable,
            message: "no route".to_owned(),
            host: "192.0.2.1".to_owned(),
            port: 22,
            next_probe_at: at(30),
        },
        changes: &[],
    };
    fixture
        .store
        .finish(&parked, "worker", at(6))
        .expect("parked");
    for resource in ["node/web-1", ENV] {
        let stalled = standing(&fixture, resource);
        assert_eq!(stalled.condition.kind(), ConditionKind::Stalled);
        assert_eq!(stalled.condition.code(), Some("ANSIBLE_HOST_UNREACHABLE"));
    }
    fixture
        .store
        .node_answers("web-1", "worker", at(40))
        .expect("woken");
    assert_eq!(kind(&fixture, "node/web-1"), ConditionKind::Ready);
    assert_eq!(kind(&fixture, ENV), ConditionKind::Reconciling);
}

#[test]
fn what_is_not_recorded_is_where_its_job_or_its_site_is() {
    let mut fixture = recorded();
    let records = [record("site/acme", "1M")];
    let put = fixture
        .store
        .set_recorded(&records, &[], "adopted", "ops", at(2));
    put.expect("recorded");
    let made = job(JobType::SiteCreate, "site/new", "web-2", &[]);
    fixture.enqueue(std::slice::from_ref(&made));
    let all = [
        target("env/acme/staging", "1M", None),
        target("site/new", "1M", Some(made.id)),
        target("env/new/production", "1M", Some(made.id)),
        target("site/later", "1M", None),
    ];
    fixture
        .store
        .set_targets(NEXT, &all, true, at(10))
        .expect("set");
    let nodes = |fixture: &Fixture| {
        let ids = [
            "env/acme/staging",
            "site/new",
            "env/new/production",
            "site/later",
        ];
        ids.map(|id| standing(fixture, id).node)
    };
    let (one, two) = (Some("web-1".to_owned()), Some("web-2".to_owned()));
    let expected = [one, two.clone(), two, None];
    assert_eq!(nodes(&fixture), expected);
    let store = &mut fixture.store;
    store
        .cancel_queued(made.id, "not now", "ops", at(11))
        .expect("cancelled");
    assert_eq!(nodes(&fixture), expected, "also after it has ended");
    fixture.assert_sound();
}
