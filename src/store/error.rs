//! What can go wrong between the program and its database.

use std::path::PathBuf;

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
    #[error("`{path}` is a database of another program", path = .0.display())]
    Foreign(PathBuf),
    #[error("the database has schema {found}, this program knows schemas up to {supported}")]
    Newer { found: u32, supported: u32 },
    #[error("the database has schema {found} and must be migrated to {needed} first")]
    Older { found: u32, needed: u32 },
    #[error("the disk or quota of the database is full")]
    Full(#[source] rusqlite::Error),
    #[error("the database cannot be written")]
    ReadOnly(#[source] rusqlite::Error),
    #[error("another process kept the database locked for too long")]
    Busy(#[source] rusqlite::Error),
    #[error("the database failed")]
    Sqlite(#[source] rusqlite::Error),
    #[error("job `{job}` is no longer held with token {token}")]
    Stale { job: JobId, token: u64 },
    #[error("the recorded state moved since the plan was made: {}", list(.0))]
    StalePlan(Vec<ResourceId>),
    #[error("the dependencies of the jobs are not among the jobs, or form a cycle")]
    BadDependencies,
    #[error("{what} `{name}` is not recorded")]
    NotFound { what: &'static str, name: String },
    #[error(transparent)]
    IllegalMove(#[from] IllegalMove),
    #[error("the database holds something that cannot be read: {0}")]
    Corrupt(String),
}

impl StoreError {
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
            Self::Foreign(_) => Some("set `--db-path` to another file"),
            Self::Newer { .. } => Some("use the newer program, or restore an older backup"),
            Self::Older { .. } => Some("run `pressluft apply` or another command that writes"),
            Self::Full(_) => Some("make room and run the command again; nothing was lost"),
            Self::ReadOnly(_) => Some("check owner, mode and mount of the state directory"),
            Self::Busy(_) => Some("wait for the other process, or look what it does"),
            Self::StalePlan(_) => Some("plan again and apply the new plan"),
            Self::Corrupt(_) => Some("restore a backup of the database"),
            Self::Sqlite(_)
            | Self::Stale { .. }
            | Self::BadDependencies
            | Self::NotFound { .. }
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

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => Self::ReadOnly(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(error),
            Some(_) | None => Self::Sqlite(error),
        }
    }
}
