//! Every kind of damage is found, and named for what it is.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use pressluft::core::job::JobType;
use pressluft::store::{CheckedPart, Problem, Scope, Store};

use crate::fixture::{Fixture, at, job, record, succeed};

/// A backup of a database with a past, to be broken.
fn sound(fixture: &mut Fixture) -> PathBuf {
    let node = job(JobType::NodeProvision, "node/web-1", "web-1", &[]);
    let site = job(JobType::SiteCreate, "site/acme", "web-1", &[node.id]);
    fixture.enqueue(&[node.clone(), site]);
    let claim = fixture
        .store
        .claim("w", Scope::All, at(1))
        .expect("claimed")
        .expect("a job");
    fixture
        .store
        .finish(
            &succeed(node.id, claim.token, &[record("node/web-1", "1M")]),
            "w",
            at(2),
        )
        .expect("finished");
    let path = fixture.directory.path().join("copy.db");
    fixture.store.backup(&path, false).expect("backed up");
    assert_eq!(check(&path), []);
    path
}

fn check(path: &Path) -> Vec<Problem> {
    let store = Store::open_read_only(path).expect("it opens");
    store.check().expect("checked").problems
}

/// What a change by hand breaks.
fn after(statements: &str) -> Vec<CheckedPart> {
    let mut fixture = Fixture::new();
    let path = sound(&mut fixture);
    let raw = rusqlite::Connection::open(&path).expect("raw");
    raw.execute_batch(&format!(
        "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;
         DROP TRIGGER audit_never_changes; DROP TRIGGER audit_keeps_its_entries; {statements}"
    ))
    .expect("broken");
    drop(raw);
    let mut parts: Vec<CheckedPart> = check(&path).iter().map(|problem| problem.part).collect();
    parts.dedup();
    parts
}

#[test]
fn what_a_hand_changed_is_found() {
    assert_eq!(
        after("UPDATE jobs SET plan_id = 'nobody'"),
        [CheckedPart::References, CheckedPart::Record]
    );
    assert_eq!(
        after("UPDATE audit SET actor = 'somebody' WHERE seq = 2"),
        [CheckedPart::Audit]
    );
    assert_eq!(
        after("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)"),
        [CheckedPart::Record],
        "a copy has no noted head: what is missing shows in the record"
    );
    assert_eq!(after("DELETE FROM resources"), [CheckedPart::Record]);
    assert_eq!(
        after("UPDATE counters SET value = 0 WHERE name = 'fencing_token'"),
        [CheckedPart::Record]
    );
}

#[test]
fn damaged_pages_are_found_wherever_they_are() {
    let mut fixture = Fixture::new();
    let path = sound(&mut fixture);
    let whole = std::fs::read(&path).expect("read");
    let pages = whole.len() / 4096;
    let broken = fixture.directory.path().join("broken.db");
    let mut found = 0;
    for page in 1..pages {
        std::fs::write(&broken, &whole).expect("written");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .open(&broken)
            .expect("opened");
        file.seek(SeekFrom::Start(page as u64 * 4096))
            .expect("at the page");
        file.write_all(&[0xa5; 4096]).expect("broken");
        drop(file);
        // Some damage keeps a database from being opened; all else is a finding.
        match Store::open_read_only(&broken).and_then(|store| store.check()) {
            Ok(checkup) => {
                assert_ne!(checkup.problems, [], "page {page}");
                found += 1;
            }
            Err(error) => assert!(
                matches!(error, pressluft::store::StoreError::Corrupt(_)),
                "page {page}: {error}"
            ),
        }
    }
    assert!(found > pages / 2, "{found} of {pages}");
}
