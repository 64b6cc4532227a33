//! A staging or a clone: the code, the database and the uploads of another environment.

use super::{Attempts, Does, JobKind, Phase, Secrets, SourceKind};
use crate::core::id::ResourceKind;
use crate::core::job::JobType;
use crate::core::recorded::ResourceStatus;
use crate::core::tree::environment_tree;

pub(super) const KIND: JobKind = JobKind {
    does: Does::Make(ResourceKind::Env),
    phase: Phase::Make,
    status_on_start: Some(ResourceStatus::Cloning),
    status_on_failure: Some(ResourceStatus::Failed),
    attempts: Attempts::Retried,
    carries_when_made: &[JobType::EnvConfigure, JobType::EnvCacheToggle],
    carries_fields_when_made: &[],
    followed_by: &[JobType::HealthCheck],
    reads_facts: false,
    sources: &[SourceKind::ObjectCache, SourceKind::Languages],
    secrets: Secrets::OfEnvironment,
    tree: Some(environment_tree),
    proves_health: false,
};
