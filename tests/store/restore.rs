//! A backup in the place of the database: paused, with tokens that nobody has had.

use std::path::PathBuf;

use jiff::Timestamp;
use pressluft::core::job::{JobStatus, JobType};
use pressluft::core::recorded::JobId;
use pressluft::daemon::{self, DaemonError, Timeouts, WorkerId};
use pressluft::store::{AuditFilter, Scope, Store, StoreError};

use crate::fixture::{Fixture, at, job};

/// A database in which one job runs and one is queued, and its backup.
struct World {
    fixture: Fixture,
    backup: PathBuf,
    running: JobId,
    queued: JobId,
    /// The token of the running job's claim.
    token: u64,
}

impl World {
    fn new(worker: &str) -> Self {
        let mut fixture = Fixture::new();
        let node = job(JobType::NodeProvision, "node/web-1", "web-1", &[]);
        let site = job(JobType::SiteCreate, "site/acme", "web-1", &[node.id]);
        fixture.enqueue(&[node.clone(), site.clone()]);
        let claim = fixture
            .store
            .claim(worker, Scope::All, at(1))
            .expect("claimed")
            .expect("a job");
        let backup = fixture.directory.path().join("backup.db");
        fixture.store.backup(&backup, false).expect("backed up");
        Self {
            fixture,
            backup,
            running: node.id,
            queued: site.id,
            token: claim.token,
        }
    }

    fn path(&self) -> PathBuf {
        self.fixture.path()
    }

    /// Ends this process's hold on the database.
    fn close(self) -> (PathBuf, PathBuf, tempfile::TempDir) {
        (self.path(), self.backup, self.fixture.directory)
    }
}

/// A worker that is surely dead: this process's number, started at another time.
fn dead() -> String {
    let mut worker = WorkerId::this().expect("/proc is there");
    worker.start -= 1;
    worker.to_string()
}

/// Long after the claim, when a worker that recorded no process is known to have none.
fn later() -> Timestamp {
    at(3_600)
}

#[test]
fn a_restored_database_is_paused_and_everything_in_it_is_settled() {
    let world = World::new(&dead());
    let (running, queued, token) = (world.running, world.queued, world.token);
    let (path, backup, _directory) = world.close();
    let restored =
        daemon::restore(&path, &backup, "ops", &Timeouts::default(), later()).expect("restored");
    assert_eq!(restored.interrupted, [running]);
    assert_eq!(restored.queued, 2);
    assert!(restored.token > token + 1_000_000_000_000);

    let mut store = Store::open(&path).expect("opened");
    assert_eq!(store.violations().expect("checked"), []);
    let verified = store.verify_audit(None).expect("verified");
    assert_eq!(verified.noted, Some(restored.head), "the noted head agrees");
    assert_eq!(verified.head, restored.head);
    for id in [running, queued] {
        let job = store.job(id).expect("read").expect("there");
        assert_eq!(job.status, JobStatus::Queued);
    }
    let attempts = store.attempts(running).expect("read");
    assert_eq!(attempts.len(), 1, "it has its one terminal record");
    let last = &store
        .audit_entries(&AuditFilter {
            limit: 1,
            ..AuditFilter::default()
        })
        .expect("read")[0];
    assert_eq!(last.action.as_str(), "database_restored");
    assert_eq!(last.detail["fencing_token"], restored.token);
    assert_eq!(last.detail["file"], "backup.db");

    // Nothing runs, and the error says how to go on.
    let refused = store
        .claim("w", Scope::All, later())
        .expect_err("it is paused");
    assert!(matches!(refused, StoreError::Paused { .. }), "{refused}");
    assert!(
        refused
            .hint()
            .is_some_and(|hint| hint.contains("pressluft resume"))
    );
    assert!(store.resume("ops", later()).expect("resumed").is_some());
    assert_eq!(store.resume("ops", later()).expect("again"), None);
    let claim = store
        .claim("w", Scope::All, later())
        .expect("claimed")
        .expect("a job");
    assert_eq!((claim.job.id, claim.attempt), (running, 2));
    assert!(claim.token > restored.token);
    assert_eq!(store.violations().expect("checked"), []);
}

#[test]
fn the_replaced_database_is_kept_whole_and_can_be_restored_itself() {
    let world = World::new(&dead());
    let (path, backup, _directory) = world.close();
    // What happens after the backup is lost, and is in the one that is kept.
    let mut store = Store::open(&path).expect("opened");
    let lost = store
        .record_audit(
            "ops",
            pressluft::core::audit::AuditAction::SecretSet,
            serde_json::json!({}),
            at(60),
        )
        .and_then(|()| store.audit_head())
        .expect("written");
    drop(store);
    let first =
        daemon::restore(&path, &backup, "ops", &Timeouts::default(), later()).expect("restored");
    let kept = first.kept.expect("there was one");
    assert!(
        kept.to_string_lossy()
            .contains(".replaced-20260222T130000Z")
    );
    assert_eq!(first.replaced, Some(lost));
    let old = Store::open_read_only(&kept).expect("it opens");
    assert_eq!(old.audit_head().expect("read"), lost);
    assert_eq!(old.check().expect("checked").problems, []);
    drop(old);

    // The same backup again, in the same second: neither names nor tokens collide.
    let now = later() + jiff::SignedDuration::from_millis(3);
    let second =
        daemon::restore(&path, &backup, "ops", &Timeouts::default(), now).expect("restored");
    assert!(second.token > first.token);
    assert_ne!(second.kept.as_ref(), Some(&kept));
    // Back to where it was: the tokens still only grow.
    let third = daemon::restore(&path, &kept, "ops", &Timeouts::default(), now).expect("restored");
    assert_eq!(third.backup, lost);
    assert!(third.token > second.token);
    let store = Store::open(&path).expect("opened");
    assert_eq!(store.violations().expect("checked"), []);
}

#[test]
fn a_restore_needs_the_database_for_itself() {
    let world = World::new(&dead());
    let (path, backup) = (world.path(), world.backup.clone());
    let head = world.fixture.store.audit_head().expect("read");
    // An idle worker, or a command that waits for an answer, has it open.
    let refused =
        daemon::restore(&path, &backup, "ops", &Timeouts::default(), later()).expect_err("in use");
    let this = std::process::id().to_string();
    assert!(refused.to_string().contains(&this), "{refused}");
    assert_eq!(world.fixture.store.audit_head().expect("read"), head);
    assert_eq!(world.fixture.store.pause().expect("read"), None);
}

#[test]
fn a_job_that_may_still_be_at_work_keeps_a_restore_away() {
    let this = WorkerId::this().expect("/proc is there");
    let elsewhere = WorkerId {
        machine: "another".to_owned(),
        ..this.clone()
    };
    for worker in [this.to_string(), elsewhere.to_string()] {
        let world = World::new(&worker);
        let running = world.running;
        let (path, backup, _directory) = world.close();
        let before = std::fs::read(&path).expect("read");
        let refused = daemon::restore(&path, &backup, "ops", &Timeouts::default(), at(30))
            .expect_err("running");
        assert!(
            matches!(refused, DaemonError::StillRunning { job, count: 1 } if job == running),
            "{refused}"
        );
        assert_eq!(std::fs::read(&path).expect("read"), before);
    }
}

#[test]
fn what_is_no_sound_backup_is_refused_and_changes_nothing() {
    let world = World::new(&dead());
    let (path, backup, directory) = world.close();
    let whole = std::fs::read(&backup).expect("read");
    let bad = directory.path().join("bad.db");
    let refuse = |what: &str| -> StoreError {
        let before = std::fs::read(&path).expect("read");
        let error =
            daemon::restore(&path, &bad, "ops", &Timeouts::default(), later()).expect_err(what);
        assert_eq!(std::fs::read(&path).expect("read"), before, "{what}");
        let left = std::fs::read_dir(directory.path())
            .expect("listed")
            .any(|entry| {
                let name = entry.expect("an entry").file_name();
                let name = name.to_string_lossy().into_owned();
                name.contains("restore") || name.contains("replaced")
            });
        assert!(!left, "{what}: something is left behind");
        match error {
            DaemonError::Store(error) => error,
            other => panic!("{what}: {other}"),
        }
    };
    let raw = |statements: &str| {
        std::fs::write(&bad, &whole).expect("written");
        let raw = rusqlite::Connection::open(&bad).expect("raw");
        raw.execute_batch(statements).expect("changed");
    };

    assert!(matches!(refuse("missing"), StoreError::Missing(_)));
    std::fs::write(
        &bad,
        "a text that is longer than the header of a database is",
    )
    .expect("written");
    assert!(matches!(refuse("a text"), StoreError::Foreign(_)));
    std::fs::write(&bad, "").expect("written");
    assert!(matches!(refuse("empty"), StoreError::Foreign(_)));
    raw("PRAGMA application_id = 7");
    assert!(matches!(
        refuse("another program's"),
        StoreError::Foreign(_)
    ));
    raw("PRAGMA user_version = 9999");
    assert!(matches!(refuse("a newer one"), StoreError::Newer { .. }));
    raw("DROP TRIGGER audit_never_changes; UPDATE audit SET actor = 'x' WHERE seq = 1");
    assert!(matches!(
        refuse("an edited record"),
        StoreError::BadBackup { .. }
    ));
    raw("PRAGMA foreign_keys = OFF; UPDATE jobs SET plan_id = 'nobody'");
    assert!(matches!(
        refuse("broken references"),
        StoreError::BadBackup { .. }
    ));
    let mut torn = whole.clone();
    torn.truncate(whole.len() / 2);
    std::fs::write(&bad, &torn).expect("written");
    assert!(matches!(
        refuse("half of one"),
        StoreError::BadBackup { .. } | StoreError::Corrupt(_)
    ));
    std::fs::remove_file(&bad).expect("removed");
    std::fs::hard_link(&path, &bad).expect("linked");
    let own =
        daemon::restore(&path, &bad, "ops", &Timeouts::default(), later()).expect_err("itself");
    assert!(
        matches!(own, DaemonError::Store(StoreError::OwnFile(_))),
        "{own}"
    );
}

#[test]
fn a_database_that_is_gone_or_destroyed_is_replaced() {
    let world = World::new(&dead());
    let (path, backup, directory) = world.close();
    std::fs::write(&path, vec![0x5a; 40_000]).expect("destroyed");
    std::fs::write(directory.path().join("state.db-wal"), "what was a log").expect("written");
    let restored =
        daemon::restore(&path, &backup, "ops", &Timeouts::default(), later()).expect("restored");
    let kept = restored.kept.expect("kept");
    assert_eq!(std::fs::read(&kept).expect("read"), vec![0x5a; 40_000]);
    let mut log = kept.into_os_string();
    log.push("-wal");
    assert_eq!(std::fs::read(log).expect("read"), b"what was a log");
    assert_eq!(restored.replaced, None);
    let store = Store::open(&path).expect("opened");
    assert_eq!(store.check().expect("checked").problems, []);
    drop(store);

    let elsewhere = directory.path().join("new.db");
    let restored = daemon::restore(&elsewhere, &backup, "ops", &Timeouts::default(), later())
        .expect("restored");
    assert_eq!(restored.kept, None);
    let store = Store::open(&elsewhere).expect("opened");
    assert_eq!(store.check().expect("checked").problems, []);
    assert!(store.pause().expect("read").is_some());
}
