//! What looks at resources find, and how that is kept.

use pressluft::core::condition::ConditionKind;
use pressluft::core::job::JobType;
use pressluft::store::{Finish, NewJob, NewPlan, Outcome, Scope, StateChange};

use super::fixture::{Fixture, at, id, job, plan, record};

fn look(resource: &str) -> NewJob {
    NewJob {
        status_on_start: None,
        status_on_failure: None,
        max_attempts: 1,
        ..job(JobType::DriftCheck, resource, "web-1", &[])
    }
}

impl Fixture {
    fn found(&mut self, resource: &str, tasks: &[&str], seconds: i64) {
        let job = look(resource);
        let plan = plan(&[]);
        let checks = self
            .store
            .enqueue_checks(&plan, std::slice::from_ref(&job), "ops", at(seconds))
            .expect("queued");
        assert_eq!(checks.queued, [job.id]);
        let claim = self
            .store
            .claim("w", Scope::All, at(seconds))
            .expect("claimed")
            .expect("a job");
        let change = StateChange::Drift {
            id: id(resource),
            tasks: tasks.iter().map(|task| (*task).to_owned()).collect(),
        };
        let finish = Finish {
            job: claim.job.id,
            token: claim.token,
            outcome: Outcome::Succeeded,
            changes: &[change],
        };
        self.store
            .finish(&finish, "ops", at(seconds + 1))
            .expect("finished");
    }
}

#[test]
fn drift_is_dated_from_when_it_was_seen_first_until_it_is_gone() {
    let mut fixture = Fixture::new();
    let resource = "env/acme/production";
    let changes = [record(resource, "1G")];
    let store = &mut fixture.store;
    store
        .set_recorded(&changes, &[], "a test", "ops", at(-1))
        .expect("recorded");
    let stands = |fixture: &Fixture| {
        let standing = fixture.store.standing(&id(resource), at(60)).expect("read");
        standing.expect("it is recorded").condition.kind()
    };
    let since = |fixture: &Fixture| {
        let drift = fixture.store.drift(&id(resource)).expect("read");
        drift.map(|drift| (drift.since, drift.tasks.join(",")))
    };
    assert_eq!(since(&fixture), None);
    fixture.found(resource, &[], 0);
    assert_eq!(since(&fixture), Some((None, String::new())));
    assert_eq!(fixture.store.drifted().expect("read"), []);
    fixture.found(resource, &["Apply"], 10);
    fixture.found(resource, &["Apply", "Serve"], 20);
    assert_eq!(
        since(&fixture),
        Some((Some(at(11)), "Apply,Serve".to_owned()))
    );
    assert_eq!(fixture.store.drifted().expect("read").len(), 1);
    assert_eq!(stands(&fixture), ConditionKind::Drifted);
    fixture.found(resource, &[], 30);
    assert_eq!(since(&fixture), Some((None, String::new())));
    assert_eq!(stands(&fixture), ConditionKind::Ready);
    fixture.assert_sound();
}

#[test]
fn a_check_takes_the_place_of_no_job_and_is_queued_once() {
    let mut fixture = Fixture::new();
    let change = job(JobType::EnvConfigure, "env/acme/production", "web-1", &[]);
    fixture.enqueue(std::slice::from_ref(&change));
    let (first, second) = (look("env/acme/production"), look("env/acme/production"));
    let queue = |fixture: &mut Fixture, plan: &NewPlan, job: &NewJob| {
        let jobs = std::slice::from_ref(job);
        let store = &mut fixture.store;
        store
            .enqueue_checks(plan, jobs, "ops", at(1))
            .expect("queued")
    };
    let (one, two) = (plan(&[]), plan(&[]));
    assert_eq!(queue(&mut fixture, &one, &first).queued, [first.id]);
    let again = queue(&mut fixture, &two, &second);
    assert_eq!(
        (again.queued, again.open),
        (vec![], vec![(first.id, one.id)])
    );
    assert!(fixture.store.job(second.id).expect("read").is_none());

    // The change comes first; what it leaves is not what was to be looked at.
    let claim = fixture
        .store
        .claim("w", Scope::All, at(2))
        .expect("claimed")
        .expect("a job");
    assert_eq!(claim.job.id, change.id);
    let changes = [record("env/acme/production", "1G")];
    let finish = super::fixture::succeed(change.id, claim.token, &changes);
    fixture.store.finish(&finish, "ops", at(3)).expect("done");
    let next = fixture.store.claim("w", Scope::All, at(4)).expect("looked");
    assert!(next.is_none(), "{next:?}");
    fixture.assert_sound();
}
