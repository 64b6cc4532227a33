//! What can go wrong between the program and its database.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::sql;
use crate::core::id::ResourceId;
use crate::core::job::IllegalMove;
use crate::core::recorded::JobId;

/// A failure of the store. Everything that was written before it in the same call is undone.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("there is no database at `{path}`", path = .0.display())]
    Missing(PathBuf),
    #[error("cannot make the database `{path}`", path = .path.display())]
    Create {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{path}` is no database of Pressluft", path = .0.display())]
    Foreign(PathBuf),
    #[error("the database has schema {found}, this program knows schemas up to {supported}")]
    Newer { found: u32, supported: u32 },
    #[error("the database has schema {found} and must be migrated to {needed} first")]
    Older { found: u32, needed: u32 },
    #[error("the disk or quota of {} is full", .0.place())]
    Full(#[source] Trouble),
    #[error("{} cannot be opened or written", .0.place())]
    ReadOnly(#[source] Trouble),
    #[error("the disk of {} fails", .0.place())]
    Io(#[source] Trouble),
    #[error("cannot write `{path}`", path = .path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{path}` is there already", path = .0.display())]
    Exists(PathBuf),
    #[error(
        "the disk is full or read-only: the reserve `{path}` cannot be held back, and nothing \
         new starts without it",
        path = .path.display()
    )]
    NoReserve {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the disk is full or read-only: jobs cannot write their files into `{path}`", path = .path.display())]
    NoFiles {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{path}` belongs to the database itself", path = .0.display())]
    OwnFile(PathBuf),
    #[error("`{path}` is no backup that can be restored: {why}", path = .path.display())]
    BadBackup { path: PathBuf, why: String },
    #[error("other processes have the database `{path}` open: {}", processes(.holders), path = .path.display())]
    InUse { path: PathBuf, holders: Vec<i32> },
    #[error("nothing runs since {}: {reason}", .since.strftime("%Y-%m-%d %H:%M:%SZ"))]
    Paused { since: Timestamp, reason: String },
    #[error("another process kept the database locked for too long")]
    Busy(#[source] sql::Error),
    #[error("the database failed")]
    Database(#[source] sql::Error),
    #[error("job `{job}` is no longer held with token {token}")]
    Stale { job: JobId, token: u64 },
    #[error("the recorded state moved since the plan was made: {}", list(.0))]
    StalePlan(Vec<ResourceId>),
    #[error("the dependencies of the jobs are not among the jobs, or form a cycle")]
    BadDependencies,
    #[error("there is a {what} `{name}` already")]
    Taken { what: &'static str, name: String },
    #[error("{what} `{name}` is not recorded")]
    NotFound { what: &'static str, name: String },
    #[error(transparent)]
    IllegalMove(#[from] IllegalMove),
    #[error("the database holds something that cannot be read: {0}")]
    Corrupt(String),
}

/// What the disk did to a database.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct Trouble {
    path: Option<PathBuf>,
    source: sql::Error,
}

impl Trouble {
    pub(super) fn new(source: sql::Error) -> Self {
        Self { path: None, source }
    }

    fn place(&self) -> String {
        match &self.path {
            Some(path) => format!("the database `{}`", path.display()),
            None => "the database".to_owned(),
        }
    }
}

impl StoreError {
    /// The same error with the file that it is about, where it has none yet.
    #[must_use]
    pub(super) fn located(mut self, path: &Path) -> Self {
        if let Self::Full(trouble) | Self::ReadOnly(trouble) | Self::Io(trouble) = &mut self {
            trouble.path.get_or_insert_with(|| path.to_owned());
        }
        self
    }

    /// Whether the disk is in the way: full, read-only or broken. It passes, or can be mended,
    /// and says nothing about what was to be written.
    #[must_use]
    pub fn is_of_disk(&self) -> bool {
        matches!(
            self,
            Self::Full(_)
                | Self::ReadOnly(_)
                | Self::Io(_)
                | Self::NoReserve { .. }
                | Self::NoFiles { .. }
        )
    }

    /// Whether another process kept the database locked, which says nothing about what was to be
    /// written either.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing(_) => Some(
                "nothing is recorded yet; `pressluft apply` makes it, or name another state \
                 directory with `--state-dir`",
            ),
            Self::Create { .. } => {
                Some("set `--state-dir` or `PRESSLUFT_STATE_DIR` to a directory of your own")
            }
            Self::Foreign(_) => Some(
                "set `--db-path` to another file; if it was one, its beginning is damaged: \
                 `pressluft db restore FILE` puts a backup in its place",
            ),
            Self::Newer { .. } => Some("use the newer program, or restore an older backup"),
            Self::Older { .. } => Some("run `pressluft apply` or another command that writes"),
            Self::Full(_) | Self::NoReserve { .. } | Self::NoFiles { .. } => {
                Some("make room and run the command again; nothing was lost")
            }
            Self::Io(_) => Some(
                "look at the kernel's log (`dmesg`) and at the disk, then run `pressluft db check` \
                 before anything else",
            ),
            Self::Write { .. } => {
                Some("check owner, mode and mount of its directory, and the room that is left")
            }
            Self::Exists(_) => Some("choose another name, or replace it with `--force`"),
            Self::OwnFile(_) => Some("name another file"),
            Self::BadBackup { .. } => {
                Some("`pressluft db check FILE` says all that is wrong; take another backup")
            }
            Self::ReadOnly(_) => Some("check owner, mode and mount of the state directory"),
            Self::Busy(_) => Some("wait for the other process, or look what it does"),
            Self::InUse { .. } => Some("stop them or wait until they have ended, and try again"),
            Self::Paused { .. } => Some(
                "`pressluft plan` and `pressluft jobs list --status queued` show what would run; \
                 `pressluft resume` lets it",
            ),
            Self::StalePlan(_) => Some("plan again and apply the new plan"),
            Self::Corrupt(_) => Some(
                "`pressluft db check` says how much of it; `pressluft db restore FILE` puts a \
                 backup in its place",
            ),
            Self::Database(_)
            | Self::Stale { .. }
            | Self::BadDependencies
            | Self::NotFound { .. }
            | Self::Taken { .. }
            | Self::IllegalMove(_) => None,
        }
    }
}

/// The result of anything that the store does.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

fn list(ids: &[ResourceId]) -> String {
    ids.iter()
        .map(|id| format!("`{id}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn processes(numbers: &[i32]) -> String {
    match numbers {
        [] => "their numbers are not known".to_owned(),
        [one] => format!("process {one}"),
        several => {
            let all: Vec<String> = several.iter().map(ToString::to_string).collect();
            format!("processes {}", all.join(", "))
        }
    }
}
