//! What keeps a pass from being made. Failed jobs are results, not errors.

use crate::ansible::EngineError;
use crate::core::id::ResourceId;
use crate::git::GitError;
use crate::secrets::SecretError;
use crate::store::StoreError;

/// A pass could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Secrets(#[from] SecretError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("cannot read the state of processes: {0}")]
    Process(#[from] std::io::Error),
    #[error("no document describes `{0}`")]
    UnknownResource(ResourceId),
    #[error("the plan cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the saved plan `{path}` cannot be read: {why}")]
    SavedPlan { path: String, why: String },
}
