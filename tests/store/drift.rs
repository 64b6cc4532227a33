//! What looks at resources find, and how that is kept.

use pressluft::core::condition::ConditionKind;
use pressluft::core::drift::Differences;
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
        self.finds(resource, tasks, &[], seconds);
    }

    fn finds(&mut self, resource: &str, tasks: &[&str], by_hand: &[&str], seconds: i64) {
        let job = look(resource);
        let plan = plan(&[]);
        let checks = self
            .store
            .enqueue_requests(&plan, std::slice::from_ref(&job), "ops", at(seconds))
            .expect("queued");
        assert_eq!(checks.queued, [job.id]);
        let claim = self
            .store
            .claim("w", Scope::All, at(seconds))
            .expect("claimed")
            .expect("a job");
        let mut found = Differences::default();
        for task in tasks {
            found.add((*task).to_owned(), by_hand.contains(task));
        }
        let id = id(resource);
        let change = StateChange::Looked { id, found };
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
        drift.map(|drift| (drift.since, drift.found.tasks.join(",")))
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
fn what_only_people_put_back_outlives_a_job_that_succeeds() {
    let mut fixture = Fixture::new();
    let resource = "env/acme/production";
    let store = &mut fixture.store;
    store
        .set_recorded(&[record(resource, "1G")], &[], "a test", "ops", at(-1))
        .expect("recorded");
    fixture.finds(resource, &["Apply", "Serve"], &["Serve"], 0);
    let looked = fixture.store.drift(&id(resource)).expect("read");
    let looked = looked.expect("it was looked at");
    assert_eq!(looked.found.to_heal(), ["Apply"]);

    let converge = |fixture: &mut Fixture, seconds| {
        let change = job(JobType::EnvConfigure, resource, "web-1", &[]);
        fixture.enqueue(std::slice::from_ref(&change));
        let claim = fixture.store.claim("w", Scope::All, at(seconds));
        let claim = claim.expect("claimed").expect("a job");
        let changes = [StateChange::Converged(id(resource))];
        let finish = super::fixture::succeed(change.id, claim.token, &changes);
        let store = &mut fixture.store;
        store.finish(&finish, "ops", at(seconds + 1)).expect("done");
        store.drift(&id(resource)).expect("read").expect("known")
    };
    let left = converge(&mut fixture, 10);
    assert_eq!((left.job, left.since), (looked.job, looked.since));
    assert_eq!(left.checked_at, looked.checked_at);
    assert_eq!(left.found.tasks, ["Serve"]);
    assert_eq!(left.found.to_heal(), Vec::<&str>::new());

    // A look that finds nothing any more ends it; then a job counts as a look.
    fixture.found(resource, &[], 20);
    let clean = converge(&mut fixture, 30);
    assert_eq!((clean.since, clean.checked_at), (None, at(31)));
    assert!(clean.found.is_empty());
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
            .enqueue_requests(plan, jobs, "ops", at(1))
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
