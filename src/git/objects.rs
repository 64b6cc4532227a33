//! Reads trees and blobs out of a git object database, without a checkout.

use std::path::Path;

use git2::{Commit, Repository, Tree};

use super::error::GitError;
use super::limits;
use super::selection::{EntryKind, IGNORE_FILE, Role, Selection, Verdict, link_target};
use super::snapshot::BlobId;

const TYPE: i32 = 0o170_000;
const DIRECTORY: i32 = 0o040_000;
const FILE: i32 = 0o100_000;
const SYMLINK: i32 = 0o120_000;
const SUBMODULE: i32 = 0o160_000;

/// Opens a repository that is known to be at `path`, and no other one around it.
pub(super) fn open(path: &Path) -> Result<Repository, GitError> {
    Repository::open(path).map_err(|e| GitError::repository(path.display().to_string(), &e))
}

/// The content of a blob.
pub(super) fn read(repository: &Repository, blob: BlobId) -> Result<Vec<u8>, GitError> {
    git2::Oid::from_bytes(&blob.0)
        .and_then(|id| Ok(repository.find_blob(id)?.content().to_vec()))
        .map_err(|e| GitError::repository(repository.path().display().to_string(), &e))
}

/// The directory `prefix` of a commit, or none when the commit does not have it. `prefix` is
/// empty, or ends with `/`.
pub(super) fn subtree<'r>(
    repository: &'r Repository,
    commit: &Commit<'r>,
    prefix: &str,
) -> Result<Option<Tree<'r>>, git2::Error> {
    let tree = commit.tree()?;
    if prefix.is_empty() {
        return Ok(Some(tree));
    }
    match tree.get_path(Path::new(prefix.trim_end_matches('/'))) {
        Ok(entry) if entry.filemode_raw() & TYPE == DIRECTORY => {
            repository.find_tree(entry.id()).map(Some)
        }
        Ok(_) => Ok(None),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The text of the `.pressluftignore` in a tree.
pub(super) fn ignore_rules(
    repository: &Repository,
    root: &Tree<'_>,
) -> Result<String, git2::Error> {
    let Some(entry) = root
        .get_name(IGNORE_FILE)
        .filter(|e| e.filemode_raw() & TYPE == FILE)
    else {
        return Ok(String::new());
    };
    let (size, _) = repository.odb()?.read_header(entry.id())?;
    if size as u64 > limits::IGNORE_BYTES {
        return Err(git2::Error::from_str("`.pressluftignore` is too large"));
    }
    Ok(String::from_utf8_lossy(repository.find_blob(entry.id())?.content()).into_owned())
}

/// The considered files of a tree with their sizes, which are known without reading them.
pub(super) fn select(
    repository: &Repository,
    root: &Tree<'_>,
    rules: &str,
) -> Result<Selection<BlobId>, git2::Error> {
    let odb = repository.odb()?;
    let mut walk = Walk {
        repository,
        root,
        selection: Selection::new(rules),
        taken: Vec::new(),
    };
    walk.tree(root, "")?;
    let Walk {
        mut selection,
        taken,
        ..
    } = walk;
    for (path, role, id) in taken {
        let (size, _) = odb.read_header(id)?;
        selection.take(path, role, size as u64, BlobId::from(id));
    }
    Ok(selection)
}

/// The considered files of a tree, whatever their size, sorted by path.
pub(super) fn listing(
    repository: &Repository,
    root: &Tree<'_>,
    rules: &str,
) -> Result<Vec<(String, BlobId)>, git2::Error> {
    let mut walk = Walk {
        repository,
        root,
        selection: Selection::new(rules),
        taken: Vec::new(),
    };
    walk.tree(root, "")?;
    let mut files: Vec<(String, BlobId)> = walk
        .taken
        .into_iter()
        .map(|(path, _, id)| (path, BlobId::from(id)))
        .collect();
    // A tree sorts a directory as if its name ended with `/`.
    files.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(files)
}

struct Walk<'a> {
    repository: &'a Repository,
    root: &'a Tree<'a>,
    selection: Selection<BlobId>,
    taken: Vec<(String, Role, git2::Oid)>,
}

impl Walk<'_> {
    fn tree(&mut self, tree: &Tree<'_>, parent: &str) -> Result<(), git2::Error> {
        for entry in tree {
            if self.selection.is_full() || self.taken.len() > limits::FILES {
                return Ok(());
            }
            let target;
            let kind = match entry.filemode_raw() & TYPE {
                FILE => EntryKind::File,
                DIRECTORY => EntryKind::Directory,
                SUBMODULE => EntryKind::Submodule,
                SYMLINK => {
                    target = self.link(entry.id())?;
                    let to_directory = self.leads_to_directory(parent, &target);
                    EntryKind::Symlink {
                        target: &target,
                        to_directory,
                    }
                }
                _ => EntryKind::Special,
            };
            match self.selection.judge(parent, entry.name_bytes(), kind) {
                Verdict::Skip => {}
                Verdict::Descend(path) => {
                    let tree = self.repository.find_tree(entry.id())?;
                    self.tree(&tree, &path)?;
                }
                Verdict::Take(path, role) => self.taken.push((path, role, entry.id())),
            }
        }
        Ok(())
    }

    /// Where a link leads; one that is longer than any path leads nowhere.
    fn link(&self, id: git2::Oid) -> Result<Vec<u8>, git2::Error> {
        let (size, _) = self.repository.odb()?.read_header(id)?;
        if size > 4096 {
            return Ok(b"/".to_vec());
        }
        Ok(self.repository.find_blob(id)?.content().to_vec())
    }

    fn leads_to_directory(&self, parent: &str, target: &[u8]) -> bool {
        link_target(parent, target).is_some_and(|path| {
            path.is_empty()
                || self
                    .root
                    .get_path(Path::new(&path))
                    .is_ok_and(|entry| entry.filemode_raw() & TYPE == DIRECTORY)
        })
    }
}
