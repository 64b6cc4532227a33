//! A snapshot of a directory on this machine, which may or may not be a git working tree.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;

use super::error::GitError;
use super::limits;
use super::parallel;
use super::revision::Revision;
use super::selection::{EntryKind, IGNORE_FILE, Role, Selected, Selection, Verdict, link_target};
use super::snapshot::{BlobId, Snapshot, Source};
use super::stat_index::StatIndex;
use super::status::{Committed, Present, Tracked};
use super::storage::{FileStat, FleetDir};
use crate::clock;
use crate::core::diagnostic::Diagnostic;

/// The files below `path`, committed or not, without those that git ignores.
///
/// `path` may be a subdirectory of a repository, or no repository at all. What is known of
/// unchanged files is kept in `cache_dir`.
///
/// # Errors
/// [`GitError`] when the directory or its repository cannot be read. Refused files are
/// diagnostics of the snapshot.
pub fn open_working_tree(path: &Path, cache_dir: Option<&Path>) -> Result<Snapshot, GitError> {
    let directory = FleetDir::open(path)?;
    let identity = identity(&directory.path);
    let rules = ignore_rules(&directory)?;
    let started = clock::now();
    // What the commit has and what is known of the files take as long to read as the directory.
    let (found, index, committed) = thread::scope(|scope| {
        let committed = scope.spawn(|| Committed::read(&directory.path));
        let index = scope.spawn(|| StatIndex::load(cache_dir, &identity, started));
        let found = Found::look(&directory, &rules);
        (found, parallel::join(index), parallel::join(committed))
    });
    let Found {
        files,
        held,
        mut diagnostics,
        tracked,
    } = found?;

    let hashed = hash(&directory, &index, files)?;
    index.save(
        hashed
            .files
            .iter()
            .map(|(file, stat, blob)| (&*file.path, *stat, *blob)),
        hashed.misses,
    );
    diagnostics.extend(hashed.diagnostics);

    let there = hashed.files.into_iter().map(|(file, stat, blob)| Present {
        file,
        blob,
        stat: Some(stat),
    });
    let mut files: Vec<Present> = there.chain(held).collect();
    files.sort_by(|left, right| left.file.path.cmp(&right.file.path));
    let revision = match tracked {
        Some(_) => committed?.compare(&mut files)?,
        None => Revision::default(),
    };
    let of_repository = files.iter().filter(|present| present.stat.is_none());
    let source = Source::WorkingTree {
        directory,
        kept: hashed.kept,
        committed: of_repository.map(|present| present.blob).collect(),
        repository: tracked,
    };
    let files = files
        .into_iter()
        .map(|present| (present.file, present.blob));
    Ok(Snapshot::new(
        revision,
        identity,
        source,
        files.collect(),
        diagnostics,
    ))
}

fn identity(path: &Path) -> String {
    blake3::hash(path.as_os_str().as_bytes()).to_hex()[..24].to_owned()
}

fn ignore_rules(directory: &FleetDir) -> Result<String, GitError> {
    match fs::symlink_metadata(directory.path.join(IGNORE_FILE)) {
        // Anything else is refused where the entries are judged.
        Ok(meta) if meta.is_file() => {
            let (bytes, _) = directory.read(IGNORE_FILE, limits::IGNORE_BYTES)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        Ok(_) | Err(_) => Ok(String::new()),
    }
}

/// What a directory holds.
struct Found {
    files: Vec<(Selected, FileStat)>,
    /// What git has of files that it does not look at.
    held: Vec<Present>,
    diagnostics: Vec<Diagnostic>,
    /// The git repository that it is a part of.
    tracked: Option<PathBuf>,
}

/// What is known of a considered file before it is read.
#[derive(Clone, Copy, Debug)]
enum Seen {
    There(FileStat),
    Held(BlobId),
}

impl Found {
    fn look(directory: &FleetDir, rules: &str) -> Result<Self, GitError> {
        let tracked = Tracked::find(&directory.path)?;
        let mut walk = Walk {
            directory,
            tracked: tracked.as_ref(),
            selection: Selection::new(rules),
            taken: Vec::new(),
            held: Vec::new(),
        };
        walk.directory("")?;
        walk.held();
        walk.submodules();
        let Walk {
            mut selection,
            taken,
            held,
            ..
        } = walk;
        let stats = parallel::map(&taken, |(path, _)| stat(&directory.path.join(path)));
        for ((path, role), stat) in taken.into_iter().zip(stats) {
            let stat = stat?;
            selection.take(path, role, stat.size, Seen::There(stat));
        }
        for (path, role, size, blob) in held {
            selection.take(path, role, size, Seen::Held(blob));
        }
        let (selected, diagnostics) = selection.finish();
        let (mut files, mut held) = (Vec::new(), Vec::new());
        for (file, seen) in selected {
            match seen {
                Seen::There(stat) => files.push((file, stat)),
                Seen::Held(blob) => held.push(Present {
                    file,
                    blob,
                    stat: None,
                }),
            }
        }
        Ok(Self {
            files,
            held,
            diagnostics,
            tracked: tracked.map(|tracked| tracked.repository()),
        })
    }
}

fn stat(path: &Path) -> Result<FileStat, GitError> {
    let meta = fs::symlink_metadata(path).map_err(|e| GitError::io("read", path, e))?;
    Ok(FileStat::from(&meta))
}

struct Walk<'a> {
    directory: &'a FleetDir,
    tracked: Option<&'a Tracked>,
    selection: Selection<Seen>,
    /// Files to consider, once their size is known.
    taken: Vec<(String, Role)>,
    /// Files of the repository that git does not look at, with their sizes.
    held: Vec<(String, Role, u64, BlobId)>,
}

impl Walk<'_> {
    /// Looks into the directory `parent`, which is empty or ends with `/`.
    fn directory(&mut self, parent: &str) -> Result<(), GitError> {
        let path = self.directory.path.join(parent);
        let cannot = |e| GitError::io("read", &path, e);
        for entry in fs::read_dir(&path).map_err(cannot)? {
            if self.selection.is_full() || self.taken.len() > limits::FILES {
                return Ok(());
            }
            let entry = entry.map_err(cannot)?;
            let name = entry.file_name();
            let name = name.as_bytes();
            if name == b".git" && parent.is_empty() {
                continue;
            }
            let kind = entry.file_type().map_err(cannot)?;
            let target;
            let kind = if kind.is_dir() {
                if entry.path().join(".git").symlink_metadata().is_ok() {
                    EntryKind::Submodule
                } else {
                    EntryKind::Directory
                }
            } else if kind.is_file() {
                EntryKind::File
            } else if kind.is_symlink() {
                target = fs::read_link(entry.path()).map_err(cannot)?;
                EntryKind::Symlink {
                    target: target.as_os_str().as_bytes(),
                    to_directory: self.leads_to_directory(parent, target.as_os_str().as_bytes()),
                }
            } else {
                EntryKind::Special
            };
            let known = self.selection.diagnostics.len();
            let verdict = self.selection.judge(parent, name, kind);
            if self.selection.diagnostics.len() > known && self.is_ignored(parent, name, kind) {
                // What git leaves out is in no commit, so there is nothing to refuse.
                self.selection.diagnostics.truncate(known);
            }
            match verdict {
                Verdict::Skip => {}
                Verdict::Descend(path) => {
                    if !self
                        .tracked
                        .is_some_and(|tracked| tracked.ignores_directory(path.as_bytes()))
                    {
                        self.directory(&path)?;
                    }
                }
                Verdict::Take(path, role) => {
                    if !self
                        .tracked
                        .is_some_and(|tracked| tracked.ignores_file(path.as_bytes()))
                    {
                        self.taken.push((path, role));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether git leaves the entry out, whatever its name and kind are.
    fn is_ignored(&self, parent: &str, name: &[u8], kind: EntryKind<'_>) -> bool {
        let path = [parent.as_bytes(), name].concat();
        self.tracked.is_some_and(|tracked| match kind {
            EntryKind::Directory | EntryKind::Submodule => {
                tracked.ignores_directory(&[&path[..], b"/"].concat())
            }
            EntryKind::File | EntryKind::Symlink { .. } | EntryKind::Special => {
                tracked.ignores_file(&path)
            }
        })
    }

    /// Files that git does not look at are what the repository has, whether they are there or not.
    fn held(&mut self) {
        let Some(tracked) = self.tracked.filter(|tracked| !tracked.held.is_empty()) else {
            return;
        };
        let there: HashMap<String, Role> = self.taken.iter().cloned().collect();
        for (path, held) in &tracked.held {
            let there = there.get(path).copied();
            if there.is_some() && held.only_absent {
                continue;
            }
            let role = there.or_else(|| self.role_of(path));
            if let (Some(role), Some(size)) = (role, tracked.size_of(held)) {
                self.held.push((path.clone(), role, size, held.blob));
            }
        }
        let held: HashSet<&str> = self.held.iter().map(|(path, ..)| path.as_str()).collect();
        self.taken.retain(|(path, _)| !held.contains(path.as_str()));
    }

    /// What a file is for that is not there, or none when it is not considered.
    fn role_of(&mut self, path: &str) -> Option<Role> {
        let (mut parent, mut rest) = (String::new(), path);
        loop {
            let kind = match rest.contains('/') {
                true => EntryKind::Directory,
                false => EntryKind::File,
            };
            let name = rest.split('/').next()?;
            match self.selection.judge(&parent, name.as_bytes(), kind) {
                Verdict::Skip => return None,
                Verdict::Descend(directory) => parent = directory,
                Verdict::Take(_, role) => return Some(role),
            }
            rest = rest.split_once('/')?.1;
        }
    }

    fn leads_to_directory(&self, parent: &str, target: &[u8]) -> bool {
        link_target(parent, target).is_some_and(|path| {
            fs::symlink_metadata(self.directory.path.join(path)).is_ok_and(|meta| meta.is_dir())
        })
    }

    /// Submodules that the repository knows and nobody has initialised are empty directories.
    fn submodules(&mut self) {
        let Some(tracked) = self.tracked else { return };
        for path in &tracked.submodules {
            let hidden = path.split('/').any(|part| part.starts_with('.'));
            let (parent, name) = path
                .rsplit_once('/')
                .map_or(("", path.as_str()), |(p, n)| (p, n));
            let parent = if parent.is_empty() {
                String::new()
            } else {
                format!("{parent}/")
            };
            if !hidden {
                self.selection
                    .judge(&parent, name.as_bytes(), EntryKind::Submodule);
            }
        }
    }
}

struct Hashed {
    files: Vec<(Selected, FileStat, BlobId)>,
    kept: HashMap<BlobId, Vec<u8>>,
    diagnostics: Vec<Diagnostic>,
    misses: usize,
}

/// Gives every file its blob id, and reads for that only what the index does not know.
fn hash(
    directory: &FleetDir,
    index: &StatIndex,
    files: Vec<(Selected, FileStat)>,
) -> Result<Hashed, GitError> {
    let known: Vec<Option<BlobId>> = files
        .iter()
        .map(|(file, stat)| index.get(&file.path, stat))
        .collect();
    let unknown: Vec<usize> = (0..files.len()).filter(|i| known[*i].is_none()).collect();
    let read = parallel::map(&unknown, |i| read_one(directory, &files[*i].0, *i));

    let mut result = Hashed {
        files: Vec::with_capacity(files.len()),
        kept: HashMap::new(),
        diagnostics: Vec::new(),
        misses: unknown.len(),
    };
    let mut blobs = known;
    let mut stats: Vec<FileStat> = files.iter().map(|(_, stat)| *stat).collect();
    let mut bytes = 0;
    for read in read {
        let (i, content, stat, blob) = read?;
        (stats[i], blobs[i]) = (stat, Some(blob));
        bytes += content.len() as u64;
        if bytes <= limits::KEPT_BYTES && files[i].0.role == Role::Documents {
            result.kept.insert(blob, content);
        }
    }
    for (((mut file, _), stat), blob) in files.into_iter().zip(stats).zip(blobs) {
        if let Some(blob) = blob {
            file.size = stat.size;
            result.files.push((file, stat, blob));
        }
    }
    Ok(result)
}

type ReadFile = (usize, Vec<u8>, FileStat, BlobId);

fn read_one(directory: &FleetDir, file: &Selected, i: usize) -> Result<ReadFile, GitError> {
    let (content, stat) = directory.read(&file.path, limits::DOCUMENT_BYTES)?;
    let blob = BlobId::of(&content).map_err(|e| GitError::repository(&*file.path, &e))?;
    Ok((i, content, stat, blob))
}
