//! Environments that are configured anew because of something that they see: of their node, of their site, of the fleet.

use std::collections::BTreeSet;

use super::{Plan, PlanInput, PlannedJob, order};
use crate::core::id::ResourceId;

/// What an environment follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// What changes.
    pub of: ResourceId,
    /// In words.
    pub why: String,
}

/// An environment that a part of a plan would leave behind, with what it follows: the change is in the part, and once that
/// is recorded no later plan would know of it.
#[must_use]
pub fn left_behind<'a>(
    plan: &Plan,
    input: &'a PlanInput<'_>,
) -> Option<(&'a ResourceId, &'a Followed)> {
    if input.choice.targets.is_empty() && input.choice.excludes.is_empty() {
        return None;
    }
    let changed = plan.jobs.iter().flat_map(PlannedJob::touched);
    let changed = changed.chain(plan.records.iter().map(|record| &record.resource));
    let changed: BTreeSet<&ResourceId> = changed.collect();
    input
        .followers
        .iter()
        .find(|(env, what)| changed.contains(&what.of) && !order::is_chosen(env, &input.choice))
}
