//! Files that are refused, in a directory and in a commit alike.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use pressluft::git::{Credentials, Snapshot, open_working_tree};

use crate::repository::{Repository, codes, fetch_from, git, paths};

/// What is refused in the directory, after making sure that the commit of it is judged alike.
fn both(repository: &Repository) -> Snapshot {
    let tree = open_working_tree(&repository.path(), None).expect("readable");
    repository.commit("Hostile");
    let state = tempfile::tempdir().expect("temporary directory");
    let commit = fetch_from(
        &repository.url(),
        "main",
        state.path(),
        &Credentials::default(),
    );
    let commit = commit.expect("readable");
    assert_eq!(codes(&tree), codes(&commit));
    assert_eq!(paths(&tree), paths(&commit));
    tree
}

#[test]
fn links_are_reported_together() {
    let repository = Repository::with(&[("good.yaml", "a"), ("sites/a.yaml", "a"), ("n.txt", "a")]);
    let root = repository.path();
    symlink("/etc/passwd", root.join("absolute.yaml")).expect("link");
    symlink("good.yaml", root.join("inside.yaml")).expect("link");
    symlink("sites", root.join("directory")).expect("link");
    symlink("../../outside", root.join("sites/escape")).expect("link");
    symlink("missing.yaml", root.join("dangling.yaml")).expect("link");
    symlink("n.txt", root.join("harmless.txt")).expect("link");
    std::fs::create_dir(root.join("secrets")).expect("directory");
    symlink("../n.txt", root.join("secrets/x.age")).expect("link");
    let snapshot = both(&repository);
    let files = [
        "absolute.yaml",
        "dangling.yaml",
        "directory",
        "inside.yaml",
        "secrets/x.age",
        "sites/escape",
    ];
    assert_eq!(codes(&snapshot), files.map(|file| (file, "symlink")));
    assert_eq!(paths(&snapshot), ["good.yaml", "sites/a.yaml"]);
    assert!(snapshot.diagnostics.iter().all(|d| d.hint.is_some()));
}

#[test]
fn patterns_behind_a_link_are_refused() {
    let repository = Repository::with(&[("a.yaml", "a"), ("patterns", "*.yaml")]);
    symlink("patterns", repository.path().join(".pressluftignore")).expect("link");
    let snapshot = both(&repository);
    assert_eq!(codes(&snapshot), [(".pressluftignore", "special-file")]);
    assert_eq!(paths(&snapshot), ["a.yaml"]);
}

#[test]
fn submodules_and_other_repositories_are_refused() {
    let other = Repository::with(&[("x.yaml", "a")]);
    let repository = Repository::with(&[("a.yaml", "a")]);
    repository.git(["submodule", "--quiet", "add", &other.url(), "modules/other"]);
    let snapshot = both(&repository);
    assert_eq!(codes(&snapshot), [("modules/other", "submodule")]);
    assert_eq!(paths(&snapshot), ["a.yaml"]);

    // A clone of a repository with submodules has empty directories for them.
    let elsewhere = tempfile::tempdir().expect("temporary directory");
    git(
        elsewhere.path(),
        ["clone", "--quiet", &repository.url(), "clone"],
    );
    let snapshot = open_working_tree(&elsewhere.path().join("clone"), None).expect("readable");
    assert_eq!(codes(&snapshot), [("modules/other", "submodule")]);
}

#[test]
fn large_files_are_refused_by_their_size() {
    let repository = Repository::with(&[("a.yaml", "a")]);
    let root = repository.path();
    std::fs::create_dir(root.join("secrets")).expect("directory");
    File::create(root.join("large.yaml"))
        .and_then(|f| f.set_len(200 << 20))
        .expect("sparse file");
    File::create(root.join("secrets/l.age"))
        .and_then(|f| f.set_len(70 << 10))
        .expect("file");
    File::create(root.join("large.bin"))
        .and_then(|f| f.set_len(5 << 20))
        .expect("file");
    let snapshot = both(&repository);
    assert_eq!(
        codes(&snapshot),
        [
            ("large.yaml", "file-too-large"),
            ("secrets/l.age", "file-too-large")
        ]
    );
}

#[test]
fn names_that_deceive_are_refused() {
    let repository = Repository::with(&[("a.yaml", "a"), ("Case/x.yaml", "a")]);
    for name in [
        &b"line\nbreak.yaml"[..],
        b"\x1b[31mred.yaml",
        "reversed\u{202e}lmay.yaml".as_bytes(),
        b"not-\xff-utf8.yaml",
        b"back\\slash.yaml",
        b"not-\xff-considered.txt",
        b"-o.yaml",
        b"case/X.yaml",
    ] {
        repository.write(OsStr::from_bytes(name), "a");
    }
    let snapshot = both(&repository);
    assert_eq!(
        codes(&snapshot),
        [
            ("\\u{1b}[31mred.yaml", "unsafe-path"),
            ("back\\slash.yaml", "unsafe-path"),
            ("case/X.yaml", "case-collision"),
            ("line\\u{a}break.yaml", "unsafe-path"),
            ("not-\u{fffd}-utf8.yaml", "unsafe-path"),
            ("reversed\\u{202e}lmay.yaml", "unsafe-path"),
        ]
    );
    assert_eq!(
        paths(&snapshot),
        ["-o.yaml", "Case/x.yaml", "a.yaml", "case/X.yaml"]
    );
}

#[test]
fn pipes_and_sockets_are_not_opened() {
    let repository = Repository::with(&[("a.yaml", "a")]);
    let pipe = repository.path().join("pipe.yaml");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("pipe");
    let snapshot = open_working_tree(&repository.path(), None).expect("readable");
    assert_eq!(codes(&snapshot), [("pipe.yaml", "special-file")]);
}

/// A tree of a few objects with more paths than could ever be listed.
#[test]
fn a_tree_that_holds_itself_many_times_is_refused() {
    let repository = Repository::with(&[("a.yaml", "a")]);
    let blob = repository.git(["rev-parse", "HEAD:a.yaml"]);
    let mut tree = make_tree(&repository, |i| format!("100644 blob {blob}\tf{i}.yaml\n"));
    for _ in 0..10 {
        tree = make_tree(&repository, |i| format!("040000 tree {tree}\td{i}\n"));
    }
    let commit = repository.git(["commit-tree", "-m", "bomb", &tree]);
    repository.git(["update-ref", "refs/heads/bomb", &commit]);
    let state = tempfile::tempdir().expect("temporary directory");
    let snapshot = fetch_from(
        &repository.url(),
        "bomb",
        state.path(),
        &Credentials::default(),
    );
    let snapshot = snapshot.expect("readable");
    assert_eq!(codes(&snapshot), [("", "fleet-too-large")]);
    assert!(snapshot.files.is_empty());
}

fn make_tree(repository: &Repository, entry: impl Fn(usize) -> String) -> String {
    let list: String = (0..10).map(entry).collect();
    repository.write("list", list);
    let script = "git mktree < list";
    let output = pressluft::process::command("sh")
        .args(["-c", script])
        .current_dir(repository.path())
        .output()
        .expect("git runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
