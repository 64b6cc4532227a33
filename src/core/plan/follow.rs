//! Environments that are configured anew because of something that they see: of their node, of their site, of the fleet.

use std::collections::BTreeSet;

use super::{Plan, PlanInput, PlannedJob, order};
use crate::core::carrier::is_nothing;
use crate::core::id::ResourceId;
use crate::core::spec::Spec;

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

/// What held a resource back, and does not any more.
#[must_use]
pub fn let_go(recorded: &Spec, wanted: &Spec) -> Option<&'static str> {
    let is_suspended = |spec: &Spec| spec.get("suspend").is_some_and(|value| !is_nothing(value));
    let is_drained = |spec: &Spec| spec.str("state") == Some("drained");
    if is_suspended(recorded) && !is_suspended(wanted) {
        return Some("suspend");
    }
    (is_drained(recorded) && !is_drained(wanted)).then_some("state: drained")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(value: Value) -> Spec {
        serde_json::from_value(value).expect("a spec")
    }

    #[test]
    fn what_is_let_go_is_known_by_what_held_it() {
        let free = spec(json!({"state": "present"}));
        let suspended = spec(json!({"suspend": true}));
        let drained = spec(json!({"state": "drained"}));
        assert_eq!(let_go(&suspended, &free), Some("suspend"));
        assert_eq!(let_go(&drained, &free), Some("state: drained"));
        for (before, after) in [
            (&free, &suspended),
            (&free, &drained),
            (&suspended, &suspended),
            (&drained, &drained),
            (&free, &free),
        ] {
            assert_eq!(let_go(before, after), None, "{before:?} {after:?}");
        }
    }
}
