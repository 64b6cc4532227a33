//! What is kept of the past, and what goes.

use jiff::{SignedDuration, Timestamp};
use pressluft::core::drift::Differences;
use pressluft::core::history::{HistoryKind, HistoryPolicy, Keep};
use pressluft::core::job::{ErrorCode, JobOrigin, JobType};
use pressluft::core::recorded::{JobId, ResourceStatus};
use pressluft::store::{
    AuditFilter, Ended, Finish, JobFilter, NewJob, Outcome, Scan, Scope, StateChange, Store,
};

use crate::fixture::{Fixture, at, id, job, plan, record, succeed};

const ENV: &str = "env/acme/production";
const DAY: i64 = 86_400;

/// The moment `days` after the fixed one.
fn day(days: i64) -> Timestamp {
    at(days * DAY)
}

/// Keeps `count` of everything for `days`.
fn keep(days: u64, count: u64) -> HistoryPolicy {
    let age = std::time::Duration::from_secs(days * 86_400);
    HistoryKind::ALL
        .iter()
        .fold(HistoryPolicy::default(), |policy, kind| {
            policy.with(*kind, Keep { age, count })
        })
}

fn look(job_type: JobType, origin: JobOrigin, now: Timestamp) -> NewJob {
    NewJob {
        id: JobId::new(now, rand::random()),
        origin,
        run_after: now,
        max_attempts: 1,
        status_on_start: None,
        status_on_failure: (job_type == JobType::HealthCheck).then_some(ResourceStatus::Failed),
        changes: "[]".to_owned(),
        has_effects: false,
        ..job(job_type, ENV, "web-1", &[])
    }
}

/// Queues, claims and ends a job.
fn run(store: &mut Store, new: NewJob, outcome: Outcome, found: &[&str], now: Timestamp) -> JobId {
    let looks = new.job_type.only_looks();
    let plan = pressluft::store::NewPlan {
        id: pressluft::store::new_plan_id(now),
        ..plan(&[])
    };
    let job = new.id;
    if looks {
        store
            .enqueue_requests(&plan, &[new], "serve", now)
            .expect("queued");
    } else {
        store.enqueue(&plan, &[new], "ops", now).expect("queued");
    }
    let claim = store.claim("worker", Scope::All, now).expect("claimed");
    let claim = claim.expect("a job");
    assert_eq!(claim.job.id, job);
    let mut changes = Vec::new();
    let good = outcome == Outcome::Succeeded;
    if good && claim.job.job_type == JobType::DriftCheck {
        let tasks: Vec<String> = found.iter().map(|&task| task.to_owned()).collect();
        changes.push(StateChange::Looked {
            id: claim.job.resource.clone(),
            found: Differences {
                tasks,
                by_hand: Vec::new(),
            },
        });
    }
    if good && !looks {
        changes.push(record(&claim.job.resource.to_string(), &now.to_string()));
    }
    if good {
        changes.push(StateChange::Status {
            id: claim.job.resource.clone(),
            status: ResourceStatus::Active,
        });
    }
    let finish = Finish {
        job,
        token: claim.token,
        outcome,
        changes: &changes,
    };
    store
        .finish(&finish, "worker", now + SignedDuration::from_secs(2))
        .expect("ended");
    job
}

fn failed() -> Outcome {
    Outcome::Failed {
        code: ErrorCode::HealthCheckFailed,
        message: "503".to_owned(),
    }
}

fn recorded() -> Fixture {
    let mut fixture = Fixture::new();
    fixture
        .store
        .set_recorded(&[record(ENV, "1")], &[], "adopted", "ops", at(0))
        .expect("recorded");
    fixture
}

fn jobs(store: &Store) -> Vec<JobId> {
    let filter = JobFilter {
        limit: 10_000,
        ..JobFilter::default()
    };
    let jobs = store.jobs(&filter).expect("read").jobs;
    jobs.iter().map(|job| job.id).collect()
}

/// Takes everything away that can go at `now`.
fn clear(store: &mut Store, policy: &HistoryPolicy, now: Timestamp) {
    let hour = SignedDuration::from_hours(1);
    loop {
        let found = store.removable_looks(now - hour, 7).expect("found");
        store.remove_jobs(&found).expect("removed");
        if found.is_empty() {
            break;
        }
    }
    let excess = store.excess(policy, now).expect("found");
    for tasks in [false, true] {
        let mut after = 0;
        loop {
            let found = match tasks {
                false => store.removable_jobs(&excess, after, 7),
                true => store.removable_tasks(&excess, after, 7),
            };
            let found = found.expect("found");
            let Some(last) = found.last() else { break };
            let removed = match tasks {
                false => store.remove_jobs(&found),
                true => store.remove_tasks(&found),
            };
            if !removed.expect("removed").is_partial {
                after = last.sequence;
            }
        }
    }
    while store.remove_plans(now - hour, 7).expect("removed") > 0 {}
    while store
        .remove_rest(policy, 7, now)
        .expect("removed")
        .is_some()
    {}
}

#[test]
fn looks_that_find_nothing_new_are_counted_and_only_the_last_is_kept() {
    let mut fixture = recorded();
    let store = &mut fixture.store;
    let mut kept = Vec::new();
    let mut ends = vec![true; 10];
    ends.extend([false; 5]);
    ends.extend([true; 5]);
    for (n, good) in (0..).zip(&ends) {
        let outcome = if *good { Outcome::Succeeded } else { failed() };
        let new = look(JobType::HealthCheck, JobOrigin::Schedule, at(n * 600));
        kept.push(run(store, new, outcome, &[], at(n * 600)));
    }
    let looks = store.looks(&id(ENV)).expect("read");
    assert_eq!(looks.len(), 1);
    assert_eq!((looks[0].total, looks[0].repeats), (20, 5));
    assert_eq!(looks[0].job, kept[19]);
    assert_eq!(looks[0].since, at(15 * 600 + 2));
    let days = looks[0].days.days();
    assert_eq!(
        (days[0].good, days[0].bad, days[0].took_ms),
        (15, 5, 40_000)
    );
    // The first of each series and the last of all; nothing while somebody may still read it.
    clear(store, &keep(100, 1_000), at(19 * 600));
    assert!(jobs(store).len() > 5);
    clear(store, &keep(100, 1_000), at(30 * 600));
    let mut expected = vec![kept[0], kept[10], kept[15], kept[19]];
    expected.reverse();
    assert_eq!(jobs(store), expected);
    let known = |job: JobId| store.job(job).expect("read").map(|job| job.status.as_str());
    assert_eq!(known(kept[10]), Some("failed"));
    let size = store.history_size(at(0)).expect("read");
    assert_eq!((size.looks, size.removed_looks), (4, 16));
    let ever = store.job_totals_ever().expect("read");
    let ever: u64 = ever.iter().map(|(.., jobs)| jobs).sum();
    assert_eq!(ever, 20, "figures of all jobs ever never go down");
    fixture.assert_sound();
}

#[test]
fn a_quiet_look_by_a_schedule_writes_nothing_into_the_audit_chain() {
    let mut fixture = recorded();
    let store = &mut fixture.store;
    let new = |n| look(JobType::DriftCheck, JobOrigin::Schedule, at(n));
    run(store, new(1), Outcome::Succeeded, &[], at(1));
    let first = store.audit_head().expect("read").seq;
    for n in 2..6 {
        run(store, new(n), Outcome::Succeeded, &[], at(n));
    }
    assert_eq!(store.audit_head().expect("read").seq, first);
    // A difference is news, once; so is another one, and its end.
    for (n, found) in (6..).zip([&["a"][..], &["a"], &["a", "b"], &["a", "b"], &[], &[]]) {
        run(store, new(n), Outcome::Succeeded, found, at(n));
    }
    assert_eq!(store.audit_head().expect("read").seq, first + 3);
    // What a person asks for has entries: it is queued, begins and ends.
    let asked = look(JobType::DriftCheck, JobOrigin::Person, at(20));
    run(store, asked, Outcome::Succeeded, &[], at(20));
    assert_eq!(store.audit_head().expect("read").seq, first + 6);
    fixture.assert_sound();
}

#[test]
fn a_look_that_moves_its_resource_is_news_although_the_last_one_said_the_same() {
    let mut fixture = recorded();
    let store = &mut fixture.store;
    let new = |n| look(JobType::HealthCheck, JobOrigin::Schedule, at(n));
    run(store, new(1), Outcome::Succeeded, &[], at(1));
    run(store, new(2), Outcome::Succeeded, &[], at(2));
    let change = job(JobType::EnvConfigure, ENV, "web-1", &[]);
    run(store, change, failed(), &[], at(3));
    let before = store.audit_head().expect("read").seq;
    run(store, new(4), Outcome::Succeeded, &[], at(4));
    assert_eq!(store.audit_head().expect("read").seq, before + 1);
    fixture.assert_sound();
}

#[test]
fn drift_that_was_put_back_and_comes_again_is_news_each_time() {
    let mut fixture = recorded();
    let store = &mut fixture.store;
    let new = |n| look(JobType::DriftCheck, JobOrigin::Schedule, at(n));
    for turn in 0..3 {
        let first = turn * 100;
        let before = store.audit_head().expect("read").seq;
        run(
            store,
            new(first + 1),
            Outcome::Succeeded,
            &["a"],
            at(first + 1),
        );
        assert_eq!(store.audit_head().expect("read").seq, before + 1, "{turn}");
        run(
            store,
            new(first + 2),
            Outcome::Succeeded,
            &["a"],
            at(first + 2),
        );
        assert_eq!(store.audit_head().expect("read").seq, before + 1, "{turn}");
        store
            .set_recorded(
                &[StateChange::Converged(id(ENV))],
                &[],
                "healed",
                "ops",
                at(first + 3),
            )
            .expect("recorded");
    }
    fixture.assert_sound();
}

#[test]
fn somebody_who_joins_a_scheduled_look_can_follow_it() {
    let mut fixture = recorded();
    let store = &mut fixture.store;
    let scheduled = look(JobType::HealthCheck, JobOrigin::Schedule, at(1));
    store
        .enqueue_requests(&plan(&[]), std::slice::from_ref(&scheduled), "serve", at(1))
        .expect("queued");
    let seen = store.last_step().expect("read");
    let asked = look(JobType::HealthCheck, JobOrigin::Person, at(2));
    let checks = store
        .enqueue_requests(&plan(&[]), &[asked], "ops", at(2))
        .expect("joined");
    assert_eq!(checks.open[0].0, scheduled.id);
    let claim = store.claim("worker", Scope::All, at(3)).expect("claimed");
    let claim = claim.expect("a job");
    store
        .finish(&succeed(claim.job.id, claim.token, &[]), "worker", at(4))
        .expect("ended");
    let steps = store.steps_after(seen, 10).expect("read");
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert_eq!(
        store.job(scheduled.id).expect("read").map(|job| job.origin),
        Some(JobOrigin::Person)
    );
    fixture.assert_sound();
}

#[test]
fn jobs_go_by_age_and_by_count_and_the_last_of_each_resource_stays() {
    let mut fixture = recorded();
    let store = &mut fixture.store;
    let mut all = Vec::new();
    for n in 0..40 {
        let new = NewJob {
            id: JobId::new(day(n), rand::random()),
            run_after: day(n),
            ..job(JobType::EnvConfigure, ENV, "web-1", &[])
        };
        let outcome = if n % 4 == 3 {
            failed()
        } else {
            Outcome::Succeeded
        };
        all.push(run(store, new, outcome, &[], day(n)));
    }
    // By age: ten days are kept.
    clear(store, &keep(10, 1_000), day(40));
    let mut expected: Vec<JobId> = all[30..].to_vec();
    expected.reverse();
    assert_eq!(jobs(store), expected);
    // By count: four.
    clear(store, &keep(1_000, 4), day(40));
    assert_eq!(jobs(store), expected[..4]);
    // A year later the last that succeeded and the last that failed are all that is left.
    clear(store, &keep(10, 0), day(400));
    assert_eq!(jobs(store), [all[39], all[38]]);
    assert_eq!(
        store
            .last_converged(&[id(ENV)])
            .expect("read")
            .map(|job| job.id),
        Some(all[38])
    );
    // Nothing names them once the resource is gone.
    store
        .set_recorded(
            &[StateChange::Remove(id(ENV))],
            &[],
            "gone",
            "ops",
            day(401),
        )
        .expect("removed");
    clear(store, &keep(10, 0), day(402));
    assert_eq!(jobs(store), []);
    fixture.assert_sound();
}

#[test]
fn jobs_of_a_plan_that_goes_on_stay() {
    // Nothing is recorded of the resource, so no job is kept for being the last of its kind.
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let first = job(JobType::EnvConfigure, ENV, "web-1", &[]);
    let waiting = NewJob {
        run_after: day(300),
        ..job(JobType::EnvConfigure, ENV, "web-1", &[first.id])
    };
    store
        .enqueue(&plan(&[]), &[first.clone(), waiting.clone()], "ops", at(0))
        .expect("queued");
    let claim = store.claim("worker", Scope::All, at(1)).expect("claimed");
    let claim = claim.expect("a job");
    store
        .finish(&succeed(first.id, claim.token, &[]), "worker", at(2))
        .expect("ended");
    clear(store, &keep(1, 0), day(200));
    assert!(
        jobs(store).contains(&first.id),
        "its plan has one that waits"
    );
    for open in [first.id, waiting.id] {
        let asked = Ended {
            id: open,
            sequence: 0,
        };
        let removed = store.remove_jobs(&[asked]).expect("asked");
        assert_eq!(removed.jobs, 0, "whoever asks for it");
    }
    let claim = store
        .claim("worker", Scope::All, day(300))
        .expect("claimed");
    let claim = claim.expect("a job");
    assert_eq!(claim.job.id, waiting.id);
    store
        .finish(&succeed(waiting.id, claim.token, &[]), "worker", day(300))
        .expect("ended");
    clear(store, &keep(1, 0), day(400));
    assert_eq!(jobs(store), [], "the plan is over");
    fixture.assert_sound();
}

#[test]
fn tasks_go_before_their_jobs_and_are_counted() {
    let mut fixture = recorded();
    let store = &mut fixture.store;
    let mut all = Vec::new();
    for n in 0..3 {
        let new = NewJob {
            id: JobId::new(day(n), rand::random()),
            run_after: day(n),
            ..job(JobType::EnvConfigure, ENV, "web-1", &[])
        };
        store
            .enqueue(&plan_at(day(n)), std::slice::from_ref(&new), "ops", day(n))
            .expect("queued");
        let claim = store.claim("worker", Scope::All, day(n)).expect("claimed");
        let claim = claim.expect("a job");
        let events: Vec<_> = (0..700).map(|n| event(n, day(n as i64 % 2))).collect();
        store
            .append_events(new.id, claim.token, &events, day(n))
            .expect("kept");
        store
            .finish(&succeed(new.id, claim.token, &[]), "worker", day(n))
            .expect("ended");
        all.push(new.id);
    }
    let tasks = keep(1_000, 1_000).with(
        HistoryKind::Tasks,
        Keep {
            age: std::time::Duration::from_secs(86_400),
            count: 1_000,
        },
    );
    clear(store, &tasks, day(10));
    assert_eq!(store.task_events(all[0]).expect("read"), []);
    assert_eq!(store.attempts(all[0]).expect("read")[0].events_dropped, 700);
    assert_eq!(
        store.task_events(all[2]).expect("read").len(),
        700,
        "the last"
    );
    clear(store, &keep(1, 1_000), day(10));
    assert_eq!(jobs(store), [all[2]]);
    fixture.assert_sound();
}

fn plan_at(now: Timestamp) -> pressluft::store::NewPlan {
    pressluft::store::NewPlan {
        id: pressluft::store::new_plan_id(now),
        ..plan(&[])
    }
}

fn event(n: usize, now: Timestamp) -> pressluft::store::NewTaskEvent {
    pressluft::store::NewTaskEvent {
        at: now,
        task: format!("task {n}"),
        status: pressluft::core::event::TaskStatus::Ok,
        seconds: None,
        diff: None,
        message: None,
    }
}

#[test]
fn parts_and_ciphertexts_go_when_nothing_names_them_and_not_before_two_rounds() {
    let mut fixture = recorded();
    let store = &mut fixture.store;
    let digest = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
    let keep = |store: &mut Store, text: &str| {
        let part = (digest(text), format!("\"{text}\""));
        store
            .keep_parts(&[part].into_iter().collect())
            .expect("kept");
    };
    keep(store, "named");
    keep(store, "unnamed");
    let blob = store.keep_secret_blob("s", b"unnamed").expect("kept");
    let new = NewJob {
        payload: format!(r#"{{"parts":{{"fleet":"{}"}}}}"#, digest("named")),
        ..job(JobType::EnvConfigure, ENV, "web-1", &[])
    };
    fixture.enqueue(&[new]);
    let store = &mut fixture.store;
    let clear = |store: &mut Store, now: Timestamp| -> u64 {
        let Some(round) = store.next_round(now).expect("asked") else {
            return 0;
        };
        let mut scan = Scan::default();
        while store.scan(&mut scan, 1).expect("scanned") {}
        let [parts, blobs] = store.unnamed(&scan.named(), round).expect("found");
        let removed = store
            .remove_unnamed(&parts, &blobs, round)
            .expect("removed");
        assert!(store.begin_round(now).expect("begun"));
        removed
    };
    assert_eq!(clear(store, day(1)), 0, "they may be of jobs that come");
    assert_eq!(clear(store, day(1)), 0, "a round lasts a day");
    keep(store, "kept again");
    assert_eq!(clear(store, day(3)), 2);
    assert!(store.part(&digest("named")).expect("read").is_some());
    assert!(store.part(&digest("unnamed")).expect("read").is_none());
    assert!(store.part(&digest("kept again")).expect("read").is_some());
    assert_eq!(store.secret_blob(&blob).expect("read"), None);
    assert_eq!(clear(store, day(5)), 1);
    fixture.assert_sound();
}

#[test]
fn revisions_and_sightings_go_but_for_those_in_force_and_the_last() {
    use pressluft::core::reconcile::{Cause, Verdict};
    use pressluft::store::{NewSighting, Revision};
    let mut fixture = recorded();
    let store = &mut fixture.store;
    for n in 0..300 {
        let sighting = NewSighting {
            revision: Revision {
                id: format!("{n:040x}"),
                author: None,
                message: None,
                committed_at: None,
                dirty: false,
            },
            // Only the first is in force.
            verdict: if n == 0 {
                Verdict::Accepted
            } else {
                Verdict::Invalid
            },
            cause: Cause::Interval,
            refused: None,
            diagnostics: serde_json::json!([n]),
        };
        if n == 0 {
            store.follow_repository("/srv/fleet").expect("followed");
        }
        store
            .record_sightings(&[sighting], "serve", day(n))
            .expect("recorded");
    }
    clear(store, &keep(1, 100), day(400));
    let left = store.sightings(None, 1_000).expect("read");
    assert_eq!(left.len(), 101, "the last hundred, and the one in force");
    assert_eq!(left[100].verdict, Verdict::Accepted);
    let revisions = store.revisions(None, 1_000).expect("read");
    // Those, and the one that the environment was recorded from.
    assert_eq!(revisions.len(), 102);
    fixture.assert_sound();
}

#[test]
fn entries_of_the_database_and_of_segments_are_listed_as_one() {
    let mut fixture = recorded();
    let store = &mut fixture.store;
    for n in 0..500 {
        store
            .record_audit(
                "ops",
                pressluft::core::audit::AuditAction::SecretSet,
                serde_json::json!({ "n": n }),
                at(n),
            )
            .expect("recorded");
    }
    while store
        .close_segment(&keep(1_000, 100), "ops", at(600))
        .expect("closed")
        .is_some()
    {}
    while store.forget_closed(30).expect("forgotten") > 0 {}
    let filter = |before, limit| AuditFilter {
        before,
        limit,
        ..AuditFilter::default()
    };
    let here = store.audit_entries(&filter(None, 1_000)).expect("read");
    let oldest = here.last().expect("some").seq;
    assert!((100..300).contains(&here.len()), "{}", here.len());
    let mut lost = |path: std::path::PathBuf, _| panic!("{}", path.display());
    let older = store
        .closed_audit_entries(&filter(Some(oldest), 1_000), &mut lost)
        .expect("read");
    let all: Vec<u64> = here.iter().chain(&older).map(|entry| entry.seq).collect();
    let newest = all[0];
    assert_eq!(all, (1..=newest).rev().collect::<Vec<_>>());
    let page = store
        .closed_audit_entries(&filter(Some(50), 7), &mut lost)
        .expect("read");
    let page: Vec<u64> = page.iter().map(|entry| entry.seq).collect();
    assert_eq!(page, [49, 48, 47, 46, 45, 44, 43]);
    fixture.assert_sound();
}

#[test]
fn a_chain_that_does_not_hold_stops_nothing_but_its_own_sealing() {
    use pressluft::core::audit::AuditAction;
    use pressluft::daemon::{HistorySettings, Pace, clear_up};
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let new = job(JobType::EnvConfigure, ENV, "web-1", &[]);
    run(store, new, failed(), &[], at(0));
    for n in 0..300 {
        let detail = serde_json::json!({ "n": n });
        store
            .record_audit("ops", AuditAction::SecretSet, detail, at(1))
            .expect("recorded");
    }
    let raw = rusqlite::Connection::open(fixture.path()).expect("raw");
    raw.execute_batch(
        "DROP TRIGGER audit_never_changes; UPDATE audit SET actor = 'x' WHERE seq = 7",
    )
    .expect("tampered");
    let settings = HistorySettings {
        policy: keep(1, 100),
        log_dir: fixture.directory.path().join("logs"),
        state_dir: fixture.directory.path().to_owned(),
    };
    let store = &mut fixture.store;
    let pace = (Pace::Brisk, true);
    let error = clear_up(store, &settings, pace, "serve", &|| true, day(100))
        .expect_err("the chain is broken");
    assert!(error.to_string().contains("entry 7"), "{error}");
    assert_eq!(jobs(store), []);
    let six_hours = SignedDuration::from_hours(6);
    assert!(!store.sweep_is_due(six_hours, day(100)).expect("read"));
}

#[test]
fn a_round_that_is_broken_off_goes_on_with_the_next_turn() {
    use pressluft::daemon::{HistorySettings, Pace, clear_up};
    let mut fixture = recorded();
    let settings = HistorySettings {
        policy: keep(1_000, 1_000),
        log_dir: fixture.directory.path().join("logs"),
        state_dir: fixture.directory.path().to_owned(),
    };
    let store = &mut fixture.store;
    let digest = blake3::hash(b"unnamed").to_hex().to_string();
    let part = (digest.clone(), "\"unnamed\"".to_owned());
    store
        .keep_parts(&[part].into_iter().collect())
        .expect("kept");
    // Ends one turn after another at each moment where it can end.
    let asked = std::cell::Cell::new(0);
    let mut turn = |most: u32, now: Timestamp| {
        asked.set(0);
        let goes_on = || {
            asked.set(asked.get() + 1);
            asked.get() <= most
        };
        let pace = (Pace::Brisk, true);
        clear_up(store, &settings, pace, "serve", &goes_on, now)
            .expect("cleared up")
            .expect("nobody else does")
    };
    assert!(turn(u32::MAX, day(1)).is_complete);
    let mut parts = 0;
    for most in 0..100 {
        let cleared = turn(most, day(3));
        parts += cleared.parts;
        if cleared.is_complete {
            break;
        }
    }
    assert_eq!(parts, 1, "none of them lost its round");
    assert_eq!(store.part(&digest).expect("read"), None);
    fixture.assert_sound();
}

/// Bytes in use of the database file.
fn used(store: &Store) -> u64 {
    let size = store.history_size(at(0)).expect("read");
    size.bytes - size.free
}

#[test]
fn four_hundred_days_leave_a_bounded_database_and_a_chain_that_holds() {
    use pressluft::daemon::{HistorySettings, Pace, clear_up};
    let mut fixture = recorded();
    let settings = HistorySettings {
        policy: keep(30, 200),
        log_dir: fixture.directory.path().join("logs"),
        state_dir: fixture.directory.path().to_owned(),
    };
    let store = &mut fixture.store;
    let mut middle = 0;
    for today in 0..400 {
        for (turn, kind) in [JobType::HealthCheck, JobType::DriftCheck]
            .into_iter()
            .enumerate()
        {
            let now = day(today) + SignedDuration::from_hours(turn as i64 + 1);
            let good = (today + turn as i64) % 23 != 0 || kind == JobType::DriftCheck;
            let outcome = if good { Outcome::Succeeded } else { failed() };
            let found: &[&str] = if today % 31 == 0 {
                &["Serve the code"]
            } else {
                &[]
            };
            run(
                store,
                look(kind, JobOrigin::Schedule, now),
                outcome,
                found,
                now,
            );
        }
        let now = day(today) + SignedDuration::from_hours(12);
        let change = NewJob {
            id: JobId::new(now, rand::random()),
            run_after: now,
            ..job(JobType::EnvConfigure, ENV, "web-1", &[])
        };
        run(store, change, Outcome::Succeeded, &[], now);
        if today % 5 == 4 {
            let pace = (Pace::Brisk, true);
            let cleared = clear_up(store, &settings, pace, "serve", &|| true, day(today + 1))
                .expect("cleared up")
                .expect("nobody else does");
            assert!(cleared.is_complete);
        }
        if today == 200 {
            middle = used(store);
        }
    }
    let (end, size) = (used(store), store.history_size(day(400)).expect("read"));
    assert!(end < middle * 5 / 4, "{middle} bytes became {end}");
    assert!(size.jobs <= 40 && size.looks <= 40, "{size:?}");
    assert!(
        size.removed_jobs > 300 && size.removed_looks > 700,
        "{size:?}"
    );
    assert!(size.audit_entries <= 400 && size.segments >= 4, "{size:?}");
    // It was cleared up, and the size noted, each fifth day.
    assert_eq!(size.growth.expect("it is known").days, 5);
    // What is kept is all that is needed for the next look.
    assert!(store.last_converged(&[id(ENV)]).expect("read").is_some());
    fixture.assert_sound();
    for entry in std::fs::read_dir(fixture.directory.path().join("state.db.audit")).expect("there")
    {
        let path = entry.expect("an entry").path();
        let whole = std::fs::read(&path).expect("read");
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        std::fs::write(&path, changed).expect("changed");
        let verified = fixture.store.verify_audit(None).expect("verified");
        assert!(verified.broken.is_some(), "{}", path.display());
        std::fs::write(&path, whole).expect("put back");
    }
    fixture.assert_sound();
}
