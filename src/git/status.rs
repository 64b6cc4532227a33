//! How the files of a working tree relate to its repository: tracked, ignored, changed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::error::GitError;
use super::objects;
use super::revision::Revision;
use super::selection::Selected;
use super::snapshot::BlobId;

/// What the repository of a working tree knows about the fleet root in it.
pub(super) struct Tracked {
    repository: git2::Repository,
    /// The fleet root in the repository: empty, or ends with `/`.
    prefix: String,
    /// Paths below the fleet root that git tracks, relative to it, sorted by their bytes.
    paths: Vec<Vec<u8>>,
    /// Submodules below the fleet root, relative to it.
    pub(super) submodules: Vec<String>,
}

impl Tracked {
    /// The repository that `root` is in, or none. A directory that the repository around it
    /// ignores is a fleet of its own, not a part of that repository.
    pub(super) fn find(root: &Path) -> Result<Option<Self>, GitError> {
        let Some(Place {
            repository,
            name,
            prefix,
        }) = Place::find(root)?
        else {
            return Ok(None);
        };
        let fail = |e: git2::Error| GitError::repository(&*name, &e);
        let (mut paths, mut submodules) = (Vec::new(), Vec::new());
        for entry in repository.index().map_err(fail)?.iter() {
            let Some(path) = entry.path.strip_prefix(prefix.as_bytes()) else {
                continue;
            };
            if entry.mode == 0o160_000 {
                submodules.push(String::from_utf8_lossy(path).into_owned());
            }
            paths.push(path.to_owned());
        }
        if paths.is_empty()
            && !prefix.is_empty()
            && repository.is_path_ignored(&prefix).map_err(fail)?
        {
            return Ok(None);
        }
        Ok(Some(Self {
            repository,
            prefix,
            paths,
            submodules,
        }))
    }

    /// Whether git would not add this file: it is ignored, and not tracked all the same.
    pub(super) fn ignores_file(&self, path: &[u8]) -> bool {
        self.paths
            .binary_search_by(|known| known.as_slice().cmp(path))
            .is_err()
            && self.is_ignored(path)
    }

    /// The same for a directory, given with its final `/`, and all that is in it.
    pub(super) fn ignores_directory(&self, path: &[u8]) -> bool {
        let at = self.paths.partition_point(|known| known.as_slice() < path);
        let has_tracked = self.paths.get(at).is_some_and(|p| p.starts_with(path));
        !has_tracked && self.is_ignored(path)
    }

    fn is_ignored(&self, path: &[u8]) -> bool {
        let path = [self.prefix.as_bytes(), path].concat();
        self.repository
            .is_path_ignored(Path::new(OsStr::from_bytes(&path)))
            .unwrap_or(false)
    }
}

/// The commit that is checked out, with the files that it has below the fleet root.
#[derive(Default)]
pub(super) struct Committed {
    revision: Revision,
    /// Sorted by path.
    files: Vec<(String, BlobId)>,
}

impl Committed {
    /// Reads the commit of the repository that `root` is in, by a handle of its own, so that
    /// it can be read while the files are looked at. Without a repository or a commit, it has
    /// no file and no id.
    pub(super) fn read(root: &Path, rules: &str) -> Result<Self, GitError> {
        let Some(Place {
            repository,
            name,
            prefix,
        }) = Place::find(root)?
        else {
            return Ok(Self::default());
        };
        let fail = |e: git2::Error| GitError::repository(&*name, &e);
        let commit = match repository.head() {
            Ok(head) => head.peel_to_commit().map_err(fail)?,
            Err(error)
                if matches!(
                    error.code(),
                    git2::ErrorCode::UnbornBranch | git2::ErrorCode::NotFound
                ) =>
            {
                return Ok(Self::default());
            }
            Err(error) => return Err(fail(error)),
        };
        let files = match objects::subtree(&repository, &commit, &prefix).map_err(fail)? {
            Some(tree) => objects::listing(&repository, &tree, rules).map_err(fail)?,
            None => Vec::new(),
        };
        Ok(Self {
            revision: Revision::of(&commit),
            files,
        })
    }

    /// The revision of the files that were found, sorted by path: the commit, and what
    /// differs from it.
    pub(super) fn compare(self, found: &[(Selected, BlobId)]) -> Revision {
        let Self {
            mut revision,
            files,
        } = self;
        if revision.commit.is_none() {
            return revision;
        }
        let mut committed = files.into_iter().peekable();
        let dirty = &mut revision.dirty_paths;
        for (file, blob) in found {
            while let Some((gone, _)) = committed.next_if(|(path, _)| *path < file.path) {
                dirty.push(gone);
            }
            let same = committed.next_if(|(path, _)| *path == file.path);
            if same.is_none_or(|(_, id)| id != *blob) {
                dirty.push(file.path.clone());
            }
        }
        dirty.extend(committed.map(|(gone, _)| gone));
        revision.dirty = !dirty.is_empty();
        revision
    }
}

/// Where a fleet root lies in a repository.
struct Place {
    repository: git2::Repository,
    /// The fleet root as errors name it.
    name: String,
    /// The fleet root in the repository: empty, or ends with `/`.
    prefix: String,
}

impl Place {
    /// The repository whose working tree `root` is in, or none.
    fn find(root: &Path) -> Result<Option<Self>, GitError> {
        let name = root.display().to_string();
        let repository = match git2::Repository::discover(root) {
            Ok(repository) => repository,
            Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(GitError::repository(name, &error)),
        };
        let prefix = repository
            .workdir()
            .and_then(|top| top.canonicalize().ok())
            .and_then(|top| root.strip_prefix(top).ok()?.to_str().map(str::to_owned));
        Ok(prefix.map(|prefix| Self {
            repository,
            name,
            prefix: if prefix.is_empty() {
                prefix
            } else {
                prefix + "/"
            },
        }))
    }
}
