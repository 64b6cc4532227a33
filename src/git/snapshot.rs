//! The considered files of one state of the fleet repo; contents are read when asked for.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;

use bitcode::{Decode, Encode};

use super::error::GitError;
use super::limits;
use super::objects;
use super::revision::Revision;
use super::selection::{Role, Selected};
use super::storage::FleetDir;
use crate::core::diagnostic::Diagnostic;

/// The SHA-1 that git gives the content of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct BlobId(pub [u8; 20]);

impl BlobId {
    /// The id of these bytes.
    ///
    /// # Errors
    /// What libgit2 says; a SHA-1 collision attack is one of the reasons.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, git2::Error> {
        git2::Oid::hash_object(git2::ObjectType::Blob, bytes).map(Self::from)
    }
}

impl From<git2::Oid> for BlobId {
    fn from(oid: git2::Oid) -> Self {
        let mut bytes = [0; 20];
        bytes.copy_from_slice(&oid.as_bytes()[..20]);
        Self(bytes)
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}

/// One considered file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Relative to the fleet root, with `/`.
    pub path: String,
    pub blob: BlobId,
    /// In bytes.
    pub size: u64,
}

/// One state of the fleet repo.
#[derive(Debug)]
pub struct Snapshot {
    pub revision: Revision,
    /// Files that hold documents, sorted by path.
    pub files: Vec<SourceFile>,
    /// `secrets/**/*.age`, sorted by path.
    pub secrets: Vec<SourceFile>,
    /// `templates/**`, sorted by path.
    pub templates: Vec<SourceFile>,
    /// `hooks/**`: the operator's own playbooks and what belongs to them, sorted by path.
    pub hooks: Vec<SourceFile>,
    /// What was refused.
    pub diagnostics: Vec<Diagnostic>,
    /// Distinguishes this fleet's caches from those of others.
    pub(super) identity: String,
    pub(super) source: Source,
}

/// Where contents come from.
#[derive(Debug)]
pub(super) enum Source {
    WorkingTree {
        directory: FleetDir,
        /// What was read for its hash, kept so that it is not read twice.
        kept: HashMap<BlobId, Vec<u8>>,
        /// What is read out of the repository: git has it in another form than it stands there, or does not look there.
        committed: HashSet<BlobId>,
        /// The repository that the directory is in.
        repository: Option<PathBuf>,
    },
    Objects {
        /// A repository whose object database has the blobs.
        repository: PathBuf,
    },
}

impl Snapshot {
    pub(super) fn new(
        revision: Revision,
        identity: String,
        source: Source,
        selected: Vec<(Selected, BlobId)>,
        diagnostics: Vec<Diagnostic>,
    ) -> Self {
        let mut snapshot = Self {
            revision,
            files: Vec::new(),
            secrets: Vec::new(),
            templates: Vec::new(),
            hooks: Vec::new(),
            diagnostics,
            identity,
            source,
        };
        for (
            Selected {
                path, size, role, ..
            },
            blob,
        ) in selected
        {
            let list = match role {
                Role::Documents => &mut snapshot.files,
                Role::Secret => &mut snapshot.secrets,
                Role::Template => &mut snapshot.templates,
                Role::Hook => &mut snapshot.hooks,
            };
            list.push(SourceFile { path, blob, size });
        }
        snapshot
    }

    /// The name that `secret:` references use for a file of [`Snapshot::secrets`]:
    /// `dns/cloudflare` for `secrets/dns/cloudflare.age`.
    #[must_use]
    pub fn secret_name(file: &SourceFile) -> &str {
        let path = file.path.strip_prefix("secrets/").unwrap_or(&file.path);
        path.strip_suffix(".age").unwrap_or(path)
    }

    /// The encrypted bytes of the secret with this name, or none.
    ///
    /// # Errors
    /// [`GitError`] when the file cannot be read any more.
    pub fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, GitError> {
        match self
            .secrets
            .iter()
            .find(|file| Self::secret_name(file) == name)
        {
            Some(file) => self.read(file).map(Some),
            None => Ok(None),
        }
    }

    /// Gives the text of a file of documents or of a template by its path, or none when there is
    /// no such file.
    /// What is not UTF-8 in it is replaced, so that what stands before can be shown.
    pub fn texts(&self) -> impl Fn(&str) -> Option<String> {
        let reader = self.reader().ok();
        move |path| {
            let by_path = |file: &SourceFile| file.path.as_str().cmp(path);
            let find = |list: &'_ [SourceFile]| list.binary_search_by(by_path).ok();
            let file = match find(&self.files) {
                Some(index) => self.files.get(index)?,
                None => self.templates.get(find(&self.templates)?)?,
            };
            let content = reader.as_ref()?.read(file).ok()?;
            Some(String::from_utf8_lossy(&content).into_owned())
        }
    }

    /// The content of one file.
    ///
    /// # Errors
    /// [`GitError`] when the file is gone, has changed, or is an LFS pointer.
    pub fn read(&self, file: &SourceFile) -> Result<Vec<u8>, GitError> {
        let content = self.reader()?.read(file)?.into_owned();
        if is_lfs_pointer(&content) {
            return Err(GitError::LfsPointer {
                path: file.path.clone(),
            });
        }
        Ok(content)
    }

    /// What reads contents; each thread takes its own.
    ///
    /// # Errors
    /// [`GitError`] when the repository cannot be opened any more.
    pub fn reader(&self) -> Result<Reader<'_>, GitError> {
        let repository = match &self.source {
            Source::WorkingTree {
                committed,
                repository: Some(repository),
                ..
            } if !committed.is_empty() => Some(objects::open(repository)?),
            Source::WorkingTree { .. } => None,
            Source::Objects { repository } => Some(objects::open(repository)?),
        };
        Ok(Reader {
            source: &self.source,
            repository,
        })
    }
}

/// Reads contents of a snapshot in one thread.
#[expect(missing_debug_implementations, reason = "git2's repository has none")]
pub struct Reader<'a> {
    source: &'a Source,
    repository: Option<git2::Repository>,
}

impl Reader<'_> {
    /// The content of one file, exactly the bytes that its blob id stands for.
    ///
    /// # Errors
    /// [`GitError`] when the file is gone or has changed since the snapshot was made.
    pub fn read(&self, file: &SourceFile) -> Result<Cow<'_, [u8]>, GitError> {
        let changed = || GitError::Changed {
            path: file.path.clone(),
        };
        match (self.source, &self.repository) {
            (Source::WorkingTree { committed, .. }, Some(repository))
                if committed.contains(&file.blob) =>
            {
                objects::read(repository, file.blob).map(Cow::Owned)
            }
            (
                Source::WorkingTree {
                    directory, kept, ..
                },
                _,
            ) => {
                if let Some(content) = kept.get(&file.blob) {
                    return Ok(Cow::Borrowed(content));
                }
                let (content, _) = directory.read(&file.path, limits::DOCUMENT_BYTES)?;
                match BlobId::of(&content) {
                    Ok(blob) if blob == file.blob => Ok(Cow::Owned(content)),
                    Ok(_) | Err(_) => Err(changed()),
                }
            }
            (Source::Objects { .. }, Some(repository)) => {
                objects::read(repository, file.blob).map(Cow::Owned)
            }
            (Source::Objects { .. }, None) => Err(changed()),
        }
    }
}

/// Whether this is what git LFS commits instead of a file.
pub(super) fn is_lfs_pointer(content: &[u8]) -> bool {
    content.starts_with(b"version https://git-lfs.github.com/spec/")
}
