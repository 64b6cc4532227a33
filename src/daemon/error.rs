//! What keeps a pass from being made. Failed jobs are results, not errors.

use super::plan::entitlement::NotEntitled;
use crate::ansible::EngineError;
use crate::core::desired::SpecError;
use crate::core::id::ResourceId;
use crate::core::job::JobStatus;
use crate::core::recorded::JobId;
use crate::core::secret_owner::NotOwned;
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
    #[error("job `{job}` may still be at work{}", more(*count))]
    StillRunning { job: JobId, count: usize },
    #[error("cannot read the state of processes: {0}")]
    Process(std::io::Error),
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    #[error("cannot write `{path}`: {source}")]
    Write {
        path: String,
        source: std::io::Error,
    },
    #[error("`{0}` of the fleet repo is not UTF-8 text")]
    NotText(String),
    #[error("the saved plan holds a damaged secret `{0}`")]
    DamagedSecret(String),
    #[error("the payload part `{0}` is missing; plan again and apply the new plan")]
    MissingPart(String),
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("no document describes `{0}`")]
    UnknownResource(ResourceId),
    #[error("the record of `{0}` moved since the job was planned")]
    Moved(ResourceId),
    #[error("job `{0}` brings about what is not wanted of `{1}` any more")]
    Outdated(JobId, ResourceId),
    #[error("job `{0}` is {1}; only one that failed or was cancelled can be repeated")]
    NotEnded(JobId, JobStatus),
    #[error("job `{0}` needs job `{1}`, which is {2}; wait for that one")]
    Needs(JobId, JobId, JobStatus),
    #[error("{why}, which `{env}` sees as well, and that is left out")]
    LeftBehind { env: ResourceId, why: String },
    #[error("`reconcile.windows` of the fleet: {0}; nothing is queued until that is mended")]
    Window(String),
    #[error("the plan cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    NotOwned(#[from] NotOwned),
    #[error("the saved plan asks for more than its jobs may have: {0}")]
    NotEntitled(#[from] NotEntitled),
    #[error("the saved plan `{path}` cannot be read: {why}")]
    SavedPlan { path: String, why: String },
}

fn more(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        count => format!(", and {} more", count - 1),
    }
}
