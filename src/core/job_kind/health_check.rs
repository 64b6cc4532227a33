//! Whether an environment answers as it should.

use super::{Attempts, Does, JobKind, Phase, Secrets};
use crate::core::recorded::ResourceStatus;

pub(super) const KIND: JobKind = JobKind {
    does: Does::Look { as_of: &[] },
    phase: Phase::Check,
    status_on_start: None,
    // It changes nothing; a bad result is a failure of what it looked at.
    status_on_failure: Some(ResourceStatus::Failed),
    // What was just changed may need a moment.
    attempts: Attempts::Retried,
    carries_when_made: &[],
    carries_fields_when_made: &[],
    followed_by: &[],
    reads_facts: false,
    sources: &[],
    secrets: Secrets::LoginOfEnvironment,
    tree: None,
    proves_health: true,
};
