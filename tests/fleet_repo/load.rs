//! From files to the desired state, with the cache.

use std::fs;
use std::path::Path;

use pressluft::core::desired::Assembled;
use pressluft::core::secret_owner::Reserved;
use pressluft::git::{Credentials, load, open_working_tree};

use crate::repository::{Repository, fetch_from};

const FLEET: &str = "kind: Fleet\nversion: 1\nname: north\n";
const NODE: &str = "kind: Node\nname: web-1\nhost: 192.0.2.1\n";
const SITE: &str = "\
kind: Site
name: acme
node: web-1
admin: { email: owner@acme.example }
---
kind: Environment
site: acme
name: production
type: production
php: { memory: 300M }
";

fn fleet() -> Repository {
    Repository::with(&[
        ("pressluft.yaml", FLEET),
        ("web-1.yaml", NODE),
        ("acme.yaml", SITE),
    ])
}

fn loaded(repository: &Repository, cache: Option<&Path>) -> Assembled {
    let snapshot = open_working_tree(&repository.path(), cache).expect("readable");
    load(&snapshot, cache, &Reserved::default()).expect("loaded")
}

fn codes(assembled: &Assembled) -> Vec<(&str, usize, &'static str)> {
    assembled
        .diagnostics
        .iter()
        .map(|d| (d.file.as_str(), d.line, d.code))
        .collect()
}

/// The canonical form of everything, which is what plans are made from.
fn specs(assembled: &Assembled) -> Vec<String> {
    let desired = assembled.desired.as_ref().expect("no errors");
    let nodes = desired.nodes.values().map(|r| r.spec().canonical());
    let sites = desired.sites.values().map(|r| r.spec().canonical());
    let environments = desired.environments.values().map(|r| r.spec().canonical());
    nodes.chain(sites).chain(environments).collect()
}

#[test]
fn the_cache_changes_nothing_but_the_time() {
    let repository = fleet();
    let cache = tempfile::tempdir().expect("temporary directory");
    let plain = specs(&loaded(&repository, None));
    assert_eq!(plain.len(), 3);
    let load = || loaded(&repository, Some(cache.path()));
    assert_eq!(specs(&load()), plain);
    assert_eq!(specs(&load()), plain);

    repository.write("acme.yaml", SITE.replace("300M", "301M"));
    let changed = specs(&load());
    assert_ne!(changed, plain);
    assert_eq!(changed, specs(&loaded(&repository, None)));
    fs::rename(
        repository.path().join("acme.yaml"),
        repository.path().join("moved.yaml"),
    )
    .expect("rename");
    assert_eq!(specs(&load()), changed);

    for damage in [&b""[..], b"short", &[0xff; 4096]] {
        for file in fs::read_dir(cache.path()).expect("cache").flatten() {
            fs::write(file.path(), damage).expect("write");
        }
        assert_eq!(specs(&load()), changed);
    }
    for file in fs::read_dir(cache.path()).expect("cache").flatten() {
        let mut content = fs::read(file.path()).expect("read");
        let middle = content.len() / 2;
        content[middle] ^= 1;
        fs::write(file.path(), content).expect("write");
    }
    assert_eq!(specs(&load()), changed);
}

#[test]
fn a_cache_that_cannot_be_written_is_no_error() {
    let repository = fleet();
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    assert_eq!(specs(&loaded(&repository, Some(file.path()))).len(), 3);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_every_time() {
    let repository = fleet();
    let root = repository.path();
    repository.write("a-nul.yaml", b"kind: Node\0\n");
    repository.write("b-latin.yaml", b"kind: Node\nname: caf\xe9\n");
    repository.write(
        "c-twice.yaml",
        "kind: Node\nname: a\nname: b\nhost: 192.0.2.2\n",
    );
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n",
        "a".repeat(64)
    );
    repository.write("d-pointer.yaml", &pointer);
    repository.write("secrets/x.age", &pointer);
    repository.write(
        "e-site.yaml",
        SITE.replace("web-1", "web-9").replace("acme", "other"),
    );
    std::os::unix::fs::symlink("/etc/passwd", root.join("f-link.yaml")).expect("link");
    let cache = tempfile::tempdir().expect("temporary directory");
    for _ in 0..2 {
        let assembled = loaded(&repository, Some(cache.path()));
        assert!(assembled.desired.is_none());
        assert_eq!(
            codes(&assembled),
            [
                ("a-nul.yaml", 1, "hidden-character"),
                ("b-latin.yaml", 2, "not-utf8"),
                ("c-twice.yaml", 3, "duplicate-field"),
                ("d-pointer.yaml", 1, "lfs-pointer"),
                ("e-site.yaml", 3, "unknown-reference"),
                ("f-link.yaml", 0, "symlink"),
                ("secrets/x.age", 1, "lfs-pointer"),
            ]
        );
    }
}

#[test]
fn a_refused_file_alone_stops_everything() {
    let repository = fleet();
    std::os::unix::fs::symlink("/etc", repository.path().join("more")).expect("link");
    let assembled = loaded(&repository, None);
    assert_eq!(codes(&assembled), [("more", 0, "symlink")]);
    assert!(assembled.desired.is_none());
}

#[test]
fn a_commit_gives_the_same_as_its_checkout() {
    let repository = fleet();
    let state = tempfile::tempdir().expect("temporary directory");
    let snapshot = fetch_from(
        &repository.url(),
        "main",
        state.path(),
        &Credentials::default(),
    )
    .expect("readable");
    for _ in 0..2 {
        let assembled = load(&snapshot, Some(state.path()), &Reserved::default()).expect("loaded");
        assert_eq!(specs(&assembled), specs(&loaded(&repository, None)));
    }
}
