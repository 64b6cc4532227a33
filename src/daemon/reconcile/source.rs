//! Where the fleet repo is, and the newest state of it.

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::daemon::plan::prepared::PlannedRevision;
use crate::git::{
    self, Credentials, FETCH_TIME, FetchRequest, GitError, Reference, RepoUrl, Snapshot,
};

/// Where the fleet repo is and what of it is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FleetSource {
    /// A directory with files, committed or not.
    WorkingTree(PathBuf),
    Remote {
        url: RepoUrl,
        reference: Reference,
        /// The part of it that holds the fleet; empty when it is all of it.
        subdirectory: String,
    },
}

impl fmt::Display for FleetSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkingTree(path) => write!(f, "{}", path.display()),
            Self::Remote {
                url,
                reference,
                subdirectory,
            } => {
                write!(f, "{url} {reference}")?;
                if !subdirectory.is_empty() {
                    write!(f, " {subdirectory}")?;
                }
                Ok(())
            }
        }
    }
}

/// What reading the fleet repo takes.
#[derive(Clone, Debug)]
pub struct Access {
    pub source: FleetSource,
    pub state_dir: PathBuf,
    pub cache_dir: Option<PathBuf>,
    pub credentials: Credentials,
}

impl Access {
    /// The newest state with a name for it, or none when it is still the one with the name
    /// `known`. The history from the commit `since` on comes with it.
    pub(in crate::daemon) fn newest(
        &self,
        known: Option<&str>,
        since: Option<&str>,
    ) -> Result<Option<(Snapshot, String)>, GitError> {
        match &self.source {
            FleetSource::WorkingTree(path) => {
                let snapshot = git::open_working_tree(path, self.cache_dir())?;
                let name = name(&snapshot);
                Ok((known != Some(&name)).then_some((snapshot, name)))
            }
            FleetSource::Remote { reference, .. } => {
                let snapshot = self.fetch(reference, known, since)?;
                Ok(snapshot.map(|snapshot| {
                    let name = snapshot.revision.commit.clone().unwrap_or_default();
                    (snapshot, name)
                }))
            }
        }
    }

    /// The state that is recorded as `revision`, or none when it is not at hand: of a working tree
    /// there are only the files of now.
    pub(in crate::daemon) fn revision(&self, revision: &str) -> Result<Option<Snapshot>, GitError> {
        match &self.source {
            FleetSource::WorkingTree(path) => {
                let snapshot = git::open_working_tree(path, self.cache_dir())?;
                let is_it = PlannedRevision::of(&snapshot).id == revision;
                Ok(is_it.then_some(snapshot))
            }
            FleetSource::Remote { .. } => self.fetch(&revision.parse()?, None, None),
        }
    }

    fn fetch(
        &self,
        reference: &Reference,
        known: Option<&str>,
        since: Option<&str>,
    ) -> Result<Option<Snapshot>, GitError> {
        let FleetSource::Remote {
            url, subdirectory, ..
        } = &self.source
        else {
            return Ok(None);
        };
        let request = FetchRequest {
            url,
            reference,
            subdirectory,
            state_dir: &self.state_dir,
            credentials: &self.credentials,
            since,
            time_limit: FETCH_TIME,
        };
        git::fetch_unless(known, &request, &mut |_| ControlFlow::Continue(()))
    }

    pub(super) fn cache_dir(&self) -> Option<&Path> {
        self.cache_dir.as_deref()
    }
}

/// A name for all that was read of a working tree.
fn name(snapshot: &Snapshot) -> String {
    let mut hasher = blake3::Hasher::new();
    let commit = snapshot.revision.commit.as_deref().unwrap_or_default();
    hasher.update(commit.as_bytes());
    let lists = [
        &snapshot.files,
        &snapshot.secrets,
        &snapshot.templates,
        &snapshot.hooks,
    ];
    for list in lists {
        for file in list {
            hasher.update(&[0]);
            hasher.update(file.path.as_bytes());
            hasher.update(&file.blob.0);
        }
        hasher.update(&[1]);
    }
    // What was refused is no file of these.
    for diagnostic in &snapshot.diagnostics {
        hasher.update(diagnostic.file.as_bytes());
        hasher.update(diagnostic.message.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
