//! What happened between two commits, for who decides whether to trust it.

use git2::{Oid, Repository, Sort};

use super::error::GitError;
use super::objects;
use super::revision::Revision;
use super::snapshot::{Snapshot, Source};

/// The history of a repository on this machine, as far as it is there.
#[expect(missing_debug_implementations, reason = "git2's repository has none")]
pub struct History {
    repository: Repository,
}

/// One commit of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedCommit {
    /// 40 hexadecimal digits.
    pub commit: String,
    pub revision: Revision,
}

/// The signature of a commit and what it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Armoured, as git keeps it.
    pub armored: Vec<u8>,
    pub signed: Vec<u8>,
}

impl Snapshot {
    /// The history behind a snapshot, or none outside of git.
    ///
    /// # Errors
    /// [`GitError`] when the repository cannot be opened any more.
    pub fn history(&self) -> Result<Option<History>, GitError> {
        match &self.source {
            Source::Objects { repository } => {
                let repository = objects::open(repository)?;
                Ok(Some(History { repository }))
            }
            Source::WorkingTree { directory, .. } => match Repository::discover(&directory.path) {
                Ok(repository) => Ok(Some(History { repository })),
                Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
                Err(error) => Err(GitError::repository(
                    directory.path.display().to_string(),
                    &error,
                )),
            },
        }
    }
}

impl History {
    /// Whether `newer` is `older` or comes after it. One that is not there comes after nothing.
    ///
    /// # Errors
    /// [`GitError::Repository`] when the history cannot be read.
    pub fn follows(&self, newer: &str, older: &str) -> Result<bool, GitError> {
        let (newer, older) = (self.id(newer)?, self.id(older)?);
        if newer == older {
            return Ok(true);
        }
        if self.repository.find_commit(older).is_err() {
            return Ok(false);
        }
        self.repository
            .graph_descendant_of(newer, older)
            .map_err(|error| self.failed(&error))
    }

    /// Whether a commit is there.
    #[must_use]
    pub fn has(&self, commit: &str) -> bool {
        self.id(commit)
            .is_ok_and(|id| self.repository.find_commit(id).is_ok())
    }

    /// Whether only a part of the history was fetched.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.repository.is_shallow()
    }

    /// The commits that lead to `newer` and did not lead to `older`, merged branches included, the
    /// oldest first; at most `limit` of them, and the newest in any case.
    ///
    /// # Errors
    /// [`GitError::Repository`] when the history cannot be read.
    pub fn between(
        &self,
        newer: &str,
        older: Option<&str>,
        limit: usize,
    ) -> Result<Vec<PassedCommit>, GitError> {
        self.walk(newer, older, limit, false)
    }

    /// The commits that the branch itself went through after `older` and before `newer`, the
    /// oldest first; at most the last `limit` of them.
    ///
    /// # Errors
    /// [`GitError::Repository`] when the history cannot be read.
    pub fn passed(
        &self,
        newer: &str,
        older: &str,
        limit: usize,
    ) -> Result<Vec<PassedCommit>, GitError> {
        let mut passed = self.walk(newer, Some(older), limit.saturating_add(1), true)?;
        passed.pop();
        Ok(passed)
    }

    fn walk(
        &self,
        newer: &str,
        older: Option<&str>,
        limit: usize,
        first_parents: bool,
    ) -> Result<Vec<PassedCommit>, GitError> {
        let fail = |error: git2::Error| self.failed(&error);
        let mut walk = self.repository.revwalk().map_err(fail)?;
        walk.set_sorting(Sort::TOPOLOGICAL).map_err(fail)?;
        if first_parents {
            walk.simplify_first_parent().map_err(fail)?;
        }
        walk.push(self.id(newer)?).map_err(fail)?;
        if let Some(older) = older {
            walk.hide(self.id(older)?).map_err(fail)?;
        }
        let mut changes = Vec::new();
        for id in walk.take(limit) {
            let commit = id
                .and_then(|id| self.repository.find_commit(id))
                .map_err(fail)?;
            changes.push(PassedCommit {
                commit: commit.id().to_string(),
                revision: Revision::of(&commit),
            });
        }
        changes.reverse();
        Ok(changes)
    }

    /// The signature of a commit, or none when it has none.
    ///
    /// # Errors
    /// [`GitError::Repository`] when the commit cannot be read.
    pub fn signature(&self, commit: &str) -> Result<Option<Signature>, GitError> {
        match self.repository.extract_signature(&self.id(commit)?, None) {
            Ok((armored, signed)) => Ok(Some(Signature {
                armored: armored.to_vec(),
                signed: signed.to_vec(),
            })),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn id(&self, text: &str) -> Result<Oid, GitError> {
        Oid::from_str(text).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &git2::Error) -> GitError {
        GitError::repository(self.repository.path().display().to_string(), error)
    }
}
