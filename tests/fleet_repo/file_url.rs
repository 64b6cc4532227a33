//! Snapshots of repositories on this machine by their address.

use pressluft::git::{Credentials, GitError, Snapshot, open_working_tree};

use crate::repository::{Repository, codes, fetch_from, git, paths};

fn fetched(url: &str, reference: &str) -> Result<Snapshot, GitError> {
    let state = tempfile::tempdir().expect("temporary directory");
    fetch_from(url, reference, state.path(), &Credentials::default())
}

#[test]
fn every_form_of_a_reference_leads_to_its_commit() {
    let repository = Repository::with(&[("a.yaml", "one")]);
    let first = repository.git(["rev-parse", "HEAD"]);
    repository.git(["tag", "--annotate", "--message", "t", "v1"]);
    repository.git(["branch", "feature/x"]);
    repository.write("a.yaml", "two");
    let second = repository.commit("Second");
    repository.git(["tag", "light"]);
    for (reference, commit) in [
        ("HEAD", &second),
        ("main", &second),
        ("light", &second),
        ("refs/heads/main", &second),
        ("v1", &first),
        ("refs/tags/v1", &first),
        ("feature/x", &first),
        (first.as_str(), &first),
    ] {
        let snapshot = fetched(&repository.url(), reference).expect(reference);
        assert_eq!(
            snapshot.revision.commit.as_ref(),
            Some(commit),
            "{reference}"
        );
        assert!(!snapshot.revision.dirty);
    }
    let missing = fetched(&repository.url(), "other").expect_err("missing");
    assert!(matches!(missing, GitError::NotFound { .. }), "{missing}");
    let missing = fetched(&repository.url(), &"a".repeat(40)).expect_err("missing");
    assert!(matches!(missing, GitError::NotFound { .. }), "{missing}");
    repository.git(["tag", "feature/x"]);
    let ambiguous = fetched(&repository.url(), "feature/x").expect_err("ambiguous");
    assert!(
        matches!(ambiguous, GitError::Ambiguous { .. }),
        "{ambiguous}"
    );
}

#[test]
fn references_and_addresses_that_attack_are_refused_before_anything_runs() {
    let repository = Repository::with(&[("a.yaml", "a")]);
    let marker = repository.path().join("pwned");
    let run = format!("touch {}", marker.display());
    for reference in [
        format!("--upload-pack={run}"),
        "-x".into(),
        "a..b".into(),
        "a b".into(),
    ] {
        let error = fetched(&repository.url(), &reference).expect_err("refused");
        assert!(
            matches!(error, GitError::InvalidReference { .. }),
            "{error}"
        );
    }
    for url in [
        format!("ext::sh -c '{run}'"),
        format!("--upload-pack={run}"),
        "git://h/x".into(),
    ] {
        let error = fetched(&url, "main").expect_err("refused");
        assert!(matches!(error, GitError::InvalidUrl { .. }), "{error}");
    }
    assert!(!marker.exists());
}

#[test]
fn bare_packed_and_shallow_repositories_are_read() {
    let repository = Repository::with(&[("a.yaml", "one"), ("b.yaml", "one")]);
    repository.write("a.yaml", "two");
    let commit = repository.commit("Second");
    repository.git(["gc", "--quiet"]);
    let elsewhere = tempfile::tempdir().expect("temporary directory");
    for (name, options) in [("bare", vec!["--bare"]), ("shallow", vec!["--depth=1"])] {
        let mut args = vec!["clone", "--quiet"];
        args.extend(options);
        let url = repository.url();
        args.extend([url.as_str(), name]);
        git(elsewhere.path(), args);
        let url = format!("file://{}", elsewhere.path().join(name).display());
        let snapshot = fetched(&url, "main").expect(name);
        assert_eq!(snapshot.revision.commit.as_ref(), Some(&commit));
        assert_eq!(snapshot.read(&snapshot.files[0]).expect("readable"), b"two");
    }
    let tree = elsewhere.path().join("shallow");
    let snapshot = open_working_tree(&tree, None).expect("readable");
    assert_eq!(
        (snapshot.revision.commit, snapshot.revision.dirty),
        (Some(commit), false)
    );
}

#[test]
fn a_commit_and_its_checkout_have_the_same_files() {
    let repository = Repository::with(&[
        (".pressluftignore", "drafts/\n"),
        ("drafts/x.yaml", "a"),
        ("pressluft.yaml", "a"),
        ("sites/acme.yaml", "b"),
        ("secrets/x.age", "c"),
        (".hidden/x.yaml", "d"),
    ]);
    let tree = open_working_tree(&repository.path(), None).expect("readable");
    let commit = fetched(&repository.url(), "main").expect("readable");
    assert_eq!(paths(&tree), ["pressluft.yaml", "sites/acme.yaml"]);
    assert_eq!(tree.files, commit.files);
    assert_eq!(tree.secrets, commit.secrets);
    assert_eq!(tree.revision, commit.revision);
    assert_eq!(codes(&commit), []);
}

#[test]
fn texts_are_found_whatever_order_git_keeps_them_in() {
    let names = [
        "a-b.yaml",
        "a.yaml",
        "a/x.yaml",
        "a0.yaml",
        "b/c/d.yaml",
        "b/c.yml",
    ];
    let files: Vec<(&str, &str)> = names.iter().map(|name| (*name, *name)).collect();
    let repository = Repository::with(&files);
    repository.commit("Names");
    let state = tempfile::tempdir().expect("temporary directory");
    let commit = fetch_from(
        &repository.url(),
        "main",
        state.path(),
        &Credentials::default(),
    );
    let commit = commit.expect("readable");
    let tree = open_working_tree(&repository.path(), None).expect("readable");
    for snapshot in [&commit, &tree] {
        let texts = snapshot.texts();
        for name in names {
            assert_eq!(texts(name).as_deref(), Some(name));
        }
        assert_eq!(texts("b.yaml"), None);
    }
}
