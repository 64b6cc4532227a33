//! Leases, tokens, interruptions, and several workers on one file.

use std::collections::HashSet;
use std::sync::Mutex;

use pressluft::core::job::{ErrorCode, JobStatus, JobType};
use pressluft::store::{AttemptEnd, Process, Scope, Store, StoreError};

use crate::fixture::{Fixture, at, job, record, succeed};

#[test]
fn a_worker_that_lost_its_lease_writes_nothing() {
    let mut fixture = Fixture::new();
    let only = job(JobType::SiteCreate, "site/acme", "web-1", &[]);
    fixture.enqueue(std::slice::from_ref(&only));
    let store = &mut fixture.store;
    let old = store
        .claim("old", Scope::All, at(0))
        .expect("claimed")
        .expect("a job");
    let process = Process {
        pid: 7,
        start: 9,
        boot_id: "boot".to_owned(),
    };
    store
        .set_attempt_process(only.id, old.token, &process, at(0))
        .expect("recorded");
    store.heartbeat(only.id, old.token, at(10)).expect("held");
    assert_eq!(store.expire_leases("w", at(69)).expect("looked"), []);
    assert_eq!(store.expire_leases("w", at(71)).expect("looked"), [only.id]);
    assert_eq!(store.expire_leases("w", at(72)).expect("looked"), []);
    assert!(
        store
            .claim("new", Scope::All, at(72))
            .expect("claimed")
            .is_none(),
        "lane is kept"
    );

    let held = store.leased_jobs().expect("read");
    assert_eq!(
        (held[0].token, held[0].process.as_ref()),
        (old.token, Some(&process))
    );
    let status = store.mark_interrupted(only.id, old.token, "worker died", at(72), "new", at(72));
    assert_eq!(status.expect("settled"), JobStatus::Queued);
    let new = store
        .claim("new", Scope::All, at(73))
        .expect("claimed")
        .expect("a job");
    assert!(new.token > old.token);

    let changes = [record("site/acme", "1M")];
    let stale = |result: Result<_, StoreError>| {
        assert!(matches!(result, Err(StoreError::Stale { .. })), "refused");
    };
    stale(store.heartbeat(only.id, old.token, at(74)).map(drop));
    stale(
        store
            .finish(&succeed(only.id, old.token, &changes), "old", at(74))
            .map(drop),
    );
    stale(
        store
            .mark_interrupted(only.id, old.token, "", at(74), "x", at(74))
            .map(drop),
    );
    assert_eq!(store.recorded_heads().expect("read"), []);

    store
        .finish(&succeed(only.id, new.token, &changes), "new", at(75))
        .expect("finished");
    let outcomes: Vec<_> = store
        .attempts(only.id)
        .expect("read")
        .into_iter()
        .map(|a| a.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [Some(AttemptEnd::Interrupted), Some(AttemptEnd::Succeeded)]
    );
    fixture.assert_sound();
}

#[test]
fn a_job_that_is_interrupted_too_often_fails_and_spends_no_attempt_until_then() {
    let mut fixture = Fixture::new();
    let mut only = job(JobType::SiteCreate, "site/acme", "web-1", &[]);
    only.max_attempts = 1;
    let after = job(JobType::EnvCreate, "env/acme/staging", "web-1", &[only.id]);
    let other = job(JobType::SiteCreate, "site/other", "web-1", &[]);
    fixture.enqueue(&[only.clone(), after.clone(), other.clone()]);
    let store = &mut fixture.store;
    let mut now = 0;
    let mut died = |store: &mut Store| {
        // Whatever waits longest is due.
        now += 1000;
        let claim = store.claim("w", Scope::All, at(now)).expect("claimed");
        let claim = claim.expect("a job");
        assert_eq!(claim.job.id, only.id);
        assert_eq!(claim.job.attempt_count, 1);
        let status = store.mark_interrupted(only.id, claim.token, "killed", at(now), "w", at(now));
        (status.expect("settled"), now)
    };
    let (status, now) = died(store);
    assert_eq!(status, JobStatus::Queued);
    assert!(store.job(only.id).expect("read").expect("there").run_after == at(now));
    let (status, now) = died(store);
    assert_eq!(status, JobStatus::Queued);
    // While it waits another one comes to its end.
    let claim = store.claim("w", Scope::All, at(now + 1)).expect("claimed");
    let claim = claim.expect("the other one");
    assert_eq!(claim.job.id, other.id);
    store
        .finish(&succeed(other.id, claim.token, &[]), "w", at(now + 2))
        .expect("finished");
    for _ in 0..2 {
        assert_eq!(died(store).0, JobStatus::Queued);
    }
    assert_eq!(died(store).0, JobStatus::Failed);
    let failed = store.job(only.id).expect("read").expect("is there");
    assert_eq!(failed.error_code, Some(ErrorCode::WorkerDied));
    let dependent = store.job(after.id).expect("read").expect("is there");
    assert_eq!(dependent.status, JobStatus::Cancelled);
    fixture.assert_sound();
}

#[test]
fn workers_that_claim_at_once_never_share_a_lane() {
    let mut fixture = Fixture::new();
    let jobs: Vec<_> = (0..200)
        .map(|n| {
            let site = format!("env/site-{}/production", n % 40);
            job(JobType::EnvConfigure, &site, &format!("web-{}", n % 8), &[])
        })
        .collect();
    fixture.enqueue(&jobs);
    let path = fixture.path();
    let busy = Mutex::new(HashSet::new());
    let done = Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (path, busy, done) = (&path, &busy, &done);
            scope.spawn(move || {
                let mut store = Store::open(path).expect("opened");
                let name = format!("worker-{worker}");
                while done.lock().expect("lock").len() < 200 {
                    let Some(claim) = store.claim(&name, Scope::All, at(1)).expect("claimed")
                    else {
                        std::thread::yield_now();
                        continue;
                    };
                    let lanes = [claim.job.node_id.clone(), claim.job.site_id.expect("site")];
                    for lane in &lanes {
                        assert!(busy.lock().expect("lock").insert(lane.clone()), "{lane}");
                    }
                    // Left before the finish: another worker may have the lane right after it.
                    for lane in &lanes {
                        busy.lock().expect("lock").remove(lane);
                    }
                    store
                        .finish(&succeed(claim.job.id, claim.token, &[]), &name, at(2))
                        .expect("finished");
                    assert!(done.lock().expect("lock").insert(claim.job.id));
                }
            });
        }
    });
    fixture.assert_sound();
}
