//! Nothing that an environment keeps in its caches counts any more: pages, and objects.

use super::{Attempts, Does, JobKind, Phase, Secrets};
use crate::core::id::ResourceKind;

pub(super) const KIND: JobKind = JobKind {
    does: Does::Once {
        of: ResourceKind::Env,
        token: "cache.purge.token",
    },
    phase: Phase::Purge,
    status_on_start: None,
    // The environment is what it was; only its caches are.
    status_on_failure: None,
    attempts: Attempts::Retried,
    carries_when_made: &[],
    carries_fields_when_made: &[],
    followed_by: &[],
    reads_facts: false,
    sources: &[],
    secrets: Secrets::LoginOfEnvironment,
    tree: None,
    proves_health: false,
};
