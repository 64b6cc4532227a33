//! Clean for git is clean for us, in every way in which git lays out a repository.

use std::fs;
use std::path::{Path, PathBuf};

use pressluft::git::{GitError, Snapshot, open_working_tree};
use tempfile::TempDir;

use crate::repository::{Repository, git, paths};

const FLEET: &str = "kind: Fleet\nversion: 1\nname: a\n";
const NODE: &str = "kind: Node\nname: web-1\nhost: 203.0.113.1\n";

/// A working tree, and what has to live as long as it does.
struct Layout {
    root: PathBuf,
    _kept: TempDir,
}

fn fleet() -> Repository {
    Repository::with(&[
        ("pressluft.yaml", FLEET),
        ("nodes/web-1.yaml", NODE),
        ("templates/php/node.ini", "a = 1\nb = 2\n"),
        ("README.md", "a fleet\n"),
    ])
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A clone of the fleet with settings that hold from its checkout on.
fn clone(settings: &[&str], attributes: Option<&str>) -> Layout {
    let origin = fleet();
    if let Some(attributes) = attributes {
        origin.write(".gitattributes", attributes);
        origin.commit("Attributes");
    }
    let kept = directory();
    let root = kept.path().join("clone");
    let url = origin.url();
    let mut words = vec!["clone", "--quiet"];
    for setting in settings {
        words.extend(["-c", setting]);
    }
    words.extend([url.as_str(), text(&root)]);
    git(kept.path(), words);
    Layout { root, _kept: kept }
}

fn with(words: &[&[&str]]) -> Layout {
    let layout = clone(&[], None);
    for words in words {
        git(&layout.root, words.iter());
    }
    layout
}

fn separate() -> Layout {
    let kept = directory();
    let (root, dir) = (kept.path().join("tree"), kept.path().join("elsewhere"));
    let origin = fleet();
    let dir = format!("--separate-git-dir={}", dir.display());
    git(
        kept.path(),
        ["clone", "--quiet", &dir, &origin.url(), text(&root)],
    );
    Layout { root, _kept: kept }
}

/// A linked worktree, of a repository that has a working tree or none.
fn worktree(bare: bool) -> Layout {
    let kept = directory();
    let (store, root) = (kept.path().join("store"), kept.path().join("tree"));
    let origin = fleet();
    let form = if bare { "--bare" } else { "--no-checkout" };
    git(
        kept.path(),
        ["clone", "--quiet", form, &origin.url(), text(&store)],
    );
    git(
        &store,
        [
            "worktree",
            "add",
            "--quiet",
            "--detach",
            text(&root),
            "HEAD",
        ],
    );
    Layout { root, _kept: kept }
}

/// What a program makes of the files when they are checked out.
fn filtered() -> Layout {
    let layout = clone(
        &[
            "filter.rot.smudge=tr a-y b-z",
            "filter.rot.clean=tr b-z a-y",
        ],
        Some("templates/** filter=rot\n"),
    );
    let content = fs::read_to_string(layout.root.join("templates/php/node.ini")).expect("read");
    assert_eq!(
        content, "b = 1\nc = 2\n",
        "it is another one than that of the commit"
    );
    layout
}

fn is_clean(root: &Path) -> bool {
    git(root, ["status", "--porcelain"]).is_empty()
}

fn open(root: &Path) -> Snapshot {
    open_working_tree(root, None).expect("it can be read")
}

#[test]
fn every_layout_is_as_git_status_says() {
    let skip = ["update-index", "--skip-worktree", "nodes/web-1.yaml"];
    let assume = ["update-index", "--assume-unchanged", "nodes/web-1.yaml"];
    let sparse: &[&[&str]] = &[&["sparse-checkout", "set", "templates"]];
    let layouts: Vec<(&str, Layout)> = vec![
        ("plain", clone(&[], None)),
        ("a separate git directory", separate()),
        ("a worktree", worktree(false)),
        ("a worktree of a bare repository", worktree(true)),
        ("core.autocrlf", clone(&["core.autocrlf=true"], None)),
        ("core.autocrlf=input", clone(&["core.autocrlf=input"], None)),
        ("core.eol", clone(&["core.eol=crlf"], Some("* text=auto\n"))),
        ("text=auto", clone(&[], Some("* text=auto\n"))),
        ("eol=crlf", clone(&[], Some("* text eol=crlf\n"))),
        ("ident", clone(&[], Some("* ident\n"))),
        ("a filter", filtered()),
        (
            "an encoding",
            clone(&[], Some("*.ini text working-tree-encoding=UTF-16LE\n")),
        ),
        ("skip-worktree", with(&[&skip])),
        ("assume-unchanged", with(&[&assume])),
        ("a sparse checkout", with(sparse)),
        (
            "index version 4",
            with(&[&["update-index", "--index-version=4"]]),
        ),
        (
            "an untracked cache",
            with(&[&["update-index", "--force-untracked-cache"]]),
        ),
        ("no ctime", clone(&["core.trustctime=false"], None)),
        (
            "worktree settings",
            with(&[&["config", "extensions.worktreeConfig", "true"]]),
        ),
        ("a shallow clone", {
            let kept = directory();
            let root = kept.path().join("tree");
            git(
                kept.path(),
                ["clone", "--quiet", "--depth=1", &fleet().url(), text(&root)],
            );
            Layout { root, _kept: kept }
        }),
    ];
    for (name, layout) in &layouts {
        let root = &layout.root;
        assert!(is_clean(root), "{name}");
        let snapshot = open(root);
        assert_eq!(
            snapshot.revision.dirty_paths,
            Vec::<String>::new(),
            "{name}"
        );
        assert!(
            !snapshot.revision.dirty && snapshot.revision.commit.is_some(),
            "{name}"
        );
        assert!(
            snapshot.diagnostics.is_empty(),
            "{name}: {:?}",
            snapshot.diagnostics
        );
        assert_eq!(
            paths(&snapshot),
            ["nodes/web-1.yaml", "pressluft.yaml"],
            "{name}"
        );
        for file in snapshot.files.iter().chain(&snapshot.templates) {
            let content = snapshot.read(file).expect("it can be read");
            assert!(!content.is_empty(), "{name}: {}", file.path);
            // They are those of the commit, whatever form they have there; a program alone makes them others.
            let committed = git(root, ["rev-parse", &format!("HEAD:{}", file.path)]);
            let is_same = file.blob.to_string() == committed;
            let is_made = *name == "a filter" && file.path.starts_with("templates/");
            assert!(is_same != is_made, "{name}: {}", file.path);
        }
        // What git sees as a change is one.
        let template = root.join("templates/php/node.ini");
        fs::write(&template, "a = 3\n").expect("written");
        assert!(!is_clean(root), "{name}");
        let dirty = open(root).revision.dirty_paths;
        assert_eq!(dirty, ["templates/php/node.ini"], "{name}");
    }
}

#[test]
fn what_git_does_not_look_at_is_what_the_commit_has() {
    for flag in ["--skip-worktree", "--assume-unchanged"] {
        let layout = with(&[&["update-index", flag, "nodes/web-1.yaml"]]);
        let node = layout.root.join("nodes/web-1.yaml");
        fs::write(&node, "kind: Nonsense\n").expect("written");
        assert!(is_clean(&layout.root), "{flag}");
        let snapshot = open(&layout.root);
        assert!(!snapshot.revision.dirty, "{flag}");
        let content = snapshot.texts()("nodes/web-1.yaml");
        assert_eq!(content.as_deref(), Some(NODE), "{flag}");
        fs::remove_file(&node).expect("removed");
        assert!(is_clean(&layout.root), "{flag}");
        assert_eq!(open(&layout.root).files, snapshot.files, "{flag}");
    }
    // In a sparse checkout, git looks at what is there all the same.
    let layout = with(&[&["sparse-checkout", "set", "templates"]]);
    assert!(!layout.root.join("nodes").exists());
    let snapshot = open(&layout.root);
    assert_eq!(paths(&snapshot), ["nodes/web-1.yaml", "pressluft.yaml"]);
    fs::create_dir(layout.root.join("nodes")).expect("made");
    fs::write(layout.root.join("nodes/web-1.yaml"), "kind: Node\n").expect("written");
    // Before git itself had a look, which takes the mark off the file.
    let dirty = open(&layout.root).revision.dirty_paths;
    assert_eq!(dirty, ["nodes/web-1.yaml"]);
    assert!(!is_clean(&layout.root));
    let dirty = open(&layout.root).revision.dirty_paths;
    assert_eq!(dirty, ["nodes/web-1.yaml"]);
}

#[test]
fn changes_in_a_converted_checkout_are_told_and_nothing_else() {
    let layout = clone(&["core.autocrlf=true"], None);
    let node = layout.root.join("nodes/web-1.yaml");
    assert_eq!(
        fs::read_to_string(&node).expect("read"),
        NODE.replace('\n', "\r\n")
    );
    // The same content written once more, and a staged change of another file.
    fs::write(&node, NODE.replace('\n', "\r\n")).expect("written");
    assert!(is_clean(&layout.root));
    assert!(!open(&layout.root).revision.dirty);
    fs::write(
        layout.root.join("pressluft.yaml"),
        format!("{FLEET}# more\r\n"),
    )
    .expect("written");
    git(&layout.root, ["add", "--all"]);
    assert_eq!(open(&layout.root).revision.dirty_paths, ["pressluft.yaml"]);
}

#[test]
fn a_format_that_cannot_be_read_is_named_with_the_way_out() {
    let refused = |root: &Path| match open_working_tree(root, None) {
        Err(error @ GitError::Format { .. }) => {
            format!("{error}; {}", error.hint().expect("a hint"))
        }
        other => panic!("{other:?}"),
    };
    let new = |words: &[&str]| {
        let kept = directory();
        git(kept.path(), [&["init", "--quiet"], words].concat());
        fs::write(kept.path().join("pressluft.yaml"), FLEET).expect("written");
        // Git before 2.48 moves no reflogs.
        git(kept.path(), ["config", "core.logAllRefUpdates", "false"]);
        git(kept.path(), ["add", "--all"]);
        git(kept.path(), ["commit", "--quiet", "--message", "First"]);
        kept
    };
    let sha256 = new(&["--object-format=sha256"]);
    let said = refused(sha256.path());
    assert!(
        said.contains("SHA-256") && said.contains("--object-format=sha1"),
        "{said}"
    );
    let reftable = new(&["--ref-format=reftable"]);
    let said = refused(reftable.path());
    assert!(
        said.contains("reftable") && said.contains("git refs migrate"),
        "{said}"
    );

    // And the way out leads there.
    git(reftable.path(), ["refs", "migrate", "--ref-format=files"]);
    assert!(!open(reftable.path()).revision.dirty);
    let split = with(&[&["update-index", "--split-index"]]);
    let said = refused(&split.root);
    assert!(
        said.contains("split") && said.contains("--no-split-index"),
        "{said}"
    );
    git(&split.root, ["update-index", "--no-split-index"]);
    assert!(!open(&split.root).revision.dirty);
    let sparse = with(&[&[
        "sparse-checkout",
        "set",
        "--cone",
        "--sparse-index",
        "templates",
    ]]);
    let said = refused(&sparse.root);
    assert!(
        said.contains("sparse") && said.contains("--no-sparse-index"),
        "{said}"
    );
    git(
        &sparse.root,
        ["sparse-checkout", "reapply", "--no-sparse-index"],
    );
    assert!(!open(&sparse.root).revision.dirty);
    let partial = clone(&[], None);
    git(
        &partial.root,
        ["config", "core.repositoryFormatVersion", "1"],
    );
    git(
        &partial.root,
        ["config", "extensions.partialClone", "origin"],
    );
    let said = refused(&partial.root);
    assert!(
        said.contains("partial clone") && said.contains("--filter"),
        "{said}"
    );
}
