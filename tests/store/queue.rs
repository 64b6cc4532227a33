//! From a plan to its last job: lanes, order, dependencies, superseding, stale plans.

use pressluft::core::event::TaskStatus;
use pressluft::core::job::{ErrorCode, JobOrigin, JobStatus, JobType};
use pressluft::core::recorded::{JobId, ResourceStatus};
use pressluft::store::{
    Clock, Enqueued, Finish, JobFilter, Joins, NewJob, NewPlan, NewTaskEvent, Outcome, Scope,
    Store, StoreError, new_job_id,
};

use crate::fixture::{Fixture, at, id, job, plan, record, succeed};

#[test]
fn a_plan_runs_in_the_order_of_its_dependencies() {
    let mut fixture = Fixture::new();
    let node = job(JobType::NodeProvision, "node/web-1", "web-1", &[]);
    let site = job(JobType::SiteCreate, "site/acme", "web-1", &[node.id]);
    let plan_id = fixture.enqueue(&[site.clone(), node.clone()]);
    let store = &mut fixture.store;

    let claim = store
        .claim("w", Scope::All, at(1))
        .expect("claimed")
        .expect("a job");
    assert_eq!(claim.job.id, node.id);
    assert_eq!((claim.attempt, claim.job.status), (1, JobStatus::Running));
    assert_eq!((claim.changes, claim.payload), (node.changes, node.payload));
    assert!(
        store
            .claim("w", Scope::All, at(1))
            .expect("claimed")
            .is_none()
    );

    let event = NewTaskEvent {
        at: at(2),
        task: "install packages".to_owned(),
        status: TaskStatus::Changed,
        seconds: Some(1.5),
        diff: Some("+ü".repeat(100_000)),
        message: None,
    };
    store
        .append_events(node.id, claim.token, &[event.clone(), event], at(2))
        .expect("kept");
    let events = store.task_events(node.id).expect("read");
    assert_eq!(
        events.iter().map(|event| event.seq).collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(
        events[0]
            .diff
            .as_ref()
            .is_some_and(|diff| diff.len() <= 64 * 1024)
    );

    let changes = [record("node/web-1", "1M")];
    let status = store.finish(&succeed(node.id, claim.token, &changes), "w", at(3));
    assert_eq!(status.expect("finished"), JobStatus::Succeeded);
    assert!(store.recorded(&id("node/web-1")).expect("read").is_some());
    let claim = store
        .claim("w", Scope::Plans(&[plan_id]), at(4))
        .expect("claimed")
        .expect("job");
    assert_eq!(claim.job.id, site.id);
    store
        .finish(&succeed(site.id, claim.token, &[]), "w", at(5))
        .expect("finished");
    assert_eq!(
        store.job_counts(plan_id).expect("read"),
        [(JobStatus::Succeeded, 2)]
    );
    fixture.assert_sound();
}

#[test]
fn a_lane_holds_one_job_and_other_lanes_go_on() {
    let mut fixture = Fixture::new();
    let jobs = [
        job(JobType::EnvConfigure, "env/acme/production", "web-1", &[]),
        job(JobType::EnvConfigure, "env/bakery/production", "web-1", &[]),
        // The same site on another node shares the site's lane.
        job(JobType::EnvConfigure, "env/acme/staging", "web-2", &[]),
        job(
            JobType::EnvConfigure,
            "env/florist/production",
            "web-2",
            &[],
        ),
    ];
    fixture.enqueue(&jobs);
    let store = &mut fixture.store;
    let mut claim = || {
        store
            .claim("w", Scope::All, at(1))
            .expect("claimed")
            .map(|c| c.job.id)
    };
    assert_eq!(claim(), Some(jobs[0].id));
    assert_eq!(claim(), Some(jobs[3].id));
    assert_eq!(claim(), None);
    fixture.assert_sound();
}

/// A clock that goes on by ten seconds each time that somebody looks at it.
struct Going(std::cell::Cell<i64>);

impl Clock for &Going {
    fn now(&self) -> jiff::Timestamp {
        at(self.0.replace(self.0.get() + 10))
    }
}

#[test]
fn a_job_starts_when_its_lane_is_held_and_not_when_it_was_looked_for() {
    let mut fixture = Fixture::new();
    let first = job(JobType::NodeProvision, "node/web-1", "web-1", &[]);
    fixture.enqueue(std::slice::from_ref(&first));
    // Between the look and the claim another process may have ended what held the lane.
    let clock = Going(std::cell::Cell::new(0));
    let claim = fixture
        .store
        .claim("w", Scope::All, &clock)
        .expect("claimed");
    assert_eq!(claim.expect("a job").job.started_at, Some(at(10)));
}

#[test]
fn a_failed_job_cancels_what_depends_on_it_and_nothing_else() {
    let mut fixture = Fixture::new();
    let node = job(JobType::NodeProvision, "node/web-1", "web-1", &[]);
    let site = job(JobType::SiteCreate, "site/acme", "web-1", &[node.id]);
    let env = job(JobType::EnvCreate, "env/acme/staging", "web-1", &[site.id]);
    let other = job(JobType::NodeProvision, "node/web-2", "web-2", &[]);
    fixture.enqueue(&[node.clone(), site.clone(), env.clone(), other.clone()]);
    let store = &mut fixture.store;
    store
        .set_recorded(&[record("site/acme", "1M")], &[], "adopted", "ops", at(0))
        .expect("recorded");
    let claim = store
        .claim("w", Scope::All, at(1))
        .expect("claimed")
        .expect("a job");
    let code = ErrorCode::AnsibleHostFailed;
    let outcome = Outcome::Failed {
        code,
        message: "apt is broken".to_owned(),
    };
    let finish = Finish {
        job: node.id,
        token: claim.token,
        outcome,
        changes: &[],
    };
    assert_eq!(
        store.finish(&finish, "w", at(2)).expect("finished"),
        JobStatus::Failed
    );
    for id in [site.id, env.id] {
        let job = store.job(id).expect("read").expect("is there");
        assert_eq!(job.status, JobStatus::Cancelled);
        assert_eq!(job.error_code, Some(ErrorCode::DependencyFailed));
        assert!(
            job.error_message
                .is_some_and(|m| m.contains(&node.id.to_string()))
        );
    }
    let next = store
        .claim("w", Scope::All, at(3))
        .expect("claimed")
        .expect("a job");
    assert_eq!(next.job.id, other.id);
    fixture.assert_sound();
}

#[test]
fn a_retry_waits_for_its_moment_and_the_resource_mirrors_its_job() {
    let mut fixture = Fixture::new();
    let env = id("env/acme/production");
    let recorded = [record("env/acme/production", "256M")];
    fixture
        .store
        .set_recorded(&recorded, &[], "adopted", "ops", at(0))
        .expect("recorded");
    let only = job(JobType::EnvConfigure, "env/acme/production", "web-1", &[]);
    fixture.enqueue(std::slice::from_ref(&only));
    let store = &mut fixture.store;
    let status = |store: &Store| {
        store
            .recorded(&env)
            .expect("read")
            .expect("is there")
            .status
    };
    for spend_attempt in [false, true] {
        let now = if spend_attempt { at(100) } else { at(1) };
        let claim = store
            .claim("w", Scope::All, now)
            .expect("claimed")
            .expect("a job");
        assert_eq!(claim.job.attempt_count, 1);
        assert_eq!(status(store), ResourceStatus::Deploying);
        let code = ErrorCode::AnsibleHostUnreachable;
        let run_after = now + jiff::SignedDuration::from_secs(60);
        let message = "no route".to_owned();
        let outcome = Outcome::Retry {
            code,
            message,
            run_after,
            spend_attempt,
        };
        let finish = Finish {
            job: only.id,
            token: claim.token,
            outcome,
            changes: &[],
        };
        assert_eq!(
            store.finish(&finish, "w", now).expect("finished"),
            JobStatus::Queued
        );
        assert!(
            store
                .claim("w", Scope::All, now)
                .expect("claimed")
                .is_none()
        );
    }
    let claim = store
        .claim("w", Scope::All, at(200))
        .expect("claimed")
        .expect("a job");
    assert_eq!((claim.attempt, claim.job.attempt_count), (3, 2));
    let outcome = Outcome::Cancelled {
        message: "interrupted at the terminal".to_owned(),
    };
    let finish = Finish {
        job: only.id,
        token: claim.token,
        outcome,
        changes: &[],
    };
    store.finish(&finish, "w", at(201)).expect("finished");
    assert_eq!(status(store), ResourceStatus::Failed);
    assert_eq!(store.attempts(only.id).expect("read").len(), 3);
    fixture.assert_sound();
}

#[test]
fn groups_of_equal_work_are_joined_and_only_the_others_are_queued() {
    let mut fixture = Fixture::new();
    let config = |name: &str| {
        let resource = format!("env/{name}/production");
        let job = |job_type| job(job_type, &resource, "web-1", &[]);
        let first = job(JobType::EnvConfigure);
        let mut check = job(JobType::HealthCheck);
        check.depends_on = vec![first.id];
        [first, check]
    };
    let acme = config("acme");
    fixture.enqueue(&acme);
    let claim = fixture
        .store
        .claim("w", Scope::All, at(1))
        .expect("claimed");
    assert_eq!(claim.expect("a job").job.id, acme[0].id);
    let (again, other) = (config("acme"), config("bakery"));
    let all = [again.clone(), other.clone()].concat();
    let mut groups = plan(&[]);
    groups.joins = Joins::Groups;
    groups.partial = false;
    let enqueued = fixture.store.enqueue(&groups, &all, "serve", at(2));
    let enqueued = enqueued.expect("enqueued");
    assert_eq!(enqueued.superseded, []);
    let same = [(again[0].id, acme[0].id), (again[1].id, acme[1].id)];
    assert_eq!(joined(&enqueued), same);
    let is_there = |id| fixture.store.job(id).expect("read").is_some();
    assert!(!is_there(again[0].id) && is_there(other[1].id));
    // All of it is there now.
    let mut groups = plan(&[]);
    groups.joins = Joins::Groups;
    let all = [config("acme"), config("bakery")].concat();
    let enqueued = fixture.store.enqueue(&groups, &all, "serve", at(3));
    assert_eq!(enqueued.expect("enqueued").joined.len(), 4);
    fixture.assert_sound();
}

/// The jobs that were left out, each with the one that does the same.
fn joined(enqueued: &Enqueued) -> Vec<(JobId, JobId)> {
    let joined = enqueued.joined.iter();
    joined.map(|(own, (same, _))| (*own, *same)).collect()
}

#[test]
fn a_plan_that_is_queued_already_still_ends_what_it_makes_pointless() {
    for joins in [Joins::Whole, Joins::Groups, Joins::Only] {
        let mut fixture = Fixture::new();
        let acme = || job(JobType::EnvConfigure, "env/acme/production", "web-1", &[]);
        let kept = acme();
        let bakery = job(JobType::EnvConfigure, "env/bakery/production", "web-2", &[]);
        fixture.enqueue(&[kept.clone(), bakery.clone()]);
        let mut newer = plan(&[]);
        (newer.joins, newer.partial) = (joins, false);
        let again = acme();
        let same = std::slice::from_ref(&again);
        let enqueued = fixture.store.enqueue(&newer, same, "serve", at(1));
        let enqueued = enqueued.expect("enqueued");
        assert_eq!(joined(&enqueued), [(again.id, kept.id)], "{joins:?}");
        assert_eq!(enqueued.superseded, [bakery.id], "{joins:?}");
        // Of a part of the fleet it says nothing about the rest.
        let other = job(JobType::EnvConfigure, "env/other/production", "web-2", &[]);
        fixture.enqueue(std::slice::from_ref(&other));
        let mut part = plan(&[]);
        part.joins = joins;
        let enqueued = fixture.store.enqueue(&part, &[acme()], "serve", at(2));
        assert_eq!(enqueued.expect("enqueued").superseded, []);
        fixture.assert_sound();
    }
}

#[test]
fn what_is_not_wanted_is_cancelled_behind_a_job_that_stays() {
    let mut fixture = Fixture::new();
    let node = || job(JobType::NodeProvision, "node/web-1", "web-1", &[]);
    let stays = node();
    let resource = "env/acme/production";
    let behind = job(JobType::EnvConfigure, resource, "web-1", &[stays.id]);
    // One that changes nothing itself, before one that does.
    let mut look = job(JobType::HealthCheck, "env/bakery/staging", "web-2", &[]);
    look.has_effects = false;
    let after = job(
        JobType::EnvConfigure,
        "env/bakery/staging",
        "web-2",
        &[look.id],
    );
    let jobs = [stays.clone(), behind.clone(), look, after.clone()];
    fixture.enqueue(&jobs);
    let mut newer = plan(&[]);
    (newer.joins, newer.partial) = (Joins::Groups, false);
    let again = node();
    let enqueued = fixture
        .store
        .enqueue(&newer, std::slice::from_ref(&again), "serve", at(1))
        .expect("enqueued");
    assert_eq!(joined(&enqueued), [(again.id, stays.id)]);
    assert_eq!(enqueued.superseded, [behind.id, after.id]);
    fixture.assert_sound();
}

#[test]
fn a_job_that_would_end_with_what_it_waits_for_is_queued_anew() {
    for joins in [Joins::Whole, Joins::Groups] {
        let mut fixture = Fixture::new();
        let node = job(JobType::NodeProvision, "node/web-1", "web-1", &[]);
        let resource = "env/acme/production";
        let old = job(JobType::EnvConfigure, resource, "web-1", &[node.id]);
        fixture.enqueue(&[node.clone(), old.clone()]);
        // The change of the node is taken back, that of the environment is not.
        let mut newer = plan(&[]);
        (newer.joins, newer.partial) = (joins, false);
        let new = job(JobType::EnvConfigure, resource, "web-1", &[]);
        let enqueued = fixture
            .store
            .enqueue(&newer, std::slice::from_ref(&new), "serve", at(1))
            .expect("enqueued");
        assert_eq!(joined(&enqueued), [], "{joins:?}");
        assert_eq!(enqueued.superseded, [old.id, node.id], "{joins:?}");
        let claim = fixture.store.claim("w", Scope::All, at(2));
        assert_eq!(claim.expect("claimed").expect("a job").job.id, new.id);
        fixture.assert_sound();
    }
}

#[test]
fn a_plan_ends_only_what_plans_asked_for() {
    let asked = |origin, has_effects| NewJob {
        origin,
        has_effects,
        ..job(JobType::EnvConfigure, "env/acme/production", "web-1", &[])
    };
    for (origin, has_effects, beside, for_it) in [
        (JobOrigin::Plan, true, true, true),
        (JobOrigin::Plan, false, false, true),
        (JobOrigin::Job, false, false, true),
        // A look would compare it with what it is not any more.
        (JobOrigin::Person, false, false, true),
        (JobOrigin::Schedule, false, false, true),
        (JobOrigin::Person, true, false, false),
        (JobOrigin::Schedule, true, false, false),
    ] {
        for (resource, ends) in [
            ("node/web-2", beside),
            ("env/acme/production", for_it || beside),
        ] {
            let mut fixture = Fixture::new();
            let first = asked(origin, has_effects);
            fixture.enqueue(std::slice::from_ref(&first));
            let is_counted = fixture.store.has_queued_changes().expect("read");
            assert_eq!(is_counted, origin == JobOrigin::Plan && has_effects);
            let second = job(JobType::EnvConfigure, resource, "web-1", &[]);
            let whole = NewPlan {
                partial: false,
                ..plan(&[])
            };
            let enqueued = fixture.store.enqueue(&whole, &[second], "ops", at(1));
            let enqueued = enqueued.expect("enqueued");
            let what = format!("{origin} {has_effects} {resource}");
            let expected = if ends { vec![first.id] } else { Vec::new() };
            assert_eq!(enqueued.superseded, expected, "{what}");
            fixture.assert_sound();
        }
    }
}

#[test]
fn a_newer_plan_supersedes_what_is_queued_for_its_resources() {
    let mut fixture = Fixture::new();
    let node = job(JobType::NodeProvision, "node/web-1", "web-1", &[]);
    let site = job(JobType::SiteCreate, "site/acme", "web-1", &[node.id]);
    let other = job(JobType::EnvConfigure, "env/bakery/production", "web-2", &[]);
    fixture.enqueue(&[node.clone(), site.clone(), other.clone()]);
    let newer = job(JobType::NodeProvision, "node/web-1", "web-1", &[]);
    let enqueued = fixture
        .store
        .enqueue(&plan(&[]), &[newer], "ops", at(1))
        .expect("enqueued");
    let superseded = vec![node.id, site.id];
    let joined = Vec::new();
    assert_eq!(enqueued, Enqueued { superseded, joined });
    let read = |id| fixture.store.job(id).expect("read").expect("is there");
    assert_eq!(read(node.id).error_code, Some(ErrorCode::Superseded));
    // What waited for it was overtaken with it: nothing has failed that anybody could mend.
    assert_eq!(read(site.id).error_code, Some(ErrorCode::Superseded));
    assert_eq!(read(other.id).status, JobStatus::Queued);
    fixture.assert_sound();
}

#[test]
fn a_stale_plan_is_refused_when_queued_and_cancelled_when_its_turn_comes() {
    let mut fixture = Fixture::new();
    let env = id("env/acme/production");
    let change = |memory: &str| [record("env/acme/production", memory)];
    let store = &mut fixture.store;
    store
        .set_recorded(&change("1M"), &[], "adopted", "ops", at(0))
        .expect("recorded");
    let stale = job(JobType::EnvConfigure, "env/acme/production", "web-1", &[]);
    let late = store.enqueue(
        &plan(&[(env.clone(), 7)]),
        std::slice::from_ref(&stale),
        "ops",
        at(1),
    );
    assert!(matches!(late, Err(StoreError::StalePlan(ids)) if ids == [env.clone()]));
    assert_eq!(store.job(stale.id).expect("read"), None);

    store
        .enqueue(
            &plan(&[(env, 1)]),
            std::slice::from_ref(&stale),
            "ops",
            at(2),
        )
        .expect("enqueued");
    store
        .set_recorded(&change("2M"), &[], "edited by hand", "ops", at(3))
        .expect("recorded");
    assert!(
        store
            .claim("w", Scope::All, at(4))
            .expect("claimed")
            .is_none()
    );
    let ended = store.job(stale.id).expect("read").expect("is there");
    assert_eq!(ended.error_code, Some(ErrorCode::PlanStale));
    fixture.assert_sound();
}

#[test]
fn dependencies_lead_to_jobs_of_the_plan_and_not_round_in_circles() {
    let mut fixture = Fixture::new();
    let mut left = job(JobType::SiteCreate, "site/acme", "web-1", &[]);
    let right = job(JobType::SiteCreate, "site/bakery", "web-1", &[left.id]);
    left.depends_on.push(right.id);
    let orphan = job(JobType::SiteCreate, "site/florist", "web-1", &[left.id]);
    for jobs in [vec![left, right], vec![orphan]] {
        let refused = fixture.store.enqueue(&plan(&[]), &jobs, "ops", at(0));
        assert!(matches!(refused, Err(StoreError::BadDependencies)));
    }
    fixture.assert_sound();
}

#[test]
fn lists_have_filters_and_pages() {
    let mut fixture = Fixture::new();
    let jobs: Vec<_> = (0..5)
        .map(|n| {
            job(
                JobType::NodeProvision,
                &format!("node/web-{n}"),
                &format!("web-{n}"),
                &[],
            )
        })
        .collect();
    fixture.enqueue(&jobs);
    fixture
        .store
        .cancel_queued(jobs[1].id, "not now", "ops", at(1))
        .expect("cancelled");
    let mut filter = JobFilter {
        status: Some(JobStatus::Queued),
        limit: 3,
        ..JobFilter::default()
    };
    let first = fixture.store.jobs(&filter).expect("read");
    let ids: Vec<_> = first.jobs.iter().map(|job| job.id).collect();
    assert_eq!(ids, [jobs[4].id, jobs[3].id, jobs[2].id]);
    filter.cursor = first.cursor;
    let second = fixture.store.jobs(&filter).expect("read");
    assert_eq!((second.jobs.len(), second.cursor), (1, None));
    let again = fixture
        .store
        .cancel_queued(jobs[1].id, "not now", "ops", at(1));
    assert!(matches!(again, Err(StoreError::IllegalMove(_))));
    fixture.assert_sound();
}

#[test]
fn a_look_without_a_verdict_says_nothing_about_its_resource() {
    let mut fixture = Fixture::new();
    let change = [record("env/acme/production", "1M")];
    let store = &mut fixture.store;
    store
        .set_recorded(&change, &[], "adopted", "ops", at(0))
        .expect("recorded");
    let mut check = job(JobType::HealthCheck, "env/acme/production", "web-1", &[]);
    (check.max_attempts, check.status_on_start) = (1, None);
    fixture.enqueue(std::slice::from_ref(&check));
    let store = &mut fixture.store;
    let status = |store: &Store| {
        let env = store.recorded(&id("env/acme/production"));
        env.expect("read").expect("recorded").status
    };
    let claim = |store: &mut Store, when| {
        let claim = store.claim("w", Scope::All, at(when)).expect("claimed");
        claim.expect("a job").token
    };
    // Its worker dies four times: it is tried again, and the environment is as it was.
    for when in [1, 2, 1000, 2000] {
        let token = claim(store, when);
        let status = store.mark_interrupted(check.id, token, "died", at(when), "w", at(when));
        assert_eq!(status.expect("interrupted"), JobStatus::Queued);
    }
    let token = claim(store, 3000);
    let status_after = store.mark_interrupted(check.id, token, "died", at(3000), "w", at(3000));
    assert_eq!(status_after.expect("interrupted"), JobStatus::Failed);
    assert_eq!(status(store), ResourceStatus::Active);

    let ends = |fixture: &mut Fixture, code| {
        let again = NewJob {
            id: new_job_id(at(4)),
            ..check.clone()
        };
        fixture.enqueue(std::slice::from_ref(&again));
        let finish = Finish {
            job: again.id,
            token: claim(&mut fixture.store, 5),
            outcome: Outcome::Failed {
                code,
                message: "no".to_owned(),
            },
            changes: &[],
        };
        fixture.store.finish(&finish, "w", at(6)).expect("finished");
        status(&fixture.store)
    };
    let code = ErrorCode::SecretUnavailable;
    assert_eq!(ends(&mut fixture, code), ResourceStatus::Active);
    let code = ErrorCode::HealthCheckFailed;
    assert_eq!(ends(&mut fixture, code), ResourceStatus::Failed);
    fixture.assert_sound();
}

#[test]
fn a_job_that_is_cancelled_between_two_attempts_leaves_its_resource_failed() {
    let mut fixture = Fixture::new();
    let change = [record("env/acme/production", "1M")];
    fixture
        .store
        .set_recorded(&change, &[], "adopted", "ops", at(0))
        .expect("recorded");
    let only = job(JobType::EnvConfigure, "env/acme/production", "web-1", &[]);
    fixture.enqueue(std::slice::from_ref(&only));
    let store = &mut fixture.store;
    let status = |store: &Store| {
        let env = store.recorded(&id("env/acme/production"));
        env.expect("read").expect("recorded").status
    };
    let claim = store.claim("w", Scope::All, at(1)).expect("claimed");
    let finish = Finish {
        job: only.id,
        token: claim.expect("a job").token,
        outcome: Outcome::Retry {
            code: ErrorCode::AnsibleHostFailed,
            message: "no".to_owned(),
            run_after: at(60),
            spend_attempt: true,
        },
        changes: &[],
    };
    store.finish(&finish, "w", at(2)).expect("finished");
    assert_eq!(status(store), ResourceStatus::Deploying);
    store
        .cancel_queued(only.id, "not now", "ops", at(3))
        .expect("cancelled");
    assert_eq!(status(store), ResourceStatus::Failed);
    fixture.assert_sound();
}

#[test]
fn an_attempt_that_is_planned_too_far_ahead_is_due() {
    let mut fixture = Fixture::new();
    let mut only = job(JobType::EnvConfigure, "env/acme/production", "web-1", &[]);
    only.run_after = at(86_400);
    let plan_id = fixture.enqueue(std::slice::from_ref(&only));
    let store = &mut fixture.store;
    let open = store.open_jobs(plan_id, at(1)).expect("read");
    assert_eq!((open.due, open.waiting), (1, 0));
    let open = store.open_jobs(plan_id, at(86_000)).expect("read");
    assert_eq!((open.due, open.waiting), (0, 1));
    let claim = store.claim("w", Scope::All, at(86_000)).expect("claimed");
    assert!(claim.is_none());
    // A clock was set back since.
    let claim = store.claim("w", Scope::All, at(1)).expect("claimed");
    assert!(claim.is_some());
    fixture.assert_sound();
}
