//! How the files of a working tree relate to its repository: tracked, ignored, changed, as `git status` says.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{
    AttrCheckFlags, AttrValue, DiffOptions, IndexEntry, IndexEntryExtendedFlag, IndexEntryFlag,
};

use super::error::GitError;
use super::format;
use super::objects;
use super::revision::Revision;
use super::selection::Selected;
use super::snapshot::BlobId;
use super::storage::FileStat;

/// Files that are looked at by their names up to so many, and else all together.
const NAMED: usize = 200;

/// What the repository of a working tree knows about the fleet root in it.
pub(super) struct Tracked {
    repository: git2::Repository,
    /// The fleet root in the repository: empty, or ends with `/`.
    prefix: String,
    /// Paths below the fleet root that git tracks, relative to it, sorted by their bytes.
    paths: Vec<Vec<u8>>,
    /// Submodules below the fleet root, relative to it.
    pub(super) submodules: Vec<String>,
    /// Files that git takes for unchanged without looking at them, whatever is there, by their paths relative to the fleet
    /// root.
    pub(super) held: BTreeMap<String, Held>,
}

/// A file that git does not look at: what it has, and whether that is so only as long as it is not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) blob: BlobId,
    pub(super) only_absent: bool,
    is_file: bool,
}

impl Tracked {
    /// The repository that `root` is in, or none. A directory that the repository around it
    /// ignores is a fleet of its own, not a part of that repository.
    pub(super) fn find(root: &Path) -> Result<Option<Self>, GitError> {
        let Some(Place { repository, prefix }) = Place::find(root)? else {
            return Ok(None);
        };
        let fail = |e: git2::Error| format::unreadable(root, &e);
        let (mut paths, mut submodules, mut held) = (Vec::new(), Vec::new(), BTreeMap::new());
        // In a sparse checkout, git looks at what is there all the same.
        let settings = repository.config().map_err(fail)?;
        let is_sparse = settings.get_bool("core.sparseCheckout") == Ok(true);
        for entry in repository.index().map_err(fail)?.iter() {
            let Some(path) = entry.path.strip_prefix(prefix.as_bytes()) else {
                continue;
            };
            if entry.mode == 0o160_000 {
                submodules.push(String::from_utf8_lossy(path).into_owned());
            }
            if let (Some(found), Ok(path)) =
                (Held::of(&entry, is_sparse), std::str::from_utf8(path))
            {
                held.insert(path.to_owned(), found);
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
            held,
        }))
    }

    /// Where the repository is.
    pub(super) fn repository(&self) -> PathBuf {
        self.repository.path().to_owned()
    }

    /// How many bytes a file has that git does not look at; none for what is no plain file.
    pub(super) fn size_of(&self, held: &Held) -> Option<u64> {
        let id = git2::Oid::from_bytes(&held.blob.0).ok()?;
        let (size, _) = self.repository.odb().ok()?.read_header(id).ok()?;
        held.is_file.then_some(size as u64)
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
    place: Option<Place>,
}

/// A considered file of a working tree.
#[derive(Clone, Debug)]
pub(super) struct Present {
    pub(super) file: Selected,
    pub(super) blob: BlobId,
    /// None for one whose content is that of the repository.
    pub(super) stat: Option<FileStat>,
}

impl Committed {
    /// Reads the commit of the repository that `root` is in, by a handle of its own, so that
    /// it can be read while the files are looked at. Without a repository or a commit, it has
    /// no file and no id.
    pub(super) fn read(root: &Path) -> Result<Self, GitError> {
        let Some(Place { repository, prefix }) = Place::find(root)? else {
            return Ok(Self::default());
        };
        let fail = |e: git2::Error| format::unreadable(root, &e);
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
            // By the rules of the commit: what other rules leave out is a change as well.
            Some(tree) => {
                let rules = objects::ignore_rules(&repository, &tree).map_err(fail)?;
                objects::listing(&repository, &tree, &rules).map_err(fail)?
            }
            None => Vec::new(),
        };
        let revision = Revision::of(&commit);
        drop(commit);
        Ok(Self {
            revision,
            files,
            place: Some(Place { repository, prefix }),
        })
    }

    /// The revision of the files that were found, sorted by path: the commit, and what differs from it. A file that git has
    /// in another form than it stands there, for one with other line ends, becomes what git has.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub(super) fn compare(self, found: &mut [Present]) -> Result<Revision, GitError> {
        let Self {
            mut revision,
            files,
            place,
        } = self;
        if revision.commit.is_none() {
            return Ok(revision);
        }
        let mut committed = files.into_iter().peekable();
        let (mut dirty, mut other) = (Vec::new(), Vec::new());
        for (index, present) in found.iter().enumerate() {
            let path = &present.file.path;
            while let Some((gone, _)) = committed.next_if(|(known, _)| known < path) {
                dirty.push(gone);
            }
            match committed.next_if(|(known, _)| known == path) {
                Some((_, id)) if id == present.blob => {}
                Some((_, id)) if present.stat.is_some() => other.push((index, id)),
                Some(_) | None => dirty.push(path.clone()),
            }
        }
        dirty.extend(committed.map(|(gone, _)| gone));
        if let Some(place) = place.filter(|_| !other.is_empty()) {
            dirty.extend(place.changed(found, &other)?);
        }
        dirty.sort();
        revision.dirty = !dirty.is_empty();
        revision.dirty_paths = dirty;
        Ok(revision)
    }
}

/// Where a fleet root lies in a repository.
struct Place {
    repository: git2::Repository,
    /// The fleet root in the repository: empty, or ends with `/`.
    prefix: String,
}

impl Place {
    /// The repository whose working tree `root` is in, or none.
    fn find(root: &Path) -> Result<Option<Self>, GitError> {
        // With the way that led to it: a git directory alone does not say where its working tree is.
        let upwards = git2::RepositoryOpenFlags::CROSS_FS;
        let nowhere: [&OsStr; 0] = [];
        let repository = match git2::Repository::open_ext(root, upwards, nowhere) {
            Ok(repository) => repository,
            Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(format::unreadable(root, &error)),
        };
        let prefix = repository
            .workdir()
            .and_then(|top| top.canonicalize().ok())
            .and_then(|top| root.strip_prefix(top).ok()?.to_str().map(str::to_owned));
        Ok(prefix.map(|prefix| Self {
            repository,
            prefix: if prefix.is_empty() {
                prefix
            } else {
                prefix + "/"
            },
        }))
    }

    /// Which of the files whose bytes are not those of the commit have changed for git. `other` are indices of `found`, with
    /// what the commit has; those that have not changed get it, or keep their content when a program made that of it.
    fn changed(
        &self,
        found: &mut [Present],
        other: &[(usize, BlobId)],
    ) -> Result<Vec<String>, GitError> {
        let root = self.repository.workdir();
        let root = root.unwrap_or_else(|| self.repository.path());
        let fail = |e: git2::Error| format::unreadable(root, &e);
        let mut index = self.repository.index().map_err(fail)?;
        let paths = other.iter().filter_map(|(at, _)| found.get(*at));
        let paths: Vec<PathBuf> = paths.map(|present| self.path_of(&present.file)).collect();
        look_at_all(&mut index, &paths).map_err(fail)?;
        let differing = self.differing(&index, found, other).map_err(fail)?;
        let odb = self.repository.odb().map_err(fail)?;
        let mut changed = Vec::new();
        for (at, committed) in other {
            let Some(present) = found.get_mut(*at) else {
                continue;
            };
            let path = self.path_of(&present.file);
            let entry = index.get_path(&path, 0);
            let entry = entry.filter(|entry| BlobId::from(entry.id) == *committed);
            let by_program = self.has(&path, "filter").map_err(fail)?;
            let by_other = by_program || self.has(&path, "working-tree-encoding").map_err(fail)?;
            let is_same = match (entry, present.stat) {
                // What a program or an encoding makes of it is known by its times alone, since nothing is run here.
                (Some(entry), Some(stat)) if by_other => is_seen(&entry, &stat),
                (Some(_), _) => !differing.contains(&path),
                (None, _) => false,
            };
            if !is_same {
                changed.push(present.file.path.clone());
            } else if !by_program {
                let id = git2::Oid::from_bytes(&committed.0).map_err(fail)?;
                let (size, _) = odb.read_header(id).map_err(fail)?;
                (present.blob, present.file.size, present.stat) = (*committed, size as u64, None);
            }
        }
        Ok(changed)
    }

    /// The paths that git takes for changed since they were added, with the conversions that it does itself.
    fn differing(
        &self,
        index: &git2::Index,
        found: &[Present],
        other: &[(usize, BlobId)],
    ) -> Result<BTreeSet<PathBuf>, git2::Error> {
        let mut options = DiffOptions::new();
        options.disable_pathspec_match(true).ignore_submodules(true);
        match other.len() {
            ..=NAMED => {
                let files = other.iter().filter_map(|(at, _)| found.get(*at));
                for present in files {
                    options.pathspec(self.path_of(&present.file));
                }
            }
            _ if self.prefix.is_empty() => {}
            _ => {
                options.pathspec(self.prefix.as_str());
            }
        }
        let diff = self
            .repository
            .diff_index_to_workdir(Some(index), Some(&mut options))?;
        let paths = diff.deltas().filter_map(|delta| {
            let path = delta.old_file().path().or_else(|| delta.new_file().path());
            path.map(Path::to_owned)
        });
        Ok(paths.collect())
    }

    fn path_of(&self, file: &Selected) -> PathBuf {
        PathBuf::from(format!("{}{}", self.prefix, file.path))
    }

    /// Whether the attributes of a path name something for `attribute`.
    fn has(&self, path: &Path, attribute: &str) -> Result<bool, git2::Error> {
        let value =
            self.repository
                .get_attr_bytes(path, attribute, AttrCheckFlags::FILE_THEN_INDEX)?;
        Ok(match AttrValue::from_bytes(value) {
            AttrValue::True | AttrValue::String(_) | AttrValue::Bytes(_) => true,
            AttrValue::False | AttrValue::Unspecified => false,
        })
    }
}

impl Held {
    fn of(entry: &IndexEntry, is_sparse: bool) -> Option<Self> {
        let is_skipped = entry.flags_extended & IndexEntryExtendedFlag::SKIP_WORKTREE.bits() != 0;
        let is_assumed = entry.flags & IndexEntryFlag::VALID.bits() != 0;
        (is_skipped || is_assumed).then(|| Self {
            blob: BlobId::from(entry.id),
            only_absent: is_skipped && is_sparse && !is_assumed,
            is_file: entry.mode & 0o170_000 == 0o100_000,
        })
    }
}

/// Takes the mark off files of a sparse checkout that are there all the same, as git does when it looks; in memory alone.
fn look_at_all(index: &mut git2::Index, paths: &[PathBuf]) -> Result<(), git2::Error> {
    let mark = IndexEntryExtendedFlag::SKIP_WORKTREE.bits();
    for path in paths {
        let entry = index.get_path(path, 0);
        if let Some(mut entry) = entry.filter(|entry| entry.flags_extended & mark != 0) {
            entry.flags_extended &= !mark;
            index.add(&entry)?;
        }
    }
    Ok(())
}

/// Whether a file is as git saw it last.
fn is_seen(entry: &IndexEntry, stat: &FileStat) -> bool {
    let nanoseconds = |time: git2::IndexTime| {
        i64::from(time.seconds()) * 1_000_000_000 + i64::from(time.nanoseconds())
    };
    // The index has the lower half of sizes and inodes.
    entry.file_size == stat.size as u32
        && nanoseconds(entry.mtime) == stat.modified
        && (entry.ino == 0 || entry.ino == stat.inode as u32)
}
