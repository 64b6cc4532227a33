//! Closed segments of the audit chain: whatever is done to them is found.

use std::fs;
use std::path::PathBuf;

use pressluft::core::audit::{AuditAction, BreakReason, Content, entry_hash};
use pressluft::core::history::{HistoryKind, HistoryPolicy, Keep};
use pressluft::store::{AuditFilter, Exclusive, Store};

use crate::fixture::{Fixture, at, record};

fn policy() -> HistoryPolicy {
    HistoryPolicy::default().with(
        HistoryKind::Audit,
        Keep {
            age: std::time::Duration::from_secs(100 * 365 * 86_400),
            count: 100,
        },
    )
}

/// A database with several closed segments.
fn with_segments() -> Fixture {
    let mut fixture = Fixture::new();
    for n in 0..620 {
        let store = &mut fixture.store;
        if n % 40 == 0 {
            let name = format!("env/acme/e{}", n % 3);
            let change = record(&name, &n.to_string());
            store
                .set_recorded(&[change], &[], "a test", "ops", at(n))
                .expect("recorded");
        } else {
            let detail = serde_json::json!({ "n": n, "text": "ä \"quoted\"\n" });
            store
                .record_audit("ops", AuditAction::SecretSet, detail, at(n))
                .expect("recorded");
        }
        if n % 120 == 0 {
            close(&mut fixture.store);
        }
    }
    close(&mut fixture.store);
    fixture
}

fn close(store: &mut Store) {
    while store
        .close_segment(&policy(), "ops", at(1_000))
        .expect("closed")
        .is_some()
    {}
    while store.forget_closed(64).expect("forgotten") > 0 {}
}

fn segments(fixture: &Fixture) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(fixture.directory.path().join("state.db.audit"))
        .expect("there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

fn broken(fixture: &Fixture) -> Option<(u64, BreakReason)> {
    let verified = fixture.store.verify_audit(None).expect("verified");
    verified.broken.map(|broken| (broken.seq, broken.reason))
}

#[test]
fn the_chain_goes_through_segments_and_the_database() {
    let mut fixture = with_segments();
    let verified = fixture.store.verify_audit(None).expect("verified");
    assert_eq!(verified.broken, None);
    let paths = segments(&fixture);
    assert_eq!(verified.segments, paths.len() as u64);
    assert!(
        verified.segments >= 4 && verified.closed >= 400,
        "{verified:?}"
    );
    let raw = rusqlite::Connection::open(fixture.path()).expect("raw");
    let first: i64 = raw
        .query_row("SELECT min(seq) FROM audit", [], |row| row.get(0))
        .expect("read");
    assert_eq!(first, verified.closed as i64 + 1);
    // What is in no segment cannot leave the database.
    assert!(raw.execute("DELETE FROM audit", []).is_err());
    fixture.assert_sound();
    // A head that was kept while its entry was in the database.
    let text = fs::read_to_string(&paths[1]).expect("read");
    let line: serde_json::Value =
        serde_json::from_str(text.lines().nth(3).expect("a line")).expect("JSON");
    let head = pressluft::core::audit::Head {
        seq: line["seq"].as_u64().expect("a number"),
        hash: line["hash"]
            .as_str()
            .expect("text")
            .parse()
            .expect("a hash"),
    };
    let verified = fixture.store.verify_audit(Some(head)).expect("verified");
    assert_eq!(verified.broken, None);
    // It goes on as before.
    for n in 0..400 {
        let detail = serde_json::json!({ "n": n });
        let store = &mut fixture.store;
        store
            .record_audit("ops", AuditAction::SecretSet, detail, at(2_000 + n))
            .expect("recorded");
    }
    close(&mut fixture.store);
    assert!(segments(&fixture).len() > paths.len());
    fixture.assert_sound();
}

#[test]
fn a_changed_byte_is_found_wherever_it_is() {
    let fixture = with_segments();
    for (number, path) in segments(&fixture).iter().enumerate() {
        let whole = fs::read(path).expect("read");
        // The first segment all over, the others here and there.
        let step = if number == 0 { 17 } else { 251 };
        let places = (0..200.min(whole.len())).chain((200..whole.len()).step_by(step));
        for place in places.chain([whole.len() - 1]) {
            let mut changed = whole.clone();
            changed[place] ^= 1 << (place % 7);
            fs::write(path, &changed).expect("changed");
            assert!(
                broken(&fixture).is_some(),
                "byte {place} of {}",
                path.display()
            );
        }
        for changed in [
            [&whole[..], b"\n"].concat(),
            [&whole[..], &whole[..]].concat(),
            whole[..whole.len() - 1].to_vec(),
            Vec::new(),
        ] {
            fs::write(path, changed).expect("changed");
            assert!(broken(&fixture).is_some(), "{}", path.display());
        }
        fs::write(path, &whole).expect("put back");
        assert_eq!(broken(&fixture), None);
    }
}

#[test]
fn what_is_missing_or_exchanged_is_named() {
    let fixture = with_segments();
    let paths = segments(&fixture);
    for (index, path) in paths.iter().enumerate() {
        let whole = fs::read(path).expect("read");
        fs::remove_file(path).expect("removed");
        let (seq, reason) = broken(&fixture).expect("found");
        assert_eq!(reason, BreakReason::Missing);
        if index == 0 {
            assert_eq!(seq, 1);
        }
        let other = &paths[(index + 1) % paths.len()];
        fs::copy(other, path).expect("exchanged");
        assert!(broken(&fixture).is_some());
        fs::write(path, &whole).expect("put back");
    }
    // Whoever takes the database's knowledge of them away, too.
    let raw = rusqlite::Connection::open(fixture.path()).expect("raw");
    raw.execute("DELETE FROM audit_segments", []).expect("gone");
    assert_eq!(broken(&fixture), Some((1, BreakReason::Gap)));
}

#[test]
fn a_broken_chain_is_not_sealed() {
    let mut fixture = Fixture::new();
    for n in 0..400 {
        let detail = serde_json::json!({ "n": n });
        let store = &mut fixture.store;
        store
            .record_audit("ops", AuditAction::SecretSet, detail, at(n))
            .expect("recorded");
    }
    let raw = rusqlite::Connection::open(fixture.path()).expect("raw");
    raw.execute_batch(
        "DROP TRIGGER audit_never_changes; UPDATE audit SET actor = 'x' WHERE seq = 7",
    )
    .expect("tampered");
    let error = fixture
        .store
        .close_segment(&policy(), "ops", at(1_000))
        .expect_err("refused");
    assert!(error.to_string().contains("entry 7"), "{error}");
    assert_eq!(broken(&fixture), Some((7, BreakReason::Content)));
}

#[test]
fn a_backup_has_its_segments_and_a_restore_brings_them() {
    let fixture = with_segments();
    let count = segments(&fixture).len() as u64;
    let file = fixture.directory.path().join("backup.db");
    let made = fixture.store.backup(&file, false).expect("backed up");
    assert_eq!((made.segments, made.missing_segments), (count, 0));
    let check = |path: &std::path::Path| {
        let checkup = Store::open_read_only(path).and_then(|store| store.check());
        checkup.expect("checked").problems
    };
    assert_eq!(check(&file), []);
    // On a new machine there is nothing but the backup and what belongs to it.
    let machine = tempfile::tempdir().expect("directory");
    let database = machine.path().join("state.db");
    let restored = Exclusive::take(&database)
        .expect("free")
        .replace_with(&file, "ops", at(5_000))
        .expect("restored");
    assert_eq!(restored.missing_segments, 0);
    assert_eq!(check(&database), []);
    // Without them it is restored all the same, and says so.
    fs::remove_dir_all(fixture.directory.path().join("backup.db.audit")).expect("lost");
    let machine = tempfile::tempdir().expect("directory");
    let database = machine.path().join("state.db");
    let restored = Exclusive::take(&database)
        .expect("free")
        .replace_with(&file, "ops", at(5_000))
        .expect("restored");
    assert_eq!(restored.missing_segments, count);
    let store = Store::open(&database).expect("opened");
    let verified = store.verify_audit(None).expect("verified");
    assert_eq!(
        verified.broken.map(|broken| (broken.seq, broken.reason)),
        Some((1, BreakReason::Missing))
    );
}

/// Turns one bit in the middle of a file.
fn damage(path: &std::path::Path) -> Vec<u8> {
    let mut bytes = fs::read(path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, &bytes).expect("damaged");
    bytes
}

#[test]
fn a_damaged_segment_never_takes_the_place_of_a_good_one() {
    let fixture = with_segments();
    let file = fixture.directory.path().join("backup.db");
    fixture.store.backup(&file, false).expect("backed up");
    let own = segments(&fixture)[1].clone();
    let name = own.file_name().expect("a name");
    let copied = fixture.directory.path().join("backup.db.audit").join(name);
    let whole = fs::read(&own).expect("read");
    // The one beside the database is damaged: the good copy stays, and the backup is whole.
    damage(&own);
    let made = fixture.store.backup(&file, true).expect("backed up");
    assert!(fs::read(&copied).expect("read") == whole);
    assert_eq!(made.missing_segments, 0);
    // The copy is: it is made anew.
    fs::write(&own, &whole).expect("put back");
    damage(&copied);
    let made = fixture.store.backup(&file, true).expect("backed up");
    assert!(fs::read(&copied).expect("read") == whole);
    assert_eq!(made.missing_segments, 0);
    // Neither holds: both stay as they are, and it is said.
    let damaged = damage(&own);
    fs::write(&copied, b"nothing of it").expect("damaged");
    let made = fixture.store.backup(&file, true).expect("backed up");
    assert_eq!(made.missing_segments, 1);
    assert!(fs::read(&own).expect("read") == damaged);
    assert!(fs::read(&copied).expect("read") == b"nothing of it");
    // Where there is none, the damaged one is better than nothing, and no less said.
    fs::remove_file(&copied).expect("removed");
    let made = fixture.store.backup(&file, true).expect("backed up");
    assert_eq!(made.missing_segments, 1);
    assert!(fs::read(&copied).expect("read") == damaged);
}

#[test]
fn a_restore_takes_of_each_segment_the_one_that_holds() {
    let Fixture { store, directory } = with_segments();
    let file = directory.path().join("backup.db");
    store.backup(&file, false).expect("backed up");
    drop(store);
    let files = |end: &str| {
        let mut paths: Vec<PathBuf> = fs::read_dir(directory.path().join(end))
            .expect("there")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.sort();
        paths
    };
    let (own, copied) = (files("state.db.audit"), files("backup.db.audit"));
    let whole: Vec<_> = own
        .iter()
        .map(|path| fs::read(path).expect("read"))
        .collect();
    damage(&copied[0]);
    damage(&own[1]);
    let restored = Exclusive::take(&directory.path().join("state.db"))
        .expect("free")
        .replace_with(&file, "ops", at(5_000))
        .expect("restored");
    assert_eq!(restored.missing_segments, 0);
    for (path, whole) in own.iter().zip(&whole) {
        assert!(
            &fs::read(path).expect("read") == whole,
            "{}",
            path.display()
        );
    }
    let store = Store::open(&directory.path().join("state.db")).expect("opened");
    assert_eq!(store.verify_audit(None).expect("verified").broken, None);
}

#[test]
fn entries_of_the_other_segments_are_listed_when_one_does_not_hold() {
    let fixture = with_segments();
    let paths = segments(&fixture);
    let filter = AuditFilter {
        limit: 10_000,
        ..AuditFilter::default()
    };
    let list = || {
        let mut lost = Vec::new();
        let entries = fixture
            .store
            .closed_audit_entries(&filter, &mut |path, broken| lost.push((path, broken)))
            .expect("read");
        let seqs: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
        (seqs, lost)
    };
    let (all, lost) = list();
    assert_eq!(lost, []);
    let name = paths[1].file_name().expect("a name").to_string_lossy();
    let range: Vec<u64> = name
        .split('-')
        .take(2)
        .map(|number| number.parse().expect("a number"))
        .collect();
    let others: Vec<u64> = all
        .iter()
        .copied()
        .filter(|seq| !(range[0]..=range[1]).contains(seq))
        .collect();
    let whole = fs::read_to_string(&paths[1]).expect("read");
    damage(&paths[1]);
    let (found, lost) = list();
    assert_eq!(found, others);
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].0, paths[1]);
    // Whoever computes all hashes of the file anew is found by the end that the database knows.
    let mut lines = whole.lines();
    let seal: serde_json::Value =
        serde_json::from_str(lines.next().expect("a seal")).expect("JSON");
    let mut text = String::new();
    let mut previous = seal["previous"].as_str().expect("text").to_owned();
    for line in lines {
        let mut line: ForgedLine = serde_json::from_str(line).expect("JSON");
        line.actor = "nobody".to_owned();
        let content = Content {
            seq: line.seq,
            at: line.at,
            actor: &line.actor,
            action: &line.action,
            resource: line.resource.as_deref(),
            job: line.job.as_deref(),
            detail: &line.detail,
        };
        previous = entry_hash(previous.parse().expect("a hash"), &content).to_string();
        line.hash.clone_from(&previous);
        text.push_str(&serde_json::to_string(&line).expect("JSON"));
        text.push('\n');
    }
    let old = seal["head"].as_str().expect("text").to_owned();
    let first = whole
        .lines()
        .next()
        .expect("a seal")
        .replace(&old, &previous);
    fs::write(&paths[1], format!("{first}\n{text}")).expect("forged");
    let (found, lost) = list();
    assert_eq!(found, others);
    assert_eq!(lost[0].1.reason, BreakReason::Replaced);
    fs::remove_file(&paths[1]).expect("removed");
    let (found, lost) = list();
    assert_eq!(found, others);
    assert_eq!(lost[0].1.reason, BreakReason::Missing);
}

/// A line of a segment, as whoever forges one writes it.
#[derive(serde::Deserialize, serde::Serialize)]
struct ForgedLine {
    seq: u64,
    at: i64,
    actor: String,
    action: String,
    resource: Option<String>,
    job: Option<String>,
    detail: String,
    hash: String,
}

#[test]
fn old_entries_make_a_segment_when_they_are_enough_for_one() {
    // All of them are far beyond the age.
    let policy = HistoryPolicy::default().with(
        HistoryKind::Audit,
        Keep {
            age: std::time::Duration::from_secs(6 * 3_600),
            count: 100_000,
        },
    );
    for (entries, expected) in [(101, 0), (199, 0), (200, 1), (300, 1)] {
        let mut fixture = Fixture::new();
        let store = &mut fixture.store;
        while store.audit_head().expect("read").seq < entries {
            let detail = serde_json::json!({});
            store
                .record_audit("ops", AuditAction::SecretSet, detail, at(0))
                .expect("recorded");
        }
        let mut closed = Vec::new();
        while let Some(closing) = store
            .close_segment(&policy, "ops", at(10 * 86_400))
            .expect("closed")
        {
            closed.push((closing.first, closing.last));
        }
        assert_eq!(closed.len(), expected, "{entries}: {closed:?}");
        fixture.assert_sound();
    }
}

#[test]
fn one_process_at_a_time_clears_up() {
    let fixture = Fixture::new();
    let other = Store::open(&fixture.path()).expect("opened");
    let held = fixture.store.clear_up().expect("asked").expect("free");
    assert!(other.clear_up().expect("asked").is_none());
    drop(held);
    assert!(other.clear_up().expect("asked").is_some());
}
