//! Snapshots of a directory, and what they say of its relation to git.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use pressluft::git::{Snapshot, open_working_tree};

use crate::repository::{Repository, git, paths};

const FLEET: &str = "kind: Fleet\n";

fn open(repository: &Repository) -> Snapshot {
    open_working_tree(&repository.path(), None).expect("readable")
}

#[test]
fn a_clean_tree_is_its_commit() {
    let repository = Repository::with(&[
        ("pressluft.yaml", FLEET),
        ("sites/acme.yml", "a"),
        ("secrets/dns/cloudflare.age", "sealed"),
        ("templates/nginx/vhost.conf.j2", "t"),
        ("hooks/after.yml", "- hosts: all"),
        ("README.md", "r"),
        (".github/workflows/ci.yml", "on: push"),
        (".gitlab-ci.yml", "on: push"),
    ]);
    let snapshot = open(&repository);
    assert_eq!(paths(&snapshot), ["pressluft.yaml", "sites/acme.yml"]);
    assert_eq!(
        snapshot
            .secret("dns/cloudflare")
            .expect("readable")
            .as_deref(),
        Some(&b"sealed"[..])
    );
    assert_eq!(snapshot.secret("dns/other").expect("readable"), None);
    assert_eq!(snapshot.templates[0].path, "templates/nginx/vhost.conf.j2");
    assert_eq!(snapshot.hooks[0].path, "hooks/after.yml");
    assert!(snapshot.diagnostics.is_empty());

    let revision = &snapshot.revision;
    assert_eq!(revision.commit, Some(repository.git(["rev-parse", "HEAD"])));
    assert_eq!(revision.subject, "First");
    assert_eq!(
        revision.author.as_ref().map(|a| &*a.email),
        Some("robin@studio.example")
    );
    assert_eq!(
        revision.time.map(|t| t.to_string()).as_deref(),
        Some("2026-02-22T12:00:00Z")
    );
    assert!(!revision.dirty);
    let blob = repository.git(["rev-parse", "HEAD:sites/acme.yml"]);
    assert_eq!(snapshot.files[1].blob.to_string(), blob);
}

#[test]
fn every_kind_of_change_is_told() {
    let repository = Repository::with(&[
        (".gitignore", "ignored/\n*.local.yaml\n"),
        ("changed.yaml", "a"),
        ("removed.yaml", "a"),
        ("same.yaml", "a"),
        ("notes.txt", "a"),
    ]);
    repository.write("forced.local.yaml", "a");
    repository.git(["add", "--force", "forced.local.yaml"]);
    repository.write("changed.yaml", "b");
    repository.write("untracked/new.yaml", "a");
    repository.write("my.local.yaml", "a");
    repository.write("ignored/deep/x.yaml", "a");
    repository.write("notes.txt", "b");
    fs::remove_file(repository.path().join("removed.yaml")).expect("remove");
    let snapshot = open(&repository);
    assert_eq!(
        paths(&snapshot),
        [
            "changed.yaml",
            "forced.local.yaml",
            "same.yaml",
            "untracked/new.yaml"
        ]
    );
    assert!(snapshot.revision.dirty);
    assert_eq!(
        snapshot.revision.dirty_paths,
        [
            "changed.yaml",
            "forced.local.yaml",
            "removed.yaml",
            "untracked/new.yaml"
        ]
    );
}

#[test]
fn a_part_of_a_repository_is_a_fleet() {
    let repository = Repository::with(&[
        ("fleet/a.yaml", "a"),
        ("fleet/b/c.yaml", "a"),
        ("other.yaml", "a"),
    ]);
    repository.write("other.yaml", "changed");
    let snapshot = open_working_tree(&repository.path().join("fleet"), None).expect("readable");
    assert_eq!(paths(&snapshot), ["a.yaml", "b/c.yaml"]);
    assert!(snapshot.revision.commit.is_some() && !snapshot.revision.dirty);
}

#[test]
fn git_is_not_needed() {
    let directory = tempfile::tempdir().expect("temporary directory");
    fs::write(directory.path().join("a.yaml"), "a").expect("write");
    let snapshot = open_working_tree(directory.path(), None).expect("readable");
    assert_eq!(paths(&snapshot), ["a.yaml"]);
    assert_eq!(
        (snapshot.revision.commit.as_deref(), snapshot.revision.dirty),
        (None, false)
    );

    git(directory.path(), ["init", "--quiet"]);
    let snapshot = open_working_tree(directory.path(), None).expect("readable");
    assert_eq!(
        (paths(&snapshot), snapshot.revision.commit.as_deref()),
        (vec!["a.yaml"], None)
    );

    let missing = open_working_tree(&directory.path().join("missing"), None);
    assert!(missing.expect_err("missing").hint().is_some());
}

#[test]
fn pressluftignore_excludes_and_hides_what_would_be_refused() {
    let repository = Repository::with(&[
        (
            ".pressluftignore",
            "# tools\ndocker-compose.yml\nvendor/\n/drafts/*\n!/drafts/keep.yaml\n",
        ),
        ("docker-compose.yml", "services: {}"),
        ("drafts/a.yaml", "a"),
        ("drafts/keep.yaml", "a"),
        ("vendor/x.yaml", "a"),
        ("a.yaml", "a"),
    ]);
    std::os::unix::fs::symlink("/etc/hostname", repository.path().join("vendor/out.yaml"))
        .expect("link");
    let snapshot = open(&repository);
    assert_eq!(paths(&snapshot), ["a.yaml", "drafts/keep.yaml"]);
    assert!(snapshot.diagnostics.is_empty() && !snapshot.revision.dirty);
}

#[test]
fn what_git_ignores_is_left_out_whatever_it_is() {
    let repository = Repository::with(&[
        (
            ".gitignore",
            "result\nscratch/\nmade*\ndeep/*/cache\n!made-for-us.yaml\n",
        ),
        ("a.yaml", "a"),
    ]);
    let path = repository.path();
    for (name, target) in [
        ("result", "/nix/store/x"),
        ("made.yaml", "/etc/hostname"),
        ("made-of-a", "a.yaml"),
    ] {
        std::os::unix::fs::symlink(target, path.join(name)).expect("link");
    }
    repository.git(["worktree", "add", "-q", "scratch"]);
    fs::create_dir_all(path.join("deep/one/cache/.git")).expect("made");
    let odd = std::ffi::OsStr::from_bytes(b"made\xff.yaml");
    fs::write(path.join(odd), "a").expect("written");
    nix::unistd::mkfifo(&path.join("made.yml"), nix::sys::stat::Mode::S_IRUSR).expect("made");
    let snapshot = open(&repository);
    assert_eq!(snapshot.diagnostics, []);
    assert_eq!(paths(&snapshot), ["a.yaml"]);
    assert!(!snapshot.revision.dirty, "{:?}", snapshot.revision);

    // What is tracked all the same, or not ignored, is refused as ever.
    repository.git(["add", "-f", "made.yaml"]);
    std::os::unix::fs::symlink("/etc", path.join("made-for-us.yaml")).expect("link");
    let refused = open(&repository).diagnostics;
    let files: Vec<&str> = refused.iter().map(|one| one.file.as_str()).collect();
    assert_eq!(files, ["made-for-us.yaml", "made.yaml"]);
}

#[test]
fn patterns_from_other_systems_mean_the_same() {
    let repository = Repository::with(&[
        (".pressluftignore", "\u{FEFF}first.yaml\r\nsecond.yaml\r\n"),
        ("first.yaml", "a"),
        ("second.yaml", "a"),
        ("third.yaml", "a"),
    ]);
    assert_eq!(paths(&open(&repository)), ["third.yaml"]);
}

#[test]
fn what_other_patterns_leave_out_is_a_change() {
    let repository = Repository::with(&[("first.yaml", "a"), ("second.yaml", "a")]);
    assert!(!open(&repository).revision.dirty);
    repository.write(".pressluftignore", "second.yaml\n");
    let snapshot = open(&repository);
    assert_eq!(paths(&snapshot), ["first.yaml"]);
    assert_eq!(snapshot.revision.dirty_paths, ["second.yaml"]);
}

#[test]
fn unchanged_files_are_not_read_again_and_changed_ones_are() {
    let repository = Repository::with(&[("a.yaml", "one"), ("b.yaml", "two")]);
    let cache = tempfile::tempdir().expect("temporary directory");
    let age = |name: &str| {
        let file = fs::File::options()
            .write(true)
            .open(repository.path().join(name));
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        file.expect("open")
            .set_modified(long_ago)
            .expect("set time");
    };
    age("a.yaml");
    age("b.yaml");
    let open = || open_working_tree(&repository.path(), Some(cache.path())).expect("readable");
    let first = open();
    // The same size and time of modification: only the time of change tells.
    repository.write("b.yaml", "TWO");
    age("b.yaml");
    let second = open();
    assert_eq!(first.files[0], second.files[0]);
    assert_ne!(first.files[1].blob, second.files[1].blob);
    assert_eq!(second.revision.dirty_paths, ["b.yaml"]);
    assert_eq!(second.read(&second.files[1]).expect("readable"), b"TWO");

    for damage in [&b""[..], b"short", &[0; 4096]] {
        for file in fs::read_dir(cache.path()).expect("cache").flatten() {
            fs::write(file.path(), damage).expect("write");
        }
        assert_eq!(open().files, second.files);
    }
}

#[test]
fn a_file_that_changes_after_the_snapshot_is_not_mixed_in() {
    let repository = Repository::with(&[("secrets/a.age", "one")]);
    let snapshot = open(&repository);
    repository.write("secrets/a.age", "two");
    let error = snapshot.secret("a").expect_err("changed");
    assert!(error.to_string().contains("changed while"), "{error}");
}

#[test]
fn linked_worktrees_and_detached_heads_are_read() {
    let repository = Repository::with(&[("a.yaml", "a")]);
    let elsewhere = tempfile::tempdir().expect("temporary directory");
    let tree = elsewhere.path().join("tree");
    repository.git([
        "worktree",
        "add",
        "--quiet",
        "--detach",
        tree.to_str().expect("UTF-8"),
    ]);
    let snapshot = open_working_tree(&tree, None).expect("readable");
    assert_eq!(
        snapshot.revision.commit,
        Some(repository.git(["rev-parse", "HEAD"]))
    );
    assert!(snapshot.diagnostics.is_empty());
}
