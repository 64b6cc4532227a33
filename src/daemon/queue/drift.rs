//! Looks for drift, and what is put back.

use std::collections::BTreeMap;

use super::super::error::DaemonError;
use super::requests::Request;
use crate::core::document::choice::Drift;
use crate::core::id::ResourceId;
use crate::core::job::{JobOrigin, JobType};
use crate::core::spec::Spec;
use crate::git::DesiredState;
use crate::store::Store;

/// What is to be done about drift of a resource: what its own spec says, else the fleet's.
#[must_use]
pub fn drift_mode(spec: &Spec, fleet: Option<&Spec>) -> Drift {
    let own = spec.str("drift");
    let word = own.or_else(|| fleet.and_then(|fleet| fleet.str("reconcile.drift")));
    [Drift::Off, Drift::Heal]
        .into_iter()
        .find(|mode| Some(mode.as_str()) == word)
        .unwrap_or(Drift::Report)
}

/// A look at one resource that somebody asked for.
#[must_use]
pub fn drift_check(resource: ResourceId, reason: &str) -> Request {
    Request {
        job_type: JobType::DriftCheck,
        resource,
        reason: reason.to_owned(),
        origin: JobOrigin::Person,
    }
}

/// What is found to differ and is to be put back, with the tasks that do it.
///
/// # Errors
/// When the database fails or a document cannot be read any more.
pub(in crate::daemon) fn to_heal(
    store: &Store,
    desired: &DesiredState,
) -> Result<BTreeMap<ResourceId, String>, DaemonError> {
    let drifted = store.drifted()?;
    if drifted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let fleet = desired.spec(&ResourceId::Fleet)?;
    let mut heal = BTreeMap::new();
    for drift in drifted {
        // What no job puts back would only be run for again and again.
        let tasks = drift.found.to_heal().join(", ");
        if !tasks.is_empty()
            && let Some(spec) = desired.spec(&drift.resource)?
            && drift_mode(&spec, fleet.as_ref()) == Drift::Heal
        {
            heal.insert(drift.resource, tasks);
        }
    }
    Ok(heal)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: serde_json::Value) -> Spec {
        serde_json::from_value(value).expect("a spec")
    }

    #[test]
    fn a_resource_has_its_own_word_or_that_of_the_fleet() {
        let fleet = spec(json!({"reconcile": {"drift": "heal"}}));
        let (silent, off) = (spec(json!({})), spec(json!({"drift": "off"})));
        assert_eq!(drift_mode(&silent, Some(&fleet)), Drift::Heal);
        assert_eq!(drift_mode(&off, Some(&fleet)), Drift::Off);
        assert_eq!(drift_mode(&silent, None), Drift::Report);
    }
}
