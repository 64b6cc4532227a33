//! Backups while others write.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use pressluft::core::job::JobType;
use pressluft::store::{Store, StoreError};

use crate::fixture::{Fixture, at, job, plan};

#[test]
fn a_backup_while_others_write_is_one_moment_of_the_database() {
    let fixture = Fixture::new();
    let path = fixture.path();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (path, done) = (&path, &done);
                scope.spawn(move || {
                    let mut store = Store::open(path).expect("opened");
                    let mut written = 0;
                    while !done.load(Ordering::SeqCst) {
                        let node = job(JobType::NodeProvision, "node/web-1", "web-1", &[]);
                        store
                            .enqueue(&plan(&[]), &[node], &format!("ops {writer}"), at(1))
                            .expect("enqueued");
                        written += 1;
                    }
                    written
                })
            })
            .collect();
        let target = fixture.directory.path().join("copy.db");
        let mut before = 0;
        for turn in 0..8 {
            let made = fixture.store.backup(&target, turn > 0).expect("backed up");
            assert!(made.head.seq >= before, "a later backup has no less");
            before = made.head.seq;
            assert_eq!(made.bytes, target.metadata().expect("there").len());
            let mode = target.metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let copy = Store::open_read_only(&target).expect("it opens");
            let checkup = copy.check().expect("checked");
            assert_eq!(checkup.problems, []);
            assert_eq!(checkup.audit.head, made.head);
        }
        done.store(true, Ordering::SeqCst);
        for writer in writers {
            assert!(writer.join().expect("no panic") > 0, "nobody was held up");
        }
    });
    assert_eq!(fixture.store.check().expect("checked").problems, []);
    // Nothing but the database, what belongs to it and the backup is left.
    let mut names: Vec<String> = std::fs::read_dir(fixture.directory.path())
        .expect("listed")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| !name.starts_with("state.db"))
        .collect();
    names.sort();
    assert_eq!(names, ["copy.db"]);
}

#[test]
fn a_backup_replaces_only_what_it_is_told_to() {
    let fixture = Fixture::new();
    let target = fixture.directory.path().join("copy.db");
    std::fs::write(&target, "something").expect("written");
    let refused = fixture.store.backup(&target, false).expect_err("refused");
    assert!(matches!(refused, StoreError::Exists(_)), "{refused}");
    assert_eq!(std::fs::read(&target).expect("read"), b"something");
    // Not even by force: it would be the end of the database.
    for name in [
        "state.db",
        "state.db-wal",
        "state.db.audit-head",
        "state.db.lock",
    ] {
        let own = fixture.directory.path().join(name);
        let refused = fixture.store.backup(&own, true).expect_err("refused");
        assert!(
            matches!(refused, StoreError::OwnFile(_)),
            "{name}: {refused}"
        );
    }
    let nowhere = fixture.directory.path().join("missing/copy.db");
    let refused = fixture.store.backup(&nowhere, false).expect_err("refused");
    assert!(matches!(refused, StoreError::Write { .. }), "{refused}");
    fixture.store.backup(&target, true).expect("replaced");
    Store::open_read_only(&target).expect("a database");
    fixture.assert_sound();
}
