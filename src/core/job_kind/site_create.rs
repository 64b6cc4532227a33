//! A new site with its production environment: WordPress, fresh and installed.

use super::{Attempts, Does, JobKind, Phase, Secrets, SourceKind};
use crate::core::id::ResourceKind;
use crate::core::job::JobType;
use crate::core::recorded::ResourceStatus;
use crate::core::tree::environment_tree;

pub(super) const KIND: JobKind = JobKind {
    does: Does::Make(ResourceKind::Site),
    phase: Phase::Make,
    status_on_start: Some(ResourceStatus::Deploying),
    status_on_failure: Some(ResourceStatus::Failed),
    attempts: Attempts::Retried,
    carries_when_made: &[JobType::EnvConfigure, JobType::EnvCacheToggle],
    // The release that a site starts with is the version that it asks for.
    carries_fields_when_made: &[(ResourceKind::Site, "wordpress.version")],
    followed_by: &[JobType::HealthCheck],
    reads_facts: false,
    sources: &[
        SourceKind::WordPress,
        SourceKind::ObjectCache,
        SourceKind::Languages,
    ],
    secrets: Secrets::OfEnvironment,
    tree: Some(environment_tree),
    proves_health: false,
};
