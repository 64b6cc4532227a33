//! An environment that is there, as its document says: files, options, units.

use super::{Attempts, Does, JobKind, Phase, Secrets, SourceKind};
use crate::core::id::ResourceKind;
use crate::core::job::JobType;
use crate::core::recorded::ResourceStatus;
use crate::core::tree::environment_tree;

pub(super) const KIND: JobKind = JobKind {
    does: Does::Change(ResourceKind::Env),
    phase: Phase::Change,
    status_on_start: Some(ResourceStatus::Deploying),
    status_on_failure: Some(ResourceStatus::Failed),
    attempts: Attempts::Retried,
    carries_when_made: &[],
    carries_fields_when_made: &[],
    followed_by: &[JobType::HealthCheck],
    reads_facts: false,
    sources: &[SourceKind::ObjectCache, SourceKind::Languages],
    secrets: Secrets::OfEnvironment,
    tree: Some(environment_tree),
    proves_health: false,
};
