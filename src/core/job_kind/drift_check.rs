//! Whether a resource is on its node what was applied: the job that applies it, in check mode.

use super::{Attempts, Does, JobKind, Phase, Secrets};
use crate::core::id::ResourceKind;
use crate::core::job::JobType;

pub(super) const KIND: JobKind = JobKind {
    does: Does::Look {
        as_of: &[
            (ResourceKind::Node, JobType::NodeProvision),
            (ResourceKind::Env, JobType::EnvConfigure),
        ],
    },
    phase: Phase::Check,
    status_on_start: None,
    status_on_failure: None,
    attempts: Attempts::Once,
    carries_when_made: &[],
    carries_fields_when_made: &[],
    followed_by: &[],
    reads_facts: false,
    sources: &[],
    secrets: Secrets::OfEnvironment,
    tree: None,
    proves_health: false,
};
