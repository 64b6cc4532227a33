//! Tampering with the chain in the file itself.

use pressluft::core::audit::{AuditAction, BreakReason, Head};
use pressluft::store::AuditFilter;
use rusqlite::Connection;

use crate::fixture::{Fixture, at};

fn with_entries(count: i64) -> Fixture {
    let mut fixture = Fixture::new();
    for n in 1..=count {
        let detail = serde_json::json!({ "n": n });
        fixture
            .store
            .record_audit("ops", AuditAction::SecretRevealed, detail, at(n))
            .expect("recorded");
    }
    fixture
}

fn tamper(fixture: &Fixture, sql: &str) {
    let raw = Connection::open(fixture.path()).expect("raw");
    raw.execute_batch("DROP TRIGGER audit_never_changes; DROP TRIGGER audit_keeps_its_entries;")
        .expect("triggers");
    raw.execute_batch(sql).expect("tampered");
}

#[test]
fn a_whole_chain_verifies_and_is_listed_newest_first() {
    let fixture = with_entries(5);
    let verification = fixture.store.verify_audit(None).expect("verified");
    assert_eq!(
        (verification.head.seq, verification.broken.clone()),
        (5, None)
    );
    assert_eq!(verification.noted, Some(verification.head));
    let filter = AuditFilter {
        limit: 2,
        before: Some(5),
        ..AuditFilter::default()
    };
    let entries = fixture.store.audit_entries(&filter).expect("read");
    assert_eq!(
        entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [4, 3]
    );
}

#[test]
fn the_database_itself_keeps_and_never_changes_entries() {
    let fixture = with_entries(2);
    let raw = Connection::open(fixture.path()).expect("raw");
    for sql in [
        "DELETE FROM audit WHERE seq = 2",
        "UPDATE audit SET actor = 'x'",
    ] {
        assert!(raw.execute_batch(sql).is_err(), "{sql}");
    }
}

#[test]
fn every_kind_of_tampering_is_found_where_it_is() {
    use BreakReason::{Content, Gap, Link, Truncated};
    let cases = [
        ("UPDATE audit SET actor = 'x' WHERE seq = 3", 3, Content),
        ("UPDATE audit SET at = at + 1 WHERE seq = 1", 1, Content),
        ("DELETE FROM audit WHERE seq = 2", 2, Gap),
        (
            "UPDATE audit SET prev_hash = randomblob(32) WHERE seq = 4",
            4,
            Link,
        ),
        ("DELETE FROM audit WHERE seq >= 4", 4, Truncated),
        ("DELETE FROM audit", 1, Truncated),
    ];
    for (sql, seq, reason) in cases {
        let fixture = with_entries(5);
        tamper(&fixture, sql);
        let broken = fixture.store.verify_audit(None).expect("verified").broken;
        let broken = broken.unwrap_or_else(|| panic!("not found: {sql}"));
        assert_eq!((broken.seq, broken.reason), (seq, reason), "{sql}");
    }
}

#[test]
fn a_head_that_was_kept_elsewhere_finds_what_was_cut_in_both_files() {
    let fixture = with_entries(5);
    let kept = fixture.store.audit_head().expect("head");
    tamper(&fixture, "DELETE FROM audit WHERE seq = 5");
    std::fs::remove_file(fixture.directory.path().join("state.db.audit-head")).expect("removed");
    assert_eq!(
        fixture.store.verify_audit(None).expect("verified").broken,
        None
    );
    let broken = fixture
        .store
        .verify_audit(Some(kept))
        .expect("verified")
        .broken
        .expect("found");
    assert_eq!((broken.seq, broken.reason), (5, BreakReason::Truncated));
    let other = Head {
        seq: 2,
        hash: kept.hash,
    };
    let broken = fixture
        .store
        .verify_audit(Some(other))
        .expect("verified")
        .broken
        .expect("found");
    assert_eq!((broken.seq, broken.reason), (2, BreakReason::Replaced));
}
